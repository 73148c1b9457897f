"""master_service_items: the price list."""

from gazelle_sync.tables.columns import boolean, cents, integer, reference, stamps, text, translated
from gazelle_sync.tables.declaration import Group, PlainList, ReadAgain, Table

MASTER_SERVICE_ITEMS = Table(
    name="master_service_items",
    comment="The company's price list. Amounts are in cents.",
    read=PlainList("allMasterServiceItems"),
    deletion_proved_by=ReadAgain(),
    optional=True,
    group=Group.SETTINGS,
    example="SELECT g.name AS heading, i.name, amount / 100.0 AS price FROM gazelle.master_service_items AS i\n"
    "JOIN gazelle.master_service_groups AS g ON g.external_id = master_service_group_external_id\n"
    'WHERE NOT i.is_archived AND i.deleted_at IS NULL ORDER BY g."order", i."order"',
    columns=(
        reference(
            "master_service_group", "masterServiceGroup.id", "Heading.", to="master_service_groups", required=True
        ),
        *translated("name", "name", "What it is called."),
        *translated("description", "description", "What it says on an estimate or invoice."),
        text("type", "type", "LABOR_FIXED_RATE, LABOR_HOURLY, EXPENSE, MILEAGE, OTHER."),
        *cents(amount="Price"),
        integer("duration", "duration", "How long it takes, in minutes."),
        integer("order", "order", "Its place under its heading."),
        boolean("is_tuning", "isTuning", "Whether it is a tuning."),
        boolean("is_taxable", "isTaxable", "Whether taxes are added."),
        boolean("is_archived", "isArchived", "Whether it was archived."),
        boolean("is_default", "isDefault", "Whether it is chosen unless told otherwise."),
        boolean("is_self_schedulable", "isSelfSchedulable", "Whether clients may book it alone."),
        boolean("is_any_user", "isAnyUser", "Whether every technician offers it."),
        *stamps(),
    ),
)
