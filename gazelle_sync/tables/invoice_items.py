"""invoice_items: the lines of every invoice."""

from gazelle_sync.tables.columns import boolean, cents, integer, json, reference, stamps, text
from gazelle_sync.tables.declaration import ById, ByParent, Group, Nested, Table
from gazelle_sync.tables.invoices import INVOICES_READ

INVOICE_ITEMS = Table(
    name="invoice_items",
    comment="Lines of invoices. Amounts are in cents, quantities in hundredths.",
    read=Nested(INVOICES_READ, "allInvoiceItems", "invoice", record=ById("invoice", "id")),
    deletion_proved_by=ByParent("invoice_external_id"),
    optional=True,
    group=Group.MONEY,
    example="SELECT description, sum(quantity) / 100.0 AS sold, sum(total) / 100.0 AS total\n"
    "FROM gazelle.invoice_items WHERE billable AND deleted_at IS NULL GROUP BY 1 ORDER BY 3 DESC",
    columns=(
        reference("invoice", "invoice.id", "The invoice it is a line of.", to="invoices", required=True),
        reference("piano", "piano.id", "The piano it is for, if any.", to="pianos"),
        reference("master_service_item", "masterServiceItem.id", "The service it is.", to="master_service_items"),
        integer("sequence_number", "sequenceNumber", "Its place on the invoice."),
        text("type", "type", "LABOR_FIXED_RATE, LABOR_HOURLY, EXPENSE, MILEAGE, OTHER, LEGACY_GROUP."),
        text("description", "description", "What it says.", personal=True),
        integer("quantity", "quantity", "Quantity, in hundredths."),
        *cents(amount="Price of one", sub_total="Before taxes", tax_total="Taxes", total="With taxes"),
        boolean("billable", "billable", "Whether it is charged."),
        boolean("taxable", "taxable", "Whether taxes are added."),
        json("taxes", "taxes", "The taxes on it: name, rate, total in cents.", fields="id taxId name rate total"),
        *stamps(),
    ),
)
