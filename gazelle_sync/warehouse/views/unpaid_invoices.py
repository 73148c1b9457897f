"""unpaid_invoices: who owes what, and for how long."""

from gazelle_sync.warehouse.views.declaration import View, made, mirrored, same_number

UNPAID_INVOICES = View(
    name="unpaid_invoices",
    comment="Invoices that were sent and not paid in full, with whom to remind. Amounts are in units of the currency.",
    reads=("invoices", "clients", "users"),
    key=("invoice_external_id",),
    columns=(
        mirrored("invoice_external_id", "invoices.external_id", "Gazelle's id of the invoice."),
        mirrored("number", "invoices.number"),
        mirrored("status", "invoices.status", "OPEN or OVERDUE.", values=("OPEN", "OVERDUE")),
        mirrored("due_on", "invoices.due_on"),
        made("days_overdue", "integer", "For how many days it should have been paid; 0 until the day after."),
        made("total", "numeric", "With taxes, in units of the currency."),
        made("due_total", "numeric", "Still to be paid, in units of the currency."),
        mirrored("currency", "invoices.currency"),
        mirrored("client_external_id", "invoices.client_external_id"),
        mirrored("client", "clients.company_name", "What the client is called."),
        mirrored("phone", "clients.phone"),
        mirrored("email", "clients.email"),
        made("assigned_to", "text", "Whose invoice it is: first and last name.", personal=True),
    ),
    example="SELECT number, client, phone, due_on, days_overdue, due_total, currency FROM gazelle.unpaid_invoices\n"
    "WHERE days_overdue > 30 ORDER BY due_total DESC",
    agreements=(
        same_number(
            "totals_agree_with_invoices",
            "All of it together is what the invoices say is due, whatever the currency.",
            "SELECT coalesce(sum(due_total), 0) FROM gazelle.unpaid_invoices",
            "SELECT coalesce(sum(due_total), 0) / 100.0 FROM gazelle.invoices WHERE status IN ('OPEN', 'OVERDUE') "
            "AND due_total > 0 AND deleted_at IS NULL AND synced_at IS NOT NULL",
        ),
    ),
    query="""
SELECT
    i.external_id AS invoice_external_id,
    i.number,
    i.status,
    i.due_on,
    greatest({today} - i.due_on, 0) AS days_overdue,
    round(i.total / 100.0, 2) AS total,
    round(i.due_total / 100.0, 2) AS due_total,
    i.currency,
    i.client_external_id,
    c.company_name AS client,
    c.phone,
    c.email,
    nullif(btrim(concat_ws(' ', u.first_name, u.last_name)), '') AS assigned_to
FROM gazelle.invoices AS i
LEFT JOIN gazelle.clients AS c ON c.external_id = i.client_external_id AND c.synced_at IS NOT NULL
LEFT JOIN gazelle.users AS u ON u.external_id = i.assigned_to_external_id AND u.synced_at IS NOT NULL
WHERE i.status IN ('OPEN', 'OVERDUE') AND i.due_total > 0
  AND i.deleted_at IS NULL AND i.synced_at IS NOT NULL
""",
)
