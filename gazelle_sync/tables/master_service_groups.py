"""master_service_groups: the headings of the price list."""

from gazelle_sync.tables.columns import boolean, integer, stamps, translated
from gazelle_sync.tables.declaration import Group, PlainList, ReadAgain, Table

MASTER_SERVICE_GROUPS = Table(
    name="master_service_groups",
    comment="Headings of the company's price list.",
    read=PlainList("allMasterServiceGroups"),
    deletion_proved_by=ReadAgain(),
    optional=True,
    group=Group.SETTINGS,
    example="SELECT name, name_i18n ->> 'en_US' AS english FROM gazelle.master_service_groups\n"
    'WHERE NOT is_archived AND deleted_at IS NULL ORDER BY "order"',
    columns=(
        *translated("name", "name", "What it is called."),
        integer("order", "order", "Its place in the list."),
        boolean("is_archived", "isArchived", "Whether it was archived."),
        boolean("is_multi_choice", "isMultiChoice", "Whether several of its services may be chosen."),
        *stamps(),
    ),
)
