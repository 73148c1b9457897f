"""contact_locations: every address of a contact."""

from gazelle_sync.tables.columns import boolean, numeric, reference, stamps, text
from gazelle_sync.tables.contacts import CONTACTS_READ
from gazelle_sync.tables.declaration import ById, ByParent, Cadence, Nested, Table

CONTACT_LOCATIONS = Table(
    name="contact_locations",
    comment="Every address of a contact.",
    read=Nested(CONTACTS_READ, "allLocations", "contact", record=ById("contact", "id"), first=10),
    deletion_proved_by=ByParent("contact_external_id"),
    every=Cadence.WEEK,
    optional=True,
    example="SELECT contact_external_id, street1, city FROM gazelle.contact_locations\n"
    "WHERE is_bad_address AND deleted_at IS NULL",
    columns=(
        reference("contact", "contact.id", "Whose it is.", to="contacts", required=True),
        text("usage_type", "usageType", "What it is for: STREET, MAILING, BILLING."),
        text("location_type", "locationType", "How the place is given: ADDRESS, COORDINATES, WHAT3WORDS."),
        text("street1", "street1", "Street.", personal=True),
        text("street2", "street2", "Street, second line.", personal=True),
        text("city", "municipality", "Municipality."),
        text("region", "region", "Province or state."),
        text("postal_code", "postalCode", "Postal code.", personal=True),
        text("country_code", "countryCode", "Country."),
        numeric("latitude", "latitude", "Degrees north.", personal=True),
        numeric("longitude", "longitude", "Degrees east.", personal=True),
        text("what3words", "what3words", "The place in three words.", personal=True),
        boolean("is_bad_address", "isBadAddress", "Whether no place was found for the address."),
        *stamps(),
    ),
)
