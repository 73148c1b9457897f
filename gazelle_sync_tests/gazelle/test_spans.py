"""Lists that are cut by the days of their records, and the lists inside them: as whole as in one piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from gazelle_sync.gazelle import Client, Cut, Snapshot, Unavailable, parts
from gazelle_sync.sandbox import Account, Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.declaration import ByDay, Connection, Nested, Scope
from gazelle_sync_tests.conftest import ALL, TODAY, TORONTO, client_of, wait_for_abandoned_reads
from gazelle_sync_tests.gazelle.conftest import fail_for_good_once_kept

COUNTING = "totalCount } p0:"
SPAN = re.compile(r"(?:archived: (\w+), )?(?:\w+Get: \"([-\d]+)\")?(?:, )?(?:\w+Let: \"([-\d]+)\")?\}\)")
# Every table whose list is cut by days, or that is read inside of one.
CUT = [
    name
    for name, table in TABLES.items()
    if isinstance(table.read, (Connection, Nested))
    and isinstance((table.read.root if isinstance(table.read, Nested) else table.read).parts, ByDay)
]
NIGHT = Scope(TORONTO, date(2025, 6, 1), date(2027, 3, 1))

Reading = Callable[..., Snapshot]


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    sandbox.account = Account.generated(
        clients=400, invoices=600, estimates=150, measurements=500, timeline=500, today=TODAY
    )
    return sandbox.account


@pytest.fixture
def reading(sandbox: Sandbox, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reading]:
    """A snapshot of a table that is long enough to be cut: `reading("clients")`."""
    monkeypatch.setattr(parts, "SMALLEST", 0.01)
    monkeypatch.setattr(parts, "LEAST_TO_CUT", 0.01)
    clients: list[Client] = []

    def reading(name: str, scope: Scope = ALL, cut: Cut | None = None, **options: Any) -> Snapshot:
        clients.append(client_of(sandbox, **{"concurrent": 4, **options}))
        return Snapshot(clients[-1], TABLES[name], scope, cut=cut)

    yield reading
    wait_for_abandoned_reads()
    for client in clients:
        client.close()


def read(snapshot: Snapshot) -> list[tuple[str, ...]]:
    key = list(snapshot.table.key)
    return [row for frame in snapshot.pages() for row in frame[key].itertuples(index=False, name=None)]


def spans_asked_for(sandbox: Sandbox) -> set[tuple[str, str, str]]:
    """Of each part that was asked for: archived or not, its first day, its last."""
    lists = [each.query for each in sandbox.requests if COUNTING not in each.query and "totalCount page" in each.query]
    return {found.groups("") for query in lists if (found := SPAN.search(query)) and (found[2] or found[3])}


@pytest.mark.parametrize("scope", [ALL, NIGHT], ids=["all", "a night's"])
@pytest.mark.parametrize("name", CUT)
def test_a_list_in_spans_has_the_records_that_it_has_in_one_piece(
    sandbox: Sandbox, reading: Reading, name: str, scope: Scope
):
    whole = read(reading(name, scope, concurrent=1))
    assert not spans_asked_for(sandbox) - {("", scope.start.isoformat(), "2027-02-28"), ("", "2017-01-01", "")}
    snapshot = reading(name, scope)
    found = read(snapshot)
    assert sorted(found) == sorted(whole)
    assert found
    assert (snapshot.doubts, snapshot.remarks) == ([], [])
    assert snapshot.seen == snapshot.expected == len(found)
    assert len(spans_asked_for(sandbox)) > 3, "it was cut"


def test_a_span_lies_within_the_days_of_a_night(sandbox: Sandbox, reading: Reading):
    read(reading("appointments", NIGHT))
    spans = sorted(span[1:] for span in spans_asked_for(sandbox) if span[1:] != ("2025-06-01", "2027-02-28"))
    assert spans[0][0] == "2025-06-01"
    assert spans[-1][1] == "2027-02-28"
    assert all(date.fromisoformat(last) < date.fromisoformat(first) for (_, last), (first, _) in pairwise(spans))


def test_archived_invoices_and_the_others_are_each_cut_by_the_days_of_invoices(sandbox: Sandbox, reading: Reading):
    read(reading("invoices"))
    asked = spans_asked_for(sandbox)
    assert {archived for archived, _, _ in asked} == {"false", "true"}
    assert all("invoiceDate" in each.query for each in sandbox.requests if COUNTING in each.query)


def test_a_client_without_a_day_is_found_by_the_whole_count_and_that_is_said(
    sandbox: Sandbox, reading: Reading, account: Account
):
    next(iter(account.clients.values()))["createdAt"] = None
    for name in ("clients", "contacts"):
        snapshot = reading(name)
        found = {key for (key,) in read(snapshot)}
        assert found == set(account.records(name))
        assert snapshot.doubts == []
        [remark] = snapshot.remarks
        assert (
            f"Gazelle has {len(account.clients)} records, of which its parts have {len(account.clients) - 1}" in remark
        )
    assert not spans_asked_for(sandbox)


def test_a_list_whose_filter_is_refused_is_read_in_one_piece_and_that_is_said(sandbox: Sandbox, reading: Reading):
    sandbox.faults.add(Fault("missing", names=["PrivateAllInvoicesFilter.invoiceDateGet"], match=COUNTING))
    snapshot = reading("invoice_items")
    assert read(snapshot)
    assert snapshot.doubts == []
    [remark] = snapshot.remarks
    assert "in one piece" in remark


def test_a_client_that_comes_when_its_span_was_read_is_read(sandbox: Sandbox, reading: Reading, account: Account):
    new = {**next(iter(account.clients.values())), "id": "cli_new"}
    mutate = lambda account: account.clients.update(cli_new=new)  # noqa: E731
    # Once for the years, once for what is large among them if any is, and at last for the parts.
    sandbox.faults.add(Fault("mutate", match=COUNTING, skip=1, mutate=mutate))
    snapshot = reading("clients")
    assert ("cli_new",) in read(snapshot)
    assert snapshot.doubts == []
    assert snapshot.seen == snapshot.expected == len(account.clients)


def test_contacts_of_a_span_that_is_read_again_count_once(sandbox: Sandbox, reading: Reading, account: Account):
    new = {**next(iter(account.clients.values())), "id": "cli_new", "contacts": []}
    mutate = lambda account: account.clients.update(cli_new=new)  # noqa: E731
    sandbox.faults.add(Fault("mutate", match=COUNTING, skip=2, mutate=mutate))
    snapshot = reading("contacts")
    found = read(snapshot)
    assert len(found) > len(set(found)), "a span was read again"
    assert snapshot.doubts == []
    assert snapshot.seen == snapshot.expected == len(set(found))


def test_what_fails_in_one_span_is_read_again_and_the_contacts_of_the_others_are_not(
    sandbox: Sandbox, reading: Reading, account: Account
):
    sandbox.page_cap = 10
    fault = Fault("status", match='createdGet: "2019-01-01"', with_after=True, times=None)
    sandbox.faults.add(fault)
    cut = Cut()
    with pytest.raises(Unavailable):
        read(reading("contacts", cut=cut, patience=60, observe=fail_for_good_once_kept(fault, cut)))
    wait_for_abandoned_reads()
    assert cut.is_kept
    sandbox.faults.remove(fault)
    before = len(sandbox.requests)
    again = reading("contacts", cut=cut)
    assert {key for (key,) in read(again)} == set(account.contacts)
    assert again.doubts == []
    kept = len({each.query for each in sandbox.requests[before:] if "totalCount page" in each.query})
    assert kept < len(cut.parts or ())


def test_what_is_in_doubt_inside_a_record_is_not_read_from_what_was_kept(sandbox: Sandbox, reading: Reading):
    some = next(key for key, client in sandbox.account.clients.items() if client.get("createdAt"))
    moved = [each for each in sandbox.account.contacts.values() if each["clientId"] == some]
    assert moved
    snapshot = reading("contacts")
    read(snapshot)
    assert snapshot.cut.is_kept
    snapshot.cut.doubt()
    assert not snapshot.cut.is_kept
    before = len(sandbox.requests)
    read(snapshot)
    assert len(sandbox.requests) - before >= len(snapshot.cut.parts or ())


def test_long_lists_inside_records_keep_to_the_limit_of_requests_under_way(
    sandbox: Sandbox, reading: Reading, under_way: list[int]
):
    """An institution's contacts are asked for while other clients are being read."""
    sandbox.account = Account.typical(TODAY)
    sandbox.latency = 0.02
    snapshot = reading("contacts", concurrent=2)
    assert {key for (key,) in read(snapshot)} == set(sandbox.account.contacts)
    assert snapshot.doubts == []
    assert max(under_way) == 2


def test_a_year_in_which_an_account_moved_in_is_split(sandbox: Sandbox, reading: Reading, account: Account):
    for number, client in enumerate(account.clients.values()):
        if number % 10:
            client["createdAt"] = f"2021-0{number % 9 + 1}-11T15:00:00Z"
    snapshot = reading("clients")
    assert len(read(snapshot)) == len(account.clients)
    inside = [span for span in spans_asked_for(sandbox) if span[1].startswith("2021") and span[2].startswith("2021")]
    assert len(inside) >= 4


@pytest.mark.parametrize("scope", [ALL, NIGHT, Scope(TORONTO, date(2026, 9, 1), date(2026, 10, 1))])
def test_each_day_is_in_one_piece_before_and_after_it_is_split(scope: Scope):
    read = TABLES["appointments"].read
    assert isinstance(read, Connection)
    pieces = parts.find_pieces(read, scope)
    pieces = [smaller for piece in pieces for smaller in parts.split(piece) or [piece]]
    spans = [piece.what for piece in pieces if isinstance(piece.what, parts.Span)]
    assert (spans[0].start, spans[-1].end) == (scope.start, scope.end)
    assert all(one.end == other.start for one, other in pairwise(spans))
