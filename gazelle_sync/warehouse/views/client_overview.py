"""client_overview: a client on one line, from the first visit to what is owed."""

from gazelle_sync.warehouse.views.declaration import View, made, mirrored, same_number

# Drafts are not sent yet, and these two never will be.
NOT_INVOICED = "('DRAFT', 'DELETED', 'CANCELED')"
INVOICED = (
    f"i.status NOT IN {NOT_INVOICED} AND i.deleted_at IS NULL AND i.synced_at IS NOT NULL AND EXISTS (SELECT FROM "
    "gazelle.clients c WHERE c.external_id = i.client_external_id AND c.deleted_at IS NULL AND c.synced_at IS NOT NULL)"
)

CLIENT_OVERVIEW = View(
    name="client_overview",
    comment="A client a row: since when, last and next visit, pianos, what was invoiced and what is owed.",
    reads=("clients", "appointments", "timeline_entries", "pianos", "invoices"),
    key=("client_external_id",),
    columns=(
        mirrored("client_external_id", "clients.external_id", "Gazelle's id of the client."),
        mirrored("client", "clients.company_name", "What the client is called."),
        mirrored("status", "clients.status"),
        mirrored("tags", "clients.tags"),
        mirrored("locale", "clients.locale"),
        mirrored("phone", "clients.phone"),
        mirrored("email", "clients.email"),
        mirrored("city", "clients.city"),
        made("client_since", "date", "The earliest of its creation, its timeline and its appointments."),
        made("last_visit_on", "date", "The last appointment that has begun and was neither cancelled nor missed."),
        made("next_visit_on", "date", "The next appointment that stands; null when none is booked."),
        made("piano_count", "bigint", "How many pianos it has in Gazelle, inactive ones included."),
        made("next_due_on", "date", "When the first of its active pianos is due, which may be over."),
        made(
            "invoiced_total",
            "numeric",
            "What was invoiced, in units of the currency, without drafts and cancelled ones. Null when it was in "
            "several currencies.",
        ),
        made(
            "open_balance",
            "numeric",
            "What is still to be paid of it, in units of the currency. Null when it is in several currencies.",
        ),
        made("currency", "text", "The currency of both (ISO 4217). Null without invoices, or in several currencies."),
    ),
    example="SELECT client, client_since, last_visit_on, next_visit_on, piano_count, open_balance, currency\n"
    "FROM gazelle.client_overview WHERE status = 'ACTIVE' AND next_visit_on IS NULL ORDER BY last_visit_on LIMIT 20",
    agreements=(
        same_number(
            "rows_agree_with_clients",
            "There are as many rows as live clients.",
            "SELECT count(*) FROM gazelle.client_overview",
            "SELECT count(*) FROM gazelle.clients WHERE deleted_at IS NULL AND synced_at IS NOT NULL",
        ),
        same_number(
            "pianos_agree_with_pianos",
            "All clients together have as many pianos as there are.",
            "SELECT coalesce(sum(piano_count), 0) FROM gazelle.client_overview",
            "SELECT count(*) FROM gazelle.pianos p JOIN gazelle.clients c ON c.external_id = p.client_external_id "
            "WHERE p.deleted_at IS NULL AND p.synced_at IS NOT NULL AND c.deleted_at IS NULL "
            "AND c.synced_at IS NOT NULL",
        ),
        same_number(
            "totals_agree_with_invoices",
            "All clients together were invoiced what the invoices say, several currencies of one client aside.",
            "SELECT coalesce(sum(invoiced_total), 0) FROM gazelle.client_overview",
            "SELECT coalesce(sum(t.total), 0) / 100.0 FROM (SELECT sum(i.total) FROM gazelle.invoices i "
            f"WHERE {INVOICED} GROUP BY i.client_external_id "
            "HAVING count(DISTINCT coalesce(i.currency, '')) = 1) AS t (total)",
        ),
    ),
    query=f"""
SELECT
    c.external_id AS client_external_id,
    c.company_name AS client,
    c.status,
    c.tags,
    c.locale,
    c.phone,
    c.email,
    c.city,
    (least(c.created_at, visits.first_at, history.first_at) AT TIME ZONE {{zone}})::date AS client_since,
    visits.last_visit_on,
    visits.next_visit_on,
    owned.piano_count,
    owned.next_due_on,
    CASE WHEN money.is_one THEN money.total END AS invoiced_total,
    CASE WHEN money.is_one THEN money.due END AS open_balance,
    CASE WHEN money.is_one THEN money.currency END AS currency
FROM gazelle.clients AS c
CROSS JOIN LATERAL (
    SELECT
        min(a.starts_at) AS first_at,
        max(a.appointment_date) FILTER (WHERE a.starts_at <= now() AND a.status IN ('ACTIVE', 'COMPLETE'))
            AS last_visit_on,
        min(a.appointment_date) FILTER (WHERE a.starts_at > now() AND a.status = 'ACTIVE') AS next_visit_on
    FROM gazelle.appointments AS a
    WHERE a.client_external_id = c.external_id AND a.deleted_at IS NULL AND a.synced_at IS NOT NULL
) AS visits
CROSS JOIN LATERAL (
    SELECT min(t.occurred_at) AS first_at
    FROM gazelle.timeline_entries AS t
    WHERE t.client_external_id = c.external_id AND t.deleted_at IS NULL AND t.synced_at IS NOT NULL
) AS history
CROSS JOIN LATERAL (
    SELECT
        count(*) AS piano_count,
        min(coalesce(p.next_service_override, p.calculated_next_service)) FILTER (WHERE p.status = 'ACTIVE')
            AS next_due_on
    FROM gazelle.pianos AS p
    WHERE p.client_external_id = c.external_id AND p.deleted_at IS NULL AND p.synced_at IS NOT NULL
) AS owned
CROSS JOIN LATERAL (
    SELECT
        min(coalesce(i.currency, '')) IS NOT DISTINCT FROM max(coalesce(i.currency, '')) AS is_one,
        min(i.currency) AS currency,
        round(coalesce(sum(i.total), 0) / 100.0, 2) AS total,
        round(coalesce(sum(i.due_total) FILTER (WHERE i.status IN ('OPEN', 'OVERDUE')), 0) / 100.0, 2) AS due
    FROM gazelle.invoices AS i
    WHERE i.client_external_id = c.external_id AND i.status NOT IN {NOT_INVOICED}
      AND i.deleted_at IS NULL AND i.synced_at IS NOT NULL
) AS money
WHERE c.deleted_at IS NULL AND c.synced_at IS NOT NULL
""",
)
