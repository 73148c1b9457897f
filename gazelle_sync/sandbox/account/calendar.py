"""The account's calendar: events, what clients asked for and called off, and the messages about to go out."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from gazelle_sync.sandbox import texts
from gazelle_sync.sandbox.account.kinds import Record
from gazelle_sync.sandbox.account.maker import Maker


def add_calendar(maker: Maker, *, events: int) -> None:
    """Appointments from three years ago to six months ahead, a quarter of them within five weeks of today."""
    clients = list(maker.account.clients)
    for number in range(events):
        days = maker.rng.randrange(-35, 36) if number % 4 == 0 else maker.rng.randrange(-1095, 183)
        # 22:30 in Toronto is the next day in UTC: the 14th at 22:30 is the trap, so each month has one.
        evening = number % 12 == 0
        day = maker.today + timedelta(days=days)
        at = time(22, 30) if evening else time(maker.rng.randrange(8, 18), maker.rng.choice([0, 15, 30, 45]))
        if evening:
            day = day.replace(day=14)
        kind = maker.rng.choices(["APPOINTMENT", "PERSONAL", "MEMO", "SYNCED"], [88, 5, 4, 3])[0]
        owner = maker.rng.choice(clients) if kind == "APPOINTMENT" else None
        add_event(maker, "APPOINTMENT" if evening else kind, datetime.combine(day, at, maker.zone), client_id=owner)


def add_event(maker: Maker, kind: str, start: datetime, *, client_id: str | None) -> Record:
    past = start < maker.now
    usual = ["COMPLETE"] * 16 + ["ACTIVE"] * 2 if past else ["ACTIVE"] * 18
    status = maker.rng.choice([*usual, "CANCELED", "NO_SHOW" if past else "CANCELED"])
    all_day = kind in ("PERSONAL", "MEMO") and maker.chance(0.5)
    confirmed = kind == "APPOINTMENT" and maker.chance(0.4)
    created = min(start, maker.now) - timedelta(days=maker.rng.randrange(1, 60))
    pianos = maker.pianos_of.get(client_id or "", [])
    address = f"{maker.rng.randrange(1, 9999)}, {maker.rng.choice(texts.STREETS)}"
    return maker.put(
        "events",
        {
            "type": kind,
            "status": status if kind == "APPOINTMENT" else "ACTIVE",
            "start": maker.iso(start.replace(hour=0, minute=0) if all_day else start),
            "duration": 1440 if all_day else maker.rng.choice([30, 60, 90, 120]),
            "isAllDay": all_day,
            "title": maker.rng.choice(texts.SERVICES if kind == "APPOINTMENT" else ["Dentiste", "Mémo"]),
            "notes": maker.rng.choice([None, *texts.REMARKS]),
            "clientId": client_id,
            "userId": maker.rng.choice(maker.technicians),
            "createdById": maker.rng.choice([None, *maker.technicians]),
            "addressLine": address if client_id else None,
            "confirmedByClient": confirmed,
            "confirmedAt": maker.iso(created) if confirmed else None,
            "source": maker.rng.choice([None, "MANUAL", "SCHEDULER"]),
            "travelMode": maker.rng.choice([None, "DRIVING", "BICYCLING"]),
            "recurrenceId": maker.id("rec_") if maker.chance(0.02) else None,
            "buffer": 15,
            "pianos": [{"pianoId": piano, "isTuning": maker.chance(0.8)} for piano in pianos[:3]],
            **maker.stamps(created),
        },
    )


def add_waiting(maker: Maker) -> None:
    """What waits for somebody: bookings that clients made, cancellations, and messages about to go out."""
    events = [event for event in maker.account.events.values() if event["clientId"] and event["type"] == "APPOINTMENT"]
    upcoming = [event for event in events if event["status"] == "ACTIVE"]
    for event in upcoming[:8]:
        _add_reservation(maker, "APPROVED", event)
    for number in range(6):
        _add_reservation(maker, "PENDING" if number % 2 else "DECLINED", None)
    canceled = [event for event in events if event["status"] == "CANCELED"]
    for number, event in enumerate(canceled[:9]):
        status = ["OPEN", "DISMISSED", "DELETED"][number % 3]
        maker.put("event_cancel_notices", {"eventId": event["id"], "status": status, **maker.stamps()})
    for number, client in enumerate(list(maker.account.clients.values())[:200:5]):
        _add_message(maker, number, client["id"])


def _add_reservation(maker: Maker, status: str, event: Record | None) -> None:
    pianos = maker.pianos_of.get(event["clientId"] if event else "", [])
    service = {"name": maker.rng.choice(texts.SERVICES), "amount": None, "duration": 90}
    known = [{"pianoId": piano, "isTuning": True, "services": [service]} for piano in pianos[:2]]
    # Whoever books without an account describes the piano, and the company's list has not got it.
    described: Record = {
        "pianoId": None,
        "isTuning": None,
        "make": "Heintzman?",
        "model": "",
        "type": "UPRIGHT",
        "services": [],
    }
    user = maker.rng.choice(maker.technicians)
    changed = None if status == "PENDING" else maker.iso(maker.moment(maker.opened, maker.now))
    maker.put(
        "event_reservations",
        {
            "clientId": event["clientId"] if event else None,
            "userId": user,
            "eventId": event["id"] if event else None,
            "status": status,
            "statusChangedAt": changed,
            "statusChangedById": user if changed else None,
            "startsAt": event["start"] if event else maker.iso(maker.now + timedelta(days=maker.rng.randrange(1, 90))),
            "duration": maker.rng.choice([60, 90, 120]),
            "addressLine": event["addressLine"] if event else f"12, {maker.rng.choice(texts.STREETS)}",
            "notes": maker.rng.choice([None, *texts.REMARKS]),
            "changes": maker.rng.choice([[], [], ["ADDRESS", "Téléphone, courriel"]]),
            "pianoServices": known if event else maker.rng.choice([None, [], [described]]),
            "clientData": None
            if event
            else {
                "firstName": maker.rng.choice(texts.FIRST_NAMES),
                "lastName": maker.rng.choice(texts.LAST_NAMES),
                "email": f"nouveau{maker.rng.randrange(1000)}@courriel.example",
                "phoneNumber": "5145550199",
            },
            **maker.stamps(),
        },
    )


def _add_message(maker: Maker, number: int, client_id: str) -> None:
    kind = ["EMAIL", "SMS", "CALL"][number % 3]
    french = maker.chance(0.7)
    hello = "Bonjour {{client.name}},\n\nvotre piano…" if french else "Hello {{client.name}},\r\n\r\nyour piano…"
    maker.put(
        "scheduled_messages",
        {
            "clientId": client_id,
            "type": kind,
            "subject": ("Rappel" if french else "Reminder") if kind == "EMAIL" else None,
            "template": "" if number == 7 else hello,
            "language": "fr_CA" if french else "en_US",
            "sendAt": maker.iso(maker.now + timedelta(hours=maker.rng.randrange(1, 2000))),
            **maker.stamps(),
        },
    )
