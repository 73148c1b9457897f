"""company: the company whose account this is."""

from gazelle_sync.tables.columns import boolean, text, timestamp
from gazelle_sync.tables.declaration import Group, PlainList, ReadAgain, Table

COMPANY = Table(
    name="company",
    comment="The company whose account this is: one row.",
    read=PlainList("company", single=True),
    deletion_proved_by=ReadAgain(),
    group=Group.SETTINGS,
    example="SELECT name, city, is_parked, parked_reason FROM gazelle.company",
    columns=(
        text("name", "name", "Its name."),
        text("email", "email", "E-mail."),
        text("phone", "phoneNumber", "Telephone."),
        text("street1", "street1", "Street."),
        text("street2", "street2", "Street, second line."),
        text("city", "municipality", "Municipality."),
        text("region", "region", "Province or state."),
        text("postal_code", "postalCode", "Postal code."),
        text("country_code", "countryCode", "Country."),
        text("website", "website", "Website."),
        boolean("is_parked", "isParked", "Whether the account is parked."),
        text(
            "parked_reason",
            "parkedReason",
            "NOT_PARKED, or why it is: PARKED_MANUALLY, CARD_EXPIRED, NO_CARD, UNPAID and so on.",
        ),
        timestamp("created_at", "createdAt", "When it was created in Gazelle."),
    ),
)
