"""Conditions that last: who asks, what is hidden, refused or mistaken, and lists and cursors that go wrong."""

from __future__ import annotations

import pytest

from gazelle_sync.sandbox import Fault
from gazelle_sync.sandbox.faults import CONDITIONS, KINDS, RATE_LIMITS

CLIENTS = """query ($after: String) { list: allClients(first: 40, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } nodes { id preferredTechnician { id } } } }"""


def control(session, sandbox, **fault):
    """Sets a fault as another process does."""
    answer = session.post(f"{sandbox.url}/sandbox/faults", json=fault, timeout=10)
    assert answer.status_code == 204, answer.text


# -- who asks -------------------------------------------------------------------------------------------------------


def test_a_technician_sees_the_clients_of_that_person_or_of_nobody_and_what_hangs_on_them(sandbox, data):
    sandbox.page_cap = 5000
    technician = [u["id"] for u in sandbox.account.users.values() if u["accessLevel"] == "TECHNICIAN"][1]
    sandbox.faults.add(Fault("technician", user_id=technician))
    seen = data("{ allClients { totalCount nodes { id preferredTechnician { id } } } }")["allClients"]
    assert {(node["preferredTechnician"] or {}).get("id") for node in seen["nodes"]} == {technician, None}
    assert 0 < seen["totalCount"] == len(seen["nodes"]) < 150
    ids = {node["id"] for node in seen["nodes"]}
    lists = ["allPianos", "allInvoices", "allEstimates", "allTimelineEntries", "allEventsBatched"]
    for name in lists:
        kind = {"allTimelineEntries": "timeline", "allEventsBatched": "events"}.get(name, name[3:].lower())
        found = data(f"{{ list: {name} {{ totalCount nodes {{ client {{ id }} }} }} }}")["list"]
        owners = {(node["client"] or {"id": None})["id"] for node in found["nodes"]}
        assert owners - {None} <= ids
        assert 0 < found["totalCount"] < len(sandbox.account.records(kind))


def test_a_technician_is_told_who_they_are_and_finds_no_other_record_by_id(sandbox, data):
    sandbox.faults.add(Fault("technician"))
    me = data("{ user { id accessLevel hasLimitedAccess } }")["user"]
    assert (me["accessLevel"], me["hasLimitedAccess"]) == ("TECHNICIAN", True)
    foreign = next(c for c in sandbox.account.clients.values() if c["preferredTechnicianId"] not in (None, me["id"]))
    contact = next(c for c in sandbox.account.contacts.values() if c["clientId"] == foreign["id"])
    query = f'{{ client(id: "{foreign["id"]}") {{ id }} contact(id: "{contact["id"]}") {{ id }} }}'
    assert data(query) == {"client": None, "contact": None}
    sandbox.faults.clear()
    assert data(query)["client"] == {"id": foreign["id"]}


def test_a_list_can_be_forbidden_while_others_are_not(sandbox, post, data):
    sandbox.faults.add(Fault("forbidden", names=["allInvoices"]))
    answer = post("{ a: allInvoices { totalCount } }").json()
    assert answer["data"] is None
    assert answer["errors"][0]["path"] == ["a"]
    assert data("{ allEstimates { totalCount } }")["allEstimates"]["totalCount"] == 40
    with pytest.raises(ValueError, match="allNothing"):
        Fault("forbidden", names=["allNothing"])


def test_a_forbidden_record_is_null_beside_data(sandbox, post):
    sandbox.faults.add(Fault("forbidden", names=["company"]))
    answer = post("{ company { id } allUsers { id } }").json()
    assert answer["data"]["company"] is None
    assert len(answer["data"]["allUsers"]) == 6
    assert answer["errors"][0]["path"] == ["company"]


def test_the_key_may_be_of_another_company(sandbox, data):
    query = "{ company { id name } allClients(first: 1) { nodes { company { id } } } }"
    sandbox.faults.add(Fault("other_company"))
    answer = data(query)
    assert answer["company"] == {"id": "com_other", "name": "Another company"}
    assert answer["allClients"]["nodes"][0]["company"] == {"id": "com_other"}
    sandbox.faults.clear()
    assert data(query)["company"]["id"] == "com_sandbox"


# -- what is hidden or mistaken -------------------------------------------------------------------------------------


def test_cancelled_events_can_be_in_no_list_and_yet_be_there_by_id(sandbox, data):
    event = next(event for event in sandbox.account.events.values() if event["status"] == "CANCELED")
    query = """query ($id: String!) { event(eventId: $id) { status }
      asked: allEventsBatched(filters: {status: [ACTIVE, CANCELED, NO_SHOW, COMPLETE]}) { totalCount }
      only: allEventsBatched(filters: {status: [CANCELED]}) { totalCount } every: allEvents { status } }"""
    before = data(query, {"id": event["id"]})
    sandbox.faults.add(Fault("canceled_hidden"))
    after = data(query, {"id": event["id"]})
    assert after["event"] == {"status": "CANCELED"}
    assert after["only"]["totalCount"] == 0 < before["only"]["totalCount"]
    assert after["asked"]["totalCount"] == before["asked"]["totalCount"] - before["only"]["totalCount"]
    assert "CANCELED" not in {each["status"] for each in after["every"]}


@pytest.mark.parametrize(("kind", "field"), [("clients", "client(id:"), ("events", "event(eventId:"),
                                              ("estimates", "estimate(id:")])  # fmt: skip
def test_one_record_can_fail_by_its_id_and_the_others_not(sandbox, post, kind, field):
    bad, good = list(sandbox.account.records(kind))[:2]
    sandbox.faults.add(Fault("failing_id", record_id=bad))
    answer = post(f'{{ r0: {field} "{good}") {{ id }} r1: {field} "{bad}") {{ id }} }}').json()
    assert answer["data"] == {"r0": {"id": good}, "r1": None}
    (error,) = answer["errors"]
    assert error["path"] == ["r1"]


def test_a_record_can_be_answered_with_another(sandbox, data):
    asked, given = list(sandbox.account.pianos)[:2]
    sandbox.faults.add(Fault("other_record", record_id=asked, instead=given))
    query = "query ($id: String!) { piano(id: $id) { id } }"
    assert data(query, {"id": asked})["piano"] == {"id": given}
    assert data(query, {"id": given})["piano"] == {"id": given}


# -- lists and cursors ----------------------------------------------------------------------------------------------


def pages_of(data, count):
    after, pages = None, []
    for _ in range(count):
        page = data(CLIENTS, {"after": after})["list"]
        pages.append(page)
        after = page["pageInfo"]["endCursor"]
    return pages


@pytest.mark.parametrize("new_ids", [False, True])
def test_a_list_can_begin_anew_for_ever(sandbox, data, new_ids):
    sandbox.faults.add(Fault("endless_list", new_ids=new_ids))
    pages = pages_of(data, 8)
    ids = [node["id"] for page in pages for node in page["nodes"]]
    assert all(page["pageInfo"]["hasNextPage"] for page in pages)
    assert len({page["pageInfo"]["endCursor"] for page in pages}) == 8
    assert {page["totalCount"] for page in pages} == {150}
    assert len(ids) == 320
    assert len(set(ids)) == (320 if new_ids else 150)
    assert ids[:150] == list(sandbox.account.clients)


def test_a_cursor_may_be_known_no_more(sandbox, post, data):
    after = data(CLIENTS)["list"]["pageInfo"]["endCursor"]
    sandbox.faults.add(Fault("unknown_cursor", times=1))
    assert data(CLIENTS)["list"]["nodes"]  # a first page asks for no cursor: it spends the one time
    sandbox.faults.add(Fault("unknown_cursor", with_after=True, times=1))
    answer = post(CLIENTS, {"after": after}).json()
    assert answer["data"] is None
    assert "Invalid cursor" in answer["errors"][0]["message"]
    assert answer["errors"][0]["path"] == ["list"]
    assert data(CLIENTS, {"after": after})["list"]["nodes"]


def test_a_record_can_go_or_come_between_two_pages_that_another_process_chose(sandbox, session, data):
    order = list(sandbox.account.clients)
    control(session, sandbox, kind="edit", skip=1, edits=[{"kind": "clients", "id": order[0], "delete": True}])
    control(session, sandbox, kind="edit", skip=2, edits=[{"kind": "clients", "add": {"id": "cli_late"}}])
    control(session, sandbox, kind="edit", edits=[{"kind": "clients", "id": order[9], "set": {"region": "ON"}}])
    pages = pages_of(data, 3)
    assert [page["totalCount"] for page in pages] == [150, 149, 150]
    assert order[40] not in [node["id"] for page in pages for node in page["nodes"]]
    assert "cli_late" in sandbox.account.clients
    assert sandbox.account.clients[order[9]]["region"] == "ON"


def test_a_child_can_move_to_another_parent_between_two_pages(sandbox, session, data):
    query = """query ($after: String) { list: allInvoices(first: 100, after: $after) { pageInfo { endCursor }
      nodes { id allInvoiceItems(first: 50) { nodes { id } } } } }"""
    keys = list(sandbox.account.invoices)
    child = sandbox.account.invoices[keys[0]]["allInvoiceItems"][0]["id"]
    move = {"kind": "invoices", "id": keys[0], "move": {"list": "allInvoiceItems", "child": child, "to": keys[150]}}
    control(session, sandbox, kind="edit", when="after", edits=[move])
    first = data(query)["list"]
    second = data(query, {"after": first["pageInfo"]["endCursor"]})["list"]
    holders = [
        node["id"]
        for node in first["nodes"] + second["nodes"]
        if child in [item["id"] for item in node["allInvoiceItems"]["nodes"]]
    ]
    assert holders == [keys[0], keys[150]]


# -- how it is asked for too much -----------------------------------------------------------------------------------


@pytest.mark.parametrize("guise", RATE_LIMITS)
def test_too_many_requests_are_told_in_many_ways(sandbox, session, post, guise):
    control(session, sandbox, **RATE_LIMITS[guise])
    answer, after_it = post(CLIENTS), post(CLIENTS)
    assert after_it.json()["data"]["list"]["totalCount"] == 150
    if answer.status_code == 200:
        (error,) = answer.json()["errors"]
        assert ("extensions" in error) == (guise == "200 with a code")
    else:
        assert str(answer.status_code) == guise[:3]
        assert ("Retry-After" in answer.headers) == ("retry_after" in RATE_LIMITS[guise])
        assert answer.headers.get("X-RateLimit-Remaining") == ("0" if guise == "403" else None)


# -- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_condition_lasts_until_it_is_removed_and_a_mishap_strikes_once(kind):
    needed = {"names": ["allUsers"], "limit": 1, "record_id": "x", "instead": "y"}
    given = {**needed, "names": ["PrivateUser.id"]} if kind == "missing" else needed
    assert Fault(kind, **given).times is None
    assert Fault(kind, times=2, **given).times == 2
    assert Fault("status").times == 1


@pytest.mark.parametrize("kind", ["missing", "forbidden", "failing_id", "other_record", "capped", "max_nodes", "edit"])
def test_a_fault_that_lacks_what_it_needs_is_refused(sandbox, session, kind):
    with pytest.raises(ValueError, match="needs `"):
        Fault(kind)
    answer = session.post(f"{sandbox.url}/sandbox/faults", json={"kind": kind}, timeout=10)
    assert answer.status_code == 400
    assert "needs `" in answer.json()["error"]


def test_every_kind_is_described():
    assert all(len(told) > 10 for told in KINDS.values())
