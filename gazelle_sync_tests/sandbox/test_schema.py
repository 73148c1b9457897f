"""The published schema: every query is answered, and what it is made of can be asked for and taken away."""

from __future__ import annotations

import pytest
from graphql import (
    GraphQLObjectType,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)

from gazelle_sync.sandbox.schema import schema

QUERY = schema().query_type
# Published, and of data that the sandbox has, but not worth building: told so.
NOT_BUILT = {"allSentOrScheduledMessages", "allUncompletedAppointments"}
LITERALS = {"String": '"x"', "Boolean": "true", "Int": "1", "CoreDate": '"2026-01-01"'}


def all_fields(kind: GraphQLObjectType, depth: int) -> str:
    """A selection of every field of a type that can be asked for as it is, down to a depth."""
    chosen = []
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        if is_leaf_type(inner):
            chosen.append(name)
        elif depth:
            page = "(first: 3)" if "first" in field.args else ""
            chosen.append(f"{name}{page} {{ {all_fields(inner, depth - 1)} }}")
    return " ".join(chosen or ["__typename"])


def literal(kind) -> str:
    if is_non_null_type(kind):
        return literal(kind.of_type)
    if is_list_type(kind):
        return f"[{literal(kind.of_type)}]"
    if is_enum_type(kind):
        return next(iter(kind.values))
    if is_input_object_type(kind):
        fields = {name: field for name, field in kind.fields.items() if is_required_input_field(field)}
        return f"{{{', '.join(f'{name}: {literal(field.type)}' for name, field in fields.items())}}}"
    return LITERALS[kind.name]


@pytest.mark.parametrize("name", sorted(QUERY.fields.keys() - NOT_BUILT))
def test_every_published_query_is_answered_with_every_field_of_what_it_gives(data, name):
    field = QUERY.fields[name]
    given = {key: literal(each.type) for key, each in field.args.items() if is_required_argument(each)}
    if "first" in field.args:
        given["first"] = "5"
    arguments = f"({', '.join(f'{key}: {value}' for key, value in given.items())})" if given else ""
    kind = get_named_type(field.type)
    selection = "" if is_leaf_type(kind) else f"{{ {all_fields(kind, 2)} }}"
    answer = data(f"{{ found: {name}{arguments} {selection} }}")["found"]
    if kind.name.endswith("Connection"):
        assert len(answer["nodes"]) == min(answer["totalCount"], 5)


@pytest.mark.parametrize("name", sorted(NOT_BUILT))
def test_what_is_not_built_says_so(post, name):
    answer = post(f"{{ {name} {{ totalCount }} }}").json()
    assert answer["data"] is None
    assert "the sandbox does not have it" in answer["errors"][0]["message"]


def test_a_list_of_what_the_account_knows_nothing_of_is_empty(data):
    empty = {"nodes": [], "totalCount": 0, "pageInfo": {"hasNextPage": False, "endCursor": None}}
    assert data("{ a: allErrorLogs { nodes { id } totalCount pageInfo { hasNextPage endCursor } } }") == {"a": empty}
    assert data("{ a: allEstimateChecklists { id } }") == {"a": []}


def test_introspection_gives_the_schema_whole(data):
    told = build_client_schema(data(get_introspection_query()))
    assert told.type_map.keys() == schema().type_map.keys()
    assert told.query_type.fields.keys() == QUERY.fields.keys()
    assert len(told.type_map) > 380
    for name in ("PrivateInvoice", "PrivateEstimateTierItem", "PrivateAllInvoicesFilter", "PrivateEventReservation"):
        for field_name, field in schema().type_map[name].fields.items():
            assert str(told.type_map[name].fields[field_name].type) == str(field.type)


@pytest.mark.parametrize(
    "part",
    ["PrivateClient.tags", "PrivateAllInvoicesFilter.archived", "ClientSort.CREATED_AT_ASC",
     "PrivateQuery.allClients(sortBy)"],
)  # fmt: skip
def test_a_part_that_is_taken_away_is_gone_from_that_schema_only(part):
    kind, _, member = part.partition(".")
    name = member.partition("(")[0]
    less = schema(frozenset({part}))
    members = [getattr(each.type_map[kind], "values", None) or each.type_map[kind].fields for each in (less, schema())]
    if "(" in part:
        assert "sortBy" in members[1][name].args.keys() - members[0][name].args.keys()
    else:
        assert name in members[1].keys() - members[0].keys()


@pytest.mark.parametrize("part", ["PrivateClient", "PrivateClient.nope", "Nope.tags", "PrivateQuery.allClients(nope)"])
def test_a_part_that_is_not_published_cannot_be_taken_away(part):
    with pytest.raises(ValueError, match="published schema"):
        schema(frozenset({part}))
