"""pianos_due: whom to call, and for which piano."""

from gazelle_sync.warehouse.views.declaration import View, made, mirrored, same_number

PIANOS_DUE = View(
    name="pianos_due",
    comment="Active pianos of active clients that are due for service today or were before, with whom to call.",
    reads=("pianos", "clients", "users", "appointments", "appointment_pianos"),
    key=("piano_external_id",),
    columns=(
        mirrored("piano_external_id", "pianos.external_id", "Gazelle's id of the piano."),
        mirrored("make", "pianos.make"),
        mirrored("model", "pianos.model"),
        mirrored("serial_number", "pianos.serial_number"),
        mirrored("location", "pianos.location"),
        made("due_on", "date", "When it is due: as set by hand, else as Gazelle works it out."),
        made("days_overdue", "integer", "For how many days it has been due; 0 on the day itself."),
        mirrored("last_service_on", "pianos.calculated_last_service"),
        mirrored("service_interval_months", "pianos.service_interval_months"),
        made("next_appointment_on", "date", "The next appointment for this piano; null when none is booked."),
        mirrored("client_external_id", "pianos.client_external_id"),
        mirrored("client", "clients.company_name", "What the client is called."),
        mirrored("phone", "clients.phone"),
        mirrored("email", "clients.email"),
        mirrored("city", "clients.city"),
        made("preferred_technician", "text", "Who the client wants to come: first and last name.", personal=True),
    ),
    example="SELECT client, phone, make, model, due_on, days_overdue FROM gazelle.pianos_due\n"
    "WHERE next_appointment_on IS NULL ORDER BY days_overdue DESC LIMIT 20",
    agreements=(
        same_number(
            "rows_agree_with_pianos",
            "There are as many rows as pianos that are due.",
            "SELECT count(*) FROM gazelle.pianos_due",
            "SELECT count(*) FROM gazelle.pianos p WHERE p.deleted_at IS NULL AND p.synced_at IS NOT NULL "
            "AND p.status = 'ACTIVE' AND coalesce(p.next_service_override, p.calculated_next_service) <= {today} "
            "AND p.client_external_id IN (SELECT external_id FROM gazelle.clients WHERE status = 'ACTIVE' "
            "AND deleted_at IS NULL AND synced_at IS NOT NULL)",
        ),
    ),
    query="""
SELECT
    p.external_id AS piano_external_id,
    p.make,
    p.model,
    p.serial_number,
    p.location,
    coalesce(p.next_service_override, p.calculated_next_service) AS due_on,
    {today} - coalesce(p.next_service_override, p.calculated_next_service) AS days_overdue,
    p.calculated_last_service AS last_service_on,
    p.service_interval_months,
    booked.appointment_date AS next_appointment_on,
    p.client_external_id,
    c.company_name AS client,
    c.phone,
    c.email,
    c.city,
    nullif(btrim(concat_ws(' ', u.first_name, u.last_name)), '') AS preferred_technician
FROM gazelle.pianos AS p
JOIN gazelle.clients AS c ON c.external_id = p.client_external_id
LEFT JOIN gazelle.users AS u ON u.external_id = c.preferred_technician_external_id AND u.synced_at IS NOT NULL
LEFT JOIN (
    SELECT l.piano_external_id, min(a.appointment_date) AS appointment_date
    FROM gazelle.appointments AS a JOIN gazelle.appointment_pianos AS l ON l.appointment_external_id = a.external_id
    WHERE a.appointment_date >= {today} AND a.status = 'ACTIVE'
      AND a.deleted_at IS NULL AND a.synced_at IS NOT NULL
      AND l.deleted_at IS NULL AND l.synced_at IS NOT NULL
    GROUP BY l.piano_external_id
) AS booked ON booked.piano_external_id = p.external_id
WHERE p.status = 'ACTIVE' AND p.deleted_at IS NULL AND p.synced_at IS NOT NULL
  AND c.status = 'ACTIVE' AND c.deleted_at IS NULL AND c.synced_at IS NOT NULL
  AND coalesce(p.next_service_override, p.calculated_next_service) <= {today}
""",
)
