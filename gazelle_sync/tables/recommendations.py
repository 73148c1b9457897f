"""recommendations: what estimates can recommend."""

from gazelle_sync.tables.columns import boolean, text, translated
from gazelle_sync.tables.declaration import Group, PlainList, ReadAgain, Table

RECOMMENDATIONS = Table(
    name="recommendations",
    comment="What the company can recommend in an estimate, archived ones included.",
    read=PlainList("allRecommendations", "includeArchived: true"),
    deletion_proved_by=ReadAgain(),
    optional=True,
    group=Group.SETTINGS,
    example="SELECT name, type FROM gazelle.recommendations WHERE NOT is_archived AND deleted_at IS NULL",
    columns=(
        *translated("name", "name", "What it is called."),
        *translated("explanation", "explanation", "What it says."),
        text("type", "type", "Whether it recommends the work: YES, NO, MAYBE."),
        boolean("is_archived", "isArchived", "Whether it was archived."),
    ),
)
