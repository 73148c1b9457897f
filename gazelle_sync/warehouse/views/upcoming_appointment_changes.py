"""upcoming_appointment_changes: what technicians want to hear about, of the next seven days."""

from gazelle_sync.warehouse.views.declaration import View, made, mirrored

WEEK = "BETWEEN now() AND now() + interval '7 days'"
# The old value of a column in the earliest of the changes that came later; null when none of them changed it.
LATER = "array_agg(change.changed -> '{0}' -> 0) FILTER (WHERE change.changed ? '{0}') OVER later"
STARTS, TECHNICIAN, STATUS = (LATER.format(name) for name in ("starts_at", "technician_external_id", "status"))

UPCOMING_APPOINTMENT_CHANGES = View(
    name="upcoming_appointment_changes",
    comment="New, moved, reassigned and cancelled appointments of the next seven days, as each of them was then.",
    reads=("appointments", "clients", "users", "row_changes"),
    key=("changed_at", "change", "appointment_external_id"),
    columns=(
        made("changed_at", "timestamptz", "When the sync saw it."),
        made("change", "text", "new, cancelled, moved or reassigned."),
        mirrored("appointment_external_id", "appointments.external_id", "Gazelle's id of the appointment."),
        mirrored("title", "appointments.title"),
        mirrored("client_external_id", "appointments.client_external_id"),
        mirrored("client_name", "clients.company_name", "What the client is called."),
        made("starts_before", "timestamptz", "When it was to start; null for a new one."),
        made("starts_after", "timestamptz", "When it starts since; null for one that is gone."),
        made("technician_before_external_id", "text", "In whose calendar it stood."),
        made("technician_after_external_id", "text", "In whose calendar it stands since."),
        made("technician_before", "text", "Their first and last name.", personal=True),
        made("technician_after", "text", "Their first and last name.", personal=True),
    ),
    example="SELECT change, title, client_name, starts_before, starts_after, technician_after\n"
    "FROM gazelle.upcoming_appointment_changes WHERE changed_at > now() - interval '1 day' ORDER BY starts_after",
    # A change that moves an appointment and gives it to somebody else is two lines. Moments are compared as moments:
    # the next seven days begin now. The record as it was after a change is the record as it is now with every later
    # change taken back. Only appointments that were in the week at
    # some time are looked at: what one was moved to is what it has now, or what a later change moved it from.
    query=f"""
WITH concerned AS (
    SELECT external_id FROM gazelle.appointments
    WHERE starts_at {WEEK} AND appointment_date BETWEEN {{today}} - 1 AND {{today}} + 8
    UNION
    -- Found by an index: what is written there is in order as text.
    SELECT external_id FROM gazelle.row_changes
    WHERE table_name = 'appointments' AND changed ? 'starts_at'
      AND (changed #>> '{{starts_at,0}}') COLLATE "C"
          BETWEEN to_char({{today}} - 1, 'YYYY-MM-DD') AND to_char({{today}} + 9, 'YYYY-MM-DD')
), steps AS (
    SELECT
        change.changed_at,
        change.change,
        change.changed,
        appointment.external_id,
        appointment.title,
        appointment.client_external_id,
        appointment.starts_at,
        appointment.technician_external_id,
        appointment.status,
        {STARTS} AS starts,
        {TECHNICIAN} AS technician,
        {STATUS} AS states
    FROM concerned
    JOIN gazelle.appointments AS appointment USING (external_id)
    JOIN gazelle.row_changes AS change ON change.external_id = appointment.external_id
    WHERE change.table_name = 'appointments'
    WINDOW later AS (PARTITION BY change.external_id ORDER BY change.id DESC
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), became AS (
    SELECT
        steps.*,
        CASE WHEN starts IS NULL THEN starts_at
             ELSE (starts[cardinality(starts)] #>> '{{}}')::timestamptz END AS new_start,
        CASE WHEN technician IS NULL THEN technician_external_id
             ELSE technician[cardinality(technician)] #>> '{{}}' END AS new_technician,
        CASE WHEN states IS NULL THEN status ELSE states[cardinality(states)] #>> '{{}}' END AS new_status,
        change NOT IN ('insert', 'restore') AS was_there,
        change <> 'delete' AS is_there
    FROM steps
), told AS MATERIALIZED (
    SELECT
        became.*,
        CASE WHEN was_there THEN CASE WHEN changed ? 'starts_at' THEN (changed -> 'starts_at' ->> 0)::timestamptz
                                      ELSE new_start END END AS starts_before,
        CASE WHEN is_there THEN new_start END AS starts_after,
        CASE WHEN was_there THEN CASE WHEN changed ? 'technician_external_id'
                                      THEN changed -> 'technician_external_id' ->> 0
                                      ELSE new_technician END END AS technician_before,
        CASE WHEN is_there THEN new_technician END AS technician_after,
        was_there AND CASE WHEN changed ? 'status' THEN changed -> 'status' ->> 0 ELSE new_status END
            IS DISTINCT FROM 'CANCELED' AS stood_before,
        is_there AND new_status IS DISTINCT FROM 'CANCELED' AS stands_after
    FROM became
)
SELECT
    told.changed_at,
    what.change,
    told.external_id AS appointment_external_id,
    told.title,
    told.client_external_id,
    client.company_name AS client_name,
    told.starts_before,
    told.starts_after,
    told.technician_before AS technician_before_external_id,
    told.technician_after AS technician_after_external_id,
    concat_ws(' ', before.first_name, before.last_name) AS technician_before,
    concat_ws(' ', after.first_name, after.last_name) AS technician_after
FROM told
CROSS JOIN LATERAL (
    VALUES
        ('new', told.stands_after AND NOT told.stood_before),
        ('cancelled', told.stood_before AND NOT told.stands_after),
        ('moved', told.change = 'update' AND told.changed ? 'starts_at'),
        ('reassigned', told.change = 'update' AND told.changed ? 'technician_external_id')
) AS what (change, applies)
LEFT JOIN gazelle.clients AS client ON client.external_id = told.client_external_id
LEFT JOIN gazelle.users AS before ON before.external_id = told.technician_before
LEFT JOIN gazelle.users AS after ON after.external_id = told.technician_after
WHERE what.applies AND (told.starts_before {WEEK} OR told.starts_after {WEEK})
""",
)
