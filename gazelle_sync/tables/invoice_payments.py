"""invoice_payments: what was paid on invoices, and how."""

from gazelle_sync.tables.columns import boolean, cents, reference, text, timestamp
from gazelle_sync.tables.declaration import ById, Group, Nested, Table
from gazelle_sync.tables.invoices import INVOICES_READ

INVOICE_PAYMENTS = Table(
    name="invoice_payments",
    comment="Payments on invoices. Amounts are in cents, and have the tip in them.",
    read=Nested(INVOICES_READ, "allInvoicePayments", "invoice", record=ById("invoice", "id")),
    deletion_proved_by=ById("invoicePayment", "id"),
    optional=True,
    group=Group.MONEY,
    example="SELECT date_trunc('month', paid_at) AS month, currency, sum(amount) / 100.0 AS paid\n"
    "FROM gazelle.invoice_payments WHERE status = 'SUCCEEDED' AND deleted_at IS NULL GROUP BY 1, 2 ORDER BY 1",
    columns=(
        reference("invoice", "invoice.id", "The invoice that was paid.", to="invoices", required=True),
        *cents(amount="What was paid, tip included", tip_total="The tip in it"),
        text("currency", "currency.code", "The currency's code (ISO 4217)."),
        text("type", "type", "CASH, CHECK, CREDIT_CARD, DEBIT_CARD, ACH, OTHER and so on."),
        text("status", "status", "SUCCEEDED, PROCESSING, FAILED, CANCELED, REFUNDED, DISPUTED and so on."),
        text("payment_source", "paymentSource", "Where it came from: MANUAL, STRIPE, QUICKBOOKS_ONLINE."),
        text("notes", "notes", "Notes.", personal=True),
        text("payment_details", "paymentDetails", "What Gazelle knows of a payment that it processed.", personal=True),
        text("failure_reason", "failureReason", "Why it failed.", personal=True),
        boolean("is_stripe_payment", "isStripePayment", "Whether it went through Stripe."),
        boolean("was_initiated_by_client", "wasInitiatedByClient", "Whether the client paid by the invoice's button."),
        timestamp("paid_at", "paidAt", "When it was paid."),
        timestamp("created_at", "createdAt", "When it was created in Gazelle."),
    ),
)
