"""appointments: what stands in the calendar, memos and personal entries included."""

from gazelle_sync.tables.columns import boolean, integer, local_date, local_time, positive, reference, text, timestamp
from gazelle_sync.tables.declaration import Bound, ByDay, ById, Connection, Group, Settled, Table

# Of its sorts START_DESC was seen to work; none has new events last. It is not known whether cancelled ones are listed
# when no status is named. Of dates, `dateGet` alone and with `dateLet` were seen to work, `startOn` alone was not.
EVENTS = Connection(
    "allEventsBatched",
    "sortBy: [START_DESC]",
    window={
        "filters.status": "[ACTIVE, CANCELED, NO_SHOW, COMPLETE]",
        "filters.dateGet": Bound.FIRST_DAY,
        "filters.dateLet": Bound.LAST_DAY,
    },
    parts=ByDay("filters.dateGet", "filters.dateLet"),
)

APPOINTMENTS = Table(
    name="appointments",
    comment="Calendar entries. Dates and times are the company's; a cancelled one keeps its row.",
    read=EVENTS,
    deletion_proved_by=ById("event", "eventId", settled=Settled("status", ("CANCELED",))),
    partitioned_by="appointment_date",
    after=("contacts", "pianos"),
    checks=(positive("end_after_they_start", "duration_minutes", "Every appointment takes some time."),),
    hourly=True,
    group=Group.CALENDAR,
    example="SELECT appointment_date, appointment_time, title FROM gazelle.appointments\n"
    "WHERE status = 'ACTIVE' AND appointment_date >= current_date AND deleted_at IS NULL ORDER BY starts_at",
    columns=(
        reference("client", "client.id", "Whom the appointment is with; a memo has no client.", to="clients"),
        reference("technician", "user.id", "Whose calendar it stands in.", to="users"),
        reference("created_by", "createdBy.id", "Who entered it.", to="users", authorship=True),
        text("title", "title", "Title.", personal=True),
        text("notes", "notes", "Notes.", personal=True),
        text("type", "type", "APPOINTMENT, PERSONAL, MEMO, SYNCED."),
        text("status", "status", "ACTIVE, CANCELED, NO_SHOW, COMPLETE."),
        timestamp("starts_at", "start", "When it starts."),
        local_date("appointment_date", "start", "The day it starts, in the company's time zone."),
        local_time("appointment_time", "start", "The time it starts, in the company's time zone."),
        integer("duration_minutes", "duration", "How long it takes, in minutes."),
        boolean("is_all_day", "isAllDay", "Whether it takes the whole day."),
        text("timezone", "timezone", "The time zone the entry was made in (IANA name)."),
        text("address", "addressLine", "Where it takes place.", personal=True),
        boolean("confirmed_by_client", "confirmedByClient", "Whether the client confirmed it, and not the office."),
        timestamp("confirmed_at", "confirmedAt", "When it was confirmed, by the client or by the office."),
        text("source", "source", "How it was booked: client_schedule, tech_schedule, manual_schedule."),
        text("travel_mode", "travelMode", "DRIVING, WALKING, BICYCLING, TRANSIT."),
        text("recurrence_id", "recurrenceId", "Shared by the entries of one repeated appointment."),
        timestamp("created_at", "createdAt", "When the entry was created in Gazelle."),
        timestamp("updated_at", "updatedAt", "When the entry was last changed in Gazelle."),
    ),
)
