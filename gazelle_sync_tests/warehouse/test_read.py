"""Reading the mirror back: as DataFrames, and what the log has of each table."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.translations import Speech
from gazelle_sync.warehouse import TableStatus, WarehouseError
from gazelle_sync_tests.conftest import TODAY, TORONTO
from gazelle_sync_tests.warehouse.canned import Canned, clients, shown

MARCH = Scope(TORONTO, TODAY.replace(day=1), TODAY.replace(month=4, day=1))


def test_a_table_comes_as_a_frame_with_every_column_also_those_that_people_added(engine, run, mirror):
    mirror("contacts")
    run("ALTER TABLE gazelle.contacts ADD theirs integer DEFAULT 7")
    frame = warehouse.read(engine, TABLES["contacts"])
    assert len(frame) == 345
    assert {
        "id",
        "external_id",
        "synced_at",
        "deleted_at",
        "theirs",
        *(c.name for c in TABLES["contacts"].columns),
    } == {*frame.columns}
    assert set(frame["theirs"]) == {7}
    assert frame["id"].tolist() == sorted(frame["id"])
    assert isinstance(frame["latitude"].dropna().iloc[0], Decimal)
    assert frame["is_default"].map(type).eq(bool).all()


def test_null_stays_null_and_whole_numbers_whole(engine):
    rows = [{"external_id": f"ins_{n}", "tags": [], "year": year} for n, year in enumerate([1920, None])]
    warehouse.load(engine, Canned(TABLES["pianos"], rows), run_id="test")
    assert warehouse.read(engine, TABLES["pianos"])["year"].tolist() == [1920, None]


def test_an_empty_table_has_its_columns_all_the_same(engine):
    frame = warehouse.read(engine, TABLES["users"])
    assert frame.empty
    assert "external_id" in frame.columns


def test_a_scope_gives_the_rows_of_its_days_by_the_companys_calendar(engine, mirror):
    for table in ("appointments", "appointment_pianos", "timeline_entries"):
        mirror(table)
    appointments = warehouse.read(engine, TABLES["appointments"], MARCH)
    assert {(day.year, day.month) for day in appointments["appointment_date"]} == {(2026, 3)}
    pairs = warehouse.read(engine, TABLES["appointment_pianos"], MARCH)
    assert len(pairs) > 0
    assert set(pairs["appointment_external_id"]) <= set(appointments["external_id"])
    entries = warehouse.read(engine, TABLES["timeline_entries"], MARCH)
    assert {at.astimezone(TORONTO).month for at in entries["occurred_at"]} == {3}
    whole = warehouse.read(engine, TABLES["timeline_entries"])
    assert sum(at.astimezone(TORONTO).date() >= MARCH.start for at in whole["occurred_at"]) == len(entries)
    assert len(warehouse.read(engine, TABLES["clients"], MARCH)) == len(warehouse.read(engine, TABLES["clients"]))


def test_a_table_that_is_not_there_is_an_error_that_names_it(empty_engine):
    with pytest.raises(WarehouseError, match=r'relation "gazelle.users" does not exist \(42P01\)'):
        warehouse.read(empty_engine, TABLES["users"])


def test_the_status_of_a_database_that_was_never_used_is_blank(empty_engine):
    assert warehouse.read_status(empty_engine, ["users", "clients"]) == [TableStatus("users"), TableStatus("clients")]


def test_the_status_of_a_table_tells_of_its_last_attempt(engine):
    def fail():
        raise OSError("no network")

    warehouse.load(engine, shown(range(40)), run_id="good")
    warehouse.load(engine, shown(range(38)), run_id="better")
    with pytest.raises(OSError, match="no network"):
        warehouse.load(engine, shown([], reading=fail), run_id="bad")
    users, clients_ = warehouse.read_status(engine, ["users", "clients"])
    assert users == TableStatus("users", rows=0)
    assert (clients_.rows, clients_.status, clients_.scope) == (38, "error", "all")
    assert clients_.error == "OSError: no network"
    assert 0 <= clients_.seconds < 60


def test_the_log_of_a_run_has_its_tables_in_the_order_in_which_they_ended(engine):
    warehouse.load(engine, Canned(TABLES["users"], [{"external_id": "usr_1"}]), run_id="this")
    warehouse.load(engine, Canned(TABLES["clients"], clients([1])), run_id="this")
    warehouse.load(engine, Canned(TABLES["clients"], clients([1])), run_id="other")
    log = warehouse.read_run_log(engine, "this")
    assert [(row["table_name"], row["inserted"], row["status"]) for row in log] == [
        ("users", 1, "success"),
        ("clients", 1, "success"),
    ]
    assert all(row["seconds"] >= 0 for row in log)
    assert warehouse.read_run_log(engine, "none") == []


# -- what was read, in words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "english", "french"),
    [
        ("all", "all", "tout"),
        ("2026-03-01..2026-06-01", "March to May 2026", "mars à mai 2026"),
        ("2026-08-01..2026-09-01", "August 2026", "août 2026"),
        ("2025-12-01..2026-01-01", "December 2025", "décembre 2025"),
        ("2025-11-01..2026-03-01", "November 2025 to February 2026", "novembre 2025 à février 2026"),
        ("2026-03-16..2026-03-21", "2026-03-16 to 2026-03-20", "2026-03-16 au 2026-03-20"),
    ],
)
def test_a_scope_is_told_with_the_months_that_are_in_it(scope: str, english: str, french: str) -> None:
    assert [warehouse.describe_scope(scope, Speech(language)) for language in ("en", "fr")] == [english, french]
