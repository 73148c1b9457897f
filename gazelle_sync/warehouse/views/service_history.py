"""service_history: what was done to a piano, measured and noted."""

from gazelle_sync.warehouse.views.declaration import View, made, mirrored, same_number

TYPES = ("SERVICE_ENTRY_MANUAL", "SERVICE_ENTRY_AUTOMATED", "PIANO_MEASUREMENT", "USER_COMMENT")

SERVICE_HISTORY = View(
    name="service_history",
    comment="Services, measurements and comments of the timeline, with client, piano and technician by name.",
    reads=("timeline_entries", "clients", "pianos", "users"),
    key=("timeline_entry_external_id",),
    columns=(
        mirrored("timeline_entry_external_id", "timeline_entries.external_id", "Gazelle's id of the entry."),
        mirrored("occurred_at", "timeline_entries.occurred_at"),
        made("occurred_on", "date", "The day it happened, in the company's time zone."),
        mirrored(
            "type",
            "timeline_entries.type",
            "SERVICE_ENTRY_MANUAL, SERVICE_ENTRY_AUTOMATED, PIANO_MEASUREMENT or USER_COMMENT.",
            values=TYPES,
        ),
        mirrored("summary", "timeline_entries.summary"),
        mirrored("comment", "timeline_entries.comment"),
        made("technician", "text", "Who made the entry: first and last name.", personal=True),
        mirrored("client_external_id", "timeline_entries.client_external_id"),
        mirrored("client", "clients.company_name", "What the client is called."),
        mirrored("piano_external_id", "timeline_entries.piano_external_id"),
        made("piano", "text", "The piano it is about, if any: make and model."),
        mirrored("appointment_external_id", "timeline_entries.appointment_external_id"),
        mirrored("invoice_external_id", "timeline_entries.invoice_external_id"),
    ),
    example="SELECT occurred_on, technician, piano, summary, comment FROM gazelle.service_history\n"
    "WHERE client = 'École de musique de Beauport' ORDER BY occurred_at DESC LIMIT 20",
    agreements=(
        same_number(
            "rows_agree_with_timeline_entries",
            "There are as many rows as live entries of these types.",
            "SELECT count(*) FROM gazelle.service_history",
            "SELECT count(*) FROM gazelle.timeline_entries WHERE deleted_at IS NULL AND synced_at IS NOT NULL "
            f"AND type IN {TYPES}",
        ),
    ),
    query=f"""
SELECT
    t.external_id AS timeline_entry_external_id,
    t.occurred_at,
    (t.occurred_at AT TIME ZONE {{zone}})::date AS occurred_on,
    t.type,
    t.summary,
    t.comment,
    nullif(btrim(concat_ws(' ', u.first_name, u.last_name)), '') AS technician,
    t.client_external_id,
    c.company_name AS client,
    t.piano_external_id,
    nullif(btrim(concat_ws(' ', p.make, p.model)), '') AS piano,
    t.appointment_external_id,
    t.invoice_external_id
FROM gazelle.timeline_entries AS t
LEFT JOIN gazelle.users AS u ON u.external_id = t.technician_external_id AND u.synced_at IS NOT NULL
LEFT JOIN gazelle.clients AS c ON c.external_id = t.client_external_id AND c.synced_at IS NOT NULL
LEFT JOIN gazelle.pianos AS p ON p.external_id = t.piano_external_id AND p.synced_at IS NOT NULL
WHERE t.type IN {TYPES}
  AND t.deleted_at IS NULL AND t.synced_at IS NOT NULL
""",
)
