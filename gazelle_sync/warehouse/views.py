"""Views over the mirrored tables, for those who read. They run with the rights of whoever asks.

Keep out: tables (`schema`).
"""

# What technicians want to hear about. A change that moves an appointment and gives it to somebody else
# is two lines. Moments are compared as moments: the next seven days begin now. The record as it was after
# a change is the record as it is now with every later change taken back, the earliest last.
UPCOMING_APPOINTMENT_CHANGES = """
SELECT
    change.changed_at,
    what.change,
    appointment.external_id AS appointment_external_id,
    appointment.title,
    appointment.client_external_id,
    client.company_name AS client_name,
    span.starts_before,
    span.starts_after,
    span.technician_before AS technician_before_external_id,
    span.technician_after AS technician_after_external_id,
    concat_ws(' ', before.first_name, before.last_name) AS technician_before,
    concat_ws(' ', after.first_name, after.last_name) AS technician_after
FROM gazelle.row_changes AS change
JOIN gazelle.appointments AS appointment ON appointment.external_id = change.external_id
CROSS JOIN LATERAL (
    SELECT to_jsonb(appointment) || coalesce(jsonb_object_agg(field.key, field.value -> 0 ORDER BY later.id DESC), '{}')
        AS record
    FROM gazelle.row_changes AS later CROSS JOIN LATERAL jsonb_each(later.changed) AS field
    WHERE later.table_name = 'appointments' AND later.external_id = change.external_id AND later.id > change.id
) AS new
CROSS JOIN LATERAL (
    SELECT new.record || coalesce(jsonb_object_agg(field.key, field.value -> 0), '{}') AS record
    FROM jsonb_each(change.changed) AS field
) AS old
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN change.change NOT IN ('insert', 'restore') THEN (old.record ->> 'starts_at')::timestamptz END
            AS starts_before,
        CASE WHEN change.change <> 'delete' THEN (new.record ->> 'starts_at')::timestamptz END AS starts_after,
        CASE WHEN change.change NOT IN ('insert', 'restore') THEN old.record ->> 'technician_external_id' END
            AS technician_before,
        CASE WHEN change.change <> 'delete' THEN new.record ->> 'technician_external_id' END AS technician_after,
        change.change NOT IN ('insert', 'restore') AND old.record ->> 'status' IS DISTINCT FROM 'CANCELED'
            AS stood_before,
        change.change <> 'delete' AND new.record ->> 'status' IS DISTINCT FROM 'CANCELED' AS stands_after
) AS span
CROSS JOIN LATERAL (
    VALUES
        ('new', span.stands_after AND NOT span.stood_before),
        ('cancelled', span.stood_before AND NOT span.stands_after),
        ('moved', change.change = 'update' AND change.changed ? 'starts_at'),
        ('reassigned', change.change = 'update' AND change.changed ? 'technician_external_id')
) AS what (change, applies)
LEFT JOIN gazelle.clients AS client ON client.external_id = appointment.client_external_id
LEFT JOIN gazelle.users AS before ON before.external_id = span.technician_before
LEFT JOIN gazelle.users AS after ON after.external_id = span.technician_after
WHERE change.table_name = 'appointments'
  AND what.applies
  AND (span.starts_before BETWEEN now() AND now() + interval '7 days'
    OR span.starts_after BETWEEN now() AND now() + interval '7 days')
"""

VIEWS = {"upcoming_appointment_changes": UPCOMING_APPOINTMENT_CHANGES}
