"""contact_emails: every e-mail address of a contact."""

from gazelle_sync.tables.columns import boolean, reference, text
from gazelle_sync.tables.contacts import CONTACTS_READ
from gazelle_sync.tables.declaration import ById, ByParent, Cadence, Nested, Table

CONTACT_EMAILS = Table(
    name="contact_emails",
    comment="Every e-mail address of a contact.",
    read=Nested(CONTACTS_READ, "allEmails", "contact", record=ById("contact", "id"), first=10),
    deletion_proved_by=ByParent("contact_external_id"),
    every=Cadence.WEEK,
    optional=True,
    example="SELECT contact_external_id, count(*) FROM gazelle.contact_emails WHERE deleted_at IS NULL GROUP BY 1",
    columns=(
        reference("contact", "contact.id", "Whose it is.", to="contacts", required=True),
        text("email", "email", "The address.", personal=True),
        boolean("is_default", "isDefault", "Whether it is the contact's default."),
    ),
)
