"""event_cancel_notices: cancellations that wait for an answer, and those that had one."""

from gazelle_sync.tables.columns import reference, stamps, text
from gazelle_sync.tables.declaration import Connection, Group, ReadAgain, Table

EVENT_CANCEL_NOTICES = Table(
    name="event_cancel_notices",
    comment="Notices that a client cancelled an appointment.",
    # Which are listed when no status is named is not published; one that is not listed would be marked as deleted.
    read=Connection("allEventCancelNotices", "status: [OPEN, DISMISSED, DELETED]"),
    deletion_proved_by=ReadAgain(),
    after=("appointments",),
    optional=True,
    group=Group.CALENDAR,
    example="SELECT appointment_date, title FROM gazelle.event_cancel_notices AS n JOIN gazelle.appointments AS a\n"
    "  ON a.external_id = appointment_external_id WHERE n.status = 'OPEN' AND n.deleted_at IS NULL",
    columns=(
        reference("appointment", "event.id", "The appointment that was cancelled.", to="appointments", required=True),
        text("status", "status", "OPEN, DISMISSED, DELETED."),
        *stamps(),
    ),
)
