"""The size of a page finds itself: it grows while answers come quickly, and shrinks when they don't come."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gazelle_sync.gazelle import Client, Refused, Snapshot, page_size
from gazelle_sync.gazelle.page_size import PROBATION, PageSize
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.declaration import Missing, Sizes
from gazelle_sync_tests.conftest import ALL, client_of

Read = Callable[..., Snapshot]


@pytest.fixture
def read(sandbox: Sandbox) -> Iterator[Read]:
    """A snapshot that was read to its end, from a server that serves pages of any size."""
    sandbox.page_cap = 5000
    clients: list[Client] = []

    def read(table: str, *, known: Sizes | None = None, **options: Any) -> Snapshot:
        clients.append(client_of(sandbox, **options))
        snapshot = Snapshot(clients[-1], TABLES[table], ALL)
        if known:
            snapshot.recall(known)
        for _ in snapshot.pages():
            pass
        return snapshot

    yield read
    for client in clients:
        client.close()


def asked(sandbox: Sandbox) -> list[tuple[Any, Any]]:
    return [(request.variables.get("first"), request.variables.get("nested")) for request in sandbox.requests]


@pytest.mark.parametrize("opaque", [False, True], ids=["offsets", "opaque"])
def test_pages_double_while_answers_come_quickly_and_no_record_is_lost_between_two_sizes(
    sandbox: Sandbox, read: Read, opaque: bool
):
    sandbox.opaque_cursors = opaque
    snapshot = read("timeline_entries")
    assert snapshot.page_sizes == [200, 400, 800, 1000]
    assert snapshot.doubts == []
    assert snapshot.seen == snapshot.expected == len(sandbox.account.timeline)
    assert snapshot.sizes == Sizes(1000)


def test_they_do_not_grow_while_answers_are_slow(read: Read, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page_size, "QUICK", 0.0)
    assert read("timeline_entries").page_sizes == [200]


def test_nor_when_the_server_gives_less_than_it_is_asked_for(sandbox: Sandbox, read: Read):
    sandbox.page_cap = 150
    snapshot = read("timeline_entries")
    assert snapshot.page_sizes == [200]
    assert snapshot.seen == len(sandbox.account.timeline)


def test_pages_whose_records_bring_a_list_do_not_grow(sandbox: Sandbox, read: Read):
    read("contacts")
    assert {size for size, nested in asked(sandbox) if nested} == {100}


LIMITS = {
    "complexity": {"kind": "max_complexity", "limit": 700},
    "a greatest first": {"kind": "max_first", "limit": 60},
    "nodes": {"kind": "max_nodes", "limit": 60},
}


@pytest.mark.parametrize("language", ["english", "french"])
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_a_page_that_is_refused_for_its_size_is_halved_at_once_until_it_is_served(
    sandbox: Sandbox, read: Read, limit: dict[str, Any], language: str
):
    if language == "french":
        sandbox.faults.add(Fault("french"))
    sandbox.faults.add(Fault(**limit))
    # Whoever waits and tries again the same would not be served in the end, however patient.
    snapshot = read("pianos", patience=5)
    assert snapshot.doubts == []
    assert snapshot.seen == len(sandbox.account.pianos)
    sizes = [size for size, _ in asked(sandbox)]
    assert sizes == sorted(sizes, reverse=True), "it does not grow back into what was refused"
    assert snapshot.page_sizes == [200 // 2**n for n in range(len(snapshot.page_sizes))]
    assert snapshot.sizes is not None
    assert snapshot.sizes.refused is not None
    assert snapshot.sizes.refused // 2 == snapshot.sizes.first


def test_a_limit_on_lists_within_lists_is_met_by_fewer_of_the_outer_ones(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("max_nodes", limit=600))
    snapshot = read("contacts")
    assert snapshot.doubts == []
    assert asked(sandbox)[:4] == [(100, 20), (50, 20), (25, 20), (25, 20)]


def test_and_by_shorter_inner_ones_when_there_is_one_outer_one_left():
    size = PageSize(Sizes(4, 8), 100)
    steps = []
    while size.shrink(True):
        steps.append((size.first, size.nested))
    assert steps == [(2, 8), (1, 8), (1, 4), (1, 2), (1, 1)]


def test_a_query_that_is_too_complex_for_one_record_is_not_tried_again(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("max_depth", limit=2))
    with pytest.raises(Refused, match="more than it gives at once, also for a single record: Query has depth of"):
        read("pianos")
    assert [size for size, _ in asked(sandbox)] == [200, 100, 50, 25, 12, 6, 3, 1]


def test_a_page_that_does_not_come_in_time_is_halved(sandbox: Sandbox, read: Read):
    late = sandbox.faults.add(Fault("delay", seconds=6.0, above=100, times=None))
    snapshot = read("timeline_entries", read_timeout=4, patience=30)
    assert snapshot.page_sizes == [200, 100]
    assert snapshot.seen == len(sandbox.account.timeline)
    while asked(sandbox).count((200, None)) < late.struck:
        time.sleep(0.05)  # what nobody waits for any more is not to be met by the next test


def test_a_page_that_comes_back_as_an_error_of_the_server_twice_is_halved(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("status", status=502, above=100, times=None))
    snapshot = read("timeline_entries", patience=20)
    assert snapshot.page_sizes == [200, 100]
    assert asked(sandbox)[:3] == [(200, None), (200, None), (100, None)]
    assert snapshot.sizes == Sizes(100), "it may have been an outage: tomorrow it may grow"


def test_one_error_of_the_server_is_no_reason_to_ask_for_less(sandbox: Sandbox, read: Read):
    sandbox.faults.add(Fault("status", status=502, times=1))
    assert read("timeline_entries").page_sizes[0] == 200


def test_after_an_outage_pages_grow_again():
    size = PageSize(Sizes(200), 1000)
    size.shrink(False)
    for _ in range(2 * PROBATION - 1):
        size.note(100, 100, 0.1)
        assert size.first == 100
    size.note(100, 100, 0.1)
    assert size.first == 200


def test_an_answer_to_another_size_decides_nothing():
    size = PageSize(Sizes(200), 1000)
    size.shrink(False)
    size.note(200, 200, 0.1)
    assert size.first == 100


def test_records_that_are_asked_for_by_id_are_asked_for_in_halves_when_they_are_too_much(sandbox: Sandbox, read: Read):
    snapshot = read("pianos")
    sandbox.faults.add(Fault("max_complexity", limit=300))
    first = len(sandbox.requests)
    keys = list(sandbox.account.pianos)[:25]
    frames = list(snapshot.confirm([Missing((key,)) for key in keys]))
    assert sum(len(frame) for frame in frames) == 25
    assert snapshot.not_gone == {(key,) for key in keys}
    assert snapshot.unproved == {}
    assert len(sandbox.requests) - first > 2


def test_what_worked_last_is_asked_for_first(sandbox: Sandbox, read: Read):
    assert read("timeline_entries", known=Sizes(800, 0, 1000)).page_sizes == [800]
    assert json.dumps(asked(sandbox)[0]) == "[800, null]"
