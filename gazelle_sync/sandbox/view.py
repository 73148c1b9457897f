"""The account as one request sees it: which records there are for who asks, and which page of them.

Which filters and sorts there are must stay out (`filters.py`), and which field gives what (`resolvers.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from graphql import GraphQLError

from gazelle_sync.sandbox.account import Record

if TYPE_CHECKING:
    from gazelle_sync.sandbox.conditions import Conditions
    from gazelle_sync.sandbox.graphql_api import GraphQLApi

Test = Callable[[Record], bool]

# What a record hangs on: where that is gone, or not for who asks, the record is so too.
_HANGS_ON: dict[str, tuple[tuple[str, str], ...]] = {
    "contacts": (("clientId", "clients"),),
    "pianos": (("clientId", "clients"),),
    "events": (("clientId", "clients"),),
    "timeline": (("clientId", "clients"),),
    "invoices": (("clientId", "clients"),),
    "estimates": (("clientId", "clients"), ("pianoId", "pianos")),
    "scheduled_messages": (("clientId", "clients"),),
    "event_reservations": (("clientId", "clients"),),
    "event_cancel_notices": (("eventId", "events"),),
    "master_service_items": (("masterServiceGroupId", "master_service_groups"),),
}

LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


@lru_cache(maxsize=300_000)
def _parse_instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.astimezone(timezone.utc) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def instant(value: object) -> datetime | None:
    """The instant that the text means, in UTC; None for what is none: a test may put anything in a record."""
    return _parse_instant(value) if isinstance(value, str) else None


def text(record: Record, *names: str) -> str:
    """The fields' texts, those that there are, with a blank between."""
    return " ".join(str(record[name]) for name in names if record.get(name))


class View:
    """The account during one request: what is looked up by something else than an id is indexed at most once."""

    def __init__(self, api: GraphQLApi, conditions: Conditions) -> None:
        self.api = api
        self.account = api.account
        self.conditions = conditions
        self.zone: ZoneInfo = ZoneInfo(api.account.timezone)
        self._ids: dict[str, Collection[str]] = {}

    # -- who asks ----------------------------------------------------------------------------------------------------

    @cached_property
    def user(self) -> Record | None:
        """Whose key it is: the technician of the conditions, else the first administrator."""
        users = self.account.users
        if self.conditions.technician_id is not None:
            asking = users.get(self.conditions.technician_id)
            return asking and {**asking, "accessLevel": "TECHNICIAN", "hasLimitedAccess": True}
        return next((user for user in list(users.values()) if user.get("accessLevel") == "ADMIN"), None)

    def _is_allowed(self, client: Record) -> bool:
        limited_to = self.conditions.technician_id
        return limited_to is None or client.get("preferredTechnicianId") in (None, limited_to)

    # -- which records there are -------------------------------------------------------------------------------------

    def listed(self, kind: str) -> list[Record]:
        """The records of a kind in the order they were made, without those that hang on what is gone."""
        records = list(self.account.records(kind).values())
        for key, owner in _HANGS_ON.get(kind, ()):
            ids = self._ids_of(owner)
            records = [record for record in records if record.get(key) is None or record[key] in ids]
        if kind == "clients" and self.conditions.technician_id is not None:
            records = [record for record in records if self._is_allowed(record)]
        return records

    def _ids_of(self, kind: str) -> Collection[str]:
        if kind not in _HANGS_ON and (kind != "clients" or self.conditions.technician_id is None):
            return self.account.records(kind)
        if kind not in self._ids:
            self._ids[kind] = {record["id"] for record in self.listed(kind)}
        return self._ids[kind]

    def found(self, kind: str, id_: Any) -> Record | None:
        """One record by id, or None when there is none (any more)."""
        record = self.account.records(kind).get(id_) if id_ else None
        if record is None or (kind == "clients" and not self._is_allowed(record)):
            return None
        for key, owner in _HANGS_ON.get(kind, ()):
            if record.get(key) is not None and self.found(owner, record[key]) is None:
                return None
        return record

    # -- what is looked up by something else than an id --------------------------------------------------------------

    @cached_property
    def contacts_of(self) -> Mapping[str, list[Record]]:
        return _grouped(self.account.contacts, "clientId")

    @cached_property
    def pianos_of(self) -> Mapping[str, list[Record]]:
        return _grouped(self.account.pianos, "clientId")

    @cached_property
    def service_items_of(self) -> Mapping[str, list[Record]]:
        return _grouped(self.account.master_service_items, "masterServiceGroupId")

    @cached_property
    def tiers(self) -> list[Record]:
        """Every tier of every estimate, each with the id of its own."""
        return [tier for estimate in self.listed("estimates") for tier in tiers_of(estimate)]

    def default_contact(self, client_id: Any, flag: str = "isDefault") -> Record | None:
        return next((contact for contact in self.contacts_of.get(client_id, []) if contact.get(flag)), None)

    def client_name(self, record: Record | None) -> str:
        """What Gazelle sorts clients by: the company's name or, failing that, the default contact's."""
        if record is None:
            return ""
        contact = self.default_contact(record["id"]) or {}
        return (text(record, "companyName").strip() or text(contact, "lastName", "firstName")).casefold()

    def default_location(self, client_id: Any) -> Record:
        """The street address of the client's default contact; empty where there is none."""
        return location(self.default_contact(client_id) or {}, "STREET") or {}

    # -- days --------------------------------------------------------------------------------------------------------

    def midnight(self, day: str) -> datetime:
        """The instant at which the day begins in the company's time zone."""
        return datetime.combine(date.fromisoformat(day), time(), self.zone).astimezone(timezone.utc)

    def between(self, name: str, first_day: str | None, last_day: str | None) -> Test:
        """Whether the instant in field `name` is on a day from `first_day` to `last_day`, both included."""
        start = self.midnight(first_day) if first_day else None
        end = self.midnight(str(date.fromisoformat(last_day) + timedelta(days=1))) if last_day else None

        def test(record: Record) -> bool:
            at = instant(record.get(name))
            return at is not None and (start is None or at >= start) and (end is None or at < end)

        return test


def _grouped(records: dict[str, Record], key: str) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in list(records.values()):
        groups[record.get(key) or ""].append(record)
    return groups


def location(contact: Record, usage: str) -> Record | None:
    """The contact's first location for this usage (STREET, MAILING, BILLING)."""
    return next((each for each in contact.get("allLocations") or [] if each.get("usageType") == usage), None)


def tiers_of(estimate: Record) -> Iterator[Record]:
    """The tiers of an estimate, each knowing what it belongs to."""
    for tier in estimate.get("allEstimateTiers") or []:
        yield {**tier, "estimateId": estimate["id"]}


# -- connections ----------------------------------------------------------------------------------------------------


@dataclass
class Page:
    """The part of a connection that a query asked for; offsets are counted in the whole list.

    `again` is what the conditions want after the end of the list: None, or how its rows are given once more.
    """

    view: View
    rows: list[Any]
    start: int
    end: int
    again: Callable[[Any, int], Any] | None = None

    def nodes(self) -> list[Any]:
        if self.again is None or not self.rows:
            return self.rows[self.start : self.end]
        size = len(self.rows)
        return [self.again(self.rows[place % size], place // size) for place in range(self.start, self.end)]

    def edges(self) -> list[Record]:
        cursor = self.view.api.cursor
        return [{"cursor": cursor(self.start + place), "node": node} for place, node in enumerate(self.nodes(), 1)]

    def has_next(self) -> bool:
        return self.end < len(self.rows) or (self.again is not None and bool(self.rows))

    def edge_cursor(self, offset: int) -> str | None:
        return self.view.api.cursor(offset) if self.end > self.start else None


def page_of(view: View, rows: list[Any], arguments: Mapping[str, Any]) -> Page:
    """The page of `rows` that first/after/last/before ask for, cut at the cap like graphql-ruby's."""
    api, cap = view.api, view.conditions.cap(view.api.page_cap)
    first, last = arguments.get("first"), arguments.get("last")
    for name, size in (("first", first), ("last", last)):
        if size is not None and size < 0:
            raise GraphQLError(f"`{name}` must not be negative")
    again = view.conditions.again
    start, end = 0, len(rows)
    if arguments.get("after") is not None:
        if not view.conditions.knows_cursors:
            told = view.conditions.words("Invalid cursor: {!r}", "Curseur non valide : {!r}")
            raise GraphQLError(told.format(arguments["after"]))
        start = max(0, api.offset(arguments["after"]))
        start = start if again else min(start, end)
    if again:
        end = start + cap
    if arguments.get("before") is not None:
        end = max(start, min(end, api.offset(arguments["before"]) - 1))
    if first is not None or last is None:
        end = min(end, start + min(cap if first is None else first, cap))
    if last is not None:
        start = max(start, end - min(last, cap))
    return Page(view, rows, start, end, again)
