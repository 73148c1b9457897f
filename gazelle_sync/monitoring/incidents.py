"""What counts as something to tell people of: failed and hung runs, failed backfills and checks, stale tables.

Both the daemon's sensor and the command look, and share one memory of what was looked at, so that nothing is
said twice and nothing is missed while neither ran. Keep out: how it is said and sent (`alerts`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.alerts import Alerts, Incident, Kind, send_heartbeat
from gazelle_sync.files import hold_lock, replace_file
from gazelle_sync.jobs import NIGHTLY_TAG
from gazelle_sync.monitoring.freshness import find_as_of, is_fresh
from gazelle_sync.resources import AlertsResource, PostgresResource
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)

# Seconds. Another process that looks keeps the memory for as long as that takes.
PATIENCE = 60.0

# A whole mirror of ten years takes minutes.
HUNG_AFTER = timedelta(hours=1)
# How far back the very first look goes.
FIRST_LOOK = timedelta(days=1)
# How many runs are remembered as looked at.
SEEN_KEPT = 500

ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
AT_WORK = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
# Dagster puts the first on a run that a crash ended and that it means to start again, and the second once it has:
# the second run decides. It does so within seconds, if its daemon runs.
WILL_RETRY = "dagster/will_retry"
RETRIED_BY = "dagster/auto_retry_run_id"
RETRIED_WITHIN = timedelta(minutes=2)
# How many failed backfills are remembered as told of; no more are looked at.
BACKFILLS = 20


def make_watcher(instance: DagsterInstance, postgres: PostgresResource, alerts: AlertsResource) -> Watcher:
    """As the environment configures it."""
    settings = alerts.settings()
    memory = settings.var / "watch.json"
    return Watcher(
        instance,
        postgres.engine(),
        alerts.alerts(),
        memory,
        settings.ui_url,
        settings.heartbeat_url,
        tables=settings.tables,
    )


class Watcher:
    """Looks at an instance and a database, and raises and clears incidents.

    `memory` is a file; `ui_url` is where the Dagster UI is, for links; `heartbeat_url` is asked after each good
    nightly run, empty for none; `tables` are those that are read.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        engine: Engine,
        alerts: Alerts,
        memory: Path,
        ui_url: str,
        heartbeat_url: str,
        *,
        tables: Mapping[str, Table] = TABLES,
    ) -> None:
        self._instance = instance
        self._engine = engine
        self._alerts = alerts
        self._memory = memory
        self._ui_url = ui_url.rstrip("/")
        self._heartbeat_url = heartbeat_url
        self._tables = tables

    def look(self) -> None:
        """At all that happened since the last look. What fails here is looked at again the next time."""
        with self._hold_memory() as memory:
            self._look_at_runs(memory)
            self._look_for_hung_runs()
            self._look_at_backfills(memory)
            self._look_for_stale_tables()
        with self._hold_memory() as memory:
            if memory.get("heartbeat_due"):
                send_heartbeat(self._heartbeat_url)
                memory["heartbeat_due"] = False

    @contextmanager
    def _hold_memory(self) -> Iterator[dict[str, Any]]:
        """The memory, written back unless an exception is raised."""
        with hold_lock(self._memory, timeout=PATIENCE):
            memory = self._read()
            yield memory
            replace_file(self._memory, json.dumps(memory))

    def _read(self) -> dict[str, Any]:
        if not self._memory.exists():
            return {}
        try:
            return dict(json.loads(self._memory.read_text()))
        except (ValueError, TypeError):
            # A crash of the machine can leave it so; what is told twice for it is told of the last day.
            logger.warning("%s could not be understood, and is begun anew", self._memory)
            return {}

    def _look_at_runs(self, memory: dict[str, Any]) -> None:
        """Runs that ended since the last look, in the order in which they did."""
        start = datetime.now(timezone.utc) - FIRST_LOOK
        seen_until = datetime.fromisoformat(memory.get("seen_until", start.isoformat()))
        # Looked at again by a little: two runs can end within one tick of the clock, and only one have been seen.
        records = self._instance.get_run_records(
            RunsFilter(statuses=ENDED, updated_after=seen_until - timedelta(seconds=5)),
            order_by="update_timestamp",
            ascending=True,
        )
        seen = memory.get("seen", [])
        for record in records:
            run = record.dagster_run
            if run.run_id not in seen and RETRIED_BY not in run.tags:
                if is_undecided(record):
                    break
                if run.is_success:
                    self._note_success(record, memory)
                else:
                    self._note_failure(record, memory)
                self._look_at_checks(record)
            memory["seen_until"] = record.update_timestamp.isoformat()
            # A run can be touched after its end, and come up again.
            seen = memory["seen"] = list(dict.fromkeys([*seen, run.run_id]))[-SEEN_KEPT:]

    def _note_failure(self, record: RunRecord, memory: dict[str, Any]) -> None:
        run = record.dagster_run
        if NIGHTLY_TAG in run.tags:
            memory["heartbeat_due"] = False
        steps = self._read_events(record, DagsterEventType.STEP_FAILURE)
        # A run that never got to a step: its process died, or it could not be launched.
        events = steps or self._read_events(record, DagsterEventType.RUN_FAILURE)
        for event in events:
            if is_stopped_by_check(event):
                continue
            about = table_of(event.step_key) if event.step_key else run.job_name
            self._open(Kind.RUN_FAILED, f"run:{about}", about, end_of(record), reason_of_event(event), run.run_id)

    def _note_success(self, record: RunRecord, memory: dict[str, Any]) -> None:
        run = record.dagster_run
        for event in self._read_events(record, DagsterEventType.STEP_SUCCESS):
            self._alerts.resolve(f"run:{table_of(event.step_key)}", end_of(record))
        self._alerts.resolve(f"run:{run.job_name}", end_of(record))
        if self._heartbeat_url and NIGHTLY_TAG in run.tags:
            memory["heartbeat_due"] = True

    def _look_at_checks(self, record: RunRecord) -> None:
        for event in self._read_events(record, DagsterEventType.ASSET_CHECK_EVALUATION):
            evaluation = event.asset_check_evaluation_data
            about = f"{evaluation.asset_key.path[-1]}: {evaluation.check_name}"
            key = f"check:{about}"
            if evaluation.passed:
                self._alerts.resolve(key, end_of(record))
            else:
                found = "; ".join(f"{name}: {value.value}" for name, value in evaluation.metadata.items())
                self._open(Kind.CHECK_FAILED, key, about, end_of(record), found, record.dagster_run.run_id)

    def _look_for_hung_runs(self) -> None:
        hung = {}
        for record in self._instance.get_run_records(RunsFilter(statuses=AT_WORK)):
            started = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), timezone.utc)
            if datetime.now(timezone.utc) - started > HUNG_AFTER:
                hung[f"hung:{record.dagster_run.run_id}"] = (record.dagster_run, started)
        for key, (run, started) in hung.items():
            why = f"started {HUNG_AFTER} ago or more, and has not ended; later runs wait behind it"
            self._open(Kind.RUN_HUNG, key, run.job_name, started, why, run.run_id)
        for incident in self._alerts.open_incidents():
            if incident.kind is Kind.RUN_HUNG and incident.key not in hung:
                self._alerts.resolve(incident.key)

    def _look_at_backfills(self, memory: dict[str, Any]) -> None:
        """A backfill can fail without a run; a later one that completes for the same table makes it well."""
        told = memory.get("backfills", [])
        for backfill in reversed(self._instance.get_backfills(limit=BACKFILLS)):
            began = datetime.fromtimestamp(backfill.backfill_timestamp, timezone.utc)
            if datetime.now(timezone.utc) - began > FIRST_LOOK:
                continue
            tables = ", ".join(sorted(key.path[-1] for key in backfill.asset_selection or ()))
            if backfill.status.value == "FAILED" and backfill.backfill_id not in told:
                told = memory["backfills"] = [*told, backfill.backfill_id][-BACKFILLS:]
                why = reason_of(backfill.error) if backfill.error else "no reason given"
                self._open(Kind.BACKFILL_FAILED, f"backfill:{backfill.backfill_id}", tables, began, why, None)
            elif backfill.status.value == "COMPLETED_SUCCESS":
                for incident in self._alerts.open_incidents():
                    if incident.kind is Kind.BACKFILL_FAILED and incident.about == tables and incident.since < began:
                        self._alerts.resolve(incident.key)

    def _look_for_stale_tables(self) -> None:
        """By the log, which knows what a load covered: the backfill of an old month makes nothing fresh."""
        try:
            coverage = warehouse.read_coverage(self._engine, self._tables)
        except warehouse.WarehouseError as error:
            # A run that can't reach the database fails, and that is told.
            logger.warning("whether tables are stale could not be looked up: %s", error)
            return
        today = datetime.now(timezone.utc).date()
        for name, each in coverage.items():
            fresh, known = is_fresh(self._tables[name], each), find_as_of(each, today)
            if fresh:
                self._alerts.resolve(f"stale:{name}", known)
            elif fresh is False:
                since = known or find_as_of(each, today, proved=False) or datetime.now(timezone.utc)
                why = say("known_as_of" if known else "never_proved", at=f"{since:%Y-%m-%d %H:%M}")
                self._open(Kind.TABLE_STALE, f"stale:{name}", name, since, why, None)
        for incident in self._alerts.open_incidents():
            # Whoever turned a table off does not wait for it.
            if incident.about.partition(":")[0] in TABLES.keys() - self._tables.keys():
                self._alerts.resolve(incident.key)

    def _read_events(self, record: RunRecord, kind: DagsterEventType) -> list[DagsterEvent]:
        records = self._instance.get_records_for_run(record.dagster_run.run_id, of_type=kind).records
        return [event for entry in records if (event := entry.event_log_entry.dagster_event)]

    def _open(self, kind: Kind, key: str, about: str, since: datetime, why: str, run_id: str | None) -> None:
        link = f"{self._ui_url}/runs/{run_id}" if run_id else self._ui_url
        self._alerts.open(Incident(kind, key, about, since, why, link))


def end_of(record: RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), timezone.utc)


def table_of(step_key: str | None) -> str:
    """Steps are named after assets: `gazelle__pianos`."""
    return (step_key or "").removeprefix("gazelle__")


def is_undecided(record: RunRecord) -> bool:
    """Whether a run failed that Dagster may be about to start again."""
    if record.dagster_run.tags.get(WILL_RETRY) != "true":
        return False
    return datetime.now(timezone.utc) - end_of(record) < RETRIED_WITHIN


def is_stopped_by_check(event: DagsterEvent) -> bool:
    """Whether a step failed for nothing but a check that blocks, which is told as such."""
    error = event.step_failure_data.error if event.is_step_failure else None
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def reason_of_event(event: DagsterEvent) -> str:
    """Why a step or a run failed: the innermost cause, without its traceback."""
    # Of a process that died, Dagster knows no more than that.
    data = event.event_specific_data
    error = getattr(data, "error", None)
    return reason_of(error) if error else event.message or "no reason given"


def is_caused_by(event: DagsterEvent, kind: type[Exception]) -> bool:
    """Whether a step or a run failed because of such an error."""
    error = getattr(event.event_specific_data, "error", None)
    return error is not None and innermost(error).cls_name == kind.__name__


def innermost(error: Any) -> Any:
    while error.cause is not None:
        error = error.cause
    return error


def reason_of(error: Any) -> str:
    error = innermost(error)
    if (error.cls_name or "").endswith("DagsterExecutionInterruptedError"):
        return "interrupted"
    # Dagster puts the class in front, with its module.
    _, _, message = error.message.rpartition(f"{error.cls_name}: ") if error.cls_name else ("", "", error.message)
    return " ".join(message.split())
