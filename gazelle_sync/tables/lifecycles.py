"""lifecycles: the cycles of reminders that clients are in."""

from gazelle_sync.tables.declaration import Connection, Group, ReadAgain, Table, text, timestamp

LIFECYCLES = Table(
    name="lifecycles",
    comment="Cycles of reminders.",
    read=Connection("allLifecycles", "sortBy: [CREATED_AT_ASC]"),
    deletion_proved_by=ReadAgain(),
    optional=True,
    group=Group.SETTINGS,
    columns=(
        text("name", "name", "What it is called."),
        text("conf_window_code", "confWindowCode", "When confirmations are asked for: code."),
        timestamp("created_at", "createdAt", "When it was created in Gazelle."),
        timestamp("updated_at", "updatedAt", "When it was last changed in Gazelle."),
    ),
)
