"""scheduled_messages: messages that are about to go out."""

from gazelle_sync.tables.columns import reference, stamps, text, timestamp
from gazelle_sync.tables.declaration import ById, Connection, Group, Table

SCHEDULED_MESSAGES = Table(
    name="scheduled_messages",
    comment="Messages that Gazelle will send to clients; one that was sent is no longer listed.",
    read=Connection("allScheduledMessages"),
    deletion_proved_by=ById("scheduledMessage", "id"),
    after=("clients",),
    optional=True,
    group=Group.PEOPLE,
    example="SELECT send_at, type, company_name FROM gazelle.scheduled_messages AS m JOIN gazelle.clients AS c\n"
    "  ON c.external_id = client_external_id WHERE m.deleted_at IS NULL ORDER BY send_at",
    columns=(
        reference("client", "client.id", "Whom it goes to.", to="clients", required=True),
        text("type", "type", "EMAIL, CALL, SMS."),
        text("subject", "subject", "Subject.", personal=True),
        text("template", "template", "The text.", personal=True),
        text("language", "language", "The language it is written in."),
        timestamp("send_at", "sendAt", "When it will be sent."),
        *stamps(),
    ),
)
