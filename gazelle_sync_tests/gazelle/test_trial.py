"""Every query is tried before a sync: what is refused is told with its columns, and estimates are what a sync does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest

from gazelle_sync.gazelle import Client, Snapshot, query
from gazelle_sync.gazelle.estimate import Cost, Speed, estimate, estimate_parts, measure
from gazelle_sync.gazelle.page_size import PageSize
from gazelle_sync.gazelle.trial import Conditions, Outcome, Watch, try_table, try_tables
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES, Cadence, Scope
from gazelle_sync.tables.declaration import Gap, Nested, PlainList, Sizes
from gazelle_sync_tests.conftest import ALL, AT_ONCE, TORONTO, client_of

NIGHTLY = Scope(TORONTO, date(2026, 1, 1), date(2027, 10, 1))
Try = Callable[..., Outcome]


@pytest.fixture
def conditions(sandbox: Sandbox) -> Iterator[Conditions]:
    watch = Watch()
    client = client_of(sandbox, observe=watch, concurrent=4)
    yield Conditions(client, watch, NIGHTLY, ALL, 1000.0, time.monotonic() + 60, time.monotonic() + 60)
    client.close()


@pytest.fixture
def tried(conditions: Conditions) -> Try:
    return lambda table, known=None, **changed: try_table(TABLES[table], known, replace(conditions, **changed))


def texts(sandbox: Sandbox) -> list[str]:
    return [request.query for request in sandbox.requests]


def test_every_query_of_every_table_is_sent_and_nothing_else(sandbox: Sandbox, conditions: Conditions):
    outcomes = list(try_tables(list(TABLES.values()), {}, conditions))
    assert [outcome.table.name for outcome in outcomes] == list(TABLES)
    assert [outcome.table.name for outcome in outcomes if not outcome.is_good] == []
    for table in TABLES.values():
        both = {*query.all_queries(table, NIGHTLY), *query.whole_lists(table, ALL)}
        # One record is asked for by id where there are not two.
        lacking = {text for text in both - set(texts(sandbox)) if "$id1" not in text}
        assert lacking == set(), table.name
    assert len(sandbox.requests) < 120
    assert all(request.status == 200 for request in sandbox.requests)


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if not isinstance(table.read, Nested)])
def test_the_records_of_a_list_are_counted_by_gazelle(sandbox: Sandbox, client: Client, tried: Try, name: str):
    snapshot = Snapshot(client, TABLES[name], ALL)
    for _ in snapshot.pages():
        pass
    outcome = tried(name)
    assert (outcome.records, outcome.is_estimate) == (snapshot.seen, False)


@pytest.mark.parametrize("cap", [100, 5000])
@pytest.mark.parametrize("name", TABLES)
def test_the_requests_that_are_estimated_are_those_that_a_read_makes(
    sandbox: Sandbox, client: Client, tried: Try, name: str, cap: int
):
    sandbox.page_cap = cap
    outcome = tried(name)
    assert outcome.full is not None
    for scope, cost in ((ALL, outcome.full), (NIGHTLY, outcome.nightly)):
        before = client.api_requests
        snapshot = Snapshot(client, TABLES[name], scope)
        for _ in snapshot.pages():
            pass
        actual = client.api_requests - before
        if cost is not None:
            # Of lists within lists, a page was looked at: one of them may be longer than that shows.
            assert abs(cost.requests - actual) <= (4 if outcome.is_estimate else 0)
    assert (outcome.nightly is None) == (TABLES[name].every is Cadence.WEEK)


def test_the_estimate_counts_seconds_by_latency_and_by_record_and_never_less_than_the_rate_limit_allows():
    speed = measure(0.11, 1.1, 100, per_second=2.0)
    assert speed == Speed(pytest.approx(0.1), pytest.approx(0.01), 0.5)
    # Pages of 100 overlap by one: 100 + 99 + 99 + 2, the last of which is quicker than the rate limit.
    assert estimate(300, PageSize(Sizes(100), 100), speed) == Cost(4, pytest.approx(3 * 1.1 + 0.5, rel=0.05))
    assert estimate(0, PageSize(Sizes(100), 100), speed) == Cost(1, 0.5)
    assert estimate(3, PageSize(Sizes(1), 1), speed).requests == 3


def test_a_list_that_is_read_in_parts_is_estimated_as_parts_that_are_under_way_at_once(
    sandbox: Sandbox, conditions: Conditions
):
    kinds = [*{entry["type"] for entry in sandbox.account.timeline.values()}]
    some = list(sandbox.account.timeline.values())
    for number in range(9000):
        entry = {**some[number % len(some)], "id": f"tle_more{number}", "type": kinds[number % 3]}
        sandbox.account.timeline[entry["id"]] = entry
    # Pages that don't grow with the speed of this machine, and a limit that it is faster than on its worst day.
    sandbox.page_cap = 100
    outcome = try_table(TABLES["timeline_entries"], None, replace(conditions, per_second=0.05))
    before = conditions.client.api_requests
    for _ in Snapshot(conditions.client, TABLES["timeline_entries"], ALL).pages():
        pass
    assert outcome.full is not None
    assert abs(outcome.full.requests - (conditions.client.api_requests - before)) <= 2
    assert outcome.full.seconds == pytest.approx(outcome.full.requests / 0.05), "no faster than the rate limit lets it"


def test_parts_take_as_long_as_the_longest_turn():
    speed = Speed(1.0, 0.0, 0.0)
    size = lambda: PageSize(Sizes(100), 100)  # noqa: E731
    assert estimate_parts([100, 100, 100, 100], size(), speed, 4) == Cost(7, 4.0)
    assert estimate_parts([100, 100, 100, 100], size(), speed, 1) == Cost(7, 7.0)
    assert estimate_parts([991, 100, 100, 100], size(), speed, 4).seconds == 3 + 10, "a part is one chain of pages"
    assert estimate_parts([100, 100, 100, 100], size(), speed._replace(pause=2.0), 4) == Cost(7, 14.0)


def test_pages_grow_in_the_estimate_as_they_do_in_a_sync():
    quick, slow = Speed(0.1, 0.0001, 0.0), Speed(100.0, 0.001, 0.0)
    assert estimate(290_000, PageSize(Sizes(200), 1000), quick).requests == 292
    assert estimate(290_000, PageSize(Sizes(200), 1000), slow).requests == 1458
    assert estimate(290_000, PageSize(Sizes(200), 1000), quick, cap=100).requests == 2930


# -- the API is wrong in some way -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [False, True], ids=["introspection", "no introspection"])
@pytest.mark.parametrize("language", ["english", "french"])
def test_a_field_that_is_gone_is_found_with_the_columns_it_costs(
    sandbox: Sandbox, tried: Try, language: str, hidden: bool
):
    if language == "french":
        sandbox.faults.add(Fault("french"))
    if hidden:
        sandbox.faults.add(Fault("no_introspection"))
    sandbox.faults.add(Fault("missing", names=["PrivateClient.referredBy", "PrivateQuery.allClients(sortBy)"]))
    outcome = tried("clients")
    assert sorted(outcome.gaps) == [Gap("allClients(sortBy)", ()), Gap("referredBy", ("referred_by",))]
    assert (outcome.is_finished, outcome.is_good, outcome.error) == (True, False, None)
    assert outcome.records == len(sandbox.account.clients)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("clients", "PrivateQuery.client"),
        ("contacts", "PrivateContact.id"),
        ("timeline_entries", "PrivateQuery.allTimelineEntries(pianoId)"),
        ("appointments", "PrivateAllEventsFilter.dateGet"),
    ],
)
def test_what_can_not_be_done_without_is_an_error_also_where_only_a_deletion_needs_it(
    sandbox: Sandbox, tried: Try, table: str, name: str
):
    sandbox.faults.add(Fault("missing", names=[name]))
    outcome = tried(table)
    assert str(outcome.error).startswith(f"Gazelle refused {table}")
    assert not outcome.is_good


def test_a_list_that_can_not_be_cut_is_read_in_one_piece_and_so_it_is_no_error(sandbox: Sandbox, tried: Try):
    sandbox.faults.add(Fault("missing", names=["PrivateQuery.allTimelineEntries(types)"]))
    outcome = tried("timeline_entries")
    assert outcome.error is None
    assert outcome.is_good
    assert outcome.records == len(sandbox.account.timeline)


def test_a_page_that_is_too_large_is_halved_and_the_size_that_works_is_told(sandbox: Sandbox, tried: Try):
    sandbox.page_cap = 5000
    sandbox.faults.add(Fault("max_first", limit=60))
    for table in ("clients", "contacts", "invoice_items"):
        outcome = tried(table)
        assert (outcome.page, outcome.is_good) == (50, True), outcome.error
    assert tried("clients", Sizes(25)).page == 25


def test_a_key_without_the_right_to_a_table_is_told_and_an_optional_table_as_that(sandbox: Sandbox, tried: Try):
    sandbox.faults.add(Fault("forbidden", names=["allEstimates", "allClients"]))
    estimates, clients = tried("estimates"), tried("clients")
    assert (estimates.is_refused, clients.is_refused) == (True, False)
    assert not estimates.is_good
    assert not clients.is_good


@pytest.mark.parametrize("table", ["clients", "pianos", "appointments"])
def test_records_that_are_listed_and_by_their_ids_do_not_exist_are_told(sandbox: Sandbox, tried: Try, table: str):
    kind = {"appointments": "events"}.get(table, table)
    gone = Fault("mutate", match="$id0", times=None, mutate=lambda account: account.records(kind).clear())
    sandbox.faults.add(gone)
    outcome = tried(table)
    assert outcome.is_misleading
    assert not outcome.is_good


def test_a_record_that_can_not_be_asked_for_by_id_is_told(sandbox: Sandbox, tried: Try):
    first = min(sandbox.account.pianos.values(), key=lambda piano: piano["createdAt"])
    sandbox.faults.add(Fault("failing_id", record_id=first["id"]))
    outcome = tried("pianos")
    assert "Gazelle could not answer pianos" in str(outcome.error)


def test_an_empty_account_is_tried_with_an_id_that_nobody_has(sandbox: Sandbox, tried: Try):
    for table in ("timeline_entries", "estimate_tiers", "clients"):
        sandbox.account.timeline.clear()
        sandbox.account.estimates.clear()
        sandbox.account.clients.clear()
        outcome = tried(table)
        assert (outcome.records, outcome.is_good) == (0, True), outcome.error
        assert {*query.all_queries(TABLES[table], NIGHTLY)} - {*texts(sandbox)} <= {
            text for text in query.all_queries(TABLES[table], NIGHTLY) if "$id1" in text
        }


def test_records_that_come_as_null_stop_no_trial(sandbox: Sandbox, tried: Try):
    sandbox.faults.add(Fault("null_node", match="allClients", times=None))
    outcome = tried("contacts")
    assert (outcome.error, outcome.is_finished) == (None, True)


def test_after_the_deadline_nothing_is_sent_and_the_table_is_not_said_to_be_well(sandbox: Sandbox, tried: Try):
    before = len(sandbox.requests)
    outcome = tried("clients", deadline=time.monotonic() - 1)
    assert len(sandbox.requests) == before
    assert (outcome.is_finished, outcome.is_good) == (False, False)


def test_what_does_not_come_by_the_end_is_not_waited_for(sandbox: Sandbox, conditions: Conditions):
    sandbox.faults.add(Fault("delay", seconds=9.0, match="query taxes"))
    began = time.monotonic()
    limited = replace(conditions, deadline=began + 3, end=began + 3)
    users, taxes = try_tables([TABLES["users"], TABLES["taxes"]], {}, limited)
    assert time.monotonic() - began < AT_ONCE
    assert (users.is_good, taxes.is_finished, taxes.is_good) == (True, False, False)
    time.sleep(9)  # what nobody waits for any more is not to be met by the next test


def test_several_tables_are_tried_at_once_within_the_rate_limit(sandbox: Sandbox, under_way: list[int]):
    sandbox.latency = 0.2
    watch = Watch()
    client = client_of(sandbox, observe=watch, requests_per_second=20, concurrent=4)
    began = time.monotonic()
    tables = [TABLES[name] for name in TABLES if isinstance(TABLES[name].read, PlainList)]
    outcomes = list(try_tables(tables, {}, Conditions(client, watch, NIGHTLY, ALL, 20, began + 60, began + 60)))
    took = time.monotonic() - began
    client.close()
    requests = len(watch.exchanges)
    assert all(outcome.is_good for outcome in outcomes)
    assert took >= (requests - 1) / 20
    assert max(under_way) == 4
    assert all(exchange.seconds > 0.15 for exchange in watch.exchanges)
