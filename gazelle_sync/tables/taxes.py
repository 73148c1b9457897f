"""taxes: the company's taxes, past ones included."""

from gazelle_sync.tables.columns import boolean, integer, text
from gazelle_sync.tables.declaration import Group, PlainList, ReadAgain, Table

TAXES = Table(
    name="taxes",
    comment="Taxes that the company adds or has added.",
    read=PlainList("allPastAndPresentTaxes"),
    deletion_proved_by=ReadAgain(),
    optional=True,
    group=Group.SETTINGS,
    example="SELECT name, rate FROM gazelle.taxes WHERE active_or_historical = 'ACTIVE' AND deleted_at IS NULL",
    columns=(
        text("name", "name", "What it is called."),
        integer("rate", "rate", "Its rate, as Gazelle writes it: believed to be thousandths of a percent."),
        boolean("default", "default", "Whether it is added unless told otherwise."),
        text("active_or_historical", "activeOrHistorical", "ACTIVE or HISTORICAL."),
    ),
)
