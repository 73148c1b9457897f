"""What was read of a table, and when, by the log; where the gaps are, and since when all is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.warehouse.canned import Canned, clients

Rows = Callable[..., list[dict[str, Any]]]
DATED = [name for name, table in TABLES.items() if table.partitioned_by]
END = date(2027, 1, 1)


@pytest.fixture
def logged(run: Callable[..., None]) -> Callable[..., None]:
    """Writes a load into the log, as versions did that did not say whether it was proved."""

    def logged(table: str, scope: str, at: datetime, status: str = "success") -> None:
        run(f"""
            INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at)
            VALUES ('r', '{table}', '{scope}', '{status}', '{at}', '{at}'::timestamptz + interval '10 minutes')
            """)

    return logged


@pytest.fixture
def coverage(engine: Engine) -> Callable[[str], warehouse.Coverage]:
    return lambda table: warehouse.read_coverage(engine, [table])[table]


def at(day: int, month: int = 1) -> datetime:
    return datetime(2026, month, day, 6, tzinfo=timezone.utc)


def test_a_table_that_was_never_loaded_is_known_since_never(coverage: Any, engine: Engine) -> None:
    for name in TABLES:
        assert coverage(name).first_gap() is None
        assert coverage(name).as_of(END) is None


def test_a_database_without_a_log_knows_nothing_and_raises_nothing(empty_engine: Engine) -> None:
    assert warehouse.read_coverage(empty_engine, DATED) == {name: warehouse.Coverage() for name in DATED}


@pytest.mark.parametrize("table", DATED)
def test_a_load_counts_since_its_reading_began_and_for_the_days_of_its_scope(
    coverage: Any, logged: Callable[..., None], table: str
) -> None:
    logged(table, "2026-01-01..2026-02-01", at(12))
    assert coverage(table).as_of(END) is None
    logged(table, "all", at(13), status="error")
    assert coverage(table).as_of(END) is None
    logged(table, "all", at(14), status="warning")
    assert coverage(table).as_of(END) == at(14)
    assert coverage(table).first_gap() == date(2025, 11, 15)
    logged(table, "2019-01-01..2019-02-01", at(20))
    assert coverage(table).as_of(END) == at(14)
    logged(table, "2025-11-01..2027-01-01", at(21))
    assert coverage(table).as_of(END) == at(21)
    assert coverage(table).first_gap() == date(2025, 11, 22)


def test_after_a_hundred_days_a_backfill_of_this_month_makes_nothing_known(
    coverage: Any, logged: Callable[..., None]
) -> None:
    logged("appointments", "all", at(1))
    logged("appointments", "2026-04-01..2026-05-01", at(11, month=4))
    assert coverage("appointments").as_of(END) == at(1)
    assert coverage("appointments").first_gap() == (at(1) - timedelta(days=60)).date()


def test_a_table_without_a_date_is_known_since_its_last_load(coverage: Any, logged: Callable[..., None]) -> None:
    for day in (1, 3, 2):
        logged("clients", "all", at(day))
    assert coverage("clients").as_of(END) == at(3)


def test_a_load_writes_down_that_it_was_proved_whole(mirror: Any, rows: Rows) -> None:
    mirror("clients")
    assert rows("SELECT status, proved FROM gazelle.sync_log") == [{"status": "success", "proved": True}]


def test_records_that_could_not_be_stored_do_not_make_a_list_less_whole(
    mirror: Any, rows: Rows, sandbox: Sandbox
) -> None:
    next(iter(sandbox.account.pianos.values()))["notes"] = "\x00"
    mirror("pianos")
    assert rows("SELECT status, proved FROM gazelle.sync_log") == [{"status": "warning", "proved": True}]


def test_a_list_that_could_not_be_proved_whole_was_read_and_is_not_known(
    mirror: Any, rows: Rows, sandbox: Sandbox, coverage: Any
) -> None:
    sandbox.faults.add(Fault("total_count", times=None))
    mirror("timeline_entries")
    assert rows("SELECT status, proved FROM gazelle.sync_log") == [{"status": "warning", "proved": False}]
    found = coverage("timeline_entries")
    assert found.first_gap() is not None
    assert found.first_gap(proved=True) is None
    end = (datetime.now(timezone.utc) + timedelta(days=365)).date()
    assert found.as_of(end, proved=False) is not None
    assert found.as_of(end) is None


def test_what_was_proved_before_stays_known_since_then(
    mirror: Any, rows: Rows, sandbox: Sandbox, coverage: Any
) -> None:
    mirror("timeline_entries")
    end = (datetime.now(timezone.utc) + timedelta(days=365)).date()
    known = coverage("timeline_entries").as_of(end)
    sandbox.faults.add(Fault("total_count", times=None))
    mirror("timeline_entries")
    assert coverage("timeline_entries").as_of(end) == known
    assert coverage("timeline_entries").as_of(end, proved=False) > known


def test_a_log_of_an_earlier_version_is_understood_before_the_next_sync(empty_engine: Engine, ask: Rows) -> None:
    warehouse.migrate(empty_engine)
    warehouse.load(empty_engine, Canned(TABLES["clients"], clients(range(3))), run_id="r")
    ask("ALTER TABLE gazelle.sync_log DROP COLUMN proved")
    known = warehouse.read_coverage(empty_engine, ["clients"])["clients"].as_of(END)
    assert ask("SELECT started_at FROM gazelle.sync_log") == [{"started_at": known}]
