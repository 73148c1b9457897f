"""Errors in an answer are errors; what kind they are decides whether the query is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gazelle_sync.gazelle import Client, InvalidResponse, Refused, Unavailable
from gazelle_sync.gazelle.client import Errors
from gazelle_sync.gazelle.errors import Retryable
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync_tests.gazelle.conftest import Answer, Scripted

AT = [{"line": 1, "column": 3}]

# Where a server refuses the query as such. graphql-ruby's `path` leads into the query, graphql-core has none.
REFUSALS = {
    "ruby: no such field": {
        "message": "Field 'nope' doesn't exist on type 'PrivateClient'",
        "locations": AT,
        "path": ["query clients", "allClients", "nodes", "nope"],
        "extensions": {"code": "undefinedField", "typeName": "PrivateClient", "fieldName": "nope"},
    },
    "ruby: in a query without a name": {"message": "Nope", "locations": AT, "path": ["query", "allClients"]},
    "ruby: in a fragment": {"message": "Nope", "locations": AT, "path": ["fragment f", "x"]},
    "ruby: parse error": {"message": 'Parse error on "}" (RCURLY) at [1, 3]', "locations": AT},
    "ruby: variable": {
        "message": "Variable $id of type String! was provided invalid value",
        "locations": AT,
        "extensions": {"value": None, "problems": [{"path": [], "explanation": "Expected value to not be null"}]},
    },
    "core: no such field": {"message": "Cannot query field 'nope' on type 'PrivateClient'.", "locations": AT},
}

# Where it stumbles while it executes one.
STUMBLES = {
    "ruby: while executing": {"message": "Timeout", "locations": AT, "path": ["allClients", "nodes", 3, "tags"]},
    "core: while executing": {"message": "Boom", "locations": AT, "path": ["allClients"]},
    "ruby: with a code": {"message": "x", "locations": AT, "path": ["r0"], "extensions": {"code": "INTERNAL"}},
    "only a message": {"message": "Something went wrong"},
    "nothing at all": {},
    "no locations": {"message": "x", "locations": [], "path": []},
    "a path that is none": {"message": "x", "path": 5},
    "a path that is an object": {"message": "x", "path": {"0": "query"}},
}


def graphql_error(errors: list[dict[str, Any]], what: str) -> Exception:
    return Errors(errors, what, "{ x }", {}).classify({})


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS)
def test_a_query_that_is_refused_as_such_is_not_asked_again(
    scripted: Scripted, ask: Callable[..., Any], error: dict[str, Any]
):
    scripted.answer(Answer(json.dumps({"errors": [error]})))
    with pytest.raises(Refused) as caught:
        ask()
    assert len(scripted.asked) == 1
    assert f"Gazelle refused the clients: {error['message']}" in str(caught.value)
    assert "compare the declaration in gazelle_sync/tables with Gazelle's schema" in str(caught.value)


@pytest.mark.parametrize("error", STUMBLES.values(), ids=STUMBLES)
def test_an_error_while_executing_may_pass(error: dict[str, Any]):
    found = graphql_error([error], "the clients")
    assert isinstance(found, Retryable)
    assert found.tries == 4
    assert str(found) == f"GraphQL errors: {error.get('message')}"


def test_one_refusal_among_stumbles_is_a_refusal():
    found = graphql_error([STUMBLES["core: while executing"], REFUSALS["core: no such field"]], "the clients")
    assert isinstance(found, Refused)
    assert "Boom; Cannot query field 'nope'" in str(found)


@pytest.mark.parametrize("errors", ['"x"', '["x"]', "5", '{"message": "x"}', "[null]", "true"])
def test_errors_of_no_known_shape_are_errors(scripted: Scripted, ask: Callable[..., Any], errors: str):
    scripted.answer(Answer(f'{{"data": {{"a": 1}}, "errors": {errors}}}'))
    with pytest.raises(InvalidResponse, match="answered the clients with `errors` of no known shape"):
        ask()


def test_a_graphql_error_is_asked_four_times_and_then_told(scripted: Scripted, ask: Callable[..., Any]):
    error = {"message": "Still wrong", "locations": AT, "path": ["allClients"]}
    scripted.answer(Answer(json.dumps({"data": None, "errors": [error]})))
    with pytest.raises(Unavailable, match="in 4 attempts; the last one: GraphQL errors: Still wrong"):
        ask(patience=60)
    assert len(scripted.asked) == 4


def test_long_errors_are_cut_and_repeated_ones_said_once():
    assert str(graphql_error([{"message": "x"}] * 50, "it")) == "GraphQL errors: x"
    assert len(str(graphql_error([{"message": "y" * 10_000}], "it"))) < 600


def test_a_field_that_the_schema_does_not_have_is_refused_by_the_sandbox_at_once(sandbox: Sandbox, client: Client):
    with pytest.raises(Refused, match="Gazelle refused clients: Field 'nope' doesn't exist on type 'PrivateClient'"):
        client.execute("clients", "{ allClients { nodes { nope } } }", {})
    assert len(sandbox.requests) == 1


def test_an_error_beside_data_is_never_half_a_list(sandbox: Sandbox, client: Client):
    text = "{ allClients(first: 5) { nodes { id } } }"
    partial = sandbox.faults.add(Fault("partial"))
    nodes = client.execute("clients", text, {})["allClients"]["nodes"]
    assert partial.struck == 1
    assert len(nodes) == 5
    assert None not in nodes
