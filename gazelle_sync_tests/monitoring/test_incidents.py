"""What counts as something to tell people of, on runs and backfills that are made up in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    ExecuteInProcessResult,
    MaterializeResult,
    asset,
    define_asset_job,
    job,
    op,
)
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._utils.error import SerializableErrorInfo
from sqlalchemy import Engine

from gazelle_sync.alerts import NotSent
from gazelle_sync.jobs import NIGHTLY_TAG
from gazelle_sync.partitions import ROLLING_MONTHS_AHEAD, months_later
from gazelle_sync_tests.alerts.servers import Webhook
from gazelle_sync_tests.conftest import NOW, query_rows

Look = Callable[[], list[str]]


@pytest.fixture
def fail(instance: DagsterInstance) -> Callable[..., ExecuteInProcessResult]:
    """Runs a job `sync` of one table, which fails if a reason is given, or whose blocking check does."""

    def run(why: str = "", *, check: bool = True, **tags: str) -> ExecuteInProcessResult:
        @asset(
            key=["gazelle", "users"], check_specs=[AssetCheckSpec("whole", asset=["gazelle", "users"], blocking=True)]
        )
        def users():  # type: ignore[no-untyped-def]
            if why:
                raise RuntimeError(why)
            return MaterializeResult(
                check_results=[
                    AssetCheckResult(
                        passed=check, check_name="whole", severity=AssetCheckSeverity.ERROR, metadata={"rows": 3}
                    )
                ]
            )

        job = define_asset_job("sync", AssetSelection.all())
        defs = Definitions(assets=[users], jobs=[job])
        return defs.resolve_job_def("sync").execute_in_process(instance=instance, raise_on_error=False, tags=tags)

    return run


@op
def nothing() -> None:
    pass


@job
def sync() -> None:
    nothing()


def crashed(instance: DagsterInstance, **tags: str) -> str:
    """A run whose process died: nothing of its own is recorded of how it ended."""
    run = instance.create_run_for_job(sync, tags=tags)
    instance.report_run_failed(run, "The process died.")
    return run.run_id


def test_a_failed_run_is_told_once_with_its_reason_and_a_link(
    fail: Callable[..., ExecuteInProcessResult], look: Look
) -> None:
    run = fail("the bridge is out")
    (text,) = look()
    assert "The run of “users” failed" in text
    assert "the bridge is out" in text
    assert f"http://ui.test/runs/{run.run_id}" in text
    assert look() == []
    fail("the bridge is out again")
    assert look() == []
    fail()
    (text,) = look()
    assert "The run of “users” succeeds again" in text


def test_a_run_whose_process_died_is_told_of(instance: DagsterInstance, look: Look) -> None:
    run_id = crashed(instance)
    (text,) = look()
    assert "The process died." in text
    assert run_id in text


def test_a_run_that_dagster_is_about_to_start_again_is_waited_for(instance: DagsterInstance, look: Look) -> None:
    """The daemon takes a few seconds to start it again, and may be slower than whoever looks."""
    first = crashed(instance, **{"dagster/will_retry": "true"})
    assert look() == []
    second = crashed(instance, **{"dagster/will_retry": "false"})
    instance.add_run_tags(first, {"dagster/auto_retry_run_id": second})
    (text,) = look()
    assert second in text


def test_a_check_that_stops_a_run_is_told_of_once_and_not_as_a_failed_run_too(
    fail: Callable[..., ExecuteInProcessResult], look: Look
) -> None:
    assert not fail(check=False).success
    (text,) = look()
    assert "The check “users: whole” fails" in text or "users: whole" in text
    assert "rows: 3" in text
    assert look() == []
    assert fail().success
    (text,) = look()
    assert "users: whole" in text


def backfill(instance: DagsterInstance, name: str, status: BulkActionStatus, began: float) -> None:
    instance.add_backfill(
        PartitionBackfill(
            name,
            status,
            from_failure=False,
            tags={},
            backfill_timestamp=began,
            asset_selection=[AssetKey(["gazelle", "appointments"])],
            error=SerializableErrorInfo("no such partition\n", [], "Error")
            if status is BulkActionStatus.FAILED
            else None,
        )
    )


def test_a_backfill_that_failed_without_a_run_is_told_once_and_once_that_it_is_well(
    instance: DagsterInstance, look: Look
) -> None:
    backfill(instance, "first", BulkActionStatus.FAILED, time.time() - 60)
    (text,) = look()
    assert "The backfill of “appointments” failed" in text
    assert "no such partition" in text
    assert look() == []
    backfill(instance, "second", BulkActionStatus.COMPLETED_SUCCESS, time.time())
    (text,) = look()
    assert "The backfill of “appointments” succeeds again" in text
    assert look() == []
    assert look() == []


def test_a_run_that_hangs_is_told_of_until_it_ended(instance: DagsterInstance, look: Look) -> None:
    run = instance.create_run_for_job(sync, status=DagsterRunStatus.STARTED)
    assert look() == []
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE runs SET start_time = ?", (time.time() - 4000,))
    (text,) = look()
    assert "has given no sign of life" in text
    assert run.run_id in text
    assert look() == []
    instance.report_run_canceled(run)
    (text,) = look()
    assert "The run of “sync” hangs no longer" in text


def test_the_heartbeat_follows_a_good_nightly_run_and_is_made_up_for_when_it_failed(
    fail: Callable[..., ExecuteInProcessResult], look: Look, heartbeat: Webhook
) -> None:
    fail(**{NIGHTLY_TAG: "true"})
    heartbeat.status = 500
    with pytest.raises(NotSent):
        look()
    assert heartbeat.texts == []
    heartbeat.status = 200
    look()
    look()
    assert len(heartbeat.texts) == 1


def test_a_heartbeat_that_is_late_is_not_given_after_a_night_that_failed(
    fail: Callable[..., ExecuteInProcessResult], look: Look, heartbeat: Webhook
) -> None:
    fail(**{NIGHTLY_TAG: "true"})
    heartbeat.status = 500
    with pytest.raises(NotSent):
        look()
    heartbeat.status = 200
    fail("the bridge is out", **{NIGHTLY_TAG: "true"})
    look()
    assert heartbeat.texts == []


def test_a_memory_that_a_crash_left_unreadable_is_begun_anew(
    fail: Callable[..., ExecuteInProcessResult], look: Look, tmp_path: Path
) -> None:
    for half in ("", '{"seen_until": "20', "[]"):
        (tmp_path / "watch.json").write_text(half)
        fail("the bridge is out")
        look()
    assert "seen_until" in (tmp_path / "watch.json").read_text()


# -- what was covered -------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(engine: Engine) -> Callable[..., None]:
    """Writes a load of `appointments` into the log."""

    def logged(ago: timedelta, scope: str = "all", proved: bool = True) -> None:
        at = datetime.now(timezone.utc) - ago
        query_rows(
            engine,
            "INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at, proved) "
            "VALUES ('r', 'appointments', %s, 'success', %s, %s, %s)",
            *(scope, at, at, proved),
        )

    return logged


def test_a_gap_is_told_though_this_month_was_read_since(look: Look, logged: Callable[..., None]) -> None:
    logged(timedelta(days=100))
    logged(timedelta(minutes=5), f"{NOW.replace(day=1)}..{(NOW.replace(day=1) + timedelta(days=32)).replace(day=1)}")
    (text,) = look()
    assert "appointments" in text
    assert "since then something was not read, or not read whole" in text
    assert look() == []
    logged(timedelta(minutes=1))
    assert len(look()) == 1


def test_what_was_never_proved_whole_is_told(look: Look, logged: Callable[..., None]) -> None:
    logged(timedelta(minutes=5), proved=False)
    (text,) = look()
    assert "but never proved whole" in text


def test_what_a_night_has_read_is_fresh_until_the_next_one_also_when_a_month_begins(
    look: Look, logged: Callable[..., None]
) -> None:
    logged(timedelta(days=6))
    # As a night of last month has read it: to the end of the month that is 18 months after that.
    logged(
        timedelta(hours=25), f"{(NOW - timedelta(days=70)).replace(day=1)}..{months_later(NOW, ROLLING_MONTHS_AHEAD)}"
    )
    assert look() == []
