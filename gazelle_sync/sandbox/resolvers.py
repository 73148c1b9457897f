"""What each field of the published schema gives.

A field that has no line here is looked up in the record under its own name, a relation by the id that the record
holds as `<field>Id`. What the account knows nothing of is empty: a list, a connection, and what may not be null is
blank. Filters and paging must stay out (`filters.py`, `view.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date
from functools import partial
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
    is_list_type,
)

from gazelle_sync.sandbox.account import TIMELINE_TYPES, Record
from gazelle_sync.sandbox.filters import client_search_string, ordered, selected
from gazelle_sync.sandbox.view import LONG_AGO, Page, View, instant, location, page_of, text, tiers_of

Resolver = Callable[..., Any]

_PAGING = {"first", "after", "last", "before"}


def attach(schema: GraphQLSchema) -> None:
    """Gives every field of the schema what resolves it, and every type how it reads and writes its values."""
    for name, definition in schema.type_map.items():
        if name.startswith("__"):
            continue
        if isinstance(definition, GraphQLObjectType):
            for field_name, field in definition.fields.items():
                field.resolve = _resolver(name, field_name, field)
                if name == "PrivateQuery":
                    field.resolve = partial(_guarded, field_name, field.resolve)
        elif isinstance(definition, GraphQLEnumType):
            # Gazelle gets new enum values before anyone has a new schema: a record's value goes out as it is.
            definition.serialize = str  # type: ignore[method-assign, assignment]
        elif isinstance(definition, GraphQLScalarType) and name in _READERS:
            definition.parse_value = _READERS[name]  # type: ignore[method-assign, assignment]


# -- values ---------------------------------------------------------------------------------------------------------


def _core_date(value: Any) -> str:
    try:
        # Newer Pythons read other ISO forms too: only what comes back unchanged is YYYY-MM-DD.
        if date.fromisoformat(value).isoformat() == value:
            return str(value)
    except (TypeError, ValueError):
        pass
    raise GraphQLError(f"{value!r} is not a CoreDate (YYYY-MM-DD)")


def _core_date_time(value: Any) -> str:
    if instant(value) is None:
        raise GraphQLError(f"{value!r} is not a CoreDateTime (ISO 8601 with Z or an offset)")
    return str(value)


_READERS: dict[str, Callable[[Any], Any]] = {"CoreDate": _core_date, "CoreDateTime": _core_date_time}
_BLANKS: dict[str, Any] = {
    "String": "",
    "ID": "",
    "Int": 0,
    "Float": 0.0,
    "Boolean": False,
    "BigInt": "0",
    "JSON": {},
    "I18nString": {},
    "CoreDate": "1970-01-01",
    "ISO8601Date": "1970-01-01",
    "CoreDateTime": "1970-01-01T00:00:00Z",
}


def _is_list(kind: GraphQLOutputType) -> bool:
    return is_list_type(kind.of_type if isinstance(kind, GraphQLNonNull) else kind)


def _blank(kind: GraphQLOutputType) -> Any:
    """What a field of this type gives where nothing is known: an empty list, or, if it may not be null, a blank."""
    if _is_list(kind):
        return []
    if not isinstance(kind, GraphQLNonNull):
        return None
    inner = kind.of_type
    if isinstance(inner, GraphQLEnumType):
        return next(iter(inner.values))
    return _BLANKS[inner.name] if isinstance(inner, GraphQLScalarType) else {}


# -- what is the same for every type --------------------------------------------------------------------------------


def _resolver(type_name: str, name: str, field: GraphQLField) -> Resolver:
    if type_name == "PageInfo" or type_name.endswith(("Connection", "Edge")):
        return _PAGE_FIELDS[name]
    return _RESOLVERS.get(type_name, {}).get(name) or _relation(name, field) or _own(name, field)


# The fields of every connection, edge and PageInfo.
_PAGE_FIELDS: dict[str, Resolver] = {
    "nodes": lambda page, info: page.nodes(),
    "edges": lambda page, info: page.edges(),
    "pageInfo": lambda page, info: page,
    "totalCount": lambda page, info: len(page.rows),
    "hasNextPage": lambda page, info: page.has_next(),
    "hasPreviousPage": lambda page, info: page.start > 0,
    "startCursor": lambda page, info: page.edge_cursor(page.start + 1),
    "endCursor": lambda page, info: page.edge_cursor(page.end),
    "cursor": lambda edge, info: edge["cursor"],
    "node": lambda edge, info: edge["node"],
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
    "PrivateLifecycle": "lifecycles",
    "PrivateRecommendation": "recommendations",
    "PrivateMasterServiceGroup": "master_service_groups",
    "PrivateMasterServiceItem": "master_service_items",
    "PrivateEventReservation": "event_reservations",
    "PrivateScheduledMessage": "scheduled_messages",
}


def _relation(name: str, field: GraphQLField) -> Resolver | None:
    if _is_list(field.type):
        return None
    related, key = get_named_type(field.type).name, f"{name}Id"
    if related == "PrivateCompany":
        return _company
    if related in _RELATED:
        kind = _RELATED[related]
        return lambda record, info: info.context.found(kind, record.get(key))
    if related == "CoreLocalization":
        is_required = isinstance(field.type, GraphQLNonNull)
        return lambda record, info: _localization(info.context, record.get(key), is_required=is_required)
    if related == "CoreCurrency":
        return lambda record, info: info.context.account.currencies.get(record.get(key) or "CAD")
    return None


def _localization(view: View, id_: str | None, *, is_required: bool) -> Record | None:
    found = view.account.localizations.get(id_) if id_ else None
    if found is None and is_required:
        return next(each for each in view.account.localizations.values() if each.get("isClientDefault"))
    return found


def _own(name: str, field: GraphQLField) -> Resolver:
    if get_named_type(field.type).name.endswith("Connection"):
        return lambda record, info, **arguments: page_of(info.context, list(record.get(name) or []), arguments)
    blank = _blank(field.type)
    return lambda record, info, **arguments: record.get(name, blank)


# -- lists and single records ---------------------------------------------------------------------------------------


def _guarded(name: str, resolve: Resolver, source: Any, info: GraphQLResolveInfo, /, **arguments: Any) -> Any:
    """A field of the query itself, if the key has the rights for it."""
    if name in info.context.conditions.forbidden:
        told = info.context.conditions.words(
            "You are not authorized to see this", "Vous n’êtes pas autorisé à voir ceci"
        )
        raise GraphQLError(told)
    return resolve(source, info, **arguments)


def _company(_: Any, info: GraphQLResolveInfo) -> Record:
    view: View = info.context
    return {**view.account.company, **view.conditions.company}


def _rows(view: View, kind: str, filters: dict[str, Any] | None, sorts: list[str] | None = None) -> list[Record]:
    return ordered(view, kind, selected(view, kind, filters), sorts)


def _connection_of(kind: str, *filters: str) -> Resolver:
    """A paged list; `filters` are the arguments that are filters themselves."""

    def resolve(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Page:
        wanted = {**(arguments.get("filters") or {}), **{name: arguments.get(name) for name in filters}}
        return page_of(info.context, _rows(info.context, kind, wanted, arguments.get("sortBy")), arguments)

    return resolve


def _list_of(kind: str) -> Resolver:
    return lambda _, info, **arguments: _rows(info.context, kind, arguments.get("filters"), arguments.get("sortBy"))


def _timeline_of(types: Collection[str] = TIMELINE_TYPES) -> Resolver:
    def resolve(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Page:
        filters = {name: value for name, value in arguments.items() if name not in _PAGING}
        entries = selected(info.context, "timeline", filters)
        if types is not TIMELINE_TYPES:
            entries = [entry for entry in entries if entry.get("type") in types]
        # There is no `sortBy`: newest first, in practice.
        entries.sort(key=lambda entry: instant(entry.get("occurredAt")) or LONG_AGO, reverse=True)
        return page_of(info.context, entries, arguments)

    return resolve


def _self_confirmed(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    view: View = info.context
    if arguments.get("sortBy"):
        raise GraphQLError("This sort is published, but the sandbox does not have it")
    on_days = view.between("confirmedAt", arguments.get("confirmedOnGet"), arguments.get("confirmedOnLet"))
    events = [each for each in selected(view, "events", None) if each.get("confirmedByClient") and on_days(each)]
    return page_of(view, events, arguments)


def _not_built(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    raise GraphQLError(f"{info.field_name!r} is published, but the sandbox does not have it")


def _by_id(find: Callable[[View, Any], Record | None]) -> Resolver:
    """A record by its id, which the argument calls `id` or something longer."""

    def resolve(_: Any, info: GraphQLResolveInfo, **ids: str | None) -> Record | None:
        view: View = info.context
        id_ = next((id_ for id_ in ids.values() if id_), None)
        if id_ in view.conditions.failing_ids:
            raise GraphQLError(view.conditions.words("Internal server error", "Erreur interne du serveur"))
        return find(view, view.conditions.exchanged_ids.get(id_, id_) if id_ else None)

    return resolve


def _found(kind: str) -> Resolver:
    return _by_id(lambda view, id_: view.found(kind, id_))


def _found_in(rows: Callable[[View], Iterable[Record]]) -> Resolver:
    return _by_id(lambda view, id_: next((row for row in rows(view) if row.get("id") == id_), None))


def _tags_of(kind: str) -> Resolver:
    return lambda _, info: sorted({tag for each in info.context.listed(kind) for tag in each.get("tags") or []})


# -- what belongs to one record only --------------------------------------------------------------------------------


def _payments(view: View) -> Iterator[Record]:
    for invoice in view.listed("invoices"):
        yield from _payments_of(invoice)


def _payments_of(invoice: Record) -> list[Record]:
    return [{**payment, "invoiceId": invoice["id"]} for payment in invoice.get("allInvoicePayments") or []]


def _groups_of(tier: Record) -> list[Record]:
    return [{**group, "estimateTierId": tier["id"]} for group in tier.get("allEstimateTierGroups") or []]


def _items_of(tier: Record) -> list[Record]:
    return [{**item, "estimateTierId": tier["id"]} for item in tier.get("allEstimateTierItems") or []]


def _tier(record: Record, info: GraphQLResolveInfo) -> Record | None:
    return next((tier for tier in info.context.tiers if tier["id"] == record.get("estimateTierId")), None)


def _group(item: Record, info: GraphQLResolveInfo) -> Record | None:
    groups = (group for tier in info.context.tiers for group in _groups_of(tier))
    return next((group for group in groups if group["id"] == item.get("estimateTierGroupId")), None)


def _group_items(group: Record, info: GraphQLResolveInfo) -> list[Record]:
    tier = _tier(group, info)
    return [item for item in _items_of(tier or {}) if item.get("estimateTierGroupId") == group["id"]]


def _measurements(view: View) -> Iterator[Record]:
    for piano in view.listed("pianos"):
        yield from piano.get("allPianoMeasurements") or []


def _all_contacts(client: Record, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    archived_too = bool(arguments.get("includeArchived"))
    contacts = info.context.contacts_of.get(client["id"], [])
    return page_of(info.context, [c for c in contacts if archived_too or not c.get("archived")], arguments)


def _all_client_pianos(client: Record, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    wanted = arguments.get("status")
    pianos = info.context.pianos_of.get(client["id"], [])
    return page_of(info.context, [p for p in pianos if wanted is None or p.get("status") in wanted], arguments)


def _all_event_pianos(event: Record, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    view: View = info.context
    rows = [
        {"event": event, "piano": piano, "isTuning": link.get("isTuning", False)}
        for link in event.get("pianos") or []
        if (piano := view.found("pianos", link["pianoId"]))
    ]
    return page_of(view, rows, arguments)


def _all_photos(piano: Record, info: GraphQLResolveInfo, **arguments: Any) -> Page:
    words = (arguments.get("search") or "").casefold()
    photos = [each for each in piano.get("allPianoPhotos") or [] if words in text(each, "notes").casefold()]
    return page_of(info.context, ordered(info.context, "photos", photos, arguments.get("sortBy")), arguments)


def _last_invoice(client: Record, info: GraphQLResolveInfo) -> Record | None:
    invoices = selected(info.context, "invoices", {"clientId": client["id"]})
    return max(invoices, key=lambda each: instant(each.get("createdAt")) or LONG_AGO, default=None)


def _default_of(name: str) -> Resolver:
    return lambda record, info: next((each for each in record.get(name) or [] if each.get("isDefault")), None)


def _location_for(usage: str) -> Resolver:
    return lambda contact, info: location(contact, usage)


def _address_for(usage: str) -> Resolver:
    return lambda contact, info: _address(location(contact, usage))


def _address(found: Record | None) -> Record | None:
    """A location in the older words, which the API still has."""
    if found is None:
        return None
    renamed = {
        "type": found.get("usageType"),
        "address1": found.get("street1"),
        "address2": found.get("street2"),
        "city": found.get("municipality"),
        "state": found.get("region"),
        "zip": found.get("postalCode"),
        "lat": _number(found.get("latitude")),
        "lng": _number(found.get("longitude")),
    }
    return {**found, **renamed}


def _number(digits: str | None) -> float | None:
    return float(digits) if digits else None


def _phone_number(phone: Record, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    digits = phone.get("phoneNumber")
    if not (isinstance(digits, str) and digits.isdigit() and len(digits) == 10):
        return digits
    area, exchange, line = digits[:3], digits[3:6], digits[6:]
    return {
        "E164": f"+1{digits}",
        "INTERNATIONAL": f"+1 {area}-{exchange}-{line}",
    }.get(arguments.get("format") or "", f"({area}) {exchange}-{line}")


def _email_md5(email: Record, info: GraphQLResolveInfo) -> str:
    return hashlib.md5(str(email.get("email")).encode(errors="replace"), usedforsecurity=False).hexdigest()


_RESOLVERS: dict[str, dict[str, Resolver]] = {
    "PrivateQuery": {
        "allClients": _connection_of("clients"),
        "allClientTags": _tags_of("clients"),
        "allCurrencies": lambda _, info: list(info.context.account.currencies.values()),
        "allEstimateTags": _tags_of("estimates"),
        "allEstimates": _connection_of("estimates"),
        "allEventCancelNotices": _connection_of("event_cancel_notices", "status"),
        "allEventReservations": _list_of("event_reservations"),
        "allEventReservationsBatched": _connection_of("event_reservations"),
        "allEvents": _list_of("events"),
        "allEventsBatched": _connection_of("events"),
        "allInvoiceTags": _tags_of("invoices"),
        "allInvoices": _connection_of("invoices"),
        "allLifecycles": _connection_of("lifecycles", "search"),
        "allLocalizations": lambda _, info: list(info.context.account.localizations.values()),
        "allMasterServiceGroups": _list_of("master_service_groups"),
        "allMasterServiceItems": _list_of("master_service_items"),
        "allMessages": _timeline_of([each for each in TIMELINE_TYPES if each.startswith("CONTACT_")]),
        "allPastAndPresentTaxes": _list_of("taxes"),
        "allPianoTags": _tags_of("pianos"),
        "allPianos": _connection_of("pianos"),
        "allRecommendations": lambda _, info, **arguments: selected(
            info.context, "recommendations", {"isArchived": None if arguments.get("includeArchived") else False}
        ),
        "allScheduledMessages": _connection_of("scheduled_messages", "clientId"),
        "allSelfConfirmedAppointments": _self_confirmed,
        "allSentOrScheduledMessages": _not_built,
        "allTaxes": lambda _, info: selected(info.context, "taxes", {"activeOrHistorical": "ACTIVE"}),
        "allTimelineEntries": _timeline_of(),
        "allUncompletedAppointments": _not_built,
        "allUsers": lambda _, info: info.context.listed("users"),
        "client": _found("clients"),
        "contact": _found("contacts"),
        "estimate": _found("estimates"),
        "estimateTier": _found_in(lambda view: view.tiers),
        "estimateTierGroup": _found_in(lambda view: (each for tier in view.tiers for each in _groups_of(tier))),
        "estimateTierItem": _found_in(lambda view: (each for tier in view.tiers for each in _items_of(tier))),
        "event": _found("events"),
        "eventReservation": _found("event_reservations"),
        "invoice": _found("invoices"),
        "invoicePayment": _found_in(_payments),
        "piano": _found("pianos"),
        "pianoMeasurement": _found_in(_measurements),
        "scheduledMessage": _found("scheduled_messages"),
        "user": lambda _, info: info.context.user,
    },
    "PrivateClient": {
        "allContacts": _all_contacts,
        "allPianos": _all_client_pianos,
        "allClientsReferred": lambda client, info: [
            other for other in info.context.listed("clients") if other.get("referralClientId") == client["id"]
        ],
        "allScheduledMessages": lambda client, info, **arguments: page_of(
            info.context, selected(info.context, "scheduled_messages", {"clientId": client["id"]}), arguments
        ),
        "defaultContact": lambda client, info: info.context.default_contact(client["id"]),
        "defaultBillingContact": lambda client, info: info.context.default_contact(client["id"], "isBillingDefault"),
        "lastInvoice": _last_invoice,
        "searchString": lambda client, info: client_search_string(info.context, client),
    },
    "PrivateCompany": {"phoneNumber": _phone_number},
    "PrivateContact": {
        "allAddresses": lambda contact, info, **arguments: page_of(
            info.context, [_address(each) for each in contact.get("allLocations") or []], arguments
        ),
        "defaultEmail": _default_of("allEmails"),
        "defaultPhone": _default_of("allPhones"),
        "defaultConfirmedMobilePhone": lambda contact, info: next(
            (p for p in contact.get("allPhones") or [] if p.get("confirmedAt") and p.get("type") == "MOBILE"), None
        ),
        "defaultLocation": _location_for("STREET"),
        "defaultMailingLocation": _location_for("MAILING"),
        "defaultBillingLocation": _location_for("BILLING"),
        "defaultAddress": _address_for("STREET"),
        "defaultBillingAddress": _address_for("BILLING"),
    },
    "PrivateContactEmail": {"emailMd5": _email_md5},
    "PrivateContactPhone": {"phoneNumber": _phone_number},
    "PrivatePiano": {
        "allPianoPhotos": _all_photos,
        "primaryPianoPhoto": lambda piano, info: next(iter(piano.get("allPianoPhotos") or []), None),
        "searchString": lambda piano, info: text(piano, "make", "model", "serialNumber", "location"),
    },
    "PrivateEvent": {"allEventPianos": _all_event_pianos},
    "PrivateInvoice": {
        "allInvoicePayments": lambda invoice, info, **arguments: page_of(
            info.context, _payments_of(invoice), arguments
        ),
    },
    "PrivateEstimate": {"allEstimateTiers": lambda estimate, info: list(tiers_of(estimate))},
    "PrivateEstimateTier": {
        "allEstimateTierGroups": lambda tier, info: _groups_of(tier),
        "allEstimateTierItems": lambda tier, info: _items_of(tier),
        "allUngroupedEstimateTierItems": lambda tier, info: [
            item for item in _items_of(tier) if item.get("estimateTierGroupId") is None
        ],
    },
    "PrivateEstimateTierGroup": {"allEstimateTierItems": _group_items, "estimateTier": _tier},
    "PrivateEstimateTierItem": {"estimateTier": _tier, "estimateTierGroup": _group},
    "PrivateMasterServiceGroup": {
        "allMasterServiceItems": lambda group, info: info.context.service_items_of.get(group["id"], []),
    },
    "PrivateTimelineEntry": {
        "invoicePayment": lambda entry, info: (
            next((each for each in _payments(info.context) if each["id"] == entry.get("invoicePaymentId")), None)
            if entry.get("invoicePaymentId")
            else None
        ),
    },
    "PrivateUser": {"fullName": lambda user, info: text(user, "firstName", "lastName")},
    "PrivateEventPiano": {"event": lambda row, info: row["event"], "piano": lambda row, info: row["piano"]},
}
