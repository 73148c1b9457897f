"""event_cancel_notices: cancellations that wait for an answer, and those that had one."""

from gazelle_sync.tables.declaration import Connection, Group, ReadAgain, Table, reference, stamps, text

EVENT_CANCEL_NOTICES = Table(
    name="event_cancel_notices",
    comment="Notices that a client cancelled an appointment.",
    read=Connection("allEventCancelNotices"),
    deletion_proved_by=ReadAgain(),
    after=("appointments",),
    optional=True,
    group=Group.CALENDAR,
    columns=(
        reference("appointment", "event.id", "The appointment that was cancelled.", to="appointments", required=True),
        text("status", "status", "OPEN, DISMISSED, DELETED."),
        *stamps(),
    ),
)
