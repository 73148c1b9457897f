"""The account: what the typical one holds, that it is repeatable, and that every part of it can be read."""

from __future__ import annotations

import json
import time
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument

from gazelle_sync.sandbox import Account, texts
from gazelle_sync.sandbox.schema import schema

TODAY = date(2026, 3, 2)


@pytest.fixture(scope="module")
def account() -> Account:
    return Account.typical(TODAY)


def instants(records, name):
    return [datetime.fromisoformat(record[name].replace("Z", "+00:00")) for record in records]


def test_the_typical_account_has_the_size_that_is_promised(account):
    assert len(account.clients) == 150
    assert len(account.pianos) == 85
    assert len(account.timeline) == 2500
    assert [user["status"] for user in account.users.values()].count("INACTIVE") == 1


def test_the_same_day_and_seed_give_the_same_account():
    assert Account.typical(TODAY, seed=3) == Account.typical(TODAY, seed=3)
    assert Account.typical(TODAY, seed=3) != Account.typical(TODAY, seed=4)


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2025, 12, 31), date(2026, 11, 1)])
def test_any_day_can_be_today(today):
    assert len(Account.typical(today).clients) == 150


def test_the_institution_has_more_contacts_and_pianos_than_a_page(account):
    school = next(client for client in account.clients.values() if client["companyName"] == texts.INSTITUTION)
    visits = [event for event in account.events.values() if len(event["pianos"]) >= 25]
    assert sum(contact["clientId"] == school["id"] for contact in account.contacts.values()) == 118
    assert sum(piano["clientId"] == school["id"] for piano in account.pianos.values()) == 30
    assert [visit["clientId"] for visit in visits] == [school["id"]]


def test_there_are_evening_appointments_that_are_another_day_in_utc(account):
    starts = [start.astimezone(ZoneInfo("America/Toronto")) for start in instants(account.events.values(), "start")]
    evenings = [start for start in starts if (start.day, start.hour, start.minute) == (14, 22, 30)]
    assert len(evenings) > 10
    assert all(start.astimezone(ZoneInfo("UTC")).day == 15 for start in evenings)


def test_appointments_reach_from_three_years_ago_to_six_months_ahead(account):
    days = sorted(start.date() for start in instants(account.events.values(), "start"))
    assert TODAY - timedelta(days=1130) < days[0] < TODAY - timedelta(days=900)
    assert TODAY + timedelta(days=130) < days[-1] < TODAY + timedelta(days=200)


def test_every_published_kind_of_event_and_entry_occurs(account):
    enums = {name: set(kind.values) for name, kind in schema().type_map.items() if isinstance(kind, GraphQLEnumType)}
    assert {event["type"] for event in account.events.values()} == enums["EventType"]
    assert {event["status"] for event in account.events.values()} == enums["EventStatus"]
    assert {entry["type"] for entry in account.timeline.values()} == enums["TimelineEntryType"]


def test_the_holes_of_a_real_account_are_there(account):
    contacts, timeline = account.contacts.values(), account.timeline.values()
    with_default = {contact["clientId"] for contact in contacts if contact["isDefault"]}
    names = [client["companyName"] for client in account.clients.values()]
    assert len(account.clients.keys() - with_default) > 3
    assert None in names
    assert "   " in names
    assert any(contact["archived"] for contact in contacts)
    assert 5 <= sum(piano["serialNumber"] is None for piano in account.pianos.values()) <= 20
    assert all(event["clientId"] is None for event in account.events.values() if event["type"] == "MEMO")
    assert any(entry["pianoId"] is None for entry in timeline)
    assert all(any(entry.get(link) for entry in timeline) for link in ("appointmentId", "invoiceId", "estimateId"))
    assert min(instants(account.clients.values(), "createdAt")).year == 2017


def test_every_awkward_text_is_in_a_note_and_none_is_invalid(account):
    assert set(texts.AWKWARD) <= {client["personalNotes"] for client in account.clients.values()}
    assert set(texts.AWKWARD) <= {entry["comment"] for entry in account.timeline.values()}
    assert max(len(text.encode()) for text in texts.AWKWARD) > 100_000
    everything = json.dumps([vars(account)[kind] for kind in ("clients", "contacts", "events", "timeline")])
    assert "\\u0000" not in everything.replace("\\\\u0000", "")
    json.loads(everything, parse_constant=pytest.fail)
    assert "\x00" not in "".join(texts.AWKWARD)
    assert "".join(texts.AWKWARD).encode("utf-8")


def test_relations_lead_somewhere(account):
    for records in (account.contacts, account.pianos, account.timeline, account.invoices, account.estimates):
        assert {record["clientId"] for record in records.values()} <= account.clients.keys()
    for event in account.events.values():
        assert event["clientId"] is None or event["clientId"] in account.clients
        assert all(account.pianos[link["pianoId"]]["clientId"] == event["clientId"] for link in event["pianos"])
    for entry in account.timeline.values():
        assert entry["pianoId"] is None or account.pianos[entry["pianoId"]]["clientId"] == entry["clientId"]


def all_leaves(kind: GraphQLObjectType, depth: int) -> str:
    """A selection of every field of a type, and of the types that it leads to, down to a depth."""
    chosen = []
    for name, definition in kind.fields.items():
        inner = get_named_type(definition.type)
        if any(is_required_argument(argument) for argument in definition.args.values()):
            continue
        if is_leaf_type(inner):
            chosen.append(name)
        elif depth and name != "company":
            page = "(first: 3)" if "first" in definition.args else ""
            chosen.append(f"{name}{page} {{ {all_leaves(inner, depth - 1)} }}")
    return " ".join(chosen or ["__typename"])


@pytest.mark.parametrize("name", ["allClients", "allPianos", "allEventsBatched", "allTimelineEntries", "allInvoices"])
def test_every_published_field_of_a_list_can_be_read(data, name):
    connection = get_named_type(schema().query_type.fields[name].type)
    node = get_named_type(connection.fields["nodes"].type)
    answer = data(f"{{ list: {name}(first: 40) {{ nodes {{ {all_leaves(node, 2)} }} }} }}")
    assert len(answer["list"]["nodes"]) == 40


@pytest.mark.parametrize("name", ["allUsers", "company"])
def test_every_published_field_of_users_and_of_the_company_can_be_read(data, name):
    kind = get_named_type(schema().query_type.fields[name].type)
    assert data(f"{{ found: {name} {{ {all_leaves(kind, 1)} }} }}")["found"]


def test_a_large_account_is_quick_to_make():
    began = time.perf_counter()
    account = Account.generated(clients=4000, timeline=24_000)
    assert (len(account.clients), len(account.pianos), len(account.timeline)) == (4000, 1000, 24_000)
    assert time.perf_counter() - began < 15
