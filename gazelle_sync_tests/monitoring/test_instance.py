"""Dagster's instance: what dagster.yaml sets, where records land, and Dagster's own commands in the project."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psycopg2
import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetObservation,
    BackfillPolicy,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    EventLogEntry,
    MaterializeResult,
    RunRequest,
    ScheduleDefinition,
    StaticPartitionsDefinition,
    asset,
    build_sensor_context,
    instance_for_test,
    job,
    materialize,
)
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterInvariantViolationError
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.exc import OperationalError

from gazelle_sync.dagster_storage import MAY_WAIT, EventLog
from gazelle_sync.jobs import NIGHTLY_TAG
from gazelle_sync.monitoring.records import RUNS_KEPT
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.sensors import forget_old_runs, renew_status_page
from gazelle_sync_tests.conftest import HISTORY_START, NOW, TORONTO, wait_until
from gazelle_sync_tests.daemon.conftest import own_database
from gazelle_sync_tests.project import COMMANDS, Project


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


def test_what_waits_to_be_written_with_its_step_is_there_for_whoever_asks_and_whatever_comes(
    shipped: DagsterInstance, tmp_path: Path
) -> None:
    storage = shipped.event_log_storage
    runs = tmp_path / "var/dagster/history/runs"
    run_id = materialize([thing], instance=shipped).run_id
    # Planned is a check but once.
    planned = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    entries = [entry for entry in shipped.all_logs(run_id) if entry.dagster_event_type is not planned]
    waiting = [entry for entry in entries if entry.dagster_event_type in MAY_WAIT]
    assert len(waiting) >= 3

    def stored() -> int:
        """By somebody else."""
        with closing(sqlite3.connect(runs / f"{run_id}.db")) as database:
            return int(database.execute("SELECT count(*) FROM event_logs").fetchone()[0])

    before = stored()
    for entry in waiting:
        storage.store_event(entry)
    assert stored() == before, "nobody has asked"
    assert len(shipped.all_logs(run_id)) == before + len(waiting) == stored()
    storage.store_event(waiting[0])
    storage.store_event(next(entry for entry in entries if entry.dagster_event_type not in MAY_WAIT))
    assert stored() == before + len(waiting) + 2
    storage.store_event(waiting[0])
    storage.dispose()
    assert stored() == before + len(waiting) + 3
    storage.store_event_batch(entries)
    assert stored() == before + len(waiting) + 3 + len(entries)


@asset(partitions_def=StaticPartitionsDefinition(["a", "b"]), backfill_policy=BackfillPolicy.single_run())
def parted(context) -> None:  # type: ignore[no-untyped-def]
    context.log.info("said")
    context.log_event(AssetObservation("parted", partition="a", tags={"dagster/data_version": "1"}))


@asset
def broken() -> None:
    raise ValueError("it broke")


def dump(file: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, without the moments at which they were written."""
    with closing(sqlite3.connect(file)) as database:
        database.row_factory = sqlite3.Row
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        rows = {name: [dict(row) for row in database.execute(f"SELECT * FROM {name}")] for name in names}
    for row in (row for all_rows in rows.values() for row in all_rows):
        row.pop("create_timestamp", None)
        row.pop("migration_completed", None)
    return rows


def test_all_tables_of_the_records_hold_what_dagsters_own_storage_writes_of_the_same_events(tmp_path: Path) -> None:
    with instance_for_test() as instance:
        both = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
        runs = [
            materialize([thing], instance=instance),
            materialize([parted], instance=instance, tags=both),
            materialize([broken], instance=instance, raise_on_error=False),
        ]
        entries = [entry for run in runs for entry in instance.all_logs(run.run_id)]
    told = {entry.dagster_event_type for entry in entries}
    # These two need Dagster's daemon, or Dagster+.
    elsewhere = {DagsterEventType.ASSET_FAILED_TO_MATERIALIZE, DagsterEventType.FRESHNESS_STATE_CHANGE}
    assert {*ASSET_CHECK_EVENTS, *ASSET_EVENTS} - told <= elsewhere
    found = []
    for kind in (SqliteEventLogStorage, EventLog):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        with DagsterInstance.local_temp(folder.as_posix()) as plain:
            storage = kind((folder / "records").as_posix())
            storage.register_instance(plain)
            for entry in entries:
                storage.store_event(entry)
            storage.dispose()
        found.append({file.name: dump(file) for file in (folder / "records").glob("*.db")})
    theirs, ours = found
    assert len(ours) == 1 + len(runs)
    assert ours == theirs


def test_events_that_can_not_be_written_together_are_not_there_in_part(
    shipped: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = shipped.event_log_storage
    run_id = materialize([thing], instance=shipped).run_id
    planned = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    entries = [entry for entry in shipped.all_logs(run_id) if entry.dagster_event_type is not planned]

    def refuse(*given: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(storage, "store_asset_check_event", refuse)
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            storage.store_event_batch(entries)
    assert len(shipped.all_logs(run_id)) == len(entries) + 1
    storage.store_event_batch(entries)
    assert len(shipped.all_logs(run_id)) == 2 * len(entries) + 1


def test_what_waited_is_not_lost_when_the_disk_was_full_and_what_can_never_be_stored_is_in_nobodys_way(
    shipped: DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = shipped.event_log_storage
    run_id = materialize([thing], instance=shipped).run_id
    (check,) = [
        entry
        for entry in shipped.all_logs(run_id)
        if entry.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION
    ]

    def refuse_with(error: Exception) -> Callable[..., None]:
        def refuse(*given: object) -> None:
            raise error

        return refuse

    def count() -> int:
        return [entry.dagster_event_type for entry in shipped.all_logs(run_id)].count(check.dagster_event_type)

    with monkeypatch.context() as full:
        full.setattr(storage, "store_asset_check_event", refuse_with(sqlite3.OperationalError("disk is full")))
        storage.store_event(check)
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            shipped.all_logs(run_id)
        storage.dispose()
        assert "not all stored, and 1 of them still waited: disk is full" in caplog.text
    assert count() == 2, "stored as soon as it can be"
    with monkeypatch.context() as wrong:
        wrong.setattr(storage, "store_asset_check_event", refuse_with(ValueError("it can't be")))
        storage.store_event(check)
        with pytest.raises(ValueError, match="it can't be"):
            shipped.all_logs(run_id)
        assert shipped.all_logs(run_id), "once is enough"
    assert count() == 2


def kinds_in(file: Path) -> list[str]:
    """What stands in one of the records' databases, as somebody else sees it."""
    with closing(sqlite3.connect(file)) as database:
        return [kind for (kind,) in database.execute("SELECT dagster_event_type FROM event_logs ORDER BY id")]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[tuple[EventLog, Path, dict[DagsterEventType, EventLogEntry]]]:
    """An empty storage, its folder, and the events of a run, one of each kind: what is planned is stored already."""
    with instance_for_test() as instance:
        entries = instance.all_logs(materialize([thing], instance=instance).run_id)
    with DagsterInstance.local_temp(tmp_path.as_posix()) as plain:
        storage = EventLog((tmp_path / "records").as_posix())
        storage.register_instance(plain)
        for entry in entries:
            if entry.dagster_event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                storage.store_event(entry)
        yield storage, tmp_path / "records", {each.dagster_event_type: each for each in entries if each.dagster_event}
        storage.dispose()


def test_what_a_runs_own_database_has_no_room_for_is_not_in_the_index_either(
    records: tuple[EventLog, Path, dict[DagsterEventType, EventLogEntry]],
) -> None:
    storage, folder, entries = records
    check, thing_made = DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.ASSET_MATERIALIZATION
    own, index = folder / f"{entries[check].run_id}.db", folder / "index.db"
    # Somebody reads, so the write-ahead logs stay; the run's becomes longer than the index's, and no file may grow on.
    with closing(sqlite3.connect(own)) as one, closing(sqlite3.connect(index)) as other:
        for reader in (one, other):
            reader.execute("SELECT count(*) FROM event_logs").fetchone()
        for _ in range(80):
            storage.store_event(entries[DagsterEventType.STEP_START])
        before = kinds_in(own), kinds_in(index)
        size = own.with_name(f"{own.name}-wal").stat().st_size
        assert size > 2 * index.with_name(f"{index.name}-wal").stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        storage.store_event(entries[check])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(OperationalError):
                storage.store_event(entries[thing_made])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (kinds_in(own), kinds_in(index)) == before
        storage.store_event(entries[thing_made])
        for file, stood in zip((own, index), before, strict=True):
            assert kinds_in(file) == [*stood, check.value, thing_made.value]


def test_who_watches_a_run_is_told_of_each_event_as_it_comes(
    records: tuple[EventLog, Path, dict[DagsterEventType, EventLogEntry]],
) -> None:
    """As the page of a run in the UI, whose process is another one than the run's."""
    storage, folder, entries = records
    event = entries[DagsterEventType.STEP_SUCCESS]
    storage.store_event(event)
    told: list[EventLogEntry] = []
    elsewhere = EventLog(str(folder))
    try:
        cursor = elsewhere.get_records_for_run(event.run_id).cursor
        elsewhere.watch(event.run_id, cursor, lambda entry, _: told.append(entry))
        for number in range(1, 4):
            storage.store_event(event)
            wait_until(lambda: len(told) == number)  # noqa: B023  called at once
    finally:
        elsewhere.dispose()


class Waiting(NamedTuple):
    """An `output` waits, and after it a check that can never be stored; `success` comes next. `before` is what stands
    in the run's `own` database."""

    storage: EventLog
    own: Path
    before: list[str]
    output: EventLogEntry
    success: EventLogEntry


@pytest.fixture
def waiting(records: tuple[EventLog, Path, dict[DagsterEventType, EventLogEntry]]) -> Waiting:
    storage, folder, entries = records
    output, check, success = (
        entries[kind]
        for kind in (
            DagsterEventType.STEP_OUTPUT,
            DagsterEventType.ASSET_CHECK_EVALUATION,
            DagsterEventType.STEP_SUCCESS,
        )
    )
    # Planned twice, which Dagster says no to when the check is evaluated.
    storage.store_event(entries[DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED])
    own = folder / f"{check.run_id}.db"
    before = kinds_in(own)
    storage.store_event(output)
    storage.store_event(check)
    return Waiting(storage, own, before, output, success)


def test_an_event_that_can_never_be_stored_takes_none_with_it_that_came_before_or_after(
    waiting: Waiting, caplog: pytest.LogCaptureFixture
) -> None:
    storage, own, before, _, success = waiting
    with pytest.raises(DagsterInvariantViolationError, match="Updated 2 rows"):
        storage.store_event(success)
    assert "An event of Dagster's was not stored: ASSET_CHECK_EVALUATION" in caplog.text
    storage.store_event(success)
    assert kinds_in(own) == [*before, "STEP_OUTPUT", "STEP_SUCCESS"]


@pytest.mark.parametrize(
    ("met", "is_blamed_later"),
    [(sqlite3.OperationalError("disk is full"), False), (DagsterExecutionInterruptedError(), True)],
    ids=["a full disk", "a signal"],
)
def test_what_waits_is_kept_whatever_comes_while_an_event_to_blame_is_looked_for(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch, met: BaseException, is_blamed_later: bool
) -> None:
    storage, own, before, output, success = waiting
    store_together = storage._store_together

    def meet(events: Sequence[EventLogEntry]) -> None:
        if events == [output]:
            raise met
        store_together(events)

    with monkeypatch.context() as unlucky:
        unlucky.setattr(storage, "_store_together", meet)
        with pytest.raises(type(met)):
            storage.store_event(success)
    if is_blamed_later:
        with pytest.raises(DagsterInvariantViolationError, match="Updated 2 rows"):
            storage.store_event(success)
    storage.store_event(success)
    assert kinds_in(own) == [*before, "STEP_OUTPUT", "STEP_SUCCESS"]


def test_what_waits_is_kept_when_a_signal_comes_while_it_is_written(
    records: tuple[EventLog, Path, dict[DagsterEventType, EventLogEntry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, folder, entries = records
    output, success = DagsterEventType.STEP_OUTPUT, DagsterEventType.STEP_SUCCESS
    storage.store_event(entries[output])

    def interrupt(*given: object) -> None:
        raise DagsterExecutionInterruptedError

    with monkeypatch.context() as interrupted:
        interrupted.setattr(storage, "_store_together", interrupt)
        with pytest.raises(DagsterExecutionInterruptedError):
            storage.store_event(entries[DagsterEventType.ASSET_MATERIALIZATION])
    storage.store_event(entries[success])
    assert kinds_in(folder / f"{entries[output].run_id}.db")[-2:] == [output.value, success.value]


def test_records_that_are_broken_keep_nobody_from_closing_them(
    records: tuple[EventLog, Path, dict[DagsterEventType, EventLogEntry]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage, _, entries = records
    storage.store_event(entries[DagsterEventType.STEP_OUTPUT])

    def malformed(*given: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as broken_disk:
        broken_disk.setattr(storage, "_store_together", malformed)
        storage.dispose()
    assert "was not stored: STEP_OUTPUT" in caplog.text
    assert "malformed" in caplog.text
    assert storage._engines == {}


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
