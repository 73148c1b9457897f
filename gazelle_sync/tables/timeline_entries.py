"""timeline_entries: what happened at a client's or to a piano, from services to messages."""

from gazelle_sync.tables.columns import reference, text, timestamp
from gazelle_sync.tables.declaration import Bound, ByParent, ByValue, Connection, Group, Table

# `TimelineEntryType` in Gazelle's schema. Most of a real account are automated messages and logs.
TYPES = """
CONTACT_EMAIL_AUTOMATED CONTACT_EMAIL_MANUAL CONTACT_SMS_AUTOMATED CONTACT_SMS_MANUAL
CONTACT_PHONE_AUTOMATED CONTACT_PHONE_MANUAL_TALKED CONTACT_PHONE_MANUAL_MESSAGE CONTACT_POST_AUTOMATED
CONTACT_POST_MANUAL CONTACT_OTHER_MANUAL ERROR_MESSAGE SYSTEM_MESSAGE
USER_COMMENT SERVICE_ENTRY_AUTOMATED SERVICE_ENTRY_MANUAL APPOINTMENT
APPOINTMENT_LOG INVOICE INVOICE_LOG INVOICE_PAYMENT
INVOICE_SYNC PIANO_MEASUREMENT SCHEDULED_MESSAGE_EMAIL SCHEDULED_MESSAGE_SMS
SCHEDULED_MESSAGE_PHONE ESTIMATE ESTIMATE_LOG SYSTEM_NOTIFICATION
"""

TIMELINE_ENTRIES = Table(
    name="timeline_entries",
    comment="History of clients and pianos: services, notes, messages, invoices. Gazelle keeps no updatedAt.",
    read=Connection(
        "allTimelineEntries",
        window={"occurredAtGet": Bound.START},
        parts=ByValue("types", tuple(TYPES.split())),
    ),
    # An entry can't be asked for by id. One that changed its client is still its piano's, invoice's or estimate's.
    deletion_proved_by=ByParent(
        "client_external_id",
        "clientId",
        elsewhere={
            "piano_external_id": "pianoId",
            "invoice_external_id": "invoiceId",
            "estimate_external_id": "estimateId",
        },
    ),
    partitioned_by="occurred_at",
    after=("appointments",),
    # A client's history, the latest or the earliest of it first.
    indexes=(("client_external_id", "occurred_at"),),
    searched=("summary", "comment"),
    group=Group.CALENDAR,
    example="SELECT occurred_at, type, summary FROM gazelle.timeline_entries\n"
    "WHERE type LIKE 'SERVICE_ENTRY%' AND deleted_at IS NULL ORDER BY occurred_at DESC LIMIT 20",
    columns=(
        reference("client", "client.id", "The client whose history this is.", to="clients", required=True),
        reference("piano", "piano.id", "The piano it is about, if any.", to="pianos"),
        reference("appointment", "appointment.id", "The appointment it came from, if any.", to="appointments"),
        reference("technician", "user.id", "Who made the entry.", to="users"),
        reference("invoice", "invoice.id", "The invoice it is about, if any.", to="invoices"),
        reference("estimate", "estimate.id", "The estimate it is about, if any.", to="estimates"),
        timestamp("occurred_at", "occurredAt", "When it happened.", nullable=False),
        text("type", "type", "SERVICE_ENTRY_MANUAL, APPOINTMENT, USER_COMMENT and so on."),
        text("summary", "summary", "Headline.", personal=True),
        text("comment", "comment", "Text of the entry.", personal=True),
    ),
)
