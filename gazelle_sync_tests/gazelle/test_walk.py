"""A list that changes while it is read: what was there all along is read, or the walk says that it may not be."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazelle_sync.gazelle import Client, InvalidResponse, Snapshot
from gazelle_sync.gazelle.pages import MORE_THAN_ANNOUNCED, Page, Walk
from gazelle_sync.sandbox import Account, Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.conftest import ALL
from gazelle_sync_tests.gazelle.test_snapshot import ids, institution, read

# Any list, any change, any page


@dataclass
class ChangingList:
    """Numbers in their order, of which some go and others come before each page. `by_value`: a cursor is a record's
    place among the others, and not its offset."""

    numbers: list[int]
    size: int
    by_value: bool
    change: Callable[[list[int]], None]
    asked: int = 0
    served: list[int] = field(default_factory=list)

    def fetch(self, after: str | None) -> Page:
        if self.asked:
            self.change(self.numbers)
        self.asked += 1
        start = 0
        if after is not None:
            at = int(base64.b64decode(after))
            start = sum(number <= at for number in self.numbers) if self.by_value else at
        nodes = self.numbers[start : start + self.size]
        cursors = [
            base64.b64encode(str(number if self.by_value else start + place).encode()).decode()
            for place, number in enumerate(nodes, 1)
        ]
        return Page(
            [{"id": str(number)} for number in nodes],
            len(self.numbers),
            start + self.size < len(self.numbers),
            cursors[-1] if cursors else None,
            cursors[-2] if len(cursors) > 1 else None,
        )

    def walk(self) -> Walk:
        walk = Walk(self.fetch, "numbers")
        for nodes in walk.pages():
            self.served += [int(node["id"]) for node in nodes]
        return walk


@settings(max_examples=400, deadline=None)
@given(
    length=st.integers(0, 60),
    size=st.integers(2, 9),
    by_value=st.booleans(),
    going=st.floats(0, 1),
    coming=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_a_record_that_was_there_all_along_is_read_or_there_is_a_doubt_whatever_goes_and_comes(
    length: int, size: int, by_value: bool, going: float, coming: float, seed: int
):
    chance = Random(seed)
    new = iter(range(1, 10**6, 2))  # odd numbers, anywhere among the even ones

    def change(numbers: list[int]) -> None:
        # Not for ever: a list that grows by a page for every page is never at its end.
        if changing.asked < 40:
            for _ in range(chance.randrange(3)):
                if numbers and chance.random() < going:
                    numbers.remove(chance.choice(numbers))
                if chance.random() < coming:
                    numbers.append(next(new) if chance.random() < 0.5 else 10**6 + next(new))
            numbers.sort()

    there = [2 * number for number in range(length)]
    changing = ChangingList(list(there), size, by_value, change)
    walk = changing.walk()
    assert walk.find_doubt() or set(there) & set(changing.numbers) <= set(changing.served)


@settings(max_examples=400, deadline=None)
@given(length=st.integers(20, 60), size=st.integers(5, 20), by_value=st.booleans(), seed=st.integers(0, 2**32))
def test_where_a_page_is_longer_than_what_changes_meanwhile_every_record_is_read(
    length: int, size: int, by_value: bool, seed: int
):
    """One goes and another comes before every page: in Gazelle's pages of hundreds that is much."""
    chance = Random(seed)
    new = iter(range(1, 10**6, 2))

    def change(numbers: list[int]) -> None:
        if changing.asked < 40:
            numbers.remove(chance.choice(numbers))
            numbers.append(next(new) if chance.random() < 0.5 else 10**6 + next(new))
            numbers.sort()

    there = [2 * number for number in range(length)]
    changing = ChangingList(list(there), size, by_value, change)
    changing.walk()
    assert set(there) & set(changing.numbers) <= set(changing.served)


@settings(max_examples=400, deadline=None)
@given(length=st.integers(0, 60), size=st.integers(2, 9), by_value=st.booleans(), at=st.integers(1, 12))
def test_a_list_of_which_one_record_goes_is_known_to_be_whole(length: int, size: int, by_value: bool, at: int):
    """One that goes is no reason to read it all again."""

    def change(numbers: list[int]) -> None:
        if changing.asked == at and numbers:
            numbers.pop(len(numbers) // 3)

    changing = ChangingList(list(range(length)), size, by_value, change)
    assert changing.walk().find_doubt() is None
    assert changing.asked <= -(-length // (size - 1)) + 2


@pytest.mark.parametrize(("to", "asked"), [(0, 9), (3, 9), (8, 10), (11, 11)])
def test_a_record_that_moves_to_what_was_read_is_looked_for_from_the_start_on(to: int, asked: int):
    def move(numbers: list[int]) -> None:
        if changing.asked == 3:
            numbers.insert(to, numbers.pop(25))

    changing = ChangingList(list(range(30)), 5, False, move)
    walk = changing.walk()
    assert sorted(changing.served) == list(range(30))
    assert walk.find_doubt() is None
    assert changing.asked <= asked, "no more than up to where it is"


def test_one_that_is_nowhere_to_be_found_is_missing_from_the_count():
    def move(numbers: list[int]) -> None:
        if changing.asked == 3:
            numbers.insert(8, numbers.pop(25))
        if changing.asked == 9:
            # Away again, before it was met.
            numbers.insert(2, numbers.pop(numbers.index(25)))

    changing = ChangingList(list(range(30)), 5, False, move)
    walk = changing.walk()
    assert 25 not in changing.served
    assert walk.find_doubt() == (
        "numbers shifted while it was read: 29 different records were seen, and 30 announced at the start, "
        "30 at the end"
    )


def test_a_walk_over_300_000_records_holds_a_number_for_each():
    changing = ChangingList(list(range(300_000)), 1000, False, lambda numbers: None)
    walk = Walk(changing.fetch, "numbers")
    assert sum(len(nodes) for nodes in walk.pages()) == 300_000
    assert walk.find_doubt() is None
    assert walk._seen.buffer_info()[1] * walk._seen.itemsize < 3_000_000


# Over HTTP

PAGING = pytest.mark.parametrize("opaque", [False, True], ids=["offset cursors", "opaque cursors"])
SIZES = pytest.mark.parametrize("cap", [2, 23, 60])


def in_order(account: Account, kind: str) -> list[str]:
    records = account.records(kind)
    return sorted(records, key=lambda key: records[key]["createdAt"])


@PAGING
@SIZES
@pytest.mark.parametrize(
    ("table", "kind", "listed"), [("clients", "clients", "allClients"), ("pianos", "pianos", "allPianos")]
)
def test_one_goes_and_another_comes_while_a_list_is_read_and_none_is_missed(
    sandbox: Sandbox, client: Client, table: str, kind: str, listed: str, cap: int, opaque: bool
):
    """Ascending: the total stays, and what follows the one that went is shifted over the page's edge."""
    sandbox.page_cap, sandbox.opaque_cursors = cap, opaque
    records = sandbox.account.records(kind)
    there = in_order(sandbox.account, kind)
    gone, sample = there[0], dict(records[there[-1]])

    def swap(account: Account) -> None:
        del records[gone]
        records["new"] = {**sample, "id": "new", "createdAt": "2026-03-16T15:00:00Z"}

    sandbox.faults.add(Fault("mutate", match=listed, when="after", mutate=swap))
    rows, snapshot = read(client, table)
    assert set(there) - {gone} <= set(ids(rows))
    assert "new" in ids(rows)
    assert snapshot.doubts == []
    pages = -(-len(there) // (cap - 1)) + 1
    assert len(sandbox.requests) <= pages + 1, "one page is asked for again"


@PAGING
@SIZES
@pytest.mark.parametrize("table", ["timeline_entries", "appointments"])
def test_one_goes_and_another_comes_in_a_list_that_has_the_newest_first(
    sandbox: Sandbox, client: Client, table: str, cap: int, opaque: bool
):
    """Descending: the new one is before all that was read."""
    sandbox.page_cap, sandbox.opaque_cursors = cap, opaque
    kind, at = ("timeline", "occurredAt") if table == "timeline_entries" else ("events", "start")
    records = sandbox.account.records(kind)
    for key in list(records)[200:]:
        del records[key]
    there = sorted(records, key=lambda key: records[key][at], reverse=True)
    gone, sample = there[0], dict(records[there[0]])

    def swap(account: Account) -> None:
        del records[gone]
        records["new"] = {**sample, "id": "new", at: "2027-03-16T15:00:00Z"}

    # The one that goes was read, the one that comes was not: both edges are where they were.
    sandbox.faults.add(Fault("mutate", when="after", mutate=swap))
    rows, _ = read(client, table)
    assert set(there) - {gone} <= set(ids(rows))


def test_a_new_record_at_the_start_is_read_with_one_more_request(sandbox: Sandbox, client: Client):
    owner = next(iter(sandbox.account.clients))
    read(client, "timeline_entries")
    usual = len(sandbox.requests)

    def add(account: Account) -> None:
        for number in range(3):
            at = f"2026-03-16T15:0{number}:00Z"
            account.add("timeline", {"id": f"new{number}", "clientId": owner, "occurredAt": at, "type": "USER_COMMENT"})

    sandbox.faults.add(Fault("mutate", when="after", skip=3, mutate=add))
    rows, snapshot = read(client, "timeline_entries")
    assert snapshot.doubts == []
    assert {"new0", "new1", "new2"} <= set(ids(rows))
    assert len(sandbox.requests) - usual == usual + 1


def test_no_request_is_sent_for_a_list_that_does_not_change(sandbox: Sandbox, client: Client):
    """What the overlap costs: a record a page."""
    for table, kind in (("clients", "clients"), ("timeline_entries", "timeline")):
        before = len(sandbox.requests)
        read(client, table)
        count = len(sandbox.account.records(kind))
        assert len(sandbox.requests) - before == -(-(count - 1) // (sandbox.page_cap - 1))


@PAGING
@pytest.mark.parametrize("cap", [7, 50])
def test_one_contact_goes_and_another_comes_while_an_institutions_are_read(
    sandbox: Sandbox, client: Client, cap: int, opaque: bool
):
    sandbox.page_cap, sandbox.opaque_cursors = cap, opaque
    owner = institution(sandbox.account)
    contacts = sandbox.account.contacts
    mine = [key for key, contact in contacts.items() if contact["clientId"] == owner]
    sample = dict(contacts[mine[-1]])

    def swap(account: Account) -> None:
        del contacts[mine[0]]
        contacts["new"] = {**sample, "id": "new"}

    sandbox.faults.add(Fault("mutate", match="client(id:", when="after", mutate=swap))
    rows, snapshot = read(client, "contacts")
    assert set(mine) - {mine[0]} <= set(ids(rows))
    assert snapshot.doubts == []


def move_to_a_client_that_was_read(sandbox: Sandbox) -> str:
    """Sets a fault: a contact of the last client goes to the first one, after the first page of clients."""
    order = in_order(sandbox.account, "clients")
    contacts = sandbox.account.contacts
    moving = next(key for key, contact in contacts.items() if contact["clientId"] in order[-20:])

    def move(account: Account) -> None:
        contacts[moving]["clientId"] = order[0]

    sandbox.page_cap = 50
    sandbox.faults.add(Fault("mutate", match="allClients", with_after=False, when="after", mutate=move))
    return moving


def test_a_contact_that_moves_to_a_client_that_was_read_is_found_by_a_second_look(sandbox: Sandbox, client: Client):
    moving = move_to_a_client_that_was_read(sandbox)
    rows, snapshot = read(client, "contacts")
    assert moving not in ids(rows)
    assert snapshot.doubts == [], "by the lists, all is well"
    found = [key for frame in snapshot.look_again() for key in frame["external_id"]]
    assert moving in found


def test_a_second_look_asks_for_what_changed_only(sandbox: Sandbox, client: Client):
    _, snapshot = read(client, "contacts")
    before = len(sandbox.requests)
    assert list(snapshot.look_again()) == []
    assert len(sandbox.requests) - before == 2, "150 clients, their numbers only"
    assert all("firstName" not in request.query for request in list(sandbox.requests)[before:])
    for table in ("clients", "users", "timeline_entries"):
        assert list(Snapshot(client, TABLES[table], ALL).look_again()) == []


# Lists without an end


def test_a_list_that_never_ends_is_refused_soon():
    """A total of 30, and always one more page."""

    def fetch(after: str | None) -> Page:
        nonlocal asked
        asked += 1
        return Page([{"id": str(asked)}, {"id": str(asked + 1)}], 30, True, f"end{asked}", f"overlap{asked}")

    asked = 0
    with pytest.raises(InvalidResponse, match=r"numbers: \d+ records were read of 30 that were announced, and"):
        list(Walk(fetch, "numbers").pages())
    assert asked <= 30 + MORE_THAN_ANNOUNCED + 5


def test_a_list_that_begins_anew_for_ever_is_refused_soon(sandbox: Sandbox, client: Client):
    sandbox.faults.add(Fault("endless_list"))
    with pytest.raises(InvalidResponse, match="The list does not end; nothing was changed for this table"):
        read(client, "pianos")
    assert len(sandbox.requests) < 25
