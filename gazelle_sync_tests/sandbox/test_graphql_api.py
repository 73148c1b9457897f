"""The GraphQL API: paging, filters, sorts, relations, and that a wrong query is told so."""

from __future__ import annotations

import base64
from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from gazelle_sync.sandbox import Account, graphql_api, texts, view

CLIENTS = """query ($after: String, $first: Int, $filters: PrivateAllClientsFilter, $sort: [ClientSort!]) {
  list: allClients(after: $after, first: $first, filters: $filters, sortBy: $sort) {
    totalCount pageInfo { hasNextPage endCursor } nodes { id createdAt status tags } } }"""
EVENTS = """query ($after: String, $filters: PrivateAllEventsFilter, $sort: [EventSort!]) {
  list: allEventsBatched(after: $after, first: 100, filters: $filters, sortBy: $sort) {
    totalCount pageInfo { hasNextPage endCursor } nodes { id start type status client { id } user { id } } } }"""
TIMELINE = """query ($after: String, $client: String, $types: [TimelineEntryType!], $from: CoreDateTime) {
  list: allTimelineEntries(after: $after, first: 100, clientId: $client, types: $types, occurredAtGet: $from) {
    totalCount pageInfo { hasNextPage endCursor } nodes { id occurredAt type client { id } } } }"""


def ids(pages):
    return [node["id"] for page in pages for node in page["nodes"]]


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


# -- paging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opaque", [False, True])
def test_the_pages_of_a_list_hold_every_record_once(sandbox, pages, opaque):
    sandbox.opaque_cursors = opaque
    read = pages(CLIENTS, {"first": 40})
    assert [len(page["nodes"]) for page in read] == [40, 40, 40, 30]
    assert ids(read) == list(sandbox.account.clients)
    assert {page["totalCount"] for page in read} == {150}


def test_a_page_is_capped_without_a_word(sandbox, data):
    sandbox.page_cap = 60
    page = data(CLIENTS, {"first": 500})["list"]
    assert len(page["nodes"]) == 60
    assert page["pageInfo"]["hasNextPage"] is True


def test_without_first_a_page_is_as_large_as_the_cap(sandbox, data):
    assert len(data(CLIENTS)["list"]["nodes"]) == sandbox.page_cap


def test_a_cursor_is_the_base64_of_an_offset(data):
    end = data(CLIENTS, {"first": 100})["list"]["pageInfo"]["endCursor"]
    assert base64.b64decode(end + "=" * (-len(end) % 4)) == b"100"


def test_a_removed_row_shifts_the_next_page_by_one(sandbox, data):
    order = list(sandbox.account.clients)
    first = data(CLIENTS, {"first": 50})["list"]
    del sandbox.account.clients[order[0]]
    second = data(CLIENTS, {"first": 50, "after": first["pageInfo"]["endCursor"]})["list"]
    assert second["nodes"][0]["id"] == order[51]


@pytest.mark.parametrize("opaque", [False, True])
def test_a_cursor_that_was_never_given_is_an_error(sandbox, post, opaque):
    sandbox.opaque_cursors = opaque
    answer = post(CLIENTS, {"after": "no-such-cursor!"})
    assert answer.status_code == 200
    assert "Invalid cursor" in answer.json()["errors"][0]["message"]
    assert answer.json()["data"] is None


def test_last_and_before_read_backwards(sandbox, data):
    order = list(sandbox.account.clients)
    query = """query ($before: String) { list: allClients(last: 10, before: $before) {
      edges { cursor node { id } } pageInfo { hasPreviousPage hasNextPage startCursor } } }"""
    end = data(query)["list"]
    assert [edge["node"]["id"] for edge in end["edges"]] == order[-10:]
    assert end["pageInfo"]["startCursor"] == end["edges"][0]["cursor"]
    earlier = data(query, {"before": end["pageInfo"]["startCursor"]})["list"]
    assert [edge["node"]["id"] for edge in earlier["edges"]] == order[-20:-10]
    assert earlier["pageInfo"]["hasNextPage"] is True


def test_a_nested_list_is_capped_as_well(sandbox, data):
    school = next(c["id"] for c in sandbox.account.clients.values() if c["companyName"] == texts.INSTITUTION)
    query = """query ($id: String, $after: String) { client(id: $id) { allContacts(
      first: 200, after: $after, includeArchived: true) {
        totalCount pageInfo { hasNextPage endCursor } nodes { id archived } } } }"""
    first = data(query, {"id": school})["client"]["allContacts"]
    second = data(query, {"id": school, "after": first["pageInfo"]["endCursor"]})["client"]["allContacts"]
    assert (len(first["nodes"]), len(second["nodes"]), first["totalCount"]) == (100, 18, 118)
    assert second["pageInfo"]["hasNextPage"] is False


# -- filters and sorts ----------------------------------------------------------------------------------------------


def test_archived_contacts_come_only_when_asked_for(sandbox, data):
    query = "{ list: allClients(first: 100) { nodes { allContacts { nodes { archived } } } } }"
    plain = [c for client in data(query)["list"]["nodes"] for c in client["allContacts"]["nodes"]]
    asked = query.replace("allContacts", "allContacts(includeArchived: true)")
    everyone = [c for client in data(asked)["list"]["nodes"] for c in client["allContacts"]["nodes"]]
    assert not any(contact["archived"] for contact in plain)
    assert len(plain) < len(everyone)


def test_clients_are_sorted_and_filtered_by_creation(pages):
    newest = pages(CLIENTS, {"sort": ["CREATED_AT_DESC"]})
    created = [instant(node["createdAt"]) for page in newest for node in page["nodes"]]
    assert created == sorted(created, reverse=True)
    of_2019 = pages(CLIENTS, {"filters": {"createdGet": "2019-01-01", "createdLet": "2019-12-31"}})
    toronto = ZoneInfo("America/Toronto")
    assert of_2019[0]["totalCount"] == sum(moment.astimezone(toronto).year == 2019 for moment in created) > 0


def test_filters_narrow_the_total_count(sandbox, data):
    inactive = [c["id"] for c in sandbox.account.clients.values() if c["status"] == "INACTIVE"]
    page = data(CLIENTS, {"filters": {"status": ["INACTIVE"]}})["list"]
    assert page["totalCount"] == len(inactive) > 0
    assert ids([page]) == inactive


@pytest.mark.parametrize(
    "query",
    [
        "{ allClients(filters: {hasBadAddress: true}) { totalCount } }",
        "{ allPianos(filters: {hasBeenTuned: true}) { totalCount } }",
        "{ allPianos(sortBy: [DUE_NEAR_TODAY_ASC]) { totalCount } }",
        "{ allEvents(sortBy: [EVENT_NEAR_TODAY_ASC]) { id } }",
        "{ allSentOrScheduledMessages { totalCount } }",
    ],
)
def test_what_is_published_but_not_built_is_an_error(post, query):
    assert "the sandbox does not have it" in post(query).json()["errors"][0]["message"]


def test_a_window_of_events_includes_both_days_in_the_company_time_zone(sandbox, pages):
    sandbox.account.events.clear()
    for id_, start in [
        ("evt_before", "2026-01-14T04:59:59Z"),
        ("evt_morning", "2026-01-14T05:00:00Z"),
        ("evt_evening", "2026-01-15T03:30:00Z"),  # 22:30 on the 14th in Toronto
        ("evt_offset", "2026-01-14T22:30:00-05:00"),
        ("evt_next_day", "2026-01-15T05:00:00Z"),
        ("evt_undated", None),
    ]:
        sandbox.account.add("events", {"id": id_, "start": start})
    the_14th = {"startOn": "2026-01-14", "endOn": "2026-01-14"}
    assert ids(pages(EVENTS, {"filters": the_14th})) == ["evt_morning", "evt_evening", "evt_offset"]
    assert len(ids(pages(EVENTS))) == 6


def test_events_are_filtered_by_type_status_client_and_user(sandbox, pages):
    visit = next(e for e in sandbox.account.events.values() if len(e["pianos"]) == 25)
    filters = {
        "type": ["APPOINTMENT"], "status": ["ACTIVE"], "clientId": [visit["clientId"]], "userId": [visit["userId"]],
    }  # fmt: skip
    read = [node for page in pages(EVENTS, {"filters": filters, "sort": ["START_ASC"]}) for node in page["nodes"]]
    assert visit["id"] in [node["id"] for node in read]
    assert {(n["type"], n["status"], n["client"]["id"], n["user"]["id"]) for n in read} == {
        ("APPOINTMENT", "ACTIVE", visit["clientId"], visit["userId"])
    }
    assert [instant(n["start"]) for n in read] == sorted(instant(n["start"]) for n in read)


def test_the_unpaged_list_of_events_is_whole(sandbox, data):
    assert len(data("{ allEvents { id } }")["allEvents"]) == len(sandbox.account.events) > 500


def test_the_timeline_is_newest_first_and_whole(sandbox, pages):
    read = pages(TIMELINE)
    moments = [instant(node["occurredAt"]) for page in read for node in page["nodes"]]
    assert len(set(ids(read))) == 2500
    assert moments == sorted(moments, reverse=True)


def test_the_timeline_is_filtered_by_client_type_and_lower_bound(sandbox, pages):
    sample = next(e for e in sandbox.account.timeline.values() if e["type"] == "USER_COMMENT")
    wanted = {"client": sample["clientId"], "types": ["USER_COMMENT"], "from": "2020-01-01T00:00:00-05:00"}
    read = [node for page in pages(TIMELINE, wanted) for node in page["nodes"]]
    assert sample["id"] in [node["id"] for node in read]
    assert {(node["client"]["id"], node["type"]) for node in read} == {(sample["clientId"], "USER_COMMENT")}
    assert all(instant(node["occurredAt"]) >= instant("2020-01-01T05:00:00Z") for node in read)


# -- records --------------------------------------------------------------------------------------------------------


def test_every_piano_of_a_visit_is_given(sandbox, data):
    visit = next(e for e in sandbox.account.events.values() if len(e["pianos"]) == 25)
    query = "query ($id: String!) { event(eventId: $id) { allEventPianos { nodes { isTuning piano { id } } } } }"
    nodes = data(query, {"id": visit["id"]})["event"]["allEventPianos"]["nodes"]
    assert [{"pianoId": n["piano"]["id"], "isTuning": n["isTuning"]} for n in nodes] == visit["pianos"]


@pytest.mark.parametrize(
    "query",
    ['client(id: "x")', 'client(clientId: "x")', 'contact(id: "x")', 'piano(id: "x")', 'piano(pianoId: "x")',
     'event(eventId: "x")', 'invoice(id: "x")'],
)  # fmt: skip
def test_a_record_that_does_not_exist_is_null(data, query):
    assert data(f"{{ found: {query} {{ id }} }}") == {"found": None}


def test_both_names_of_the_argument_find_a_client_and_a_piano(sandbox, data):
    client, piano = next(iter(sandbox.account.clients)), next(iter(sandbox.account.pianos))
    query = f"""{{ a: client(id: "{client}") {{ id }} b: client(clientId: "{client}") {{ id }}
                  c: piano(id: "{piano}") {{ id }} d: piano(pianoId: "{piano}") {{ id }} }}"""
    assert [found["id"] for found in data(query).values()] == [client, client, piano, piano]


def test_awkward_text_arrives_unchanged(sandbox, data):
    notes = {}
    for start in (None, "MTAw"):
        query = "query ($a: String) { allClients(after: $a) { nodes { id personalNotes tags } } }"
        notes.update({n["id"]: n for n in data(query, {"a": start})["allClients"]["nodes"]})
    for id_, client in sandbox.account.clients.items():
        assert notes[id_]["personalNotes"] == client["personalNotes"]
        assert notes[id_]["tags"] == client["tags"]


def test_even_text_that_no_database_takes_is_sent(sandbox, data):
    client = next(iter(sandbox.account.clients.values()))
    client["personalNotes"] = "nul \x00 and a lone surrogate \ud83d"
    query = "query ($id: String) { client(id: $id) { personalNotes } }"
    assert data(query, {"id": client["id"]})["client"]["personalNotes"] == client["personalNotes"]


def test_an_enum_value_newer_than_the_schema_is_sent_as_it_is(sandbox, data):
    client = next(iter(sandbox.account.clients.values()))
    client["status"] = "ON_SABBATICAL"
    assert data(CLIENTS, {"first": 1})["list"]["nodes"][0]["status"] == "ON_SABBATICAL"


def test_edits_additions_and_deletions_show_in_the_next_request(sandbox, data):
    edited, removed = list(sandbox.account.clients)[:2]
    owned = [e for e in sandbox.account.timeline.values() if e["clientId"] == removed]
    sandbox.account.clients[edited]["companyName"] = "Nouveau nom"
    del sandbox.account.clients[removed]
    added = sandbox.account.add("clients", {"companyName": "Ajouté"})["id"]
    answer = data(f"""{{ edited: client(id: "{edited}") {{ companyName }} removed: client(id: "{removed}") {{ id }}
      added: client(id: "{added}") {{ companyName tags defaultClientLocalization {{ locale }} }}
      allClients {{ totalCount }} allTimelineEntries {{ totalCount }} }}""")
    assert answer["edited"]["companyName"] == "Nouveau nom"
    assert answer["removed"] is None
    assert answer["added"] == {"companyName": "Ajouté", "tags": [], "defaultClientLocalization": {"locale": "fr_CA"}}
    assert answer["allClients"]["totalCount"] == 150
    assert answer["allTimelineEntries"]["totalCount"] == 2500 - len(owned) < 2500


def test_invoices_come_with_their_lines(sandbox, pages):
    query = """query ($after: String) { list: allInvoices(after: $after, sortBy: [NUMBER_DESC]) {
      pageInfo { hasNextPage endCursor } nodes { id number total allInvoiceItems { nodes { total } } } } }"""
    sandbox.page_cap = 200
    read = [node for page in pages(query) for node in page["nodes"]]
    numbers = [node["number"] for node in read if node["number"] is not None]
    assert len(read) == 300
    assert numbers == sorted(numbers, reverse=True)
    for node in (node for node in read if node["total"] is not None):
        assert node["total"] == sum(item["total"] for item in node["allInvoiceItems"]["nodes"])


# -- wrong queries --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{ allClients { nodes { contacts { id } } } }", "contacts"),
        ("{ allUsers { name } }", "name"),
        ("{ allClients(updatedGet: 1) { totalCount } }", "updatedGet"),
        ("{ allClients(sortBy: [UPDATED_AT_DESC]) { totalCount } }", "UPDATED_AT_DESC"),
        ('{ allEventsBatched(filters: {status: [COMPLETED]}) { totalCount } }', "COMPLETED"),
        ('{ allEventsBatched(filters: {startOn: "14/01/2026"}) { totalCount } }', "CoreDate"),
        ('{ allEventsBatched(filters: {startOn: "20260114"}) { totalCount } }', "CoreDate"),
        ('{ allTimelineEntries(occurredAtGet: "2026-01-14T10:00:00") { totalCount } }', "CoreDateTime"),
        ("{ allClients { totalCount }", "Syntax Error"),
        ("mutation { deleteClient { id } }", "mutation"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_answered_with_errors_and_http_200(post, query, told):
    answer = post(query)
    assert answer.status_code == 200
    assert told in answer.json()["errors"][0]["message"]
    assert not answer.json().get("data")


def test_for_each_page_of_a_large_account_nothing_is_parsed_again(sandbox, data):
    sandbox.account = Account.generated(clients=4000, timeline=24_000, today=date(2026, 3, 2))
    assert len(data(TIMELINE)["list"]["nodes"]) == 100
    parsers = (view._parse_instant, graphql_api._parse, graphql_api._validated)
    before = [parser.cache_info().misses for parser in parsers]
    assert len(data(TIMELINE)["list"]["nodes"]) == 100
    assert [parser.cache_info().misses for parser in parsers] == before
