"""Answers GraphQL queries from an `Account`, executed for real against the published schema (`schema.graphql`).

Filters, sorts, relations and Relay paging, as Gazelle's server has them. HTTP, tokens and faults must stay out.
What is published but not built here answers with a GraphQL error: a filter that is ignored would let a wrong
query pass for a right one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    StringValueNode,
    VariableNode,
    Visitor,
    build_schema,
    execute_sync,
    get_named_type,
    is_list_type,
    parse,
    validate,
    visit,
)

from gazelle_sync.sandbox.account import Account, Record

Test = Callable[[Record], bool]
Key = Callable[[Record], Any]


class GraphQLApi:
    """The API of one account. `execute` may be called for every request; edits of the account show at once.

    `page_cap` is the greatest page, applied without a word, and the size of a page where none is asked for.
    With `opaque_cursors` a cursor is a random token instead of the base64 of an offset.
    """

    def __init__(self, account: Account, *, page_cap: int = 100, opaque_cursors: bool = False) -> None:
        self.account = account
        self.page_cap = page_cap
        self.opaque_cursors = opaque_cursors
        self._token_of: dict[int, str] = {}
        self._offset_of: dict[str, int] = {}

    def execute(self, query: str, variables: dict[str, Any] | None, operation: str | None = None) -> dict[str, Any]:
        """The answer as a JSON object, `data` and `errors` as GraphQL has them; never raises for a wrong query."""
        document, errors = _prepare(query)
        if document is None:
            return {"errors": errors}
        result = execute_sync(
            SCHEMA,
            document,
            root_value={},
            context_value=View(self),
            variable_values=variables,
            operation_name=operation,
            field_resolver=_plain_field,
        )
        return dict(result.formatted)

    def cursor(self, offset: int) -> str:
        """The cursor of the row at this offset (the first is 1, as graphql-ruby counts)."""
        if not self.opaque_cursors:
            return base64.urlsafe_b64encode(str(offset).encode()).decode().rstrip("=")
        if offset not in self._token_of:
            token = secrets.token_urlsafe(12)
            self._token_of[offset], self._offset_of[token] = token, offset
        return self._token_of[offset]

    def offset(self, cursor: str) -> int:
        """The offset that the cursor stands for; a cursor that was never given out is an error."""
        if self.opaque_cursors:
            if cursor not in self._offset_of:
                raise GraphQLError(f"Invalid cursor: {cursor!r}")
            return self._offset_of[cursor]
        try:
            return int(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):
            raise GraphQLError(f"Invalid cursor: {cursor!r}") from None


def asked_cursor(query: str, variables: dict[str, Any] | None) -> str | None:
    """The first `after` that the query really gives a value to, or None: it asks for a first page."""
    for literal, variable in _after_arguments(query):
        value = literal if variable is None else (variables or {}).get(variable)
        if value is not None:
            return str(value)
    return None


# -- values -----------------------------------------------------------------------------------------------------

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


@lru_cache(maxsize=300_000)
def _parse_instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.astimezone(timezone.utc) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _instant(value: object) -> datetime | None:
    # A test may put anything in a record: what is no instant sorts first and matches no bound.
    return _parse_instant(value) if isinstance(value, str) else None


def _core_date(value: Any) -> str:
    try:
        # Newer Pythons read other ISO forms too: only what comes back unchanged is YYYY-MM-DD.
        if date.fromisoformat(value).isoformat() == value:
            return str(value)
    except (TypeError, ValueError):
        pass
    raise GraphQLError(f"{value!r} is not a CoreDate (YYYY-MM-DD)")


def _core_date_time(value: Any) -> str:
    if _instant(value) is None:
        raise GraphQLError(f"{value!r} is not a CoreDateTime (ISO 8601 with Z or an offset)")
    return str(value)


def _text(record: Record, *names: str) -> str:
    return " ".join(str(record[name]) for name in names if record.get(name))


# -- the account, as one request sees it ------------------------------------------------------------------------


class View:
    """The account during one request: what is looked up by something else than an id is indexed at most once."""

    def __init__(self, api: GraphQLApi) -> None:
        self.api = api
        self.account = api.account
        self.zone = ZoneInfo(api.account.timezone)

    def listed(self, kind: str) -> list[Record]:
        """The records of a kind in the order they were made, without those whose client is gone."""
        clients = self.account.clients
        return [
            record
            for record in list(self.account.records(kind).values())
            if record.get("clientId") is None or record["clientId"] in clients
        ]

    def found(self, kind: str, id_: str | None) -> Record | None:
        """One record by id, or None when there is none (any more)."""
        record = self.account.records(kind).get(id_) if id_ else None
        gone = record and record.get("clientId") is not None and record["clientId"] not in self.account.clients
        return None if gone else record

    def midnight(self, day: str) -> datetime:
        """The instant at which the day begins in the company's time zone."""
        return datetime.combine(date.fromisoformat(day), time(), self.zone).astimezone(timezone.utc)

    def between(self, name: str, first_day: str | None, last_day: str | None) -> Test:
        """Whether the instant in field `name` is on a day from `first_day` to `last_day`, both included."""
        start = self.midnight(first_day) if first_day else None
        end = self.midnight(str(date.fromisoformat(last_day) + timedelta(days=1))) if last_day else None

        def test(record: Record) -> bool:
            at = _instant(record.get(name))
            return at is not None and (start is None or at >= start) and (end is None or at < end)

        return test

    @cached_property
    def contacts_of(self) -> dict[str, list[Record]]:
        return _grouped(self.account.contacts)

    @cached_property
    def pianos_of(self) -> dict[str, list[Record]]:
        return _grouped(self.account.pianos)

    def default_contact(self, client_id: Any, flag: str = "isDefault") -> Record | None:
        return next((contact for contact in self.contacts_of.get(client_id, []) if contact.get(flag)), None)

    def client_name(self, record: Record) -> str:
        """What Gazelle sorts clients by: the company's name or, failing that, the default contact's."""
        contact = self.default_contact(record["id"]) or {}
        return (_text(record, "companyName").strip() or _text(contact, "lastName", "firstName")).casefold()

    def default_location(self, record: Record) -> Record:
        contact = self.default_contact(record["id"])
        return _location(contact or {}, "STREET") or {}


def _grouped(records: dict[str, Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in list(records.values()):
        groups[record.get("clientId") or ""].append(record)
    return groups


# -- filters and sorts: a name missing from these tables is published, but not built ------------------------------


def _one_of(name: str) -> Callable[[View, Any], Test]:
    return lambda view, wanted: lambda record: record.get(name) in wanted


def _equal(name: str) -> Callable[[View, Any], Test]:
    return lambda view, wanted: lambda record: record.get(name) == wanted


def _from_day(name: str) -> Callable[[View, Any], Test]:
    return lambda view, day: view.between(name, day, None)


def _to_day(name: str) -> Callable[[View, Any], Test]:
    return lambda view, day: view.between(name, None, day)


def _at_least(name: str) -> Callable[[View, Any], Test]:
    return lambda view, bound: lambda record: record.get(name) is not None and record[name] >= bound


def _at_most(name: str) -> Callable[[View, Any], Test]:
    return lambda view, bound: lambda record: record.get(name) is not None and record[name] <= bound


def _contains(*names: str) -> Callable[[View, Any], Test]:
    return lambda view, words: lambda record: words.casefold() in _text(record, *names).casefold()


def _search_client(view: View, words: str) -> Test:
    return lambda record: words.casefold() in _client_search_string(view, record).casefold()


def _client_search_string(view: View, record: Record) -> str:
    people = (_text(contact, "firstName", "lastName") for contact in view.contacts_of.get(record["id"], []))
    return " ".join([_text(record, "companyName"), *people]).strip()


_TAG_FILTERS: dict[str, Callable[[View, Any], Test]] = {
    "anyTags": lambda view, wanted: lambda record: bool(set(wanted) & set(record.get("tags") or [])),
    "allTags": lambda view, wanted: lambda record: set(wanted) <= set(record.get("tags") or []),
    "excludeTags": lambda view, wanted: lambda record: not set(wanted) & set(record.get("tags") or []),
}
_CREATED_FILTERS = {"createdGet": _from_day("createdAt"), "createdLet": _to_day("createdAt")}

_FILTERS: dict[str, dict[str, Callable[[View, Any], Test]]] = {
    "clients": {
        **_CREATED_FILTERS,
        **_TAG_FILTERS,
        "search": _search_client,
        "status": _one_of("status"),
        "clientType": _one_of("clientType"),
        "preferredTechnicianId": _one_of("preferredTechnicianId"),
    },
    "pianos": {
        **_CREATED_FILTERS,
        **_TAG_FILTERS,
        "clientId": _equal("clientId"),
        "excludePianoIds": lambda view, unwanted: lambda record: record["id"] not in unwanted,
        "search": _contains("make", "model", "serialNumber", "location"),
        "type": _one_of("type"),
        "status": _one_of("status"),
        "consignment": _equal("consignment"),
        "rental": _equal("rental"),
        "make": _one_of("make"),
        "serialNumber": _one_of("serialNumber"),
        "yearGet": _at_least("year"),
        "yearLet": _at_most("year"),
    },
    "events": {
        "startOn": _from_day("start"),
        "endOn": _to_day("start"),
        "clientId": _one_of("clientId"),
        "userId": _one_of("userId"),
        "pianoId": lambda view, wanted: lambda record: any(p["pianoId"] in wanted for p in record.get("pianos", [])),
        "type": _one_of("type"),
        "status": _one_of("status"),
    },
    "timeline": {
        "clientId": _equal("clientId"),
        "pianoId": _equal("pianoId"),
        "invoiceId": _equal("invoiceId"),
        "estimateId": _equal("estimateId"),
        "types": _one_of("type"),
        "search": _contains("summary", "comment"),
        "occurredAtGet": lambda view, bound: (
            lambda record: (_instant(record.get("occurredAt")) or _LONG_AGO) >= (_instant(bound) or _LONG_AGO)
        ),
    },
    "invoices": {
        **_TAG_FILTERS,
        "clientId": _equal("clientId"),
        "status": _one_of("status"),
        "archived": _equal("archived"),
        "dueDateGet": _at_least("dueOn"),
        "dueDateLet": _at_most("dueOn"),
        "totalGet": _at_least("total"),
        "totalLet": _at_most("total"),
        "invoiceIds": _one_of("id"),
        "createdBy": _one_of("createdById"),
        "assignedTo": _one_of("assignedToId"),
    },
}


def _by_text(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: _text(record, name).casefold()


def _by_instant(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: _instant(record.get(name)) or _LONG_AGO


def _by_number(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: record.get(name) or 0


def _by_place(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: _text(view.default_location(record), name).casefold()


# Without _ASC and _DESC.
_SORTS: dict[str, dict[str, Callable[[View], Key]]] = {
    "clients": {
        "STATUS": _by_text("status"),
        "CLIENT_NAME": lambda view: view.client_name,
        "CREATED_AT": _by_instant("createdAt"),
        "POSTAL_CODE": _by_place("postalCode"),
        "CITY": _by_place("municipality"),
        "MUNICIPALITY": _by_place("municipality"),
        "STATE": _by_place("region"),
        "REGION": _by_place("region"),
    },
    "pianos": {
        "STATUS": _by_text("status"),
        "CREATED_AT": _by_instant("createdAt"),
        "MAKE": _by_text("make"),
        "MODEL": _by_text("model"),
        "LAST_SERVICE": _by_text("calculatedLastService"),
        "NEXT_SERVICE": _by_text("calculatedNextService"),
    },
    "events": {
        "START": _by_instant("start"),
        "USER_LAST_NAME": lambda view: (
            lambda record: _text(view.found("users", record.get("userId")) or {}, "lastName").casefold()
        ),
    },
    "invoices": {
        "NUMBER": _by_number("number"),
        "STATUS": _by_text("status"),
        "CREATED_AT": _by_instant("createdAt"),
        "TOTAL": _by_number("total"),
        "DUE_TOTAL": _by_number("dueTotal"),
        "DUE_DATE": _by_text("dueOn"),
    },
}


def _selected(view: View, kind: str, filters: dict[str, Any] | None) -> list[Record]:
    tests = []
    for name, wanted in (filters or {}).items():
        if wanted is None:
            continue
        if name not in _FILTERS[kind]:
            raise GraphQLError(f"The filter {name!r} of {kind} is published, but the sandbox does not have it")
        tests.append(_FILTERS[kind][name](view, wanted))
    return [record for record in view.listed(kind) if all(test(record) for test in tests)]


def _sorted(view: View, kind: str, records: list[Record], sorts: list[str] | None) -> list[Record]:
    for name in reversed(sorts or []):
        key, _, direction = name.rpartition("_")
        if key not in _SORTS[kind]:
            raise GraphQLError(f"The sort {name!r} of {kind} is published, but the sandbox does not have it")
        records = sorted(records, key=_SORTS[kind][key](view), reverse=direction == "DESC")
    return records


# -- connections --------------------------------------------------------------------------------------------------


@dataclass
class Page:
    """The part of a connection that a query asked for; offsets are counted in the whole list."""

    api: GraphQLApi
    rows: list[Any]
    start: int
    end: int

    def nodes(self) -> list[Any]:
        return self.rows[self.start : self.end]

    def edges(self) -> list[Record]:
        return [
            {"cursor": self.api.cursor(self.start + place), "node": node}
            for place, node in enumerate(self.nodes(), start=1)
        ]

    def edge_cursor(self, offset: int) -> str | None:
        return self.api.cursor(offset) if self.end > self.start else None


def _page(view: View, rows: list[Any], arguments: dict[str, Any]) -> Page:
    """The page of `rows` that first/after/last/before ask for, cut at the cap like graphql-ruby's."""
    api = view.api
    first, last = arguments.get("first"), arguments.get("last")
    for name, size in (("first", first), ("last", last)):
        if size is not None and size < 0:
            raise GraphQLError(f"`{name}` must not be negative")
    start, end = 0, len(rows)
    if arguments.get("after") is not None:
        start = min(max(0, api.offset(arguments["after"])), end)
    if arguments.get("before") is not None:
        end = max(start, min(end, api.offset(arguments["before"]) - 1))
    if first is not None or last is None:
        end = min(end, start + min(api.page_cap if first is None else first, api.page_cap))
    if last is not None:
        start = max(start, end - min(last, api.page_cap))
    return Page(api, rows, start, end)


_PAGING = {"first", "after", "last", "before"}

# -- resolvers ------------------------------------------------------------------------------------------------------


def _plain_field(source: Record, info: GraphQLResolveInfo, **_: Any) -> Any:
    return source.get(info.field_name)


def _connection_of(kind: str) -> Callable[..., Page]:
    def resolve(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Page:
        view: View = info.context
        records = _selected(view, kind, arguments.get("filters"))
        return _page(view, _sorted(view, kind, records, arguments.get("sortBy")), arguments)

    return resolve


def _all_events(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> list[Record]:
    records = _selected(info.context, "events", arguments.get("filters"))
    return _sorted(info.context, "events", records, arguments.get("sortBy"))


def _all_timeline_entries(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    view: View = info.context
    filters = {name: value for name, value in arguments.items() if name not in _PAGING}
    # There is no `sortBy`: newest first, in practice.
    newest = _by_instant("occurredAt")(view)
    return _page(view, sorted(_selected(view, "timeline", filters), key=newest, reverse=True), arguments)


def _found(kind: str) -> Callable[..., Record | None]:
    def resolve(_: Any, info: GraphQLResolveInfo, **ids: str | None) -> Record | None:
        view: View = info.context
        return view.found(kind, next((id_ for id_ in ids.values() if id_), None))

    return resolve


def _all_contacts(client: Record, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    archived_too = bool(arguments.get("includeArchived"))
    contacts = info.context.contacts_of.get(client["id"], [])
    return _page(info.context, [c for c in contacts if archived_too or not c.get("archived")], arguments)


def _all_client_pianos(client: Record, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    wanted = arguments.get("status")
    pianos = info.context.pianos_of.get(client["id"], [])
    return _page(info.context, [p for p in pianos if wanted is None or p.get("status") in wanted], arguments)


def _all_event_pianos(event: Record, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    view: View = info.context
    rows = [
        {"event": event, "piano": piano, "isTuning": link.get("isTuning", False)}
        for link in event.get("pianos") or []
        if (piano := view.found("pianos", link["pianoId"]))
    ]
    return _page(view, rows, arguments)


def _owned(name: str) -> Callable[..., Page]:
    return lambda record, info, **arguments: _page(info.context, list(record.get(name) or []), arguments)


def _default_of(name: str) -> Callable[..., Record | None]:
    return lambda record, info: next((each for each in record.get(name) or [] if each.get("isDefault")), None)


def _location(contact: Record, usage: str) -> Record | None:
    return next((each for each in contact.get("allLocations") or [] if each.get("usageType") == usage), None)


def _address(location: Record | None) -> Record | None:
    """A location in the older words, which the API still has."""
    if location is None:
        return None
    renamed = {
        "type": location.get("usageType"),
        "address1": location.get("street1"),
        "address2": location.get("street2"),
        "city": location.get("municipality"),
        "state": location.get("region"),
        "zip": location.get("postalCode"),
        "lat": _number(location.get("latitude")),
        "lng": _number(location.get("longitude")),
    }
    return {**location, **renamed}


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _phone_number(phone: Record, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    digits = phone.get("phoneNumber")
    if not (isinstance(digits, str) and digits.isdigit() and len(digits) == 10):
        return digits
    area, exchange, line = digits[:3], digits[3:6], digits[6:]
    return {
        "E164": f"+1{digits}",
        "INTERNATIONAL": f"+1 {area}-{exchange}-{line}",
    }.get(arguments.get("format") or "", f"({area}) {exchange}-{line}")


_RESOLVERS: dict[str, dict[str, Callable[..., Any]]] = {
    "PrivateQuery": {
        "allUsers": lambda _, info: info.context.listed("users"),
        "allClients": _connection_of("clients"),
        "allPianos": _connection_of("pianos"),
        "allEventsBatched": _connection_of("events"),
        "allInvoices": _connection_of("invoices"),
        "allEvents": _all_events,
        "allTimelineEntries": _all_timeline_entries,
        "client": _found("clients"),
        "contact": _found("contacts"),
        "piano": _found("pianos"),
        "event": _found("events"),
        "invoice": _found("invoices"),
        "company": lambda _, info: info.context.account.company,
    },
    "PrivateClient": {
        "allContacts": _all_contacts,
        "allPianos": _all_client_pianos,
        "allClientsReferred": lambda client, info: [
            other for other in info.context.listed("clients") if other.get("referralClientId") == client["id"]
        ],
        "company": lambda _, info: info.context.account.company,
        "defaultContact": lambda client, info: info.context.default_contact(client["id"]),
        "defaultBillingContact": lambda client, info: info.context.default_contact(client["id"], "isBillingDefault"),
        "searchString": lambda client, info: _client_search_string(info.context, client),
    },
    "PrivateContact": {
        "allEmails": _owned("allEmails"),
        "allPhones": _owned("allPhones"),
        "allLocations": _owned("allLocations"),
        "allAddresses": lambda contact, info, **arguments: _page(
            info.context, [_address(each) for each in contact.get("allLocations") or []], arguments
        ),
        "defaultEmail": _default_of("allEmails"),
        "defaultPhone": _default_of("allPhones"),
        "defaultConfirmedMobilePhone": lambda contact, info: next(
            (p for p in contact.get("allPhones") or [] if p.get("confirmedAt") and p.get("type") == "MOBILE"), None
        ),
        "defaultLocation": lambda contact, info: _location(contact, "STREET"),
        "defaultMailingLocation": lambda contact, info: _location(contact, "MAILING"),
        "defaultBillingLocation": lambda contact, info: _location(contact, "BILLING"),
        "defaultAddress": lambda contact, info: _address(_location(contact, "STREET")),
        "defaultBillingAddress": lambda contact, info: _address(_location(contact, "BILLING")),
    },
    "PrivateContactEmail": {
        "emailMd5": lambda email, info: hashlib.md5(
            str(email.get("email")).encode(errors="replace"), usedforsecurity=False
        ).hexdigest(),
    },
    "PrivateContactPhone": {"phoneNumber": _phone_number},
    "PrivatePiano": {
        "company": lambda _, info: info.context.account.company,
        "searchString": lambda piano, info: _text(piano, "make", "model", "serialNumber", "location"),
    },
    "PrivateEvent": {"allEventPianos": _all_event_pianos},
    "PrivateInvoice": {
        "allInvoiceItems": _owned("allInvoiceItems"),
        "company": lambda _, info: info.context.account.company,
    },
    "PrivateUser": {
        "fullName": lambda user, info: _text(user, "firstName", "lastName"),
        "reservationNotificationsForSpecificUsers": lambda user, info, **arguments: _page(info.context, [], arguments),
    },
    "PrivateEventPiano": {"event": lambda row, info: row["event"], "piano": lambda row, info: row["piano"]},
}
# Fields of these types are relations: the record holds the id, as `<field>Id`.
_RELATED = {
    "PrivateClient": "clients",
    "PrivateContact": "contacts",
    "PrivatePiano": "pianos",
    "PrivateEvent": "events",
    "PrivateUser": "users",
    "PrivateInvoice": "invoices",
    "PrivateEstimate": "estimates",
}


# The fields of every connection, edge and PageInfo.
_PAGE_FIELDS: dict[str, Callable[..., Any]] = {
    "nodes": lambda page, info: page.nodes(),
    "edges": lambda page, info: page.edges(),
    "pageInfo": lambda page, info: page,
    "totalCount": lambda page, info: len(page.rows),
    "hasNextPage": lambda page, info: page.end < len(page.rows),
    "hasPreviousPage": lambda page, info: page.start > 0,
    "startCursor": lambda page, info: page.edge_cursor(page.start + 1),
    "endCursor": lambda page, info: page.edge_cursor(page.end),
    "cursor": lambda edge, info: edge["cursor"],
    "node": lambda edge, info: edge["node"],
}


def _resolver(type_name: str, name: str, definition: GraphQLField) -> Callable[..., Any] | None:
    """What gives this field its value; None: the record does, under the field's own name."""
    if type_name == "PageInfo" or type_name.endswith(("Connection", "Edge")):
        return _PAGE_FIELDS[name]
    return _RESOLVERS.get(type_name, {}).get(name) or _relation(name, definition)


def _relation(name: str, definition: GraphQLField) -> Callable[..., Any] | None:
    required = isinstance(definition.type, GraphQLNonNull)
    if is_list_type(definition.type.of_type if isinstance(definition.type, GraphQLNonNull) else definition.type):
        return (lambda record, info: record.get(name, [])) if required else None
    related, key = get_named_type(definition.type).name, f"{name}Id"
    if related in _RELATED:
        kind = _RELATED[related]
        return lambda record, info: info.context.found(kind, record.get(key))
    if related == "CoreLocalization":
        fallback = "loc_fr" if required else None
        return lambda record, info: info.context.account.localizations.get(record.get(key) or fallback)
    if related == "CoreCurrency":
        return lambda record, info: info.context.account.currencies.get(record.get(key))
    return None


def _make_schema() -> GraphQLSchema:
    schema = build_schema(files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8"))
    for type_name, definition in schema.type_map.items():
        if type_name.startswith("__"):
            continue
        if isinstance(definition, GraphQLObjectType):
            for name, each in definition.fields.items():
                each.resolve = _resolver(type_name, name, each)
        elif isinstance(definition, GraphQLEnumType):
            # Gazelle gets new enum values before anyone has a new schema: a record's value goes out as it is.
            definition.serialize = str  # type: ignore[method-assign, assignment]
        elif isinstance(definition, GraphQLScalarType) and type_name in ("CoreDate", "CoreDateTime"):
            definition.parse_value = _core_date if type_name == "CoreDate" else _core_date_time  # type: ignore[method-assign]
    return schema


SCHEMA = _make_schema()


@lru_cache(maxsize=256)
def _prepare(query: str) -> tuple[DocumentNode | None, list[Any]]:
    """The parsed and validated query, or the errors it has. Kept, because clients send the same few."""
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, [error.formatted]
    errors = validate(SCHEMA, document)
    return (None, [error.formatted for error in errors]) if errors else (document, [])


class _AfterArguments(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str | None, str | None]] = []

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        if node.name.value == "after":
            if isinstance(node.value, VariableNode):
                self.found.append((None, node.value.name.value))
            elif isinstance(node.value, StringValueNode):
                self.found.append((node.value.value, None))


@lru_cache(maxsize=256)
def _after_arguments(query: str) -> list[tuple[str | None, str | None]]:
    document, _ = _prepare(query)
    visitor = _AfterArguments()
    if document:
        visit(document, visitor)
    return visitor.found
