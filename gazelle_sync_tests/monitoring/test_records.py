"""Dagster's own records do not grow for ever: a year of real runs' records, with a sync a night and no daemon."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from dagster import DagsterInstance

from gazelle_sync.monitoring.records import RUNS_KEPT, forget_old_runs
from gazelle_sync_tests.command.conftest import live, own_database, project, variables  # noqa: F401  fixtures
from gazelle_sync_tests.project import Project

MEGABYTE = 1_000_000


@pytest.fixture
def instance(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:  # noqa: F811
    """The project's own instance, as dagster.yaml has it."""
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "")
    with DagsterInstance.from_config(str(project.root)) as instance:
        yield instance


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def copy_run(records: Path, run_id: str, at: datetime) -> str:
    """A run's records once more, as of another day and under another id, which is given."""
    copy = str(uuid.uuid4())
    moment = at.replace(tzinfo=None).isoformat(" ")
    shutil.copy2(records / f"history/runs/{run_id}.db", records / f"history/runs/{copy}.db")
    shutil.copytree(records / f"compute_logs/{run_id}", records / f"compute_logs/{copy}")
    for file, table, body, when in (
        ("history/runs.db", "runs", "run_body", "create_timestamp"),
        ("history/runs/index.db", "event_logs", "event", "timestamp"),
    ):
        with closing(sqlite3.connect(records / file)) as database, database:
            columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})") if name != "id"]
            # The id stands in the body as well.
            chosen = {"run_id": ":copy", body: f"replace({body}, :run_id, :copy)", when: ":moment"}
            values = ", ".join(chosen.get(name, name) for name in columns)
            database.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE run_id = :run_id",
                {"run_id": run_id, "copy": copy, "moment": moment},
            )
    return copy


def test_a_year_of_nightly_and_weekly_runs_stays_under_300_megabytes(
    project: Project,  # noqa: F811
    instance: DagsterInstance,
) -> None:
    records = project.root / "var/dagster"
    # Ten years: a full run has an event for each month of each dated table.
    history = {"GAZELLE_HISTORY_START": "2017-01-01"}
    assert project.run("sync", "--full", **history).code == 0
    (weekly,) = (run.run_id for run in instance.get_runs())
    assert project.run("sync", **history).code == 0
    (nightly,) = {run.run_id for run in instance.get_runs()} - {weekly}
    assert not list(records.rglob("*.db-wal")), "a write-ahead log was left behind"

    today = datetime.now(timezone.utc)
    greatest = 0
    for day in range(1, 366):
        at = today + timedelta(days=day)
        nightly = copy_run(records, nightly, at)
        if at.weekday() == 6:
            weekly = copy_run(records, weekly, at)
        forgotten = forget_old_runs(instance, at)
        assert forgotten == 0 or day >= RUNS_KEPT.days, f"{forgotten} runs were forgotten on day {day}"
        if day % 30 == 0:
            instance.event_log_storage.dispose()
            greatest = max(greatest, size_of(records))
    assert greatest < 300 * MEGABYTE
    kept = {run.run_id for run in instance.get_runs()}
    assert len(kept) <= RUNS_KEPT.days * 8 / 7 + 2
    assert {file.stem for file in records.glob("history/runs/*.db")} == kept | {"index"}
    assert {folder.name for folder in (records / "compute_logs").iterdir()} == kept
