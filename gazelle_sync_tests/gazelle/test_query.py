"""Every query is valid by the published schema, and asks for what is stored and nothing else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import date
from importlib.resources import files

import pytest
from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode, build_schema, parse, validate

from gazelle_sync.gazelle import query
from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.tables.declaration import ByParent, Connection, Nested
from gazelle_sync_tests.conftest import ALL, TORONTO

SCHEMA = build_schema(files("gazelle_sync.sandbox").joinpath("schema.graphql").read_text(encoding="utf-8"))
MARCH = Scope(TORONTO, date(2026, 3, 1), date(2026, 4, 1))
EACH_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
EACH_SCOPE = pytest.mark.parametrize("scope", [ALL, MARCH], ids=str)


@EACH_TABLE
@EACH_SCOPE
def test_every_query_validates_against_the_published_schema(table: Table, scope: Scope):
    queries = list(query.all_queries(table, scope))
    assert queries
    for text in queries:
        assert validate(SCHEMA, parse(text)) == [], text


def leaves(selections: SelectionSetNode, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field in selections.selections:
        assert isinstance(field, FieldNode), "no fragments"
        here = (*path, field.name.value)
        if field.selection_set is None:
            yield here
        else:
            yield from leaves(field.selection_set, here)


def asked_of_a_record(table: Table, operation: OperationDefinitionNode) -> set[str]:
    """The fields of a record that a query asks for, dotted; the lists that it is read in are left out."""
    lists = {"nodes", *(level.field for level in table.read.levels)} if isinstance(table.read, Nested) else {"nodes"}
    asked = set()
    for path in leaves(operation.selection_set):
        if path[-1] not in ("totalCount", "hasNextPage", "endCursor", "cursor"):
            asked.add(".".join(itertools.dropwhile(lists.__contains__, path[1:])))
    return asked


@EACH_TABLE
@EACH_SCOPE
def test_no_query_asks_for_a_field_that_is_not_stored(table: Table, scope: Scope):
    whole = {path.split("(")[0]: column.fields for column in table.all_columns for path in column.paths}
    for text in query.all_queries(table, scope):
        operation = parse(text).definitions[0]
        assert isinstance(operation, OperationDefinitionNode)
        # Of an object that is kept as it comes, all that is asked for is below the column's own field.
        asked = {
            next((stored for stored, fields in whole.items() if fields and path.startswith(f"{stored}.")), path)
            for path in asked_of_a_record(table, operation)
        }
        if not asked or (asked == {"id"} and isinstance(table.read, Nested)):
            # How long a list is, or each parent's.
            continue
        assert asked - ({"id"} if isinstance(table.read, Nested) else set()) <= whole.keys()
        back = table.read.parent_field if isinstance(table.read, Nested) else ""
        of_the_parent = {path for path in whole if back and path.split(".")[0] == back}
        # A record in its parent's list does not say whose it is; one that is asked for alone does.
        assert whole.keys() - asked == (of_the_parent if not of_the_parent & asked else set())


def test_the_words_of_a_query_that_lists_appointments_of_a_month():
    (text,) = query.whole_lists(TABLES["appointments"], MARCH)
    assert text.startswith(
        "query appointments($first: Int, $after: String) { "
        "allEventsBatched(first: $first, after: $after, sortBy: [START_DESC], "
        'filters: {status: [ACTIVE, CANCELED, NO_SHOW, COMPLETE], dateGet: "2026-03-01", dateLet: "2026-03-31"}) '
        "{ totalCount pageInfo { hasNextPage endCursor } edges { cursor } nodes { "
    )


def test_all_history_has_a_first_day_and_no_last_one():
    (text,) = query.whole_lists(TABLES["appointments"], ALL)
    assert 'dateGet: "2017-01-01"}' in text
    assert "dateLet" not in text


def test_the_timeline_is_asked_from_the_moment_at_which_the_first_day_begins_in_the_companys_zone():
    def bound(day: date) -> str:
        (text,) = query.whole_lists(TABLES["timeline_entries"], Scope(TORONTO, day, date(2027, 1, 1)))
        return text

    assert 'occurredAtGet: "2026-03-08T05:00:00Z"' in bound(date(2026, 3, 8))
    assert 'occurredAtGet: "2026-03-09T04:00:00Z"' in bound(date(2026, 3, 9))
    assert 'occurredAtGet: "2026-11-01T04:00:00Z"' in bound(date(2026, 11, 1))
    assert 'occurredAtGet: "2026-11-02T05:00:00Z"' in bound(date(2026, 11, 2))


@pytest.mark.parametrize(
    "table", [each for each in TABLES.values() if not each.partitioned_by], ids=lambda table: table.name
)
def test_a_table_without_a_date_is_asked_for_whole_whatever_the_scope(table: Table):
    assert query.whole_lists(table, MARCH) == query.whole_lists(table, ALL)


@pytest.mark.parametrize("name", ["invoices", "estimates"])
def test_what_was_archived_is_a_list_of_its_own(name: str):
    assert [re.findall(r"archived: \w+", text) for text in query.whole_lists(TABLES[name], ALL)] == [
        ["archived: false"],
        ["archived: true"],
    ]


def test_archived_contacts_are_asked_for_too():
    for text in list(query.all_queries(TABLES["contacts"], ALL))[:2]:
        assert "allContacts(first: $" in text
        assert "includeArchived: true" in text


def test_records_are_asked_for_by_id_with_variables_never_by_text():
    table = TABLES["clients"]
    text = query.by_ids(table, table.deletion_proved_by, 3)  # type: ignore[arg-type]
    assert text.startswith("query clients($id0: String!, $id1: String!, $id2: String!) { r0: client(id: $id0) {")
    assert text.count("client(id: $id") == 3


def test_the_first_page_ever_is_of_200_records_or_of_100_that_bring_a_list_each():
    for table in TABLES.values():
        sizes = query.page_size(table).variables()
        if isinstance(table.read, Connection):
            assert sizes == {"first": 200}
        if isinstance(table.read, Nested):
            outermost = table.read.levels[0]
            assert sizes == {"first": 100, **({"nested": outermost.first} if outermost.paged else {})}


@pytest.mark.parametrize(
    ("column", "argument"),
    [
        ("client_external_id", "clientId"),
        ("piano_external_id", "pianoId"),
        ("invoice_external_id", "invoiceId"),
        ("estimate_external_id", "estimateId"),
    ],
)
def test_a_timeline_is_asked_for_by_what_an_entry_belongs_to_without_a_date(column: str, argument: str):
    table = TABLES["timeline_entries"]
    assert isinstance(table.read, Connection)
    assert isinstance(table.deletion_proved_by, ByParent)
    assert table.deletion_proved_by.arguments[column] == argument
    text = query.narrowed(table, table.read, argument)
    assert f"allTimelineEntries(first: $first, after: $after, {argument}: $id)" in text


def test_arguments_are_written_as_graphql():
    assert query.literal({"a": {"b": '"x"', "c": "[YES]"}, "d": "true"}) == '{a: {b: "x", c: [YES]}, d: true}'
