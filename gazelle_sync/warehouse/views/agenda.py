"""agenda: the calendar as it is read aloud, with client, technician and pianos on one line."""

from gazelle_sync.warehouse.views.declaration import Agreement, View, made, mirrored, same_number

AGENDA = View(
    name="agenda",
    comment="The calendar: an appointment a row, with its technician, client and pianos. Memos and cancelled ones too.",
    reads=("appointments", "clients", "users", "appointment_pianos", "pianos"),
    key=("appointment_external_id",),
    columns=(
        mirrored("appointment_external_id", "appointments.external_id", "Gazelle's id of the appointment."),
        mirrored("appointment_date", "appointments.appointment_date"),
        mirrored("appointment_time", "appointments.appointment_time"),
        made("ends_at_time", "time", "The time it ends, in the company's time zone."),
        mirrored("duration_minutes", "appointments.duration_minutes"),
        mirrored("status", "appointments.status"),
        mirrored("type", "appointments.type"),
        mirrored("title", "appointments.title"),
        mirrored("notes", "appointments.notes"),
        mirrored("is_all_day", "appointments.is_all_day"),
        mirrored("confirmed_by_client", "appointments.confirmed_by_client"),
        mirrored("technician_external_id", "appointments.technician_external_id"),
        made("technician", "text", "Who goes there: first and last name.", personal=True),
        mirrored("client_external_id", "appointments.client_external_id"),
        mirrored("client", "clients.company_name", "What the client is called."),
        mirrored("client_tags", "clients.tags"),
        made("contact", "text", "The client's default contact: first and last name.", personal=True),
        mirrored("phone", "clients.phone"),
        mirrored("email", "clients.email"),
        mirrored("address", "appointments.address"),
        mirrored("city", "clients.city"),
        made(
            "pianos",
            "jsonb",
            "The pianos it is for: id, make, model, serial_number, location, is_tuning, dampp_chaser_installed.",
            personal=True,
        ),
        made("piano_count", "bigint", "How many pianos it is for."),
    ),
    example="SELECT appointment_time, ends_at_time, client, phone, address, piano_count FROM gazelle.agenda\n"
    "WHERE technician = 'Luc Girard' AND appointment_date = {today} AND status = 'ACTIVE' ORDER BY appointment_time",
    agreements=(
        same_number(
            "rows_agree_with_appointments",
            "There are as many rows as live appointments.",
            "SELECT count(*) FROM gazelle.agenda",
            "SELECT count(*) FROM gazelle.appointments WHERE deleted_at IS NULL AND synced_at IS NOT NULL",
        ),
        same_number(
            "pianos_agree_with_appointment_pianos",
            "All appointments together have as many pianos as the table has for them.",
            "SELECT coalesce(sum(piano_count), 0) FROM gazelle.agenda",
            "SELECT count(*) FROM gazelle.appointment_pianos l JOIN gazelle.appointments a ON "
            "a.external_id = l.appointment_external_id JOIN gazelle.pianos p ON p.external_id = l.piano_external_id "
            "WHERE l.deleted_at IS NULL AND l.synced_at IS NOT NULL AND a.deleted_at IS NULL "
            "AND a.synced_at IS NOT NULL AND p.deleted_at IS NULL AND p.synced_at IS NOT NULL",
        ),
        Agreement(
            "technicians_have_names_of_their_own",
            "No two technicians share a name: what is counted by name is one person's.",
            "SELECT technician FROM gazelle.agenda WHERE technician IS NOT NULL GROUP BY technician "
            "HAVING count(DISTINCT technician_external_id) > 1",
        ),
    ),
    query="""
SELECT
    a.external_id AS appointment_external_id,
    a.appointment_date,
    a.appointment_time,
    -- Of moments: an appointment over the hour at which clocks change ends when it ends.
    ((a.starts_at + make_interval(mins => a.duration_minutes)) AT TIME ZONE {zone})::time AS ends_at_time,
    a.duration_minutes,
    a.status,
    a.type,
    a.title,
    a.notes,
    a.is_all_day,
    a.confirmed_by_client,
    a.technician_external_id,
    nullif(btrim(concat_ws(' ', u.first_name, u.last_name)), '') AS technician,
    a.client_external_id,
    c.company_name AS client,
    c.tags AS client_tags,
    nullif(btrim(concat_ws(' ', c.first_name, c.last_name)), '') AS contact,
    c.phone,
    c.email,
    a.address,
    c.city,
    visited.pianos,
    visited.piano_count
FROM gazelle.appointments AS a
LEFT JOIN gazelle.clients AS c ON c.external_id = a.client_external_id AND c.synced_at IS NOT NULL
LEFT JOIN gazelle.users AS u ON u.external_id = a.technician_external_id AND u.synced_at IS NOT NULL
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'id', p.external_id, 'make', p.make, 'model', p.model, 'serial_number', p.serial_number,
                    'location', p.location, 'is_tuning', l.is_tuning,
                    'dampp_chaser_installed', p.dampp_chaser_installed
                ) ORDER BY p.make, p.model, p.external_id
            ), '[]'
        ) AS pianos,
        count(*) AS piano_count
    FROM gazelle.appointment_pianos AS l JOIN gazelle.pianos AS p ON p.external_id = l.piano_external_id
    WHERE l.appointment_external_id = a.external_id
      AND l.deleted_at IS NULL AND l.synced_at IS NOT NULL
      AND p.deleted_at IS NULL AND p.synced_at IS NOT NULL
) AS visited
WHERE a.deleted_at IS NULL AND a.synced_at IS NOT NULL
""",
)
