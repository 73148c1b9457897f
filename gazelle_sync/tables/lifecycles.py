"""lifecycles: the cycles of reminders that clients are in."""

from gazelle_sync.tables.columns import stamps, text
from gazelle_sync.tables.declaration import Connection, Group, ReadAgain, Table

LIFECYCLES = Table(
    name="lifecycles",
    comment="Cycles of reminders.",
    read=Connection("allLifecycles", "sortBy: [CREATED_AT_ASC]"),
    deletion_proved_by=ReadAgain(),
    optional=True,
    group=Group.SETTINGS,
    example="SELECT name, conf_window_code FROM gazelle.lifecycles WHERE deleted_at IS NULL ORDER BY name",
    columns=(
        text("name", "name", "What it is called."),
        text("conf_window_code", "confWindowCode", "When confirmations are asked for: code."),
        *stamps(),
    ),
)
