"""event_reservations: bookings that clients asked for."""

from gazelle_sync.tables.columns import integer, json, reference, stamps, text, texts, timestamp
from gazelle_sync.tables.declaration import ById, Connection, Group, Table

EVENT_RESERVATIONS = Table(
    name="event_reservations",
    comment="Bookings that clients asked for, answered or not.",
    # Whether those that were answered are listed when no status is named is not published.
    read=Connection(
        "allEventReservationsBatched", "filters: {status: [PENDING, APPROVED, DECLINED]}, sortBy: [CREATED_AT_ASC]"
    ),
    deletion_proved_by=ById("eventReservation", "id"),
    after=("clients",),
    optional=True,
    group=Group.CALENDAR,
    example="SELECT starts_at, duration, notes, jsonb_array_length(piano_services) AS pianos\n"
    "FROM gazelle.event_reservations WHERE status = 'PENDING' AND deleted_at IS NULL ORDER BY starts_at",
    columns=(
        reference("client", "client.id", "Who asked: the client that an approved booking was given to.", to="clients"),
        reference("technician", "user.id", "Who is asked for.", to="users"),
        reference("appointment", "event.id", "The appointment that was made of it.", to="appointments"),
        text("status", "status", "PENDING, APPROVED, DECLINED."),
        timestamp("status_changed_at", "statusChangedAt", "When it was answered."),
        reference("status_changed_by", "statusChangedBy.id", "Who answered it.", to="users", authorship=True),
        text("type", "type", "APPOINTMENT."),
        text("source", "source", "CLIENT_SCHEDULE."),
        timestamp("starts_at", "startsAt", "The start that was asked for."),
        integer("duration", "duration", "How long it takes, in minutes."),
        text("timezone", "timezone", "The time zone it was made in (IANA name)."),
        text("address", "addressLine", "Where it takes place.", personal=True),
        text("notes", "notes", "Notes.", personal=True),
        texts("changes", "changes", "What the client changed in their particulars.", personal=True),
        json(
            "piano_services",
            "pianoServices",
            "The pianos, and the services asked for each; amounts in cents, durations in minutes.",
            fields="pianoId make model location type isTuning services { name amount duration }",
            personal=True,
        ),
        *stamps(),
    ),
)
