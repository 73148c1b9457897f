"""Which months the nightly tick asks for: by what the log says was read, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from dagster import DagsterInstance, RunRequest, build_schedule_context

from gazelle_sync.partitions import MONTHS_AHEAD
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.conftest import HISTORY_START, NOW, TORONTO

Rows = Callable[..., list[dict[str, Any]]]
DATED = tuple(name for name, table in TABLES.items() if table.partitioned_by)
TICK = datetime(NOW.year, NOW.month, NOW.day, 2, tzinfo=TORONTO)


def month(day: date, ahead: int = 0) -> str:
    years, index = divmod(day.month - 1 + ahead, 12)
    return f"{day.year + years}-{index + 1:02}-01"


@pytest.fixture
def tags(
    definitions: ModuleType, instance: DagsterInstance, configured: pytest.MonkeyPatch
) -> Callable[[], dict[str, str]]:
    """The tags of the run that the tick of tonight asks for."""

    def tags() -> dict[str, str]:
        schedule = definitions.defs.resolve_schedule_def("nightly")
        resources = {"postgres": definitions.postgres}
        with build_schedule_context(instance, scheduled_execution_time=TICK, resources=resources) as context:
            (request,) = schedule.evaluate_tick(context).run_requests
        assert isinstance(request, RunRequest)
        return dict(request.tags)

    return tags


@pytest.fixture
def asked(tags: Callable[[], dict[str, str]]) -> Callable[[], tuple[str, str]]:
    """The first and the last month of that run."""

    def asked() -> tuple[str, str]:
        found = tags()
        return found["dagster/asset_partition_range_start"], found["dagster/asset_partition_range_end"]

    return asked


@pytest.fixture
def logged(rows: Rows) -> Callable[..., None]:
    """Writes a load of the dated tables into the log."""

    def logged(at: datetime, scope: str = "all", status: str = "success", tables: tuple[str, ...] = DATED) -> None:
        for table in tables:
            rows(
                "INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at) "
                "VALUES ('test', %s, %s, %s, %s, %s)",
                table,
                scope,
                status,
                at,
                at,
            )

    return logged


# The last month stands for what lies further ahead.
USUAL = (month(NOW - timedelta(days=61)), month(NOW, MONTHS_AHEAD))
WHOLE = (HISTORY_START.isoformat(), month(NOW, MONTHS_AHEAD))
YESTERDAY = TICK - timedelta(days=1)


def test_after_last_night_s_run_the_usual_months_are_read(
    asked: Callable[[], tuple[str, str]], logged: Callable[..., None]
) -> None:
    logged(YESTERDAY)
    assert asked() == USUAL


def test_where_nothing_was_ever_read_all_months_are(asked: Callable[[], tuple[str, str]], engine: Any) -> None:
    assert asked() == WHOLE


def test_a_database_without_our_tables_is_read_into_whole(
    asked: Callable[[], tuple[str, str]], empty_engine: Any
) -> None:
    assert asked() == WHOLE


@pytest.mark.parametrize("behind", DATED)
def test_one_table_that_was_never_read_whole_is_read_whole_and_the_others_as_usual(
    tags: Callable[[], dict[str, str]],
    asked: Callable[[], tuple[str, str]],
    logged: Callable[..., None],
    behind: str,
) -> None:
    others = tuple(name for name in DATED if name != behind)
    logged(YESTERDAY, tables=others)
    logged(YESTERDAY, status="error", tables=(behind,))
    assert asked() == WHOLE
    own = {name: value for name, value in tags().items() if name.removeprefix("gazelle-sync/") in DATED}
    assert own == {f"gazelle-sync/{name}": "..".join(USUAL) for name in others}


@pytest.mark.parametrize("behind", DATED)
def test_one_table_that_failed_for_weeks_reaches_back_alone(
    tags: Callable[[], dict[str, str]],
    asked: Callable[[], tuple[str, str]],
    logged: Callable[..., None],
    behind: str,
) -> None:
    last = TICK - timedelta(days=70)
    logged(last)
    logged(YESTERDAY, tables=tuple(name for name in DATED if name != behind))
    assert asked() == (month(last.date() - timedelta(days=60)), USUAL[1])
    assert f"gazelle-sync/{behind}" not in tags()


def test_after_weeks_without_a_run_the_range_reaches_back_as_much_further(
    asked: Callable[[], tuple[str, str]], logged: Callable[..., None]
) -> None:
    last = TICK - timedelta(days=70)
    logged(last)
    assert asked() == (month(last.date() - timedelta(days=60)), USUAL[1])


def test_a_failed_run_counts_as_none(asked: Callable[[], tuple[str, str]], logged: Callable[..., None]) -> None:
    last = TICK - timedelta(days=70)
    logged(last)
    logged(YESTERDAY, status="error")
    assert asked()[0] == month(last.date() - timedelta(days=60))


def test_a_backfill_of_an_old_month_does_not_count_as_last_night_s_run(
    asked: Callable[[], tuple[str, str]], logged: Callable[..., None]
) -> None:
    last = TICK - timedelta(days=70)
    logged(last)
    logged(YESTERDAY, scope="2024-01-01..2024-02-01")
    assert asked()[0] == month(last.date() - timedelta(days=60))


def test_a_backfill_of_this_month_after_weeks_without_a_run_does_not_close_the_gap(
    asked: Callable[[], tuple[str, str]], logged: Callable[..., None]
) -> None:
    last = TICK - timedelta(days=70)
    logged(last)
    logged(YESTERDAY, scope=f"{month(NOW)}..{month(NOW, 1)}")
    assert asked()[0] == month(last.date() - timedelta(days=60))


def test_a_run_over_the_usual_months_counts_as_one(
    asked: Callable[[], tuple[str, str]], logged: Callable[..., None]
) -> None:
    last = TICK - timedelta(days=2)
    logged(last)
    logged(YESTERDAY, scope=f"{USUAL[0]}..{USUAL[1]}")
    assert asked() == USUAL


def test_a_database_that_does_not_answer_leaves_the_usual_months_to_a_run_that_fails_loudly(
    asked: Callable[[], tuple[str, str]], configured: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configured.setenv("SUPABASE_DB_URL", "postgresql://someone:geheim@127.0.0.1:9/nowhere")
    # Its five attempts, without the seconds between them.
    configured.setattr("gazelle_sync.warehouse.connection.time.sleep", lambda _: None)
    assert asked() == USUAL
    assert "The log could not be read, so the run will do the usual months" in caplog.text
    assert "geheim" not in caplog.text
