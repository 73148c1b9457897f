"""contacts: the people to talk to at a client; an institution can have over a hundred."""

from gazelle_sync.tables.clients import CLIENTS_READ
from gazelle_sync.tables.columns import boolean, numeric, reference, text, timestamp
from gazelle_sync.tables.declaration import ById, Nested, Table

CONTACTS_READ = Nested(
    CLIENTS_READ,
    "allContacts",
    "client",
    record=ById("client", "id"),
    arguments="includeArchived: true",
)

CONTACTS = Table(
    name="contacts",
    comment="People to talk to at a client, archived ones included.",
    read=CONTACTS_READ,
    deletion_proved_by=ById("contact", "id"),
    after=("clients",),
    example="SELECT company_name, contacts.email FROM gazelle.contacts JOIN gazelle.clients\n"
    "  ON clients.external_id = client_external_id WHERE is_billing_default AND contacts.deleted_at IS NULL",
    columns=(
        reference("client", "client.id", "The client this contact belongs to.", to="clients", required=True),
        text("first_name", "firstName", "First name.", personal=True),
        text("middle_name", "middleName", "Middle name.", personal=True),
        text("last_name", "lastName", "Last name.", personal=True),
        text("suffix", "suffix", "Suffix, such as Jr.", personal=True),
        text("title", "title", "Title, such as Mme.", personal=True),
        text("role", "role", "What the contact does at the client.", personal=True),
        text("email", "defaultEmail.email", "Default e-mail.", personal=True),
        text("phone", "defaultPhone.phoneNumber", "Default telephone.", personal=True),
        text("street1", "defaultLocation.street1", "Default location: street.", personal=True),
        text("street2", "defaultLocation.street2", "Default location: street, second line.", personal=True),
        text("city", "defaultLocation.municipality", "Default location: municipality."),
        text("region", "defaultLocation.region", "Default location: province or state."),
        text("postal_code", "defaultLocation.postalCode", "Default location: postal code.", personal=True),
        text("country_code", "defaultLocation.countryCode", "Default location: country."),
        numeric("latitude", "defaultLocation.latitude", "Default location: degrees north.", personal=True),
        numeric("longitude", "defaultLocation.longitude", "Default location: degrees east.", personal=True),
        boolean("is_default", "isDefault", "Whether this is the client's default contact."),
        boolean("is_billing_default", "isBillingDefault", "Whether invoices go to this contact."),
        boolean("archived", "archived", "Whether the contact was archived."),
        boolean("wants_email", "wantsEmail", "Whether reminders may be sent by e-mail."),
        boolean("wants_phone", "wantsPhone", "Whether the contact may be called."),
        boolean("wants_text", "wantsText", "Whether reminders may be sent by text message."),
        timestamp("created_at", "createdAt", "When the contact was created in Gazelle."),
        timestamp("updated_at", "updatedAt", "When the contact was last changed in Gazelle."),
    ),
)
