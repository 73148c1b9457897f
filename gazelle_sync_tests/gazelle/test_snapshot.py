"""A list is read to its end, however it is paged, and what speaks against its being whole is named."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import pytest

from gazelle_sync.gazelle import ApiKey, Client, InvalidResponse, Snapshot, Unavailable
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync.sandbox import Account, Fault, Sandbox
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.declaration import Missing
from gazelle_sync_tests.conftest import ALL, TORONTO
from gazelle_sync_tests.gazelle.conftest import Answer, Asked, Scripted

Records = list[dict[str, Any]]


def rows_of(frames: Iterator[Any]) -> Records:
    # Not `to_dict`, which may make other types of the values.
    return [dict(zip(frame.columns, row, strict=True)) for frame in frames for row in frame.itertuples(index=False)]


def read(client: Client, table: str, scope: Scope = ALL) -> tuple[Records, Snapshot]:
    snapshot = Snapshot(client, TABLES[table], scope)
    return rows_of(snapshot.pages()), snapshot


def ids(records: Records) -> list[str]:
    return [record["external_id"] for record in records]


def institution(account: Account) -> str:
    """The client with most contacts."""
    owners = [contact["clientId"] for contact in account.contacts.values()]
    return max(set(owners), key=owners.count)


def great_visit(account: Account) -> dict[str, Any]:
    return max(account.events.values(), key=lambda event: len(event["pianos"]))


KINDS = {
    "users": "users",
    "clients": "clients",
    "contacts": "contacts",
    "pianos": "pianos",
    "appointments": "events",
    "timeline_entries": "timeline",
}


@pytest.mark.parametrize("opaque", [False, True], ids=["offset cursors", "opaque cursors"])
@pytest.mark.parametrize("cap", [7, 23, 100])
@pytest.mark.parametrize("table", ["clients", "contacts", "pianos", "appointment_pianos"])
def test_a_table_is_read_whole_however_long_the_pages_are(
    sandbox: Sandbox, client: Client, table: str, cap: int, opaque: bool
):
    sandbox.page_cap, sandbox.opaque_cursors = cap, opaque
    records, snapshot = read(client, table)
    if table == "appointment_pianos":
        found = {(row["appointment_external_id"], row["piano_external_id"]) for row in records}
        events = sandbox.account.events.values()
        expected = {(event["id"], piano["pianoId"]) for event in events for piano in event["pianos"]}
    else:
        found, expected = set(ids(records)), set(getattr(sandbox.account, KINDS[table]))
    assert found == expected
    assert len(records) == len(expected) == snapshot.seen == snapshot.expected
    assert snapshot.doubts == []
    assert snapshot.rejects == []


@pytest.mark.parametrize("table", ["users", "appointments", "timeline_entries"])
def test_the_other_tables_are_read_whole_too(sandbox: Sandbox, client: Client, table: str):
    records, snapshot = read(client, table)
    assert sorted(ids(records)) == sorted(getattr(sandbox.account, KINDS[table]))
    assert (snapshot.doubts, snapshot.rejects) == ([], [])
    assert snapshot.seen == snapshot.expected == len(records)


@pytest.mark.parametrize(("cap", "opaque"), [(100, False), (7, True)])
def test_an_institution_has_all_118_contacts_and_its_visit_all_25_pianos(
    sandbox: Sandbox, client: Client, cap: int, opaque: bool
):
    sandbox.page_cap, sandbox.opaque_cursors = cap, opaque
    owner, visit = institution(sandbox.account), great_visit(sandbox.account)
    contacts, _ = read(client, "contacts")
    assert len([row for row in contacts if row["client_external_id"] == owner]) == 118
    assert len([row for row in contacts if row["client_external_id"] == owner and row["archived"]]) == 13
    pianos, _ = read(client, "appointment_pianos")
    mine = [row for row in pianos if row["appointment_external_id"] == visit["id"]]
    assert [(row["piano_external_id"], row["is_tuning"]) for row in mine] == [
        (piano["pianoId"], piano["isTuning"]) for piano in visit["pianos"]
    ]
    assert len(mine) == 25


def test_the_columns_are_those_of_the_table_in_their_order(client: Client):
    for name, table in TABLES.items():
        frame = next(iter(Snapshot(client, table, ALL).pages()))
        assert list(frame.columns) == [column.name for column in table.all_columns], name
        assert {kind.name for kind in frame.dtypes} == {"object"}, f"{name}: pandas must not convert"


def test_each_call_of_pages_reads_anew(sandbox: Sandbox, client: Client):
    snapshot = Snapshot(client, TABLES["clients"], ALL)
    sandbox.faults.add(Fault("null_node", times=None))
    assert len(rows_of(snapshot.pages())) < 150
    assert snapshot.doubts
    sandbox.faults.clear()
    next(iter(sandbox.account.clients.values()))["createdAt"] = "0000-00-00"
    sandbox.account.add("clients")
    assert len(rows_of(snapshot.pages())) == 151
    assert (snapshot.seen, snapshot.expected) == (151, 151)
    assert snapshot.doubts == []
    assert len(snapshot.rejects) == 1
    next(iter(sandbox.account.clients.values()))["createdAt"] = "2020-01-01T00:00:00Z"
    assert len(rows_of(snapshot.pages())) == 151
    assert snapshot.rejects == []


# Doubts


def doubts(client: Client, table: str) -> str:
    return "; ".join(read(client, table)[1].doubts)


@pytest.mark.parametrize("table", ["clients", "contacts", "timeline_entries"])
def test_null_nodes_are_a_doubt(sandbox: Sandbox, client: Client, table: str):
    sandbox.faults.add(Fault("null_node", times=None))
    said = doubts(client, table)
    assert "records that came as null: " in said
    assert "shifted while it was read" in said


@pytest.mark.parametrize("delta", [1, -1])
def test_a_total_that_is_not_what_was_seen_is_a_doubt(sandbox: Sandbox, client: Client, delta: int):
    sandbox.faults.add(Fault("total_count", delta=delta, times=None))
    assert doubts(client, "clients") == (
        "allClients shifted while it was read: 150 different records were seen, and "
        f"{150 + delta} announced at the start, {150 + delta} at the end"
    )


@pytest.mark.parametrize("with_after", [False, True])
@pytest.mark.parametrize("delta", [1, -1])
def test_a_total_that_changes_is_what_a_record_that_goes_or_comes_makes_of_it(
    sandbox: Sandbox, client: Client, delta: int, with_after: bool
):
    sandbox.faults.add(Fault("total_count", delta=delta, with_after=with_after))
    assert doubts(client, "clients") == ""


def test_a_record_removed_between_two_pages_is_no_reason_to_read_all_again(sandbox: Sandbox, client: Client):
    first = next(iter(sorted(sandbox.account.clients.values(), key=lambda record: record["createdAt"])))["id"]
    sandbox.faults.add(
        Fault("mutate", match="allClients", when="after", mutate=lambda account: account.clients.pop(first))
    )
    records, snapshot = read(client, "clients")
    # It was read before it went; none that exists was skipped.
    assert set(ids(records)) == {first, *sandbox.account.clients}
    assert snapshot.doubts == []


def test_a_record_added_between_two_pages_is_read(sandbox: Sandbox, client: Client):
    def add(account: Account) -> None:
        owner = next(iter(account.clients))
        account.add("timeline", {"clientId": owner, "occurredAt": "2026-03-16T15:00:00Z", "type": "USER_COMMENT"})

    sandbox.faults.add(Fault("mutate", when="after", mutate=add))
    records, snapshot = read(client, "timeline_entries")
    assert set(ids(records)) == set(sandbox.account.timeline)
    assert (len(records), snapshot.seen, snapshot.expected, snapshot.doubts) == (2501, 2501, 2501, [])


def test_one_removed_and_one_added_at_the_same_time_is_no_doubt(sandbox: Sandbox, client: Client):
    """The count stays the same: only distinct ids show that one was not served, and where."""

    def swap(account: Account) -> None:
        owner = next(iter(account.clients))
        account.add("timeline", {"clientId": owner, "occurredAt": "2026-03-16T15:00:00Z", "type": "USER_COMMENT"})
        oldest = min(account.timeline, key=lambda key: account.timeline[key]["occurredAt"])
        del account.timeline[oldest]

    sandbox.faults.add(Fault("mutate", when="after", mutate=swap))
    records, snapshot = read(client, "timeline_entries")
    assert set(ids(records)) == set(sandbox.account.timeline)
    assert snapshot.doubts == []


def test_a_nested_list_that_is_longer_or_shorter_than_announced_is_a_doubt(sandbox: Sandbox, client: Client):
    sandbox.faults.add(Fault("total_count", match="client(id:", times=None))
    owner = institution(sandbox.account)
    assert doubts(client, "contacts") == (
        f"allClients.allContacts of {owner} shifted while it was read: 118 different records were seen, and "
        "119 announced at the start, 119 at the end"
    )


def test_a_client_that_goes_away_while_its_contacts_are_read_is_a_doubt(sandbox: Sandbox, client: Client):
    owner = institution(sandbox.account)
    sandbox.faults.add(Fault("mutate", match="client(id:", mutate=lambda account: account.clients.pop(owner, None)))
    records, snapshot = read(client, "contacts")
    assert (
        snapshot.doubts
        == [
            f"allClients.allContacts of {owner}: the record went away while its list was read",
            "allClients shifted while it was read: 150 different records were seen, and 150 announced at the start, "
            "149 at the end",
        ][: len(snapshot.doubts)]
    )
    assert len(records) >= 345 - 118


@pytest.mark.parametrize("table", TABLES)
def test_a_list_of_an_account_that_has_nothing_yet_is_empty_and_no_doubt(table: str, sandbox: Sandbox, client: Client):
    sandbox.account = Account()
    assert doubts(client, table) == ""


# Cursors and shapes, from a server that the sandbox can't be


def connection(nodes: list[Any], total: Any, more: Any = False, cursor: Any = None) -> dict[str, Any]:
    return {"nodes": nodes, "totalCount": total, "pageInfo": {"hasNextPage": more, "endCursor": cursor}}


def answered(**data: Any) -> Answer:
    return Answer(json.dumps({"data": data}))


@pytest.fixture
def other(scripted: Scripted) -> Iterator[Client]:
    client = Client(Transport(scripted.url, requests_per_second=1000, patience=2), ApiKey("k"))
    yield client
    client.close()


def test_a_cursor_that_does_not_move_is_refused(sandbox: Sandbox, client: Client):
    sandbox.page_cap = 40
    sandbox.faults.add(Fault("stuck_cursor", with_after=True, times=None))
    with pytest.raises(InvalidResponse, match=r"allPianos: the cursor Mzk does not move, .* nothing was changed"):
        read(client, "pianos")


@pytest.mark.parametrize("cursors", [["a", "b", "c", "a"], ["a", "b", "b"], [None], ["a", None]], ids=str)
def test_cursors_that_go_round_in_a_circle_are_refused(scripted: Scripted, other: Client, cursors: list[str | None]):
    scripted.answer(*(answered(allClients=connection([], 9, True, cursor)) for cursor in cursors))
    with pytest.raises(InvalidResponse, match=f"allClients: the cursor {cursors[-1]} does not move"):
        read(other, "clients")
    assert len(scripted.asked) == len(cursors)


def test_pages_that_are_empty_for_ever_are_refused(scripted: Scripted, other: Client):
    scripted.answer(*(answered(allClients=connection([], 9, True, f"c{n}")) for n in range(40)))
    with pytest.raises(
        InvalidResponse, match="allClients: 20 pages in a row have no record that is new, and still more"
    ):
        read(other, "clients")


@pytest.mark.parametrize(
    "shape",
    [
        5,
        [],
        {},
        {"nodes": []},
        connection([], None),
        connection([], "3"),
        connection([], True),
        connection(None, 0),  # type: ignore[arg-type]
        connection({}, 0),  # type: ignore[arg-type]
        connection([], 0, None),
        connection([], 0, "no"),
        connection([], 0, False, 5),
        {"nodes": [], "totalCount": 0, "pageInfo": None},
        {"nodes": [], "totalCount": 0, "pageInfo": []},
        None,
    ],
    ids=str,
)
def test_what_is_no_connection_is_a_broken_answer(scripted: Scripted, other: Client, shape: Any):
    scripted.answer(answered(allPianos=shape))
    with pytest.raises(InvalidResponse, match="Gazelle answered"):
        read(other, "pianos")


@pytest.mark.parametrize("shape", [None, {}, 5, "x"], ids=str)
def test_what_is_no_list_of_users_is_a_broken_answer(scripted: Scripted, other: Client, shape: Any):
    scripted.answer(answered(allUsers=shape))
    with pytest.raises(InvalidResponse, match="without the list allUsers"):
        read(other, "users")


@pytest.mark.parametrize("node", [5, "x", [], True, {"id": None}, {"id": []}, {"id": {}}, {}], ids=str)
@pytest.mark.parametrize("table", ["clients", "contacts", "appointment_pianos", "timeline_entries"])
def test_a_node_that_is_none_is_said_never_dropped(scripted: Scripted, other: Client, table: str, node: Any):
    declared = TABLES[table].read
    field = getattr(getattr(declared, "within", declared), "field")  # noqa: B009
    scripted.answer(answered(**{field: connection([node], 1)}))
    records, snapshot = read(other, table)
    assert records == []
    assert snapshot.doubts or snapshot.rejects


def test_a_page_may_be_empty_with_more_to_come(scripted: Scripted, other: Client):
    visit = {"piano": {"id": "ins_1"}, "isTuning": True}
    event = {"id": "evt_1", "allEventPianos": connection([visit], 1)}
    scripted.answer(
        answered(allEventsBatched=connection([], 1, True, "a")),
        answered(allEventsBatched=connection([event], 1, False, None)),
    )
    records, snapshot = read(other, "appointment_pianos")
    assert records == [{"appointment_external_id": "evt_1", "piano_external_id": "ins_1", "is_tuning": True}]
    assert snapshot.doubts == []


# Confirming


def missing(*keys: str, parent: str | None = None) -> list[Missing]:
    return [Missing((key,), parent) for key in keys]


def confirmed(client: Client, table: str, entries: list[Missing], scope: Scope = ALL) -> tuple[Records, set[Any]]:
    snapshot = Snapshot(client, TABLES[table], scope)
    return rows_of(snapshot.confirm(entries)), snapshot.not_gone


@pytest.mark.parametrize("table", ["clients", "contacts", "pianos", "appointments"])
def test_records_are_asked_for_by_id_in_batches(sandbox: Sandbox, client: Client, table: str):
    there = list(getattr(sandbox.account, KINDS[table]))[:40]
    gone = [f"gone{n}" for n in range(20)]
    mixed = [key for pair in zip(there[:20], gone, strict=True) for key in pair] + there[20:]
    records, kept = confirmed(client, table, missing(*mixed))
    assert sorted(ids(records)) == sorted(there)
    assert kept == {(key,) for key in there}
    assert len(sandbox.requests) == 3  # 25 + 25 + 10
    assert confirmed(client, table, []) == ([], set())
    assert len(sandbox.requests) == 3


def test_a_record_asked_for_by_id_is_the_same_row_as_in_the_list(sandbox: Sandbox, client: Client):
    for table in ("clients", "contacts", "pianos", "appointments"):
        listed = {row["external_id"]: row for row in read(client, table)[0]}
        some = list(listed)[:25]
        assert confirmed(client, table, missing(*some))[0] == [listed[key] for key in some]


def test_a_record_that_exists_and_is_unsound_is_kept(
    sandbox: Sandbox, client: Client, scripted: Scripted, other: Client
):
    scripted.answer(answered(r0={"id": "ins_1"}))
    assert confirmed(other, "pianos", missing("ins_1")) == ([], {("ins_1",)})
    key, entry = next(iter(sandbox.account.timeline.items()))
    entry["occurredAt"] = "0000-00-00"
    assert confirmed(client, "timeline_entries", missing(key, parent=entry["clientId"])) == ([], {(key,)})


@pytest.mark.parametrize("node", [5, {"id": []}, {"id": None}, {}, None], ids=str)
def test_a_timeline_with_junk_in_it_proves_nothing(scripted: Scripted, other: Client, node: object):
    scripted.answer(answered(allTimelineEntries=connection([node], 1)))
    assert confirmed(other, "timeline_entries", missing("x", parent="cli_1")) == ([], {("x",)})


def test_a_list_that_is_not_narrowed_to_the_client_that_was_asked_for_proves_nothing(scripted: Scripted, other: Client):
    entry = {"id": "tle_1", "client": {"id": "cli_2"}, "piano": None, "occurredAt": "2026-01-01T00:00:00Z"}
    scripted.answer(answered(allTimelineEntries=connection([entry], 1)))
    snapshot = Snapshot(other, TABLES["timeline_entries"], ALL)
    assert rows_of(snapshot.confirm(missing("tle_9", parent="cli_1"))) == []
    assert snapshot.not_gone == {("tle_9",)}
    assert list(snapshot.unproved) == ["cli_1"]


def test_an_answer_by_id_that_lacks_a_record_is_broken(scripted: Scripted, other: Client):
    scripted.answer(answered(r0=None))
    with pytest.raises(InvalidResponse, match=r"pianos by id \(a and 1 more\) without r1"):
        confirmed(other, "pianos", missing("a", "b"))


def test_a_timeline_entry_is_confirmed_by_its_clients_timeline(sandbox: Sandbox, client: Client):
    entries = sandbox.account.timeline
    owner = next(iter(entries.values()))["clientId"]
    there = next(key for key, entry in entries.items() if entry["clientId"] == owner)
    elsewhere = next(key for key, entry in entries.items() if entry["clientId"] != owner)
    records, kept = confirmed(client, "timeline_entries", missing(there, "gone", elsewhere, parent=owner))
    assert ids(records) == [there]
    assert kept == {(there,)}
    asked = sandbox.requests[-1]
    assert asked.variables["id"] == owner
    assert "occurredAtGet" not in asked.query, "an entry that was back-dated beyond the scope exists all the same"


def test_a_clients_whole_timeline_is_read_for_it(sandbox: Sandbox, client: Client):
    sandbox.page_cap = 2
    entries = sandbox.account.timeline
    owner = next(iter(entries.values()))["clientId"]
    all_of_them = [key for key, entry in entries.items() if entry["clientId"] == owner]
    records, kept = confirmed(client, "timeline_entries", missing(*all_of_them, "gone", parent=owner))
    assert len(all_of_them) > 4
    assert sorted(ids(records)) == sorted(all_of_them)
    assert kept == {(key,) for key in all_of_them}


@pytest.mark.parametrize(
    "fault", [Fault("null_node", times=None), Fault("total_count", times=None)], ids=lambda f: f.kind
)
def test_a_timeline_that_is_not_whole_proves_nothing(sandbox: Sandbox, client: Client, fault: Fault):
    sandbox.faults.add(fault)
    owner = next(iter(sandbox.account.timeline.values()))["clientId"]
    assert confirmed(client, "timeline_entries", missing("gone", parent=owner)) == ([], {("gone",)})


def test_a_timeline_entry_without_a_client_is_kept(sandbox: Sandbox, client: Client):
    assert confirmed(client, "timeline_entries", missing("x", parent=None)) == ([], {("x",)})
    assert sandbox.requests == []


def test_the_timeline_of_a_client_that_is_gone_is_gone(client: Client):
    assert confirmed(client, "timeline_entries", missing("x", parent="cli_gone")) == ([], set())


@pytest.mark.parametrize("cap", [100, 7])
def test_a_piano_of_an_appointment_is_confirmed_by_the_appointment(sandbox: Sandbox, client: Client, cap: int):
    sandbox.page_cap = cap
    visit = great_visit(sandbox.account)
    there = [(visit["id"], piano["pianoId"]) for piano in visit["pianos"]]
    entries = [Missing(key, visit["id"]) for key in [*there, (visit["id"], "ins_gone")]]
    records, kept = confirmed(client, "appointment_pianos", entries)
    assert kept == set(there)
    assert [(row["appointment_external_id"], row["piano_external_id"]) for row in records] == there


def test_the_pianos_of_an_appointment_that_is_gone_are_gone(client: Client):
    entries = [Missing(("evt_gone", "ins_1"), "evt_gone")]
    assert confirmed(client, "appointment_pianos", entries) == ([], set())


def test_an_appointment_without_its_list_of_pianos_proves_nothing(scripted: Scripted, other: Client):
    scripted.answer(answered(event={"allEventPianos": None}))
    entries = [Missing(("evt_1", "ins_1"), "evt_1")]
    assert confirmed(other, "appointment_pianos", entries) == ([], {("evt_1", "ins_1")})


def test_an_appointment_that_goes_away_while_it_is_confirmed_proves_nothing(scripted: Scripted, other: Client):
    visit = {"piano": {"id": "ins_1"}, "isTuning": True}
    scripted.answer(answered(event={"allEventPianos": connection([visit], 2, True, "a")}), answered(event=None))
    entries = [Missing(("evt_1", "ins_1"), "evt_1"), Missing(("evt_1", "ins_2"), "evt_1")]
    assert confirmed(other, "appointment_pianos", entries)[1] == {("evt_1", "ins_1"), ("evt_1", "ins_2")}


def test_confirming_does_not_change_how_many_records_were_expected(sandbox: Sandbox, client: Client):
    visit = great_visit(sandbox.account)
    _, snapshot = read(client, "appointment_pianos")
    before = (snapshot.seen, snapshot.expected)
    rows_of(snapshot.confirm([Missing((visit["id"], "ins_gone"), visit["id"])]))
    assert (snapshot.seen, snapshot.expected) == before


def test_a_user_is_confirmed_by_the_list_read_again(sandbox: Sandbox, client: Client):
    there = list(sandbox.account.users)
    records, kept = confirmed(client, "users", missing("usr_gone"))
    assert sorted(ids(records)) == sorted(there)
    assert kept == {(key,) for key in there}


@pytest.mark.parametrize("kind", ["empty", "null_node"])
def test_a_list_of_users_that_is_not_whole_proves_nothing(scripted: Scripted, other: Client, kind: str):
    scripted.answer(answered(allUsers=[] if kind == "empty" else [None]))
    _, kept = confirmed(other, "users", missing("usr_1", "usr_2"))
    assert kept == {("usr_1",), ("usr_2",)}


# Windows


@pytest.fixture
def empty(sandbox: Sandbox) -> Account:
    sandbox.account = Account()
    sandbox.account.add("clients", {"id": "cli_1"})
    return sandbox.account


# Midnight in Toronto: five hours after UTC's in winter, four in summer; the clocks change on 8 March and 1 November.
@pytest.mark.parametrize(
    ("first", "after_last", "inside", "outside"),
    [
        (
            date(2026, 1, 14),
            date(2026, 1, 15),
            ["2026-01-14T05:00:00Z", "2026-01-15T03:30:00Z", "2026-01-15T04:59:59Z", "2026-01-14T22:30:00-05:00"],
            ["2026-01-14T04:59:59Z", "2026-01-15T05:00:00Z"],
        ),
        (
            date(2026, 3, 8),
            date(2026, 3, 9),
            ["2026-03-08T05:00:00Z", "2026-03-08T06:59:59Z", "2026-03-08T07:00:00Z", "2026-03-09T03:59:59Z"],
            ["2026-03-08T04:59:59Z", "2026-03-09T04:00:00Z"],
        ),
        (
            date(2026, 11, 1),
            date(2026, 11, 2),
            ["2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T04:59:59Z"],
            ["2026-11-01T03:59:59Z", "2026-11-02T05:00:00Z"],
        ),
    ],
    ids=["an evening in winter", "clocks go forward", "clocks go back"],
)
def test_a_window_has_the_business_days_of_the_companys_zone_and_no_other(
    empty: Account, client: Client, first: date, after_last: date, inside: list[str], outside: list[str]
):
    for number, at in enumerate([*inside, *outside]):
        empty.add("events", {"id": f"evt_{number}", "start": at})
        empty.add("timeline", {"id": f"tle_{number}", "clientId": "cli_1", "occurredAt": at})
    scope = Scope(TORONTO, first, after_last)
    events, snapshot = read(client, "appointments", scope)
    assert sorted(ids(events)) == [f"evt_{number}" for number in range(len(inside))]
    assert {row["appointment_date"] for row in events} == {first}
    assert snapshot.doubts == []
    entries, snapshot = read(client, "timeline_entries", scope)
    assert sorted(ids(entries)) == [f"tle_{number}" for number in range(len(inside))]
    assert snapshot.doubts == [], "what lies after the end was seen, and only dropped"


def test_an_evening_appointment_is_on_the_day_that_the_company_calls_it(empty: Account, client: Client):
    empty.add("events", {"id": "a", "start": "2026-01-15T03:30:00Z"})
    empty.add("events", {"id": "b", "start": "2026-07-14T22:30:00-04:00"})
    rows = {row["external_id"]: row for row in read(client, "appointments")[0]}
    shown = {key: f"{row['appointment_date']} {row['appointment_time']}" for key, row in rows.items()}
    assert shown == {"a": "2026-01-14 22:30:00", "b": "2026-07-14 22:30:00"}
    assert rows["b"]["starts_at"] == datetime.fromisoformat("2026-07-15T02:30:00+00:00")


def test_the_pianos_of_appointments_have_their_appointments_window(sandbox: Sandbox, client: Client):
    scope = Scope(TORONTO, date(2026, 3, 1), date(2026, 4, 1))
    events = set(ids(read(client, "appointments", scope)[0]))
    pianos = {row["appointment_external_id"] for row in read(client, "appointment_pianos", scope)[0]}
    assert pianos == {key for key in events if sandbox.account.events[key]["pianos"]}
    assert len(pianos) > 5


def test_all_history_has_no_upper_end(empty: Account, client: Client):
    for number, at in enumerate(["2016-12-31T12:00:00Z", "2017-01-01T12:00:00Z", "2099-01-01T12:00:00Z"]):
        empty.add("events", {"id": f"evt_{number}", "start": at})
        empty.add("timeline", {"id": f"tle_{number}", "clientId": "cli_1", "occurredAt": at})
    assert sorted(ids(read(client, "appointments")[0])) == ["evt_1", "evt_2"]
    assert sorted(ids(read(client, "timeline_entries")[0])) == ["tle_1", "tle_2"]


def test_a_row_whose_date_is_bad_is_not_lost_in_a_window(empty: Account, scripted: Scripted, other: Client):
    good = {"id": "tle_1", "client": None, "piano": None, "appointment": None, "user": None, "invoice": None}
    entry = {**good, "estimate": None, "occurredAt": "0000-00-00", "type": "X", "summary": None, "comment": None}
    scripted.answer(answered(allTimelineEntries=connection([entry], 1)))
    records, snapshot = read(other, "timeline_entries", Scope(TORONTO, date(2026, 3, 1), date(2026, 4, 1)))
    assert records == []
    assert [reject.key for reject in snapshot.rejects] == [("tle_1",)]


# The next page is on its way


def paged(pages: int, hold: Callable[[int], float] = lambda number: 0) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        number = int(json.loads(asked.body)["variables"]["after"] or 0)
        page = connection([], 0, number < pages - 1, str(number + 1))
        return Answer(json.dumps({"data": {"allClients": page}}), hold=hold(number))

    return answer


@pytest.fixture
def a_frame_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gazelle_sync.gazelle.pages.BLOCK", 0)


@pytest.mark.usefixtures("a_frame_a_page")
def test_the_next_page_is_fetched_while_the_caller_works_on_this_one(scripted: Scripted, other: Client):
    scripted.answer(paged(3))
    pages = Snapshot(other, TABLES["clients"], ALL).pages()
    next(pages)
    deadline = time.monotonic() + 5
    while len(scripted.asked) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(scripted.asked) == 2, "the next page, and not the one after it"
    assert len(list(pages)) == 2
    assert len(scripted.asked) == 3


@pytest.mark.usefixtures("a_frame_a_page")
def test_a_page_that_fails_while_the_caller_works_is_told_when_it_comes_to_it(scripted: Scripted, other: Client):
    scripted.answer(answered(allClients=connection([], 2, True, "a")), Answer("", 502, {"Retry-After": "99999"}))
    pages = Snapshot(other, TABLES["clients"], ALL).pages()
    assert len(next(pages)) == 0
    time.sleep(0.3)
    with pytest.raises(Unavailable, match=r"clients \(allClients after a\) in 1 attempt: HTTP 502"):
        next(pages)
    assert list(pages) == [], "and it is over"


@pytest.mark.usefixtures("a_frame_a_page")
def test_an_abandoned_read_ends_with_its_request_and_leaves_no_thread(scripted: Scripted, other: Client):
    scripted.answer(paged(99, hold=lambda number: 0.3 if number else 0))
    pages = Snapshot(other, TABLES["clients"], ALL).pages()
    next(pages)
    began = time.monotonic()
    pages.close()  # type: ignore[attr-defined]
    while [thread.name for thread in threading.enumerate() if thread.name.startswith("clients")]:
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    assert len(scripted.asked) == 2


@pytest.mark.usefixtures("a_frame_a_page")
def test_a_read_that_the_caller_breaks_off_with_an_error_does_not_hang(sandbox: Sandbox, client: Client):
    def spool() -> None:
        for _ in Snapshot(client, TABLES["clients"], ALL).pages():
            raise OSError("the disk is full")

    sandbox.page_cap = 10
    with pytest.raises(OSError, match="the disk is full"):
        spool()
    assert len(sandbox.requests) <= 2
