"""Twenty questions to the bundled account: what the queries answer is what the account itself says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gazelle_sync.sandbox import Account
from gazelle_sync.warehouse.questions import QUESTIONS
from gazelle_sync.warehouse.views import in_zone
from gazelle_sync_tests.answers.conftest import Ask, today
from gazelle_sync_tests.conftest import ALL, TORONTO

Rows = list[tuple[Any, ...]]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def day(text: str) -> date:
    return moment(text).astimezone(TORONTO).date()


class Known:
    """The account's records, as a person would look them up in Gazelle."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.pianos = account.pianos
        # A read of all history begins on its first day.
        begin = ALL.start_of(ALL.start)
        self.entries = [each for each in account.timeline.values() if moment(each["occurredAt"]) >= begin]
        self.events = list(account.events.values())

    def technician(self, key: str | None) -> str | None:
        user = self.account.users.get(key or "")
        return f"{user['firstName']} {user['lastName']}" if user else None

    def contact(self, client: str) -> dict[str, Any]:
        found = (c for c in self.account.contacts.values() if c["clientId"] == client and c["isDefault"])
        return next(found, {})

    def city(self, client: str) -> str | None:
        places = self.contact(client).get("allLocations") or []
        return next((each["municipality"] for each in places if each["usageType"] == "STREET"), None)

    def of_status(self, *statuses: str) -> Iterable[dict[str, Any]]:
        return [event for event in self.events if event["status"] in statuses]

    def billed(self) -> list[dict[str, Any]]:
        return [i for i in self.account.invoices.values() if i["status"] not in ("DRAFT", "DELETED", "CANCELED")]

    def services(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["type"].startswith("SERVICE_ENTRY")]

    def due(self) -> dict[str, date]:
        """Pianos that are due → since when."""
        found = {}
        for key, piano in self.pianos.items():
            on = piano["nextServiceOverride"] or piano["calculatedNextService"]
            active = piano["status"] == "ACTIVE" and self.account.clients[piano["clientId"]]["status"] == "ACTIVE"
            if active and on and date.fromisoformat(on) <= today():
                found[key] = date.fromisoformat(on)
        return found


@pytest.fixture(scope="module")
def known(account: Account) -> Known:
    return Known(account)


def active_clients(known: Known) -> Rows:
    return [(sum(client["status"] == "ACTIVE" for client in known.account.clients.values()),)]


def week_of_louise(known: Known) -> Rows:
    found = []
    for event in known.of_status("ACTIVE"):
        on = day(event["start"])
        if known.technician(event["userId"]) == "Louise Bélanger" and today() <= on <= today() + timedelta(6):
            start = moment(event["start"]).astimezone(TORONTO)
            ends = moment(event["start"]) + timedelta(minutes=event["duration"])
            found.append((on, start.time(), ends.astimezone(TORONTO).time(), len(event["pianos"])))
    return sorted(found)


def hours_of_technicians(known: Known) -> Rows:
    minutes = defaultdict(list)
    for event in known.of_status("ACTIVE"):
        if event["type"] == "APPOINTMENT" and today() <= day(event["start"]) <= today() + timedelta(29):
            minutes[known.technician(event["userId"])].append(event["duration"])
    return sorted((name, len(each), Decimal(sum(each)) / 60) for name, each in minutes.items())


def lost_appointments(known: Known) -> Rows:
    window = today() - timedelta(30), today() - timedelta(1)
    events = [e for e in known.of_status("CANCELED", "NO_SHOW") if window[0] <= day(e["start"]) <= window[1]]
    return sorted(Counter(event["status"] for event in events).items())


def large_visits(known: Known) -> Rows:
    events = [e for e in known.of_status("ACTIVE") if len(e["pianos"]) > 5 and day(e["start"]) >= today()]
    return sorted((day(event["start"]), len(event["pianos"])) for event in events)


def longest_due(known: Known) -> Rows:
    ordered = sorted((-(today() - on).days, key) for key, on in known.due().items())[:10]
    return [(key, -days) for days, key in ordered]


def due_and_not_booked(known: Known) -> Rows:
    coming = [event for event in known.of_status("ACTIVE") if day(event["start"]) >= today()]
    booked = {each["pianoId"] for event in coming for each in event["pianos"]}
    return [(len(known.due().keys() - booked),)]


def not_visited(known: Known) -> Rows:
    visits = defaultdict(list)
    for event in known.of_status("ACTIVE", "COMPLETE"):
        visits[event["clientId"]].append(event)
    now = datetime.now(TORONTO)
    found = []
    for key, client in known.account.clients.items():
        gone = [day(e["start"]) for e in visits[key] if moment(e["start"]) <= now]
        coming = [e for e in visits[key] if moment(e["start"]) > now and e["status"] == "ACTIVE"]
        if client["status"] == "ACTIVE" and not coming and gone and max(gone) < today() - timedelta(730):
            found.append((key,))
    return sorted(found)


def most_pianos(known: Known) -> Rows:
    count = Counter(piano["clientId"] for piano in known.pianos.values())
    return [(number,) for number in sorted(count.values(), reverse=True)[:3]]


def cities(known: Known) -> Rows:
    count = Counter(filter(None, map(known.city, known.account.clients)))
    return sorted(count.items(), key=lambda each: (-each[1], each[0]))[:5]


def services_of_the_year(known: Known) -> Rows:
    entries = [entry for entry in known.services() if day(entry["occurredAt"]).year >= today().year]
    count = Counter(known.technician(entry["userId"]) for entry in entries)
    return sorted(count.items(), key=lambda each: (each[0] is None, each[0]))


def strings(known: Known) -> Rows:
    kinds = ("SERVICE_ENTRY_MANUAL", "SERVICE_ENTRY_AUTOMATED", "PIANO_MEASUREMENT", "USER_COMMENT")
    texts = {e["id"]: f"{e['summary']}\n{e['comment']}".lower() for e in known.entries if e["type"] in kinds}
    return sorted((key,) for key, text in texts.items() if "cordes" in text)


def latest_services(known: Known) -> Rows:
    last: dict[str, datetime] = {}
    for entry in known.services():
        if key := entry["pianoId"]:
            last[key] = max(moment(entry["occurredAt"]), last.get(key, moment(entry["occurredAt"])))
    ordered = sorted(last, key=lambda key: (-last[key].timestamp(), key))[:10]
    return [(key, last[key].astimezone(TORONTO).date()) for key in ordered]


def owed(known: Known) -> Rows:
    total: Counter[str] = Counter()
    for invoice in known.billed():
        if invoice["status"] in ("OPEN", "OVERDUE") and invoice["dueTotal"] > 0:
            total[invoice["currencyId"]] += invoice["dueTotal"]
    return sorted((currency, Decimal(cents) / 100) for currency, cents in total.items())


def largest_overdue(known: Known) -> Rows:
    found = [
        (-invoice["dueTotal"], invoice["number"], invoice["currencyId"])
        for invoice in known.billed()
        if invoice["status"] in ("OPEN", "OVERDUE")
        and invoice["dueTotal"] > 0
        and invoice["dueOn"]
        and (today() - date.fromisoformat(invoice["dueOn"])).days > 30
    ]
    return [(number, Decimal(-due) / 100, currency) for due, number, currency in sorted(found)[:5]]


def last_year(known: Known) -> Rows:
    invoiced, count, paid = Counter(), Counter(), Counter()
    for invoice in known.account.invoices.values():
        if invoice["status"] not in ("DRAFT", "DELETED", "CANCELED"):
            on = day(invoice["createdAt"])
            if invoice["dueOn"] and invoice["netDays"] is not None:
                on = date.fromisoformat(invoice["dueOn"]) - timedelta(invoice["netDays"])
            invoiced[on.replace(day=1), invoice["currencyId"]] += invoice["total"]
            count[on.replace(day=1), invoice["currencyId"]] += 1
        for payment in invoice["allInvoicePayments"]:
            if payment["status"] == "SUCCEEDED":
                on = day(payment["paidAt"] or payment["createdAt"])
                paid[on.replace(day=1), payment["currencyId"]] += payment["amount"]
    keys = sorted(key for key in invoiced.keys() | paid.keys() if key[0].year == today().year - 1)
    return [(*key, count[key], Decimal(invoiced[key]) / 100, Decimal(paid[key]) / 100) for key in keys]


def makes(known: Known) -> Rows:
    count = Counter(piano["make"] for piano in known.pianos.values() if piano["make"] is not None)
    return sorted(count.items(), key=lambda each: (-each[1], each[0]))[:3]


def humidity_systems(known: Known) -> Rows:
    return sorted(Counter(bool(piano["damppChaserInstalled"]) for piano in known.pianos.values()).items())


def best_services(known: Known) -> Rows:
    earned: Counter[str] = Counter()
    for invoice in known.account.invoices.values():
        for item in invoice["allInvoiceItems"]:
            if invoice["status"] == "PAID" and item["billable"] and item["masterServiceItemId"]:
                earned[item["masterServiceItemId"]] += item["total"]
    ordered = sorted(earned.items(), key=lambda each: (-each[1], each[0]))[:5]
    return [(key, Decimal(cents) / 100) for key, cents in ordered]


def new_clients(known: Known) -> Rows:
    first = {key: moment(client["createdAt"]) for key, client in known.account.clients.items()}
    for event in known.events:
        if event["clientId"] in first:
            first[event["clientId"]] = min(first[event["clientId"]], moment(event["start"]))
    for entry in known.entries:
        first[entry["clientId"]] = min(first[entry["clientId"]], moment(entry["occurredAt"]))
    return sorted(Counter(at.astimezone(TORONTO).year for at in first.values()).items())


# Each question by its first words: who knows the answer, and the columns of the query that it is about.
ANSWERS: dict[str, tuple[Callable[[Known], Rows], tuple[str, ...]]] = {
    "How many active": (active_clients, ("count",)),
    "What does Louise": (week_of_louise, ("appointment_date", "appointment_time", "ends_at_time", "piano_count")),
    "How many appointments and": (hours_of_technicians, ("technician", "appointments", "hours")),
    "How many appointments of": (lost_appointments, ("status", "count")),
    "On which days": (large_visits, ("appointment_date", "piano_count")),
    "Which pianos have been": (longest_due, ("piano_external_id", "days_overdue")),
    "How many pianos are due": (due_and_not_booked, ("count",)),
    "Which active clients": (not_visited, ("client_external_id",)),
    "Which clients have": (most_pianos, ("piano_count",)),
    "How many clients live": (cities, ("city", "count")),
    "How many services": (services_of_the_year, ("technician", "count")),
    "In which notes": (strings, ("timeline_entry_external_id",)),
    "When was each": (latest_services, ("piano_external_id", "last_on")),
    "How much are": (owed, ("currency", "owed")),
    "Which five invoices": (largest_overdue, ("number", "due_total", "currency")),
    "What was invoiced": (last_year, ("month", "currency", "invoices", "invoiced", "paid")),
    "Which makes": (makes, ("make", "count")),
    "How many pianos have": (humidity_systems, ("installed", "count")),
    "What are the five": (best_services, ("master_service_item_external_id", "earned")),
    "How many clients have": (new_clients, ("year", "count")),
}


def test_twenty_questions_have_an_answer_here() -> None:
    begun = [[words for words in ANSWERS if each.question.startswith(words)] for each in QUESTIONS]
    assert [len(words) for words in begun] == [1] * len(QUESTIONS)
    assert len(ANSWERS) == len(QUESTIONS) == 20


@pytest.mark.parametrize("words", ANSWERS)
def test_what_a_query_answers_is_what_the_account_says(ask_mirror: Ask, known: Known, words: str) -> None:
    [asked] = [each for each in QUESTIONS if each.question.startswith(words)]
    look_up, columns = ANSWERS[words]
    found = ask_mirror(in_zone(asked.query, TORONTO).replace("%", "%%"))
    answered = Counter(tuple(map(rounded, (row[column] for column in columns))) for row in found)
    assert answered == Counter(tuple(map(rounded, row)) for row in look_up(known))
    assert answered, "a question without an answer proves nothing"


def rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, Decimal) else value
