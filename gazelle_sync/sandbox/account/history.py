"""The account's timeline: entries of every published type, newest first."""

from __future__ import annotations

from datetime import timedelta

from gazelle_sync.sandbox import texts
from gazelle_sync.sandbox.account.maker import Maker

TIMELINE_TYPES = [
    "CONTACT_EMAIL_AUTOMATED", "CONTACT_EMAIL_MANUAL", "CONTACT_SMS_AUTOMATED",
    "CONTACT_SMS_MANUAL", "CONTACT_PHONE_AUTOMATED", "CONTACT_PHONE_MANUAL_TALKED",
    "CONTACT_PHONE_MANUAL_MESSAGE", "CONTACT_POST_AUTOMATED", "CONTACT_POST_MANUAL",
    "CONTACT_OTHER_MANUAL", "ERROR_MESSAGE", "SYSTEM_MESSAGE", "USER_COMMENT",
    "SERVICE_ENTRY_AUTOMATED", "SERVICE_ENTRY_MANUAL", "APPOINTMENT", "APPOINTMENT_LOG", "INVOICE",
    "INVOICE_LOG", "INVOICE_PAYMENT", "INVOICE_SYNC", "PIANO_MEASUREMENT",
    "SCHEDULED_MESSAGE_EMAIL", "SCHEDULED_MESSAGE_SMS", "SCHEDULED_MESSAGE_PHONE", "ESTIMATE",
    "ESTIMATE_LOG", "SYSTEM_NOTIFICATION",
]  # fmt: skip
_USUAL_TYPES = [
    *TIMELINE_TYPES,
    *["SERVICE_ENTRY_MANUAL", "SERVICE_ENTRY_AUTOMATED", "APPOINTMENT", "USER_COMMENT", "CONTACT_EMAIL_AUTOMATED"] * 8,
]
_LINKS = {"APPOINTMENT": "appointmentId", "INVOICE": "invoiceId", "ESTIMATE": "estimateId"}


def add_history(maker: Maker, *, entries: int) -> None:
    """Timeline entries from 2017 to yesterday, newest first, every published type among them."""
    newest = maker.now - timedelta(hours=12)
    span = (newest - maker.opened) / max(entries, 1)
    clients = list(maker.account.clients)
    linkable = {
        "appointmentId": [event for event in maker.account.events.values() if event["clientId"]],
        "invoiceId": list(maker.account.invoices.values()),
        "estimateId": list(maker.account.estimates.values()),
    }
    for number in range(entries):
        # The first ones are of every type in turn; the rest mostly what a business really has.
        kind = TIMELINE_TYPES[number] if number < len(TIMELINE_TYPES) else maker.rng.choice(_USUAL_TYPES)
        link = _LINKS.get(kind.split("_")[0])
        target = maker.rng.choice(linkable[link]) if link and linkable[link] else None
        client_id = target["clientId"] if target else maker.rng.choice(clients)
        pianos = maker.pianos_of.get(client_id)
        maker.put(
            "timeline",
            {
                "type": kind,
                "occurredAt": maker.iso(newest - span * number),
                "clientId": client_id,
                "pianoId": maker.rng.choice(pianos) if pianos and maker.chance(0.7) else None,
                "userId": maker.rng.choice([None, *maker.technicians]),
                "summary": maker.rng.choice([None, *texts.SERVICES]),
                "comment": maker.rng.choice([None, *texts.REMARKS]),
                "duration": None,
                "emailStatus": "DELIVERED" if kind == "CONTACT_EMAIL_AUTOMATED" else None,
                "smsStatus": "SENT" if kind == "CONTACT_SMS_AUTOMATED" else None,
                "alertType": "INFO" if kind == "SYSTEM_NOTIFICATION" else None,
                **({link: target["id"]} if link and target else {}),
            },
            prefix=maker.rng.choice(["tle_", "tme_"]),
        )
