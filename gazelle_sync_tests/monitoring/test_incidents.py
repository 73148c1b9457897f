"""What counts as something to tell people of, on runs and backfills that are made up in this process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
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
from sqlalchemy.exc import DatabaseError

from gazelle_sync.alerts import Alerts, NotSent, channels_from
from gazelle_sync.jobs import NIGHTLY_TAG
from gazelle_sync.monitoring import incidents, memory
from gazelle_sync.monitoring.incidents import Watcher
from gazelle_sync.monitoring.under_way import find_left_runs, mark_under_way
from gazelle_sync.partitions import ROLLING_MONTHS_AHEAD, months_later
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import speak
from gazelle_sync_tests.alerts.servers import Webhook
from gazelle_sync_tests.conftest import NOW, TORONTO, query_rows

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


@pytest.mark.parametrize("instance", [{"run_retries": {"enabled": True, "max_retries": 1}}], indirect=True)
def test_a_run_is_not_told_of_before_dagster_has_said_whether_it_is_started_again(
    instance: DagsterInstance, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so after it has said that the run failed; somebody who looks in between knows too little."""
    between = []
    add_tags = DagsterInstance.add_run_tags

    def look_first(self: DagsterInstance, run_id: str, new_tags: Mapping[str, str]) -> None:
        between.append(look())
        add_tags(self, run_id, new_tags)

    monkeypatch.setattr(DagsterInstance, "add_run_tags", look_first)
    first = crashed(instance)
    assert (between, look()) == ([[]], [])
    second = crashed(instance)
    instance.add_run_tags(first, {"dagster/auto_retry_run_id": second})
    instance.add_run_tags(second, {"dagster/will_retry": "false"})
    assert not any(between)
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
    fail: Callable[..., ExecuteInProcessResult], look: Look, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, half in enumerate(
        (
            b"",
            b'{"seen_until": "20',
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"seen": 5}',
            b'{"seen": [5]}',
            b'{"pending": {"a": 1}, "seen": []}',
            b'{"backfills": "all"}',
        )
    ):
        (tmp_path / "watch.json").write_bytes(half)
        fail(f"the bridge is out {number}")
        look()
        assert "pending" in json.loads((tmp_path / "watch.json").read_text())
        caplog.clear()
        look()
        assert "begun anew" not in caplog.text


def told_of(text: str) -> str:
    return text.split("Why: ")[1].split("\n", maxsplit=1)[0]


def test_a_clock_that_was_ahead_for_one_run_hides_nothing_that_comes_after_it(
    instance: DagsterInstance, fail: Callable[..., ExecuteInProcessResult], look: Look
) -> None:
    """It is set right after the run; what was looked at is remembered by identity."""
    assert look() == []
    fail("by a clock that was ahead")
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(
            "UPDATE runs SET update_timestamp = datetime(update_timestamp, '+2 days'), "
            "create_timestamp = datetime(create_timestamp, '+2 days'), "
            "start_time = start_time + 172800, end_time = end_time + 172800"
        )
    assert [told_of(text) for text in look()] == ["by a clock that was ahead"]
    fail()
    (text,) = look()
    assert "succeeds again" in text
    fail("by a clock that is right")
    assert [told_of(text) for text in look()] == ["by a clock that is right"]


def test_a_run_to_be_started_again_by_a_clock_that_was_ahead_holds_nothing_up(
    instance: DagsterInstance, fail: Callable[..., ExecuteInProcessResult], look: Look
) -> None:
    crashed(instance, **{"dagster/will_retry": "true"})
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE runs SET end_time = end_time + 172800")
    fail("the bridge is out")
    assert any("the bridge is out" in text for text in look())


def test_a_run_that_ends_after_many_later_ones_is_told_of_and_the_memory_stays_small(
    instance: DagsterInstance, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (incidents, memory):
        monkeypatch.setattr(module, "KEPT", 6)
    monkeypatch.setattr(incidents, "RUNS_A_PAGE", 2)
    slow = instance.create_run_for_job(sync, status=DagsterRunStatus.STARTED)
    for _ in range(5):
        for _ in range(2):
            instance.report_run_canceled(instance.create_run_for_job(sync, status=DagsterRunStatus.STARTED))
        assert look() == []
    instance.report_run_failed(slow, "late")
    (text,) = look()
    assert "late" in text
    kept = json.loads((tmp_path / "watch.json").read_text())
    assert len(kept["seen"]) == 6
    assert kept["pending"] == []


def test_what_was_looked_at_before_this_version_is_not_told_of_again(
    fail: Callable[..., ExecuteInProcessResult], look: Look, tmp_path: Path
) -> None:
    run = fail("told already")
    before = {"seen_until": "2026-01-01T00:00:00+00:00", "seen": [run.run_id], "heartbeat_due": False}
    (tmp_path / "watch.json").write_text(json.dumps(before))
    assert look() == []


# -- records that can't be read ---------------------------------------------------------------------------------------


def damage_events(instance: DagsterInstance, run_id: str) -> None:
    file = Path(instance.root_directory) / "history" / "runs" / f"{run_id}.db"
    assert file.exists()
    file.write_bytes(b"what a dying disk left " * 500)


def test_a_run_whose_record_is_damaged_is_told_of_once_and_stops_nothing_behind_it(
    instance: DagsterInstance, fail: Callable[..., ExecuteInProcessResult], look: Look
) -> None:
    damage_events(instance, fail("can't be read").run_id)
    good = fail()
    damage_events(instance, good.run_id)
    crashed(instance)
    texts = look()
    assert [told_of(text) for text in texts][:2] == [
        "its record can't be read (DatabaseError)",
        "its record can't be read (DatabaseError)",
    ]
    assert "The run of “sync” failed" in texts[0]
    assert "The record of a run of “sync” could not be read" in texts[1]
    assert good.run_id in texts[1]
    assert look() == []


def test_a_record_of_a_run_that_is_no_record_is_skipped_and_said_once(
    instance: DagsterInstance, fail: Callable[..., ExecuteInProcessResult], look: Look
) -> None:
    broken = fail().run_id
    fail("the bridge is out")
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE runs SET run_body = '{' WHERE run_id = ?", (broken,))
    first, second = look()
    assert broken in first
    assert "could not be read" in first
    assert told_of(second) == "the bridge is out"
    assert look() == []


def test_dagster_s_records_that_can_not_be_used_hide_no_stale_table(
    instance: DagsterInstance, engine: Engine, look: Look, webhook: Webhook, mirror: Callable[..., object]
) -> None:
    mirror("users")
    earlier = ", ".join(f"{name} = {name} - interval '3 days'" for name in ("started_at", "finished_at"))
    query_rows(engine, f"UPDATE gazelle.sync_log SET {earlier}")
    (Path(instance.root_directory) / "history" / "runs.db").write_bytes(b"what a dying disk left " * 500)
    with pytest.raises(DatabaseError):
        look()
    assert ["The table “users”" in text for text in webhook.texts] == [True]


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


# -- runs that broke off ----------------------------------------------------------------------------------------------

LEFT = """
import sys, time
from pathlib import Path
from gazelle_sync.monitoring.under_way import mark_under_way
with mark_under_way(Path(sys.argv[1]), sys.argv[2], ["users", "clients", "pianos"]):
    print("under way", flush=True)
    time.sleep(60)
"""


def test_a_run_whose_process_is_gone_is_told_by_whoever_comes_next_with_what_was_not_run(
    instance: DagsterInstance,
    look: Look,
    tmp_path: Path,
    engine: Engine,
    fail: Callable[..., ExecuteInProcessResult],
) -> None:
    """Not before: its lock says that it lives, whatever a clock says."""
    run = instance.create_run_for_job(sync, status=DagsterRunStatus.STARTED)
    query_rows(
        engine,
        "INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at) "
        "VALUES (%s, 'users', 'all', 'success', now(), now())",
        run.run_id,
    )
    process = subprocess.Popen(
        [sys.executable, "-c", LEFT, str(tmp_path / "runs"), run.run_id], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "under way\n"
    assert look() == []
    process.kill()
    process.wait()
    (text,) = look()
    assert told_of(text) == "it broke off, and its process is gone; not run: clients, pianos"
    assert run.run_id in text
    # Nothing queues behind it any more.
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is DagsterRunStatus.FAILURE
    assert list((tmp_path / "runs").iterdir()) == []
    assert look() == []
    fail()
    (text,) = look()
    assert "The run of “sync” succeeds again" in text


def test_a_run_that_ended_leaves_no_mark_and_one_that_raised_does(tmp_path: Path) -> None:
    with mark_under_way(tmp_path / "runs", "good", ["users"]):
        assert find_left_runs(tmp_path / "runs") == []
    assert list((tmp_path / "runs").iterdir()) == []
    with pytest.raises(RuntimeError), mark_under_way(tmp_path / "runs", "bad", ["users"]):
        raise RuntimeError
    (left,) = find_left_runs(tmp_path / "runs")
    assert (left.run_id, left.tables) == ("bad", ["users"])


def test_reasons_in_french_are_french_to_the_end(
    instance: DagsterInstance,
    engine: Engine,
    webhook: Webhook,
    tmp_path: Path,
    fail: Callable[..., ExecuteInProcessResult],
) -> None:
    alerts = Alerts(channels_from(webhook.url, "", ""), tmp_path / "alerts.json", "fr", TORONTO)
    watcher = Watcher(instance, lambda: engine, alerts, tmp_path / "watch.json", "http://ui.test/")
    hung = instance.create_run_for_job(sync, status=DagsterRunStatus.STARTED)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE runs SET start_time = ?", (time.time() - 4000,))
    fail(check=False)
    damage_events(instance, fail().run_id)
    speak("fr")
    try:
        watcher.look()
        alerts.deliver()
    finally:
        speak("en")
    reasons = [text.split("Pourquoi\u00a0: ")[1].split("\n")[0] for text in webhook.texts]
    assert reasons == [
        "lignes\u00a0: 3",
        "son registre est illisible (DatabaseError)",
        "commencée il y a 1\u00a0h ou plus, elle n’est pas terminée\u00a0; les suivantes attendent derrière elle",
    ]
    assert hung.run_id in webhook.texts[2]


def test_what_was_told_of_a_table_is_settled_when_it_is_turned_off(
    instance: DagsterInstance, engine: Engine, webhook: Webhook, tmp_path: Path, mirror: Callable[..., object]
) -> None:
    mirror("users")
    earlier = ", ".join(f"{name} = {name} - interval '3 days'" for name in ("started_at", "finished_at"))
    query_rows(engine, f"UPDATE gazelle.sync_log SET {earlier}")
    alerts = Alerts(channels_from(webhook.url, "", ""), tmp_path / "alerts.json", "en", TORONTO)
    memory = tmp_path / "watch.json"
    Watcher(instance, lambda: engine, alerts, memory, "http://ui.test/").look()
    assert [incident.about for incident in alerts.open_incidents()] == ["users"]
    others = {name: table for name, table in TABLES.items() if name != "users"}
    Watcher(instance, lambda: engine, alerts, memory, "http://ui.test/", tables=others).look()
    assert alerts.open_incidents() == []
