"""users: the technicians and the office."""

from gazelle_sync.tables.columns import boolean, text, timestamp
from gazelle_sync.tables.declaration import PlainList, ReadAgain, Table

USERS = Table(
    name="users",
    comment="Technicians and office staff of the company: who appointments and timeline entries belong to.",
    read=PlainList("allUsers"),
    deletion_proved_by=ReadAgain(),
    example="SELECT first_name, last_name, color FROM gazelle.users WHERE is_schedulable AND deleted_at IS NULL",
    columns=(
        text("first_name", "firstName", "First name.", personal=True),
        text("last_name", "lastName", "Last name.", personal=True),
        text("email", "email", "E-mail.", personal=True),
        text("status", "status", "ACTIVE or INACTIVE."),
        text("timezone", "timezone", "The user's own time zone (IANA name)."),
        boolean("is_schedulable", "isSchedulable", "Whether appointments can be given to this user."),
        text("color", "color", "The user's colour in Gazelle's calendar."),
        timestamp("created_at", "createdAt", "When the user was created in Gazelle."),
        timestamp("updated_at", "updatedAt", "When the user was last changed in Gazelle."),
    ),
)
