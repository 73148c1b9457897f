"""contact_phones: every telephone number of a contact."""

from gazelle_sync.tables.columns import boolean, reference, stamps, text
from gazelle_sync.tables.contacts import CONTACTS_READ
from gazelle_sync.tables.declaration import ById, ByParent, Cadence, Nested, Table

CONTACT_PHONES = Table(
    name="contact_phones",
    comment="Every telephone number of a contact.",
    read=Nested(CONTACTS_READ, "allPhones", "contact", record=ById("contact", "id"), first=10),
    deletion_proved_by=ByParent("contact_external_id"),
    every=Cadence.WEEK,
    optional=True,
    example="SELECT type, confirmed_class, count(*) FROM gazelle.contact_phones WHERE deleted_at IS NULL GROUP BY 1, 2",
    columns=(
        reference("contact", "contact.id", "Whose it is.", to="contacts", required=True),
        text("phone", "phoneNumber", "The number.", personal=True),
        text("extension", "extension", "Extension.", personal=True),
        text("type", "type", "UNKNOWN, PRIMARY, SECONDARY, MOBILE, HOME, WORK, FAX."),
        text("confirmed_class", "confirmedClass", "What it was found to be: MOBILE, LANDLINE, VOIP, UNKNOWN."),
        boolean("is_default", "isDefault", "Whether it is the contact's default."),
        *stamps(),
    ),
)
