"""appointment_pianos: every piano of every appointment."""

from gazelle_sync.tables.appointments import EVENTS
from gazelle_sync.tables.columns import boolean, reference
from gazelle_sync.tables.declaration import ById, ByParent, Group, Nested, Settled, Table

APPOINTMENT_PIANOS = Table(
    name="appointment_pianos",
    comment="Which pianos an appointment is for; a visit to a school can have thirty.",
    read=Nested(
        within=EVENTS,
        record=ById("event", "eventId"),
        field="allEventPianos",
        parent_field="event",
    ),
    deletion_proved_by=ByParent(
        "appointment_external_id", settled=Settled("appointment_external_id.status", ("CANCELED",))
    ),
    key=("appointment_external_id", "piano_external_id"),
    partitioned_by="appointment_external_id.appointment_date",
    hourly=True,
    group=Group.CALENDAR,
    example="SELECT appointment_external_id, count(*) FROM gazelle.appointment_pianos\n"
    "WHERE is_tuning AND deleted_at IS NULL GROUP BY 1 HAVING count(*) > 5",
    columns=(
        reference("appointment", "event.id", "The appointment.", to="appointments", nullable=False),
        reference("piano", "piano.id", "The piano.", to="pianos", nullable=False),
        boolean("is_tuning", "isTuning", "Whether this piano is to be tuned."),
    ),
)
