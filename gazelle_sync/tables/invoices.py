"""invoices: what clients were asked to pay."""

from gazelle_sync.tables.columns import boolean, cents, date, integer, reference, several, stamps, tags, text, timestamp
from gazelle_sync.tables.declaration import ARCHIVED_OR_NOT, ByDay, ById, Connection, Group, Table

BY_DAY = ByDay("filters.invoiceDateGet", "filters.invoiceDateLet")
INVOICES_READ = Connection("allInvoices", "sortBy: [CREATED_AT_ASC]", each=ARCHIVED_OR_NOT, parts=BY_DAY)
ADDRESS = "company_name first_name last_name email phone street1 street2 municipality region postal_code country_code"

INVOICES = Table(
    name="invoices",
    comment="Invoices, archived ones included. Amounts are in cents.",
    read=INVOICES_READ,
    deletion_proved_by=ById("invoice", "id"),
    after=("clients",),
    optional=True,
    group=Group.MONEY,
    example="SELECT number, due_on FROM gazelle.invoices WHERE status = 'OVERDUE' AND deleted_at IS NULL ORDER BY 2",
    columns=(
        reference("client", "client.id", "Who is invoiced.", to="clients"),
        reference("contact", "contact.id", "Whom it is addressed to.", to="contacts"),
        reference("assigned_to", "assignedTo.id", "Whose invoice it is.", to="users"),
        reference("created_by", "createdBy.id", "Who made it.", to="users", authorship=True),
        integer("number", "number", "The invoice's number."),
        text("status", "status", "DRAFT, OPEN, OVERDUE, PAID, DELETED, CANCELED."),
        date("due_on", "dueOn", "When it is due."),
        integer("net_days", "netDays", "Days from its date until it is due."),
        *cents(sub_total="Before taxes", tax_total="Taxes", tip_total="Tips", total="With taxes"),
        *cents(paid_total="What was paid", due_total="Still to be paid"),
        text("currency", "currency.code", "The currency's code (ISO 4217)."),
        tags("tags", "Tags put on the invoice in Gazelle."),
        text("notes", "notes", "Notes below the lines.", personal=True),
        text("top_notes", "topNotes", "Notes above the lines.", personal=True),
        boolean("archived", "archived", "Whether it was archived."),
        *several("alt_billing", ADDRESS, "Of the other address that it is billed to", personal=True),
        text("client_url", "clientUrl", "Where the client sees and pays it.", personal=True),
        timestamp("last_quickbooks_sync_at", "lastQuickbooksSyncAt", "When it was last sent to QuickBooks."),
        *stamps(),
    ),
)
