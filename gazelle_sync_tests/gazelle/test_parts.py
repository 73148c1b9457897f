"""A long list is read as the sum of its parts, several at once, and proved by them and by its own count."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from gazelle_sync.gazelle import Client, Cut, Snapshot, Unavailable, parts
from gazelle_sync.gazelle.errors import Unanswered
from gazelle_sync.gazelle.page_size import PageSize
from gazelle_sync.gazelle.transport import Pace
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.sandbox.account.history import TIMELINE_TYPES
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.declaration import ByValue, Connection, Sizes, Table
from gazelle_sync_tests.conftest import ALL, TORONTO, client_of, wait_for_abandoned_reads, wait_until
from gazelle_sync_tests.gazelle.conftest import fail_for_good_once_kept

TIMELINE = TABLES["timeline_entries"]
COUNTING = "totalCount } p0:"

Reading = Callable[..., Snapshot]


@pytest.fixture
def reading(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reading]:
    """A snapshot of the timeline, which is long enough to be cut: `reading(concurrent=1)`."""
    monkeypatch.setattr(parts, "SMALLEST", 0.2)
    monkeypatch.setattr(parts, "LEAST_TO_CUT", 1)
    clients: list[Client] = []

    def reading(table: Table = TIMELINE, cut: Cut | None = None, scope: Scope = ALL, **options: Any) -> Snapshot:
        clients.append(client_of(sandbox, **{"concurrent": 4, **options}))
        return Snapshot(clients[-1], table, scope, cut=cut)

    yield reading
    wait_for_abandoned_reads()
    for client in clients:
        client.close()


def read(snapshot: Snapshot) -> list[str]:
    return [key for frame in snapshot.pages() for key in frame["external_id"]]


def types_asked_for(sandbox: Sandbox) -> list[str]:
    """The parts that were asked for, a page each."""
    return [found[1] for request in sandbox.requests if (found := re.search(r", types: \[(.*?)\]\) \{ totalCount page", request.query))]  # fmt: skip # noqa: E501


def biggest(sandbox: Sandbox) -> str:
    kinds = [entry["type"] for entry in sandbox.account.timeline.values()]
    return max(set(kinds), key=kinds.count)


def test_every_record_is_read_once_in_parts_which_prove_the_whole(sandbox: Sandbox, reading: Reading):
    snapshot = reading()
    found = read(snapshot)
    assert sorted(found) == sorted(sandbox.account.timeline)
    assert (snapshot.doubts, snapshot.remarks) == ([], [])
    assert snapshot.seen == snapshot.expected == len(found)
    asked = set(types_asked_for(sandbox))
    assert 5 < len(asked) <= parts.MOST_PARTS
    assert sorted(", ".join(asked).split(", ")) == sorted(TIMELINE_TYPES), "each type is in one part"


def test_several_requests_are_under_way_and_never_more_than_may_be(
    sandbox: Sandbox, reading: Reading, under_way: list[int]
):
    sandbox.latency = 0.02
    read(reading(concurrent=3))
    assert max(under_way) == 3


def test_with_a_limit_of_one_a_list_is_read_as_ever(sandbox: Sandbox, reading: Reading):
    read(reading(concurrent=1))
    assert types_asked_for(sandbox) == []
    assert all(COUNTING not in request.query for request in sandbox.requests)


def test_a_list_that_is_not_long_is_not_cut_and_costs_no_more(
    sandbox: Sandbox, reading: Reading, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parts, "LEAST_TO_CUT", 5)
    read(reading(concurrent=1))
    alone = len(sandbox.requests)
    read(reading())
    assert len(sandbox.requests) == 2 * alone


def without(kind: str) -> Table:
    """The timeline, of which one type is not known."""
    assert isinstance(TIMELINE.read, Connection)
    known = tuple(each for each in TIMELINE_TYPES if each != kind)
    return replace(TIMELINE, read=replace(TIMELINE.read, parts=ByValue("types", known)))


UNCUTTABLE: dict[str, dict[str, Any]] = {
    "its parts can't be counted": {"kind": "max_complexity", "limit": 25, "match": COUNTING},
    "the schema has lost a type": {"kind": "missing", "names": ["TimelineEntryType.INVOICE_SYNC"], "match": COUNTING},
    "counting is an error": {"kind": "graphql_error", "match": COUNTING, "times": None},
}


@pytest.mark.parametrize("fault", UNCUTTABLE.values(), ids=UNCUTTABLE)
def test_a_list_that_can_not_be_cut_is_read_in_one_piece_and_that_is_said(
    sandbox: Sandbox, reading: Reading, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("time.sleep", lambda _: None)
    sandbox.faults.add(Fault(**fault))
    snapshot = reading()
    assert sorted(read(snapshot)) == sorted(sandbox.account.timeline)
    assert snapshot.doubts == []
    assert types_asked_for(sandbox) == []
    [remark] = snapshot.remarks
    assert "in one piece" in remark


def test_a_record_of_a_type_that_nobody_knows_is_found_by_the_whole_count(sandbox: Sandbox, reading: Reading):
    snapshot = reading(without("INVOICE_SYNC"))
    assert sorted(read(snapshot)) == sorted(sandbox.account.timeline)
    assert snapshot.doubts == []
    [remark] = snapshot.remarks
    assert "2500 records, of which its parts have 2456" in remark


def test_one_that_comes_while_the_parts_are_read_is_found_too(sandbox: Sandbox, reading: Reading):
    """The first read is in doubt, and so the list is read again, in one piece then."""
    for entry in sandbox.account.timeline.values():
        if entry["type"] == "INVOICE_SYNC":
            entry["type"] = "INVOICE_LOG"
    some = next(iter(sandbox.account.timeline.values()))
    new = {**some, "id": "tle_new", "type": "INVOICE_SYNC"}
    mutate = lambda account: account.timeline.update(tle_new=new)  # noqa: E731
    sandbox.faults.add(Fault("mutate", match="types: [", with_after=True, mutate=mutate))
    snapshot = reading(without("INVOICE_SYNC"))
    read(snapshot)
    assert len(snapshot.doubts) == 1
    assert "tle_new" in read(snapshot)
    assert snapshot.doubts == []
    assert len(snapshot.remarks) == 1


def test_a_part_that_shifts_is_read_again_alone(sandbox: Sandbox, reading: Reading):
    kind = biggest(sandbox)
    of_kind = [key for key, entry in sandbox.account.timeline.items() if entry["type"] == kind]

    # Its last page, and a second look at its start.
    assert len(of_kind) < 390
    sandbox.faults.add(Fault("total_count", match=f"[{kind}]) {{ totalCount page", skip=3, times=2))
    snapshot = reading()
    read(snapshot)
    assert len(snapshot.doubts) == 1
    before = len(types_asked_for(sandbox))
    assert sorted(read(snapshot)) == sorted(sandbox.account.timeline)
    assert snapshot.doubts == []
    assert set(types_asked_for(sandbox)[before:]) == {kind}


def test_entries_that_come_while_the_list_is_read_cost_a_page_or_two_and_are_read(sandbox: Sandbox, reading: Reading):
    read(reading())
    alone = len(sandbox.requests)
    kind = biggest(sandbox)
    new = [f"tle_new{number}" for number in range(3)]
    for number, key in enumerate(new):

        def add(account: Any, key: str = key) -> None:
            entries = list(account.timeline.items())
            # Dated back: among those that were read already, and not the newest.
            entries.insert(300, (key, {**entries[0][1], "id": key, "type": kind}))
            account.timeline.clear()
            account.timeline.update(entries)

        sandbox.faults.add(Fault("mutate", match=f"[{kind}]", with_after=True, skip=number, mutate=add))
    snapshot = reading()
    found = read(snapshot)
    assert snapshot.doubts == []
    assert set(new) <= set(found)
    assert len(sandbox.requests) - alone <= 1.15 * alone


def add_to_the_biggest_part(sandbox: Sandbox, key: str) -> str:
    """Before the parts are counted for the second time: when all of them are read. The part's type."""
    kind = biggest(sandbox)
    new = {**next(iter(sandbox.account.timeline.values())), "id": key, "type": kind}
    mutate = lambda account: account.timeline.update({key: new})  # noqa: E731
    sandbox.faults.add(Fault("mutate", match=COUNTING, skip=1, mutate=mutate))
    return kind


def test_an_entry_that_comes_to_a_part_that_was_read_is_read_and_no_other_part_again(
    sandbox: Sandbox, reading: Reading
):
    kind = add_to_the_biggest_part(sandbox, "tle_new")
    snapshot = reading()
    found = read(snapshot)
    assert set(found) == set(sandbox.account.timeline)
    assert (snapshot.doubts, snapshot.remarks) == ([], [])
    assert snapshot.seen == snapshot.expected == len(sandbox.account.timeline)
    firsts = [
        request.query
        for request in sandbox.requests
        if "types: [" in request.query and COUNTING not in request.query and not request.variables.get("after")
    ]
    assert sorted(map(firsts.count, set(firsts)))[-2:] == [1, 2]
    assert firsts.count(next(query for query in firsts if f"[{kind}]" in query)) == 2


def test_one_that_moves_to_a_part_that_was_read_is_read_though_there_are_as_many_as_before(
    sandbox: Sandbox, reading: Reading
):
    """Out of the part that is read last, before it is; its old place would not be missed."""
    kind = biggest(sandbox)
    rare = sandbox.account.timeline
    moved = next(key for key, entry in rare.items() if entry["type"] == "INVOICE_SYNC")
    mutate = lambda account: account.timeline[moved].update(type=kind)  # noqa: E731
    sandbox.faults.add(Fault("mutate", match=COUNTING, skip=1, mutate=mutate))
    snapshot = reading()
    list_ = [dict(zip(frame["external_id"], frame["type"], strict=True)) for frame in snapshot.pages()]
    assert snapshot.doubts == []
    assert [found[moved] for found in list_ if moved in found][-1] == kind


def test_a_part_that_grows_whenever_it_was_read_leaves_the_list_in_doubt(sandbox: Sandbox, reading: Reading):
    kind = biggest(sandbox)
    first = next(iter(sandbox.account.timeline.values()))
    come = iter(range(100))

    def add(account: Any) -> None:
        key = f"tle_new{next(come)}"
        account.timeline[key] = {**first, "id": key, "type": kind}

    sandbox.faults.add(Fault("mutate", match=COUNTING, skip=1, times=None, mutate=add))
    snapshot = reading()
    read(snapshot)
    [doubt] = snapshot.doubts
    assert "shifted while it was read" in doubt


def test_what_was_read_of_the_other_parts_is_kept_when_one_fails(sandbox: Sandbox, reading: Reading):
    kind = biggest(sandbox)
    fault = Fault("status", match=f"[{kind}]", with_after=True, times=None)
    sandbox.faults.add(fault)
    cut = Cut()
    with pytest.raises(Unavailable):
        read(reading(cut=cut, patience=60, observe=fail_for_good_once_kept(fault, cut)))
    wait_for_abandoned_reads()
    assert cut.is_kept
    kept = {part.arguments["types"].strip("[]") for part in cut.parts or () if part.is_proved}
    assert kind not in kept
    sandbox.faults.remove(fault)
    before = len(types_asked_for(sandbox))
    again = reading(cut=cut)
    assert sorted(read(again)) == sorted(sandbox.account.timeline)
    assert again.doubts == []
    asked = set(types_asked_for(sandbox)[before:])
    assert kind in asked
    assert not asked & kept


@pytest.mark.parametrize("where", ["the count at the end", "a page"])
def test_what_is_kept_of_a_table_of_which_a_field_is_refused_is_gone_through_without_that_field(
    sandbox: Sandbox, reading: Reading, where: str
):
    """Or each record would lack it, and be rejected."""
    sandbox.faults.add(Fault("missing", names=["PrivateTimelineEntry.comment"]))
    cut = Cut()
    if where == "a page":
        fault = Fault("status", match=f"[{biggest(sandbox)}]", with_after=True, times=None)
        failing = {"patience": 60, "observe": fail_for_good_once_kept(fault, cut)}
    else:
        fault, failing = Fault("graphql_error", match=COUNTING, skip=1, times=None), {}
    sandbox.faults.add(fault)
    first = reading(cut=cut, **failing)
    with pytest.raises((Unavailable, Unanswered)):
        read(first)
    wait_for_abandoned_reads()
    assert cut.is_kept
    sandbox.faults.remove(fault)
    again = reading(cut=cut)
    assert sorted(read(again)) == sorted(sandbox.account.timeline)
    assert (again.doubts, again.rejects) == ([], [])
    assert again.gaps == first.gaps != []
    assert "comment" not in [column.name for column in again.table.all_columns]


def test_a_record_that_moves_out_of_a_part_that_is_kept_is_stored_as_it_was_read_last(
    sandbox: Sandbox, reading: Reading
):
    kind = biggest(sandbox)
    sandbox.page_cap = 40
    # Nothing is kept of this part: it is in doubt.
    sandbox.faults.add(Fault("total_count", match=f"[{kind}]) {{ totalCount page", skip=8, times=4))
    snapshot = reading()
    read(snapshot)
    assert snapshot.doubts != []
    assert snapshot.cut.is_kept
    sandbox.faults.clear()
    moved = next(key for key, entry in sandbox.account.timeline.items() if entry["type"] == "INVOICE_SYNC")
    # To the start of the list, where it is read first.
    sandbox.account.timeline = {
        moved: {**sandbox.account.timeline.pop(moved), "type": kind},
        **sandbox.account.timeline,
    }
    rows = [dict(zip(frame["external_id"], frame["type"], strict=True)) for frame in snapshot.pages()]
    assert snapshot.doubts == []
    assert [found[moved] for found in rows if moved in found][-1] == kind


def test_an_answer_that_comes_when_its_part_is_being_read_again_changes_nothing_of_that(
    sandbox: Sandbox, reading: Reading
):
    """A cursor is lost in one part, and the list is read again at once: what was under way for others still comes."""
    first, second, third = sorted({e["type"] for e in sandbox.account.timeline.values()}, key=lambda kind: -count(sandbox, kind))[:3]  # fmt: skip # noqa: E501
    sandbox.page_cap = 40
    page = "{}]) {{ totalCount page"
    sandbox.faults.add(Fault("delay", match=page.format(second), with_after=True, skip=1, times=1, seconds=0.25))
    lost = {"kind": "graphql_error", "message": "Invalid cursor", "code": "INVALID_CURSOR", "times": 1}
    sandbox.faults.add(Fault(**lost, match=page.format(first), with_after=True, skip=3))
    # In doubt in the second read: the third one goes through what was kept then.
    sandbox.faults.add(Fault("total_count", match=page.format(third), times=None))
    snapshot = reading()
    for _ in range(2):
        read(snapshot)
        assert snapshot.doubts != []
    assert snapshot.seen == len(sandbox.account.timeline)
    sandbox.faults.clear()
    assert sorted(read(snapshot)) == sorted(sandbox.account.timeline)
    assert snapshot.doubts == []
    assert snapshot.seen == snapshot.expected == len(sandbox.account.timeline)


def test_what_is_left_of_an_older_reading_goes_into_its_own_file():
    part = parts.Part({}, 3)
    old, new = part.begin(), part.begin()
    new.keep(b'{"data": 1}')
    old.keep(b'{"data": 2}')
    part.finish(old, 9, proved=True)
    assert (part.count, part.is_proved) == (3, False)
    part.finish(new, 4, proved=True)
    assert (part.count, part.is_proved) == (4, True)
    assert [*part.repeat().answers()] == [1]


def count(sandbox: Sandbox, kind: str) -> int:
    return [entry["type"] for entry in sandbox.account.timeline.values()].count(kind)


def test_what_lies_beyond_the_scope_counts_once_though_its_part_is_read_again(
    sandbox: Sandbox, reading: Reading, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parts, "LEAST_TO_CUT", 0.2)
    add_to_the_biggest_part(sandbox, "tle_new")
    snapshot = reading(scope=Scope(TORONTO, date(2024, 1, 1), date(2025, 6, 1)))
    found = read(snapshot)
    assert len(found) > len(set(found)), "a part was read again"
    assert snapshot.seen == snapshot.expected == len(set(found)) < len(sandbox.account.timeline)


def test_what_is_too_large_to_be_kept_is_read_again(
    sandbox: Sandbox, reading: Reading, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parts, "MOST_KEPT", 40_000)
    snapshot = reading()
    for _ in range(2):
        assert sorted(read(snapshot)) == sorted(sandbox.account.timeline)
        assert snapshot.doubts == []
    assert not snapshot.cut.is_kept


def test_a_rate_limit_that_one_request_meets_holds_up_all(sandbox: Sandbox, reading: Reading):
    sandbox.faults.add(Fault("status", status=429, retry_after=2, match="types: [", skip=8))
    arrived: list[float] = []
    sandbox.faults.add(Fault("mutate", times=None, mutate=lambda _: arrived.append(time.monotonic())))
    assert sorted(read(reading())) == sorted(sandbox.account.timeline)
    pauses = [later - earlier for earlier, later in pairwise(sorted(arrived))]
    assert max(pauses) > 0.7, "what was under way is answered, and then nothing is asked"


def test_several_that_are_refused_at_once_slow_the_pace_once():
    pace = Pace(10)
    sent = time.monotonic()
    for _ in range(4):
        pace.slow_down(0.0, sent)
    assert pace._interval == 0.2
    pace.slow_down(0.0, time.monotonic())
    assert pace._interval == 0.4


def test_what_several_are_told_at_once_is_one_refusal_of_a_size():
    size = PageSize(Sizes(800), 1000)
    sent = size.variables()
    assert [size.shrink(True, sent) for _ in range(4)] == [True] * 4
    assert size.first == 400


def test_the_first_error_ends_all_and_leaves_no_thread():
    def endless() -> Iterator[int]:
        while True:
            yield 1

    def failing() -> Iterator[int]:
        yield 2
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        for _ in parts.read_at_once([endless(), failing()], 2, "several"):
            pass
    wait_until_ended("several")


def test_who_stops_early_leaves_no_thread():
    reads = parts.read_at_once((iter([number] * 100) for number in range(9)), 4, "several")
    assert next(reads) in range(4)
    reads.close()  # type: ignore[attr-defined]
    wait_until_ended("several")


def wait_until_ended(name: str) -> None:
    wait_until(lambda: all(thread.name != name for thread in threading.enumerate()))


def test_no_more_is_read_ahead_than_a_page_for_each_thread_and_one_in_its_hand():
    made: list[int] = []

    def pages(number: int) -> Iterator[int]:
        for _ in range(50):
            made.append(number)
            yield number

    reads = parts.read_at_once([pages(number) for number in range(4)], 4, "several")
    next(reads)
    time.sleep(0.3)
    assert len(made) <= 1 + 4 + 4
    assert len(list(reads)) == 199


@pytest.mark.parametrize("counts", [{"a": 100_000, "b": 3, "c": 0}, {chr(97 + n): n * n * 100 for n in range(26)}, {"a": 0}])  # fmt: skip # noqa: E501
def test_each_value_is_in_one_part_and_the_rare_ones_are_together(counts: dict[str, int]):
    kinds = Connection("list", parts=ByValue("types", tuple(counts)))
    pieces = parts.find_pieces(kinds, ALL)
    found = parts.divide(kinds, {piece: counts[str(piece.what)] for piece in pieces}, 1000)
    values = [value for part in found for value in part.arguments["types"].strip("[]").split(", ")]
    assert sorted(values) == sorted(counts)
    assert len(found) <= parts.MOST_PARTS + 1
    assert [part.count for part in found] == sorted((part.count for part in found), reverse=True)
