"""estimates: what work on a piano would cost."""

from gazelle_sync.tables.columns import boolean, cents, date, integer, reference, stamps, tags, text
from gazelle_sync.tables.declaration import ARCHIVED_OR_NOT, BY_DAY_CREATED, ById, Connection, Group, Table

ESTIMATES_READ = Connection("allEstimates", "sortBy: [CREATED_AT_ASC]", each=ARCHIVED_OR_NOT, parts=BY_DAY_CREATED)

ESTIMATES = Table(
    name="estimates",
    comment="Estimates, archived ones included. Amounts are in cents.",
    read=ESTIMATES_READ,
    deletion_proved_by=ById("estimate", "id"),
    after=("clients",),
    optional=True,
    group=Group.MONEY,
    example="SELECT number, expires_on, recommended_tier_total / 100.0 AS total FROM gazelle.estimates\n"
    "WHERE NOT is_archived AND expires_on >= current_date AND deleted_at IS NULL ORDER BY expires_on",
    columns=(
        reference("client", "client.id", "Whom it is for.", to="clients", required=True),
        reference("contact", "contact.id", "Whom it is addressed to.", to="contacts"),
        reference("piano", "piano.id", "The piano it is about.", to="pianos", required=True),
        reference("assigned_to", "assignedTo.id", "Whose estimate it is.", to="users"),
        reference("created_by", "createdBy.id", "Who made it.", to="users", authorship=True),
        integer("number", "number", "The estimate's number."),
        date("estimated_on", "estimatedOn", "Its date."),
        date("expires_on", "expiresOn", "Until when it holds."),
        boolean("is_archived", "isArchived", "Whether it was archived."),
        text("notes", "notes", "Notes.", personal=True),
        integer("current_performance_level", "currentPerformanceLevel", "How well the piano plays now, as graded."),
        *cents(recommended_tier_total="Total of the recommended alternative"),
        text("locale", "locale", "The language it is written in."),
        tags("tags", "Tags put on the estimate in Gazelle."),
        text("client_url", "clientUrl", "Where the client sees it.", personal=True),
        *stamps(),
    ),
)
