"""revenue_by_month: what was invoiced, and what came in."""

from gazelle_sync.warehouse.views.declaration import View, made, same_number

REVENUE_BY_MONTH = View(
    name="revenue_by_month",
    comment="What was invoiced and paid, by month and currency. Amounts are in units of the currency.",
    reads=("invoices", "invoice_payments"),
    key=("month", "currency"),
    columns=(
        made("month", "date", "The first day of the month, in the company's time zone. Null for what has no date."),
        made("currency", "text", "The currency's code (ISO 4217)."),
        made("invoices", "bigint", "How many invoices are of this month, without drafts and cancelled ones."),
        made("invoiced", "numeric", "Their total with taxes. An invoice's date is net_days before it is due."),
        made("taxes", "numeric", "The taxes in it."),
        made("tips", "numeric", "Tips on these invoices."),
        made("paid", "numeric", "Payments that were made in this month and succeeded, tips included."),
    ),
    example="SELECT month, invoices, invoiced, paid FROM gazelle.revenue_by_month\n"
    "WHERE currency = 'CAD' AND month >= date_trunc('year', {today}) ORDER BY month",
    agreements=(
        same_number(
            "invoiced_agrees_with_invoices",
            "All months together are what the invoices say, whatever the currency.",
            "SELECT coalesce(sum(invoiced), 0) FROM gazelle.revenue_by_month",
            "SELECT coalesce(sum(total), 0) / 100.0 FROM gazelle.invoices WHERE deleted_at IS NULL "
            "AND synced_at IS NOT NULL AND status NOT IN ('DRAFT', 'DELETED', 'CANCELED')",
        ),
        same_number(
            "paid_agrees_with_payments",
            "All months together are what the payments say, whatever the currency.",
            "SELECT coalesce(sum(paid), 0) FROM gazelle.revenue_by_month",
            "SELECT coalesce(sum(amount), 0) / 100.0 FROM gazelle.invoice_payments WHERE deleted_at IS NULL "
            "AND synced_at IS NOT NULL AND status = 'SUCCEEDED'",
        ),
    ),
    query="""
SELECT
    part.month,
    part.currency,
    sum(part.invoices)::bigint AS invoices,
    round(coalesce(sum(part.total), 0) / 100.0, 2) AS invoiced,
    round(coalesce(sum(part.tax_total), 0) / 100.0, 2) AS taxes,
    round(coalesce(sum(part.tip_total), 0) / 100.0, 2) AS tips,
    round(coalesce(sum(part.amount), 0) / 100.0, 2) AS paid
FROM (
    SELECT
        -- Gazelle has no field for it: it is due so many days after its date.
        date_trunc('month', coalesce(i.due_on - i.net_days, (i.created_at AT TIME ZONE {zone})::date))::date AS month,
        i.currency, 1 AS invoices, i.total, i.tax_total, i.tip_total, NULL::integer AS amount
    FROM gazelle.invoices AS i
    WHERE i.status NOT IN ('DRAFT', 'DELETED', 'CANCELED') AND i.deleted_at IS NULL AND i.synced_at IS NOT NULL
    UNION ALL
    SELECT
        date_trunc('month', coalesce(p.paid_at, p.created_at) AT TIME ZONE {zone})::date,
        p.currency, 0, NULL, NULL, NULL, p.amount
    FROM gazelle.invoice_payments AS p
    WHERE p.status = 'SUCCEEDED' AND p.deleted_at IS NULL AND p.synced_at IS NOT NULL
) AS part
GROUP BY part.month, part.currency
""",
)
