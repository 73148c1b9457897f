"""What Gazelle refuses of a query costs a column, or the order of a list; a record's key and parent can't be spared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas
import pytest
from graphql import parse

from gazelle_sync.gazelle import Client, Refused, Snapshot, query
from gazelle_sync.gazelle.errors import QueryRefused
from gazelle_sync.gazelle.gaps import do_without
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.tables.declaration import ById, Gap
from gazelle_sync_tests.conftest import ALL

Read = Callable[[str], tuple[Snapshot, list[dict[str, Any]]]]


@pytest.fixture
def read(client: Client) -> Read:
    """The snapshot of a table after it was read, and its rows."""

    def read(table: str) -> tuple[Snapshot, list[dict[str, Any]]]:
        snapshot = Snapshot(client, TABLES[table], ALL)
        frames = list(snapshot.pages())
        rows = pandas.concat(frames).to_dict("records") if frames else []
        return snapshot, [{str(name): value for name, value in row.items()} for row in rows]

    return read


@pytest.mark.parametrize("language", ["english", "french"])
def test_a_field_that_is_gone_costs_its_column_and_the_rest_is_read(sandbox: Sandbox, read: Read, language: str):
    if language == "french":
        sandbox.faults.add(Fault("french"))
    sandbox.faults.add(Fault("missing", names=["PrivateClient.referredBy", "PrivateContact.lastName"]))
    snapshot, rows = read("clients")
    assert snapshot.doubts == []
    assert len(rows) == len(sandbox.account.clients)
    assert {"referred_by", "last_name"} & rows[0].keys() == set()
    assert rows[0].keys() >= {"external_id", "first_name", "status"}
    assert sorted(snapshot.gaps) == [
        Gap("defaultContact.lastName", ("company_name", "last_name")),
        Gap("referredBy", ("referred_by",)),
    ]


def test_it_is_asked_once_a_run_and_every_query_does_without(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("missing", names=["PrivateClient.referredBy"]))
    snapshot, _ = read("clients")
    first = len(sandbox.requests)
    assert "referredBy" in sandbox.requests[0].query
    assert all("referredBy" not in request.query for request in sandbox.requests[1:])
    list(snapshot.pages())
    assert all("referredBy" not in request.query for request in sandbox.requests[first:])
    evidence = snapshot.table.deletion_proved_by
    assert isinstance(evidence, ById)
    assert "referredBy" not in query.by_ids(snapshot.table, evidence, 2)


def test_a_whole_object_that_is_gone_costs_every_column_below_it(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("missing", names=["PrivateContact.defaultLocation"]))
    snapshot, rows = read("contacts")
    [gap] = snapshot.gaps
    assert gap.field == "defaultLocation"
    assert {"street1", "city", "latitude"} <= set(gap.columns)
    assert set(gap.columns) & rows[0].keys() == set()
    assert len(rows) == sum(len(each["allContacts"]) if "allContacts" in each else 1 for each in rows) == snapshot.seen


def test_a_derived_column_is_made_of_what_is_left_for_new_rows_only(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("missing", names=["PrivateClient.companyName"]))
    snapshot, rows = read("clients")
    column = snapshot.table.column("company_name")
    assert column.only_new
    assert "companyName" not in column.paths
    people = {row["external_id"]: row for row in rows}
    contact = next(row for row in rows if row["first_name"] and row["last_name"])
    assert people[contact["external_id"]]["company_name"] == f"{contact['first_name']} {contact['last_name']}"
    assert all(row["company_name"] for row in rows)


def test_an_argument_for_order_is_left_out(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("missing", names=["PrivateQuery.allEventsBatched(sortBy)"]))
    snapshot, rows = read("appointments")
    assert snapshot.gaps == [Gap("allEventsBatched(sortBy)", ())]
    assert len(rows) == len(sandbox.account.events)
    assert all("sortBy" not in request.query for request in sandbox.requests[1:])


def test_a_value_of_such_an_argument_that_is_gone_costs_the_argument(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("french"))
    sandbox.faults.add(Fault("missing", names=["ClientSort.CREATED_AT_ASC"]))
    snapshot, rows = read("clients")
    assert snapshot.gaps == [Gap("allClients(sortBy)", ())]
    assert len(rows) == len(sandbox.account.clients)
    assert read("contacts")[0].gaps == [Gap("allClients(sortBy)", ())]


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("clients", "PrivateClient.id"),
        ("contacts", "PrivateContact.id"),
        ("timeline_entries", "PrivateTimelineEntry.client"),
        ("timeline_entries", "PrivateTimelineEntry.occurredAt"),
        ("appointments", "PrivateEvent.start"),
        ("appointment_pianos", "PrivateEventPiano.piano"),
        ("pianos", "PrivateQuery.allPianos"),
        ("pianos", "PrivatePianoConnection.totalCount"),
        ("contacts", "PrivateClient.allContacts(includeArchived)"),
    ],
)
def test_without_its_key_its_parent_its_date_or_its_list_a_table_is_refused(
    sandbox: Sandbox, read: Read, table: str, name: str
):
    sandbox.faults.add(Fault("missing", names=[name]))
    with pytest.raises(Refused, match=f"Gazelle refused {table} "):
        read(table)
    assert len(sandbox.requests) == 1
    assert read("users")[0].gaps == []


# -- how servers say where --------------------------------------------------------------------------------------------


def refusal(table: Table, name: str, **told: Any) -> QueryRefused:
    """A refusal of the field `name` of a table's list, told only in these ways."""
    (text, *_) = query.whole_lists(table, ALL)
    column = text.index(f" {name} ") + 2
    places: dict[str, Any] = {
        "locations": [{"line": 1, "column": column}],
        "path": [f"query {table.name}", "allPianos", "nodes", name],
        "extensions": {"code": "undefinedField", "typeName": "PrivatePiano", "fieldName": name},
    }
    return QueryRefused("Non.", text, [{"message": "Non.", **{key: places[key] for key in told if told[key]}}])


@pytest.mark.parametrize("told", [{"locations": 1}, {"path": 1}, {"locations": 1, "path": 1, "extensions": 1}])
def test_the_place_in_the_query_decides_and_no_word_of_the_message(told: dict[str, Any]):
    narrowed, gaps = do_without(TABLES["pianos"], refusal(TABLES["pianos"], "model", **told))
    assert gaps == [Gap("model", ("model",))]
    assert [column.name for column in narrowed.columns if column.name == "model"] == []
    parse(query.whole_lists(narrowed, ALL)[0])


@pytest.mark.parametrize(
    "error", [{"message": "x"}, {"message": "x", "locations": [{"line": 9, "column": 1}]}, {"locations": "?"}]
)
def test_a_refusal_without_a_place_is_a_refusal(error: dict[str, Any]):
    with pytest.raises(QueryRefused):
        do_without(TABLES["pianos"], QueryRefused("No.", query.whole_lists(TABLES["pianos"], ALL)[0], [error]))


def refusals(table: Table) -> Iterator[tuple[list[str], QueryRefused]]:
    """Each field of the query that reads a table, by its path from the root, as refused."""
    (text, *_) = query.whole_lists(table, ALL)
    [operation] = parse(text).definitions

    def walk(selections: Any, path: list[str]) -> Iterator[tuple[list[str], QueryRefused]]:
        for field in selections.selections if selections else ():
            here = [*path, field.name.value]
            yield here, QueryRefused("No.", text, [{"message": "No.", "path": [f"query {table.name}", *here]}])
            yield from walk(field.selection_set, here)

    yield from walk(operation.selection_set, [])  # type: ignore[attr-defined]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_each_field_of_each_table_is_spared_or_refused_and_never_its_key(table: Table):
    spared = 0
    for path, refused in refusals(table):
        try:
            narrowed, [gap] = do_without(table, refused)
        except QueryRefused:
            continue
        spared += 1
        assert gap.field == ".".join(path[-len(gap.field.split(".")) :])
        assert gap.columns
        assert set(gap.columns) & {*table.key, table.partitioned_by} == set()
        left = {column.name for column in narrowed.all_columns if not column.only_new}
        assert left | set(gap.columns) == {column.name for column in table.all_columns}
        assert left & set(gap.columns) == set()
        (text, *_) = query.whole_lists(narrowed, ALL)
        assert [other for other, _ in refusals(narrowed) if other == path] == [], text
    nullable = [column for column in table.columns if column.nullable and not column.required]
    assert spared >= len({path for column in nullable for path in column.paths}) / 2
