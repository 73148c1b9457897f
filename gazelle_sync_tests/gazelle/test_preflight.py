"""What differs between the live schema and what is asked, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from importlib.resources import files

import pytest
from graphql import build_ast_schema, parse

from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.preflight import Difference, Kind, compare, read_schema
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.sandbox.schema import schema as published_schema
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync_tests.conftest import ALL, TORONTO

SCOPES = (ALL, Scope(TORONTO, date(2026, 1, 1), date(2026, 4, 1)))


@pytest.fixture
def differences(client: Client) -> Callable[[str], list[Difference]]:
    """What a table finds different, on the sandbox as it is now."""

    def find(table: str) -> list[Difference]:
        schema = read_schema(client)
        assert schema is not None
        return compare(schema, published_schema(), TABLES[table], SCOPES)

    return find


@pytest.mark.parametrize("name", TABLES)
def test_the_published_schema_has_all_that_is_asked(name: str, differences: Callable[[str], list[Difference]]) -> None:
    assert differences(name) == []


@pytest.mark.parametrize(
    ("table", "name", "kind", "columns"),
    [
        ("clients", "PrivateClient.referredBy", Kind.FIELD, ("referred_by",)),
        ("clients", "PrivateContact.lastName", Kind.FIELD, ("company_name", "last_name")),
        ("contacts", "PrivateContact.id", Kind.FIELD, ("external_id",)),
        ("pianos", "PrivateQuery.allPianos", Kind.FIELD, ()),
        ("clients", "PrivateQuery.allClients(sortBy)", Kind.ARGUMENT, ()),
        ("contacts", "PrivateClient.allContacts(includeArchived)", Kind.ARGUMENT, ()),
        ("timeline_entries", "PrivateQuery.allTimelineEntries(pianoId)", Kind.ARGUMENT, ()),
        ("appointments", "PrivateAllEventsFilter.dateGet", Kind.INPUT_FIELD, ()),
        ("clients", "ClientSort.CREATED_AT_ASC", Kind.ENUM_VALUE, ()),
    ],
)
def test_what_is_gone_is_named_with_the_columns_it_costs(
    sandbox: Sandbox,
    differences: Callable[[str], list[Difference]],
    table: str,
    name: str,
    kind: Kind,
    columns: tuple[str, ...],
) -> None:
    sandbox.faults.add(Fault("missing", names=[name]))
    assert differences(table) == [Difference(table, kind, name, columns)]


def test_a_value_that_is_new_to_a_filter_that_names_them_all_is_a_difference() -> None:
    text = (files("gazelle_sync.sandbox") / "schema.graphql").read_text()
    changed = build_ast_schema(
        parse(text.replace("enum EventStatus {", "enum EventStatus {\n  POSTPONED", 1)), assume_valid=True
    )
    assert compare(changed, published_schema(), TABLES["appointments"], SCOPES) == [
        Difference("appointments", Kind.NEW_VALUE, "EventStatus.POSTPONED", ())
    ]


def test_where_introspection_is_refused_there_is_no_schema_whatever_the_language(
    sandbox: Sandbox, client: Client
) -> None:
    sandbox.faults.add(Fault("no_introspection"))
    assert read_schema(client) is None
    sandbox.faults.add(Fault("french"))
    assert read_schema(client) is None


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        ("  tags: [String!]!", "  tags: [String!]", Kind.NULLABLE),
        ("  tags: [String!]!", "  tags: [String]!", Kind.NULLABLE),
        ("  tags: [String!]!", "  tags: [Int!]!", Kind.TYPE),
        ("  tags: [String!]!", "  tags: JSON!", Kind.TYPE),
    ],
)
def test_another_type_or_a_null_that_was_none_is_a_difference(was: str, now: str, kind: Kind) -> None:
    text = (files("gazelle_sync.sandbox") / "schema.graphql").read_text()
    before, client, after = text.partition("\ntype PrivateClient {")
    changed = build_ast_schema(parse(before + client + after.replace(was, now, 1)), assume_valid=True)
    (found,) = compare(changed, published_schema(), TABLES["clients"], SCOPES)
    assert (found.kind, found.columns) == (kind, ("tags",))
    assert found.name == f"PrivateClient.tags: {now.removeprefix('  tags: ')}"
    if kind is Kind.NULLABLE:
        assert compare(published_schema(), changed, TABLES["clients"], SCOPES) == [], "less that is null is no loss"
