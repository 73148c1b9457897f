"""Faults: each kind as a client meets it, and which requests it strikes."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import pytest
import requests

from gazelle_sync.sandbox import Fault

CLIENTS = """query ($after: String) { list: allClients(first: 50, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } nodes { id allContacts { totalCount nodes { id } } } } }"""
SECOND = {"after": "NTA"}


@pytest.mark.parametrize("status", [401, 429, 500, 502, 503, 504])
def test_an_http_status_is_given_once_and_then_the_answer(sandbox, post, status):
    sandbox.faults.add(Fault("status", status=status))
    assert [post(CLIENTS).status_code for _ in range(2)] == [status, 200]
    assert [request.status for request in sandbox.requests[-2:]] == [status, 200]


def test_retry_after_is_seconds_or_a_date(sandbox, post):
    moment = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)
    sandbox.faults.add(Fault("status", status=429, retry_after=2))
    assert post(CLIENTS).headers["Retry-After"] == "2"
    sandbox.faults.add(Fault("status", status=429, retry_after=moment))
    assert parsedate_to_datetime(post(CLIENTS).headers["Retry-After"]) == moment


def test_a_gateway_page_is_html_with_200(sandbox, post):
    sandbox.faults.add(Fault("html"))
    answer = post(CLIENTS)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_truncated_json_is_a_whole_response_with_half_the_text(sandbox, post):
    sandbox.faults.add(Fault("truncated"))
    with pytest.raises(requests.exceptions.JSONDecodeError):
        post(CLIENTS).json()
    assert len(post(CLIENTS).json()["data"]["list"]["nodes"]) == 50


def test_a_dropped_connection_breaks_off_the_body(sandbox, post):
    sandbox.faults.add(Fault("dropped"))
    with pytest.raises(requests.exceptions.RequestException):
        post(CLIENTS)
    assert post(CLIENTS).status_code == 200


def test_a_delay_holds_up_only_the_request_that_it_strikes(sandbox, post):
    sandbox.faults.add(Fault("delay", seconds=3))
    began = time.perf_counter()
    post(CLIENTS)
    delayed = time.perf_counter() - began
    post(CLIENTS)
    assert delayed >= 3 > time.perf_counter() - began - delayed


def test_a_graphql_error_comes_with_200_and_null_data(sandbox, post):
    sandbox.faults.add(Fault("graphql_error", message="Internal error"))
    answer = post(CLIENTS)
    assert answer.status_code == 200
    assert answer.json()["data"] is None
    assert answer.json()["errors"][0]["message"] == "Internal error"


def test_a_partial_answer_has_data_and_an_error_that_says_where(sandbox, post):
    sandbox.faults.add(Fault("partial"))
    answer = post(CLIENTS).json()
    nodes = answer["data"]["list"]["nodes"]
    assert nodes[-1] is None
    assert None not in nodes[:-1]
    assert answer["errors"][0]["path"] == ["list", "nodes", 49]


def test_a_null_node_comes_without_an_error(sandbox, post):
    sandbox.faults.add(Fault("null_node"))
    answer = post(CLIENTS).json()
    assert answer["data"]["list"]["nodes"][-1] is None
    assert "errors" not in answer


def test_a_wrong_total_count_leaves_the_nested_lists_alone(sandbox, data):
    right = data(CLIENTS)["list"]
    sandbox.faults.add(Fault("total_count", delta=-3))
    wrong = data(CLIENTS)["list"]
    assert wrong == {**right, "totalCount": 147}


def test_a_stuck_cursor_points_to_the_page_it_came_with(sandbox, data):
    sandbox.faults.add(Fault("stuck_cursor", with_after=True, times=None))
    assert data(CLIENTS)["list"]["pageInfo"]["endCursor"] == "NTA"
    assert data(CLIENTS, SECOND)["list"]["pageInfo"] == {"hasNextPage": True, "endCursor": "NTA"}


def test_an_empty_list_counts_nothing(sandbox, data):
    sandbox.faults.add(Fault("empty", times=2))
    empty = {"totalCount": 0, "pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": []}
    assert data(CLIENTS)["list"] == empty
    assert data("{ allUsers { id } }")["allUsers"] == []


def test_the_account_can_change_between_two_pages(sandbox, data):
    order = list(sandbox.account.clients)
    sandbox.faults.add(Fault("mutate", skip=1, mutate=lambda account: account.clients.pop(order[0])))
    first = data(CLIENTS)["list"]
    second = data(CLIENTS, SECOND)["list"]
    assert (first["totalCount"], second["totalCount"]) == (150, 149)
    assert second["nodes"][0]["id"] == order[51]  # order[50] was skipped


def test_a_change_can_come_after_the_answer(sandbox, data):
    sandbox.faults.add(Fault("mutate", when="after", mutate=lambda account: account.clients.clear()))
    assert [data(CLIENTS)["list"]["totalCount"] for _ in range(2)] == [150, 0]


def test_a_fault_strikes_only_the_queries_that_it_matches(sandbox, post):
    sandbox.faults.add(Fault("status", status=500, match="allPianos", times=None))
    assert post(CLIENTS).status_code == 200
    assert [post("{ allPianos { totalCount } }").status_code for _ in range(3)] == [500, 500, 500]


def test_first_pages_and_next_pages_can_be_told_apart(sandbox, post):
    sandbox.faults.add(Fault("status", status=500, with_after=True, times=None))
    assert [post(CLIENTS).status_code, post(CLIENTS, SECOND).status_code] == [200, 500]
    assert post('{ allClients(after: "NTA") { totalCount } }').status_code == 500
    sandbox.faults.clear()
    sandbox.faults.add(Fault("status", status=500, with_after=False, times=None))
    assert [post(CLIENTS).status_code, post(CLIENTS, SECOND).status_code] == [500, 200]


def test_a_lasting_fault_ends_when_it_is_removed(sandbox, post):
    fault = sandbox.faults.add(Fault("status", times=None))
    assert [post(CLIENTS).status_code for _ in range(2)] == [503, 503]
    sandbox.faults.remove(fault)
    assert post(CLIENTS).status_code == 200
    assert fault.struck == 2


def test_a_probable_fault_strikes_the_same_requests_for_the_same_seed():
    def struck(seed):
        fault = Fault("status", probability=0.1, times=None, seed=seed)
        return [fault.strikes("/graphql/private/", "", None) for _ in range(1000)]

    assert struck(1) == struck(1) != struck(2)
    assert 60 < sum(struck(1)) < 140


@pytest.mark.parametrize("wrong", [{"kind": "typo"}, {"kind": "mutate"}, {"kind": "mutate", "when": "never"}])
def test_a_fault_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        Fault(**wrong)
