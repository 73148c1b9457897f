"""`sync --if-due`, for a clock that knows UTC only: it runs once a night, at 02:00 of the company's zone or after."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from sqlalchemy import Engine

from gazelle_sync.tables import TABLES
from gazelle_sync_tests.conftest import query_rows

TORONTO = ZoneInfo("America/Toronto")


@pytest.fixture
def read_at(engine: Engine) -> Callable[..., None]:
    """Writes into the log that tables, or all, were read whole at a moment."""

    def write(moment: str, tables: tuple[str, ...] = tuple(TABLES), status: str = "success") -> None:
        for table in tables:
            query_rows(
                engine,
                "INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at) "
                "VALUES ('x', %s, 'all', %s, %s, %s)",
                *(table, status, moment, moment),
            )

    return write


@pytest.fixture
def due(definitions: ModuleType, database_url: str, bare: pytest.MonkeyPatch) -> Callable[[str], bool]:
    """Whether a run is due at a moment of UTC, seen from Toronto."""
    from gazelle_sync.cli import job_run

    for name, value in {"SUPABASE_DB_URL": database_url, "GAZELLE_API_KEY": "x"}.items():
        bare.setenv(name, value)
    return lambda moment: job_run.is_due(
        datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).astimezone(TORONTO)
    )


def test_what_was_never_read_is_due_at_any_hour(due: Callable[[str], bool], engine: Engine) -> None:
    assert due("2026-07-01T18:00")


@pytest.mark.parametrize(
    ("before", "day", "ran"),
    [
        ("2026-07-01T06:10", "2026-07-02", [6]),  # 02:00 in summer
        ("2026-01-14T07:10", "2026-01-15", [7]),  # 02:00 in winter
        ("2026-03-07T07:10", "2026-03-08", [7]),  # there is no 02:00 on this day: 03:00
        ("2026-10-31T06:10", "2026-11-01", [7]),  # the day has 25 hours
    ],
)
def test_of_two_runs_an_hour_of_utc_apart_the_one_at_two_in_the_morning_is_due(
    due: Callable[[str], bool], read_at: Callable[..., None], before: str, day: str, ran: list[int]
) -> None:
    read_at(before)
    done = []
    for hour in (6, 7):
        if due(f"{day}T{hour:02}:00"):
            read_at(f"{day}T{hour:02}:01")
            done.append(hour)
    assert done == ran


def test_a_night_that_failed_is_due_again_and_a_table_that_is_missing_too(
    due: Callable[[str], bool], read_at: Callable[..., None]
) -> None:
    read_at("2026-07-01T06:10")
    read_at("2026-07-02T06:10", status="error")
    assert due("2026-07-02T07:00")
    read_at("2026-07-02T07:01", tables=("clients", "users"))
    assert due("2026-07-02T08:00")
    read_at("2026-07-02T08:01")
    assert not due("2026-07-02T09:00")


def test_the_command_says_that_there_is_nothing_to_do_and_ends_well(
    command: Callable[..., Result],
    read_at: Callable[..., None],
    definitions: ModuleType,
    database_url: str,
) -> None:
    read_at((datetime.now(timezone.utc) - timedelta(seconds=1)).isoformat())
    done = command(
        "sync", "--if-due", SUPABASE_DB_URL=database_url, GAZELLE_API_KEY="x", GAZELLE_BASE_URL="http://127.0.0.1:9"
    )
    assert done.exit_code == 0
    assert done.output == "Every table was read since it was last 02:00: nothing to do.\n"


def test_it_is_refused_beside_a_choice_of_tables(
    command: Callable[..., Result],
    engine: Engine,
    definitions: ModuleType,
    database_url: str,
) -> None:
    done = command("sync", "--if-due", "--table", "pianos", SUPABASE_DB_URL=database_url, GAZELLE_API_KEY="x")
    assert done.exit_code == 2
    assert "--if-due is for the nightly run: leave out --full, --table, --from and --to." in done.output
