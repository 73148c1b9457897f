"""The filters and sorts of the lists, as the published schema names them.

A name that is missing from these tables is published, but not built here: asking by it is an error, as a filter
that is ignored would let a wrong query pass for a right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from gazelle_sync.sandbox.account import Record
from gazelle_sync.sandbox.view import LONG_AGO, Test, View, instant, location, text

Filter = Callable[[View, Any], Test]
Key = Callable[[Record], Any]


def selected(view: View, kind: str, filters: dict[str, Any] | None) -> list[Record]:
    """The records of a kind that pass every filter that has a value."""
    tests = list(_canceled_events(view, kind))
    wanted = {**view.api.usual_filters.get(kind, {}), **{k: v for k, v in (filters or {}).items() if v is not None}}
    for name, value in wanted.items():
        if name not in FILTERS[kind]:
            raise GraphQLError(f"The filter {name!r} of {kind} is published, but the sandbox does not have it")
        tests.append(FILTERS[kind][name](view, value))
    return [record for record in view.listed(kind) if all(test(record) for test in tests)]


def ordered(view: View, kind: str, records: list[Record], sorts: list[str] | None) -> list[Record]:
    """The records in the order of the sorts, the first counting most; without any as they were made."""
    for name in reversed(sorts or []):
        key, _, direction = name.rpartition("_")
        if key not in SORTS[kind]:
            raise GraphQLError(f"The sort {name!r} of {kind} is published, but the sandbox does not have it")
        records = sorted(records, key=SORTS[kind][key](view), reverse=direction in ("DESC", "LAST"))
    return records


def _canceled_events(view: View, kind: str) -> Iterable[Test]:
    if kind == "events" and not view.conditions.has_canceled_events:
        yield lambda event: event.get("status") != "CANCELED"


# -- filters --------------------------------------------------------------------------------------------------------


def _one_of(name: str) -> Filter:
    return lambda view, wanted: lambda record: record.get(name) in wanted


def _equal(name: str) -> Filter:
    return lambda view, wanted: lambda record: record.get(name) == wanted


def _from_day(name: str) -> Filter:
    return lambda view, day: view.between(name, day, None)


def _to_day(name: str) -> Filter:
    return lambda view, day: view.between(name, None, day)


def _at_least(name: str) -> Filter:
    return lambda view, bound: lambda record: record.get(name) is not None and record[name] >= bound


def _at_most(name: str) -> Filter:
    return lambda view, bound: lambda record: record.get(name) is not None and record[name] <= bound


def _contains(*names: str) -> Filter:
    return lambda view, words: lambda record: words.casefold() in text(record, *names).casefold()


def _any_of(name: str, inner: Filter) -> Filter:
    """Whether one of the records inside the record passes."""

    def test_one(view: View, wanted: Any) -> Test:
        test = inner(view, wanted)
        return lambda record: any(test(each) for each in record.get(name) or [])

    return test_one


def _any(*filters: Filter) -> Filter:
    def test_all(view: View, wanted: Any) -> Test:
        tests = [each(view, wanted) for each in filters]
        return lambda record: any(test(record) for test in tests)

    return test_all


def _null_or_one_of(name: str) -> Filter:
    """The published `NullableFilterStringInput`: `{value: null}` finds those that have none."""
    return lambda view, wanted: lambda record: record.get(name) in [each.get("value") for each in wanted]


def _of_client(inner: Filter) -> Filter:
    """A filter of the client that the record belongs to."""

    def test_client(view: View, wanted: Any) -> Test:
        test = inner(view, wanted)
        return lambda record: (client := view.found("clients", record.get("clientId"))) is not None and test(client)

    return test_client


def _in_place(name: str) -> Filter:
    return lambda view, wanted: lambda record: view.default_location(record.get("clientId")).get(name) in wanted


def _billed_in(name: str, alternative: str) -> Filter:
    # The other billing address counts first, the contact's after it.
    def test_place(view: View, wanted: Any) -> Test:
        def test(record: Record) -> bool:
            contact = view.found("contacts", record.get("contactId")) or {}
            return (record.get(alternative) or (location(contact, "STREET") or {}).get(name)) in wanted

        return test

    return test_place


def _lives_in(name: str) -> Filter:
    return lambda view, wanted: (
        lambda client: any(
            place.get(name) in wanted
            for contact in view.contacts_of.get(client["id"], [])
            for place in contact.get("allLocations") or []
        )
    )


def client_search_string(view: View, record: Record) -> str:
    """What a search for a client looks through."""
    people = (text(contact, "firstName", "lastName") for contact in view.contacts_of.get(record["id"], []))
    return " ".join([text(record, "companyName"), *people]).strip()


def _search_client(view: View, words: str) -> Test:
    return lambda record: words.casefold() in client_search_string(view, record).casefold()


def _has_piano(view: View, wanted: Any) -> Test:
    return lambda record: any(link["pianoId"] in wanted for link in record.get("pianos") or [])


def primary_tier_total(estimate: Record) -> int | None:
    """The total of the tier that is shown first, if there is one."""
    tiers = estimate.get("allEstimateTiers") or []
    return next((tier.get("total") for tier in tiers if tier.get("isPrimary")), None)


def _primary_total(test_total: Filter) -> Filter:
    def test_tier(view: View, wanted: Any) -> Test:
        test = test_total(view, wanted)
        return lambda estimate: test({"total": primary_tier_total(estimate)})

    return test_tier


def _payment_method(view: View, wanted: dict[str, Any]) -> Test:
    types = wanted.get("invoicePaymentType") or []
    if wanted.keys() - {"invoicePaymentType"}:
        raise GraphQLError("This payment method is published, but the sandbox does not have it")
    return lambda record: any(each.get("type") in types for each in record.get("allInvoicePayments") or [])


_TAGS: dict[str, Filter] = {
    "anyTags": lambda view, wanted: lambda record: bool(set(wanted) & set(record.get("tags") or [])),
    "allTags": lambda view, wanted: lambda record: set(wanted) <= set(record.get("tags") or []),
    "excludeTags": lambda view, wanted: lambda record: not set(wanted) & set(record.get("tags") or []),
}
_CREATED = {"createdGet": _from_day("createdAt"), "createdLet": _to_day("createdAt")}

FILTERS: dict[str, dict[str, Filter]] = {
    "clients": {
        **_CREATED,
        **_TAGS,
        "search": _search_client,
        "status": _one_of("status"),
        "clientType": _one_of("clientType"),
        "preferredTechnicianId": _one_of("preferredTechnicianId"),
        "preferredTechnicianIds": _null_or_one_of("preferredTechnicianId"),
        "lifecycleIds": _null_or_one_of("lifecycleId"),
        "referredBy": _one_of("referredBy"),
        "municipality": _lives_in("municipality"),
        "region": _lives_in("region"),
        "postCode": _lives_in("postalCode"),
    },
    "pianos": {
        **_CREATED,
        **_TAGS,
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
        "rentalContractEndsGet": _at_least("rentalContractEndsOn"),
        "rentalContractEndsLet": _at_most("rentalContractEndsOn"),
        "serviceIntervalMonthsGet": _at_least("serviceIntervalMonths"),
        "serviceIntervalMonthsLet": _at_most("serviceIntervalMonths"),
        "needsRepairOrRebuilding": _equal("needsRepairOrRebuilding"),
        "isTotalLoss": _equal("totalLoss"),
        "useType": _equal("useType"),
        "hasIvory": _equal("hasIvory"),
        "caseColor": _equal("caseColor"),
        "caseFinish": _equal("caseFinish"),
        "size": _equal("size"),
        "hasPlayerInstalled": _equal("playerInstalled"),
        "hasPianoLifeSaverInstalled": _equal("damppChaserInstalled"),
        "playerModel": _one_of("playerModel"),
    },
    "events": {
        "startOn": _from_day("start"),
        "endOn": _to_day("start"),
        "dateGet": _from_day("start"),
        "dateLet": _to_day("start"),
        "clientId": _one_of("clientId"),
        "userId": _one_of("userId"),
        "pianoId": _has_piano,
        "type": _one_of("type"),
        "status": _one_of("status"),
        "search": _contains("title", "notes", "addressLine"),
        "appointmentIsConfirmed": lambda view, wanted: lambda record: bool(record.get("confirmedAt")) == wanted,
        "appointmentIsCompleted": lambda view, wanted: lambda record: (record.get("status") == "COMPLETE") == wanted,
        "appointmentHasPiano": lambda view, wanted: lambda record: bool(record.get("pianos")) == wanted,
        "appointmentIsTuning": lambda view, wanted: (
            lambda record: any(each.get("isTuning") for each in record.get("pianos") or []) == wanted
        ),
    },
    "timeline": {
        "clientId": _equal("clientId"),
        "pianoId": _equal("pianoId"),
        "invoiceId": _equal("invoiceId"),
        "estimateId": _equal("estimateId"),
        "types": _one_of("type"),
        "search": _contains("summary", "comment"),
        "occurredAtGet": lambda view, bound: (
            lambda record: (instant(record.get("occurredAt")) or LONG_AGO) >= (instant(bound) or LONG_AGO)
        ),
    },
    "invoices": {
        **_TAGS,
        "clientId": _equal("clientId"),
        "pianoId": _any_of("allInvoiceItems", _equal("pianoId")),
        "search": _any(_contains("number", "notes", "topNotes"), _of_client(_search_client)),
        "status": _one_of("status"),
        "archived": lambda view, wanted: lambda record: bool(record.get("archived")) == wanted,
        # An invoice has no date of its own in the schema: the day it was made is meant, as far as is known.
        "invoiceDateGet": _from_day("createdAt"),
        "invoiceDateLet": _to_day("createdAt"),
        "dueDateGet": _at_least("dueOn"),
        "dueDateLet": _at_most("dueOn"),
        "paymentDateGet": _any_of("allInvoicePayments", _from_day("paidAt")),
        "paymentDateLet": _any_of("allInvoicePayments", _to_day("paidAt")),
        "totalGet": _at_least("total"),
        "totalLet": _at_most("total"),
        "tipTotalGet": _at_least("tipTotal"),
        "tipTotalLet": _at_most("tipTotal"),
        "tipIncluded": lambda view, wanted: lambda record: bool(record.get("tipTotal")) == wanted,
        "needsQuickbooksSync": lambda view, wanted: lambda record: bool(record.get("needsQuickbooksSync")) == wanted,
        "invoiceIds": _one_of("id"),
        "createdBy": _one_of("createdById"),
        "assignedTo": _one_of("assignedToId"),
        "paymentMethods": _payment_method,
        "region": _billed_in("region", "altBillingRegion"),
        "municipality": _billed_in("municipality", "altBillingMunicipality"),
        "postCode": _billed_in("postalCode", "altBillingPostalCode"),
    },
    "estimates": {
        **_CREATED,
        **_TAGS,
        "clientId": _equal("clientId"),
        "pianoId": _equal("pianoId"),
        "search": _any(_contains("number", "notes"), _of_client(_search_client)),
        "expiresGet": _at_least("expiresOn"),
        "expiresLet": _at_most("expiresOn"),
        "archived": lambda view, wanted: lambda record: bool(record.get("isArchived")) == wanted,
        "expired": lambda view, wanted: (
            lambda record: (str(record.get("expiresOn")) < str(datetime.now(view.zone).date())) == wanted
        ),
        "primaryTierTotalGet": _primary_total(_at_least("total")),
        "primaryTierTotalLet": _primary_total(_at_most("total")),
        "anyTierTotalGet": _any_of("allEstimateTiers", _at_least("total")),
        "anyTierTotalLet": _any_of("allEstimateTiers", _at_most("total")),
        "recommendedTierTotalGet": _at_least("recommendedTierTotal"),
        "recommendedTierTotalLet": _at_most("recommendedTierTotal"),
        "createdById": _one_of("createdById"),
        "assignedToId": _one_of("assignedToId"),
        "pianoType": lambda view, wanted: (
            lambda record: (view.found("pianos", record.get("pianoId")) or {}).get("type") in wanted
        ),
        "region": _in_place("region"),
        "municipality": _in_place("municipality"),
        "postCode": _in_place("postalCode"),
    },
    "event_reservations": {
        **_CREATED,
        "status": _one_of("status"),
        "search": _contains("notes", "addressLine"),
        "startsGet": _from_day("startsAt"),
        "startsLet": _to_day("startsAt"),
        "reservationDateGet": _from_day("startsAt"),
        "reservationDateLet": _to_day("startsAt"),
        "userId": _one_of("userId"),
        "requestClientId": lambda view, wanted: (
            lambda record: (record.get("clientData") or {}).get("clientId") in wanted
        ),
        "reviewedClientId": _one_of("clientId"),
    },
    "event_cancel_notices": {"status": _one_of("status")},
    "scheduled_messages": {"clientId": _equal("clientId")},
    "lifecycles": {"search": _contains("name")},
    "recommendations": {"isArchived": _equal("isArchived")},
    "taxes": {"activeOrHistorical": _equal("activeOrHistorical")},
}

# -- sorts -----------------------------------------------------------------------------------------------------------


def _by_text(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: text(record, name).casefold()


def _by_instant(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: instant(record.get(name)) or LONG_AGO


def _by_number(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: record.get(name) or 0


def _by_place(name: str) -> Callable[[View], Key]:
    return lambda view: lambda record: text(view.default_location(record["id"]), name).casefold()


def _by_client(view: View) -> Key:
    return lambda record: view.client_name(view.found("clients", record.get("clientId")))


def _by_last_name(view: View) -> Key:
    return lambda record: text(view.found("users", record.get("userId")) or {}, "lastName").casefold()


# Without _ASC and _DESC.
SORTS: dict[str, dict[str, Callable[[View], Key]]] = {
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
    "events": {"START": _by_instant("start"), "USER_LAST_NAME": _by_last_name},
    "invoices": {
        "NUMBER": _by_number("number"),
        "STATUS": _by_text("status"),
        "CREATED_AT": _by_instant("createdAt"),
        "INVOICE_DATE": _by_instant("createdAt"),
        "TOTAL": _by_number("total"),
        "DUE_TOTAL": _by_number("dueTotal"),
        "DUE_DATE": _by_text("dueOn"),
        "CLIENT_NAME": _by_client,
    },
    "estimates": {
        "NUMBER": _by_number("number"),
        "CREATED_AT": _by_instant("createdAt"),
        "RECOMMENDED_TIER_TOTAL": _by_number("recommendedTierTotal"),
        "PRIMARY_TIER_TOTAL": lambda view: lambda record: primary_tier_total(record) or 0,
        "CLIENT_NAME": _by_client,
        "EXPIRES_ON": _by_text("expiresOn"),
        "ESTIMATED_ON": _by_text("estimatedOn"),
    },
    "event_reservations": {
        "STARTS_AT": _by_instant("startsAt"),
        "CREATED_AT": _by_instant("createdAt"),
        "PENDING": lambda view: lambda record: record.get("status") != "PENDING",
    },
    "lifecycles": {"NAME": _by_text("name"), "CREATED_AT": _by_instant("createdAt")},
    "photos": {"CREATED_AT": _by_instant("createdAt")},
}
