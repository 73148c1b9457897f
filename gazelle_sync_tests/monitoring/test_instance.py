"""Dagster's instance: what dagster.yaml sets, where records land, and Dagster's own commands in the project."""

from __future__ import annotations

import shutil
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    MaterializeResult,
    RunRequest,
    ScheduleDefinition,
    asset,
    build_sensor_context,
    instance_for_test,
    job,
    materialize,
)
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.event_log import SqliteEventLogStorage

from gazelle_sync.jobs import NIGHTLY_TAG
from gazelle_sync.monitoring.records import RUNS_KEPT
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.sensors import forget_old_runs, renew_status_page
from gazelle_sync_tests.conftest import HISTORY_START, NOW, TORONTO
from gazelle_sync_tests.daemon.conftest import own_database
from gazelle_sync_tests.project import COMMANDS, SOURCE, Project


@pytest.fixture
def shipped(bare: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The instance that dagster.yaml describes, in an empty folder."""
    shutil.copy2(SOURCE / "dagster.yaml", tmp_path)
    (tmp_path / "var/logs").mkdir(parents=True)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_what_dagster_yaml_sets_is_what_the_instance_does(shipped: DagsterInstance, tmp_path: Path) -> None:
    assert isinstance(shipped.run_coordinator, QueuedRunCoordinator)
    assert shipped.get_concurrency_config().run_queue_config.max_concurrent_runs == 1  # type: ignore[union-attr]
    assert shipped.run_monitoring_enabled
    assert shipped.run_monitoring_max_runtime_seconds == 7200
    assert shipped.run_retries_enabled
    assert shipped.run_retries_max_retries == 1
    assert shipped.run_retries_retry_on_asset_or_op_failure is False
    assert shipped.telemetry_enabled is False
    assert shipped.nux_enabled is False
    assert shipped.managed_python_loggers == ["gazelle_sync"]
    assert shipped.get_settings("retention")["sensor"]["purge_after_days"]["skipped"] == 2
    assert type(shipped.event_log_storage).__name__ == "EventLog"
    shipped.get_runs()
    assert list((tmp_path / "var/dagster").rglob("runs.db"))


def test_dagsters_own_tables_can_be_in_a_schema_of_the_mirrors_database(server_url: str, tmp_path: Path) -> None:
    with own_database(server_url) as url, Sandbox(Account.typical(NOW)) as sandbox:
        project = Project(
            tmp_path / "project",
            SUPABASE_DB_URL=url,
            DAGSTER_POSTGRES_URL=url,
            GAZELLE_BASE_URL=sandbox.url,
            GAZELLE_API_KEY=sandbox.api_key,
            GAZELLE_REQUESTS_PER_SECOND="1000",
            GAZELLE_HISTORY_START=HISTORY_START.isoformat(),
        )
        ended = project.run("sync")
        assert ended.code == 0, ended.text
        connection = psycopg2.connect(url)
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT schemaname, count(*) FROM pg_tables WHERE tablename IN ('runs', 'event_logs', "
                "'bulk_actions', 'job_ticks') GROUP BY 1"
            )
            assert cursor.fetchall() == [("dagster", 4)]
            cursor.execute("SELECT status FROM dagster.runs")
            assert cursor.fetchall() == [("SUCCESS",)]
        connection.close()
        assert not list(project.root.rglob("*.db"))


@pytest.mark.parametrize(
    ("command", "says"), [("check", "All definitions loaded successfully"), ("list", "gazelle/timeline_entries")]
)
def test_dg_knows_the_project(command: str, says: str, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", VIRTUAL_ENV=str(COMMANDS.parent))
    ended = subprocess.run(
        [COMMANDS / "dg", command, "defs"],
        cwd=project.root,
        env=project.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert says in ended.stdout + ended.stderr


@job
def nothing() -> None:
    pass


@asset(check_specs=[AssetCheckSpec("sound", asset="thing")])
def thing() -> MaterializeResult:  # type: ignore[type-arg]
    return MaterializeResult(metadata={"rows": 3}, check_results=[AssetCheckResult(passed=True)])


def test_a_database_that_stays_open_holds_what_one_does_that_is_opened_for_each_event(
    shipped: DagsterInstance, tmp_path: Path
) -> None:
    """Dagster's own storage, in place of ours, reads the same of the same files, while both use them."""
    run_id = materialize([thing], instance=shipped).run_id
    with DagsterInstance.local_temp(tmp_path.as_posix()) as plain:
        theirs = SqliteEventLogStorage(str(tmp_path / "var/dagster/history/runs"))
        theirs.register_instance(plain)
        logs = theirs.get_logs_for_run(run_id)
        assert logs == shipped.all_logs(run_id)
        kinds = [entry.dagster_event_type for entry in logs if entry.dagster_event]
        assert kinds.count(DagsterEventType.ASSET_MATERIALIZATION) == 1
        assert kinds.count(DagsterEventType.ASSET_CHECK_EVALUATION) == 1
        (latest,) = theirs.get_latest_materialization_events([thing.key]).values()
        assert latest is not None
        assert latest.run_id == run_id
        again = materialize([thing], instance=shipped).run_id
        (latest,) = theirs.get_latest_materialization_events([thing.key]).values()
        assert latest is not None
        assert latest.run_id == again


def test_the_storage_can_be_asked_for_a_table_while_a_database_of_its_own_is_in_use(shipped: DagsterInstance) -> None:
    """As Dagster does while a run is queued: to wait for oneself would be to wait for ever."""
    storage = shipped.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    found: list[bool] = []

    def ask() -> None:
        with storage.index_connection():
            found.extend(storage.has_table(name) for name in ("event_logs", "no_such_table"))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(20)
    assert found == [True, False]


def test_more_runs_than_databases_stay_open_are_all_there_until_they_are_deleted(shipped: DagsterInstance) -> None:
    runs = [nothing.execute_in_process(instance=shipped).run_id for _ in range(6)]
    assert all(shipped.all_logs(run_id) for run_id in runs)
    shipped.delete_run(runs[-1])
    shipped.delete_run(runs[0])
    assert [bool(shipped.all_logs(run_id)) for run_id in runs] == [False, True, True, True, True, False]


def test_records_of_runs_are_forgotten_when_they_are_old_and_ended() -> None:
    with instance_for_test() as instance:
        old = datetime.now(timezone.utc) - RUNS_KEPT - timedelta(days=1)
        made = {}
        for name, status, created in (
            ("old", DagsterRunStatus.SUCCESS, old),
            ("old failure", DagsterRunStatus.FAILURE, old),
            ("old and under way", DagsterRunStatus.STARTED, old),
            ("recent", DagsterRunStatus.SUCCESS, old + timedelta(days=2)),
        ):
            run = instance.create_run_for_job(nothing, status=status)
            made[run.run_id] = name
            with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
                connection.exec_driver_sql(
                    "UPDATE runs SET create_timestamp = ? WHERE run_id = ?",
                    (created.replace(tzinfo=None).isoformat(" "), run.run_id),
                )
        forget_old_runs(build_sensor_context(instance=instance))
        assert {made[run.run_id] for run in instance.get_runs()} == {"old and under way", "recent"}


def test_the_status_page_is_renewed_once_after_each_nightly_run_and_above_all_a_failed_one() -> None:
    with instance_for_test() as instance:

        def asked(cursor: str | None) -> tuple[str | None, str | None]:
            """What is asked for, and the cursor afterwards."""
            context = build_sensor_context(instance=instance, cursor=cursor)
            answer = renew_status_page(context)
            return answer.run_key if isinstance(answer, RunRequest) else None, context.cursor

        instance.create_run_for_job(nothing, status=DagsterRunStatus.SUCCESS)
        assert asked(None) == (None, None)
        for status in (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE):
            night = instance.create_run_for_job(nothing, status=status, tags={NIGHTLY_TAG: "true"}).run_id
            assert asked("before") == (night, night)
            assert asked(night) == (None, night)


@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01"])
def test_the_nightly_schedule_fires_once_at_two_on_the_days_when_clocks_change(
    day: str, definitions: ModuleType
) -> None:
    nightly = definitions.defs.resolve_schedule_def("nightly")
    assert isinstance(nightly, ScheduleDefinition)
    from dagster._utils.schedules import schedule_execution_time_iterator

    midnight = datetime.fromisoformat(day).replace(tzinfo=TORONTO)
    ticks = schedule_execution_time_iterator(
        midnight.timestamp(), nightly.cron_schedule, nightly.execution_timezone, ascending=True
    )
    first, second = (next(ticks).astimezone(TORONTO) for _ in range(2))
    # In spring there is no 02:00: the clock goes from 01:59 to 03:00.
    assert (str(first.date()), first.hour) == (day, 3 if day.startswith("2026-03") else 2)
    assert (second.date() - first.date(), second.hour) == (timedelta(days=1), 2)


def test_the_daemon_looks_for_backfills_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or one of a few records would wait for half a minute, and for another one until it is known to be done."""
    from dagster._daemon import controller

    from gazelle_sync.dagster_storage import hasten_backfills

    monkeypatch.setattr(controller, "DEFAULT_DAEMON_INTERVAL_SECONDS", 30)
    hasten_backfills()
    assert controller.DEFAULT_DAEMON_INTERVAL_SECONDS == 5
    # A Dagster without that name does as it likes.
    monkeypatch.delattr(controller, "DEFAULT_DAEMON_INTERVAL_SECONDS")
    hasten_backfills()
    assert not hasattr(controller, "DEFAULT_DAEMON_INTERVAL_SECONDS")
