"""Refusals before anything is executed: the codes, paths and words of graphql-ruby."""

from __future__ import annotations

import pytest

from gazelle_sync.sandbox import Fault

PAGE = """query clients($after: String) { allClients(first: 10, after: $after, sortBy: [CREATED_AT_ASC]) {
  nodes { id referredBy } } }"""


def refused(post, query, variables=None):
    answer = post(query, variables)
    assert answer.status_code == 200
    assert "data" not in answer.json()
    (error,) = answer.json()["errors"]
    return error


@pytest.mark.parametrize(
    ("query", "code", "path", "more"),
    [
        ("{ allClients { nodes { nope } } }", "undefinedField", ["query", "allClients", "nodes", "nope"],
         {"typeName": "PrivateClient", "fieldName": "nope"}),
        ("query q { a: allClients(nope: 1) { totalCount } }", "argumentNotAccepted", ["query q", "a", "nope"],
         {"name": "allClients", "typeName": "Field", "argumentName": "nope"}),
        ("{ allClients(filters: {nope: 1}) { totalCount } }", "argumentNotAccepted",
         ["query", "allClients", "filters", "nope"],
         {"name": "PrivateAllClientsFilter", "typeName": "InputObject", "argumentName": "nope"}),
        ("{ allClients(sortBy: [NOPE]) { totalCount } }", "argumentLiteralsIncompatible",
         ["query", "allClients", "sortBy"], {"typeName": "Field", "argumentName": "sortBy"}),
        ("{ allEvents(filters: {status: [NOPE]}) { id } }", "argumentLiteralsIncompatible",
         ["query", "allEvents", "filters", "status"], {"typeName": "InputObject", "argumentName": "status"}),
        ("{ event { id } }", "missingRequiredArguments", ["query", "event"], {"arguments": "eventId"}),
        ("{ allClients { pageInfo } }", "selectionMismatch", ["query", "allClients", "pageInfo"],
         {"typeName": "PageInfo!"}),
        ("{ ...f } fragment f on PrivateQuery { allClients { nope } }", "undefinedField",
         ["fragment f", "allClients", "nope"], {"typeName": "PrivateClientConnection"}),
    ],
)  # fmt: skip
def test_a_wrong_query_is_refused_as_graphql_ruby_refuses_it(post, query, code, path, more):
    error = refused(post, query)
    assert error["extensions"].items() >= {"code": code, **more}.items()
    assert error["path"] == path
    assert error["locations"][0]["line"] == 1


def test_every_error_of_a_query_is_told(post):
    errors = post("{ allClients { nodes { nope neither } } allUsers { name } }").json()["errors"]
    assert [error["extensions"]["fieldName"] for error in errors] == ["nope", "neither", "name"]


def test_a_variable_of_the_wrong_type_is_told_with_its_problem(post):
    query = "query ($sort: [ClientSort!]) { allClients(sortBy: $sort) { totalCount } }"
    error = refused(post, query, {"sort": ["CREATED_AT_ASC", "NOPE"]})
    assert error["message"].startswith("Variable $sort of type [ClientSort!] was provided invalid value for 1 (")
    assert error["extensions"]["problems"][0]["path"] == [1]
    assert "path" not in error


@pytest.mark.parametrize(
    ("part", "code", "path"),
    [
        ("PrivateClient.referredBy", "undefinedField", ["query clients", "allClients", "nodes", "referredBy"]),
        ("PrivateQuery.allClients(sortBy)", "argumentNotAccepted", ["query clients", "allClients", "sortBy"]),
        ("ClientSort.CREATED_AT_ASC", "argumentLiteralsIncompatible", ["query clients", "allClients", "sortBy"]),
    ],
)
def test_what_is_taken_away_is_refused_and_the_rest_is_served(sandbox, post, data, part, code, path):
    fault = sandbox.faults.add(Fault("missing", names=[part]))
    error = refused(post, PAGE)
    assert (error["extensions"]["code"], error["path"]) == (code, path)
    assert data("{ allClients(first: 1) { nodes { id } } }")["allClients"]["nodes"]
    sandbox.faults.remove(fault)
    assert len(data(PAGE)["allClients"]["nodes"]) == 10


def test_several_parts_can_be_missing_at_once(sandbox, post):
    sandbox.faults.add(Fault("missing", names=["PrivateClient.referredBy"]))
    sandbox.faults.add(Fault("missing", names=["PrivateQuery.allClients(sortBy)", "PrivateClient.id"]))
    codes = [error["extensions"]["code"] for error in post(PAGE).json()["errors"]]
    assert sorted(codes) == ["argumentNotAccepted", "undefinedField", "undefinedField"]


@pytest.mark.parametrize("field", ["__schema { queryType { name } }", '__type(name: "X") { name }'])
def test_introspection_can_be_refused(sandbox, post, data, field):
    sandbox.faults.add(Fault("no_introspection"))
    error = refused(post, f"{{ {field} }}")
    assert error["extensions"]["code"] == "undefinedField"
    assert data("{ allUsers { __typename } }")["allUsers"][0] == {"__typename": "PrivateUser"}


@pytest.mark.parametrize(
    "query",
    ["{ allUsers { name } }", "{ allUsers(nope: 1) { id } }", "{ allClients(sortBy: [NOPE]) { totalCount } }",
     "{ allUsers }", "{ event { id } }", "{ allUsers { id }", "query ($x: Int) { allUsers { id } }"],
)  # fmt: skip
def test_in_french_the_words_change_and_codes_and_paths_do_not(sandbox, post, query):
    (english,) = post(query).json()["errors"]
    sandbox.faults.add(Fault("french"))
    (french,) = post(query).json()["errors"]
    assert french.pop("message") != english.pop("message")
    assert french == english


# -- what is too much -----------------------------------------------------------------------------------------------

# 1 for the list, 1 for `totalCount`, 3 for `pageInfo` and its two, 1 for `nodes`; 50 times `id` and a list of its own:
# 1, 1 for its `nodes`, 10 times `id`.
NESTED = """query ($first: Int) { allClients(first: $first) { totalCount pageInfo { hasNextPage endCursor }
  nodes { id allContacts(first: 10) { nodes { id } } } } }"""
OF_50 = 1 + 1 + 3 + 1 + 50 * (1 + (1 + 1 + 10))


def test_a_query_that_is_too_complex_is_refused_with_both_numbers(sandbox, post, data):
    sandbox.faults.add(Fault("max_complexity", limit=OF_50))
    assert len(data(NESTED, {"first": 50})["allClients"]["nodes"]) == 50
    more = OF_50 + 13
    assert refused(post, NESTED, {"first": 51}) == {
        "message": f"Query has complexity of {more}, which exceeds max complexity of {OF_50}"
    }


def test_without_first_the_page_is_as_complex_as_the_greatest(sandbox, post):
    sandbox.faults.add(Fault("max_complexity", limit=100))
    assert "complexity of 102," in refused(post, "{ allClients { nodes { id } } }")["message"]


def test_fragments_and_aliases_count_as_what_they_bring(sandbox, post):
    sandbox.faults.add(Fault("max_complexity", limit=1))
    query = "{ a: allUsers { ...f } b: allUsers { ...f id } } fragment f on PrivateUser { id firstName }"
    assert "complexity of 6," in refused(post, query)["message"]


def test_a_query_that_is_too_deep_is_refused(sandbox, post, data):
    sandbox.faults.add(Fault("max_depth", limit=4))
    deeper = refused(post, NESTED, {"first": 1})
    assert deeper["message"] == "Query has depth of 5, which exceeds max depth of 4"
    assert data("{ allClients { nodes { defaultContact { id } } } }")


def test_a_first_above_the_maximum_is_refused_on_every_level(sandbox, post, data):
    sandbox.faults.add(Fault("max_first", limit=20))
    assert "20 records" in refused(post, NESTED, {"first": 21})["message"]
    assert len(data(NESTED, {"first": 20})["allClients"]["nodes"]) == 20
    sandbox.faults.add(Fault("max_first", limit=9))
    assert "`allContacts`" in refused(post, NESTED, {"first": 5})["message"]


def test_first_times_nested_first_is_limited(sandbox, post, data):
    sandbox.faults.add(Fault("max_nodes", limit=220))
    assert len(data(NESTED, {"first": 20})["allClients"]["nodes"]) == 20
    assert "up to 231 possible nodes" in refused(post, NESTED, {"first": 21})["message"]


def test_a_first_above_the_cap_is_cut_without_a_word(sandbox, data):
    sandbox.faults.add(Fault("capped", limit=30, match="allContacts"))
    assert len(data(NESTED, {"first": 50})["allClients"]["nodes"]) == 30
    assert len(data("{ allClients(first: 50) { nodes { id } } }")["allClients"]["nodes"]) == 50


def test_a_page_above_a_size_can_time_out_or_fail(sandbox, post):
    sandbox.faults.add(Fault("status", status=504, above=50, times=None))
    sandbox.faults.add(Fault("delay", seconds=0.01, above=10, times=None))
    codes = [post(NESTED, {"first": first}).status_code for first in (50, 51, 50)]
    assert codes == [200, 504, 200]
