"""row_changes and the view upcoming_appointment_changes: what is different from the day before."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.warehouse.canned import Canned, clients, shown


@pytest.fixture
def changes(rows):
    """Everything in row_changes, oldest first, without its own numbers."""
    return lambda: [
        (row["run_id"], row["table_name"], row["external_id"], row["change"], row["changed"])
        for row in rows("SELECT * FROM gazelle.row_changes ORDER BY id")
    ]


@pytest.fixture
def load(engine):
    """Loads rows of a table."""

    def load(table, given_rows, run_id="today"):
        return warehouse.load(engine, Canned(TABLES[table], given_rows), run_id=run_id, allow_mass_delete=True)

    return load


def test_a_first_load_is_not_listed_row_by_row(mirror, changes):
    mirror("pianos")
    mirror("clients")
    assert changes() == []


def test_a_first_load_that_failed_does_not_count_as_the_first(engine, load, changes):
    def fail():
        raise OSError("no disk for the spool")

    with pytest.raises(OSError, match="no disk"):
        warehouse.load(engine, shown([1], reading=fail), run_id="failed")
    load("clients", clients([1, 2]))
    assert changes() == []


def test_insert_update_delete_and_restore_are_listed_with_old_and_new_values(load, changes):
    load("clients", clients([1, 2]))
    load("clients", [*clients([1], status="ACTIVE", tags=["a,b", "c"]), *clients([3])], "second")
    load("clients", [*clients([1], status="ACTIVE", tags=["a,b", "c"]), *clients([2], email="x@y.example")], "third")
    assert sorted(changes()) == [
        ("second", "clients", "cli_0001", "update", {"status": [None, "ACTIVE"], "tags": [[], ["a,b", "c"]]}),
        ("second", "clients", "cli_0002", "delete", {}),
        ("second", "clients", "cli_0003", "insert", {}),
        ("third", "clients", "cli_0002", "restore", {"email": [None, "x@y.example"]}),
        ("third", "clients", "cli_0003", "delete", {}),
    ]


def test_a_sync_without_changes_lists_none(load, changes):
    load("clients", clients(range(10)))
    load("clients", clients(range(10)))
    assert changes() == []


def test_a_placeholder_that_is_filled_is_listed_as_an_insert(load, changes):
    load("clients", clients([1]))
    load("pianos", [{"external_id": "ins_1", "client_external_id": "cli_0002", "tags": []}])
    load("clients", clients([1, 2]))
    assert changes() == [("today", "clients", "cli_0002", "insert", {})]


def test_the_key_of_a_pair_is_its_parts_joined_by_a_slash(load, changes):
    load("appointments", [{"external_id": "evt_1", "appointment_date": datetime(2026, 3, 3).date()}])
    pair = {"appointment_external_id": "evt_1", "piano_external_id": "ins_1"}
    load("appointment_pianos", [{**pair, "is_tuning": True}])
    load("appointment_pianos", [{**pair, "is_tuning": False}])
    load("appointment_pianos", [])
    assert changes() == [
        ("today", "appointment_pianos", "evt_1/ins_1", "update", {"is_tuning": [True, False]}),
        ("today", "appointment_pianos", "evt_1/ins_1", "delete", {}),
    ]


def test_dates_moments_and_numbers_are_listed_as_json_has_them(load, changes):
    old = {"external_id": "evt_1", "starts_at": datetime(2026, 7, 15, 2, 30, tzinfo=timezone.utc)}
    load("appointments", [{**old, "appointment_date": datetime(2026, 7, 14).date(), "duration_minutes": 60}])
    load("appointments", [{**old, "appointment_date": datetime(2026, 7, 15).date(), "duration_minutes": None}])
    assert changes()[0][4] == {"appointment_date": ["2026-07-14", "2026-07-15"], "duration_minutes": [60, None]}


def test_changes_are_kept_for_90_days(load, rows, run):
    load("clients", clients([1]))
    load("clients", clients([1, 2]), "89 days ago")
    load("clients", clients([1, 2, 3]), "91 days ago")
    load("users", [{"external_id": "usr_1"}])
    run("""
        UPDATE gazelle.row_changes SET changed_at = now() - split_part(run_id, ' ', 1)::int * interval '1 day';
        """)
    load("clients", clients([1, 2, 3]))
    assert rows("SELECT run_id FROM gazelle.row_changes") == [{"run_id": "89 days ago"}]


# -- upcoming_appointment_changes --------------------------------------------------------------------------------------

NOW = datetime.now(timezone.utc).replace(microsecond=0)
PEOPLE = [
    {"external_id": "usr_n", "first_name": "Nicolas", "last_name": "Lessard"},
    {"external_id": "usr_j", "first_name": "Jean-Philippe", "last_name": "Reny"},
]


def appointment(number, days, technician="usr_n", **values):
    starts_at = NOW + timedelta(days=days)
    return {
        "external_id": f"evt_{number}",
        "client_external_id": "cli_0001",
        "technician_external_id": technician,
        "title": f"Accord {number}",
        "status": "ACTIVE",
        "starts_at": starts_at,
        "appointment_date": starts_at.date(),
        **values,
    }


@pytest.fixture
def upcoming(load, rows):
    """Loads appointments as they were, and as they are; gives what the view then has."""

    def upcoming(*states):
        load("users", PEOPLE)
        load("clients", clients([1]))
        load("appointments", [appointment(0, 1)])
        for state in states:
            load("appointments", [appointment(0, 1), *state])
        return rows("SELECT * FROM gazelle.upcoming_appointment_changes ORDER BY changed_at, appointment_external_id")

    return upcoming


def told(row):
    return (
        row["change"],
        row["appointment_external_id"],
        row["technician_before"],
        row["technician_after"],
        row["starts_before"],
        row["starts_after"],
        row["client_name"],
    )


IN_TWO, IN_FIVE, IN_FORTY = (NOW + timedelta(days=days) for days in (2, 5, 40))


def test_a_new_appointment_is_told_with_who_when_and_for_whom(upcoming):
    [row] = upcoming([appointment(1, 2)])
    assert told(row) == ("new", "evt_1", "", "Nicolas Lessard", None, IN_TWO, "Client 1")
    assert (row["technician_before_external_id"], row["technician_after_external_id"]) == (None, "usr_n")
    assert (row["client_external_id"], row["title"]) == ("cli_0001", "Accord 1")
    # NOW is when this file was read: the tests before it can have taken their time.
    assert NOW - timedelta(minutes=5) < row["changed_at"] < NOW + timedelta(hours=2)


def test_a_moved_appointment_is_told_with_both_times(upcoming):
    rows = upcoming([appointment(1, 40)], [appointment(1, 5)])
    assert [told(row) for row in rows if row["change"] == "moved"] == [
        ("moved", "evt_1", "Nicolas Lessard", "Nicolas Lessard", IN_FORTY, IN_FIVE, "Client 1")
    ]


def test_an_appointment_that_moves_out_of_the_week_is_told_too(upcoming):
    rows = upcoming([appointment(1, 2)], [appointment(1, 40)])
    assert ("moved", "evt_1", "Nicolas Lessard", "Nicolas Lessard", IN_TWO, IN_FORTY, "Client 1") in map(told, rows)


def test_a_reassigned_appointment_is_told_with_both_technicians(upcoming):
    rows = upcoming([appointment(1, 2)], [appointment(1, 2, "usr_j")])
    assert told(rows[-1]) == (
        "reassigned", "evt_1", "Nicolas Lessard", "Jean-Philippe Reny", IN_TWO, IN_TWO, "Client 1",
    )  # fmt: skip
    assert len(rows) == 2


def test_an_appointment_that_is_moved_and_reassigned_at_once_is_told_on_two_lines(upcoming):
    rows = upcoming([appointment(1, 2)], [appointment(1, 5, "usr_j")])
    assert sorted(told(row) for row in rows[1:]) == [
        ("moved", "evt_1", "Nicolas Lessard", "Jean-Philippe Reny", IN_TWO, IN_FIVE, "Client 1"),
        ("reassigned", "evt_1", "Nicolas Lessard", "Jean-Philippe Reny", IN_TWO, IN_FIVE, "Client 1"),
    ]


def test_an_appointment_that_is_canceled_is_told_as_cancelled(upcoming):
    rows = upcoming([appointment(1, 2)], [appointment(1, 2, status="CANCELED")])
    assert told(rows[-1])[:2] == ("cancelled", "evt_1")
    assert rows[-1]["technician_before"] == "Nicolas Lessard"


def test_an_appointment_that_is_gone_is_told_as_cancelled(upcoming):
    rows = upcoming([appointment(1, 2)], [])
    assert told(rows[-1]) == ("cancelled", "evt_1", "Nicolas Lessard", "", IN_TWO, None, "Client 1")


def test_an_appointment_that_takes_place_after_all_is_told_as_new(upcoming):
    rows = upcoming([appointment(1, 2)], [appointment(1, 2, status="CANCELED")], [appointment(1, 2)])
    assert [row["change"] for row in rows] == ["new", "cancelled", "new"]
    rows = upcoming([appointment(2, 2)], [], [appointment(2, 2)])
    assert [row["change"] for row in rows if row["appointment_external_id"] == "evt_2"] == ["new", "cancelled", "new"]


def test_an_appointment_that_arrives_canceled_is_not_told_as_new(upcoming):
    assert upcoming([appointment(1, 2, status="CANCELED")]) == []


def test_one_that_was_canceled_and_then_deleted_is_told_once(upcoming):
    rows = upcoming([appointment(1, 2)], [appointment(1, 2, status="CANCELED")], [])
    assert [row["change"] for row in rows] == ["new", "cancelled"]


def test_other_changes_and_other_times_are_not_told(upcoming):
    last_week, in_eight = -7, 8
    assert upcoming(
        [appointment(1, in_eight), appointment(2, last_week), appointment(3, 40)],
        [appointment(1, in_eight, "usr_j"), appointment(2, last_week, status="CANCELED")],
    ) == []  # fmt: skip
    rows = upcoming([appointment(4, 2)], [appointment(4, 2, notes="Sonner deux fois", status="COMPLETE")])
    assert [row["change"] for row in rows] == ["new"]


def test_each_change_is_told_as_it_was_then_and_not_as_it_is_now(upcoming):
    rows = upcoming([appointment(1, 2)], [appointment(1, 5)], [appointment(1, 5, "usr_j")])
    assert [told(row) for row in rows] == [
        ("new", "evt_1", "", "Nicolas Lessard", None, IN_TWO, "Client 1"),
        ("moved", "evt_1", "Nicolas Lessard", "Nicolas Lessard", IN_TWO, IN_FIVE, "Client 1"),
        ("reassigned", "evt_1", "Nicolas Lessard", "Jean-Philippe Reny", IN_FIVE, IN_FIVE, "Client 1"),
    ]


def test_an_appointment_without_client_or_technician_is_told_all_the_same(upcoming):
    [row] = upcoming([appointment(1, 2, None, client_external_id=None)])
    assert told(row) == ("new", "evt_1", "", "", None, IN_TWO, None)


def test_a_change_of_another_table_is_not_told(load, rows):
    load("clients", clients([1]))
    load("clients", clients([1, 2]))
    assert rows("SELECT * FROM gazelle.upcoming_appointment_changes") == []
