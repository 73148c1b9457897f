"""What counts as something to tell people of: failed and hung runs, failed backfills and checks, stale tables.

Both the daemon's sensor and the command look, and share one memory of what was looked at, so that nothing is
said twice and nothing is missed while neither ran. Keep out: how it is said and sent (`alerts`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from gazelle_sync import warehouse
from gazelle_sync.alerts import Alerts, Incident, Kind
from gazelle_sync.jobs import NIGHTLY_TAG, SYNC
from gazelle_sync.monitoring.failed_checks import tell_check
from gazelle_sync.monitoring.freshness import find_as_of, is_fresh
from gazelle_sync.monitoring.memory import KEPT, Memory, hold_memory
from gazelle_sync.monitoring.under_way import find_left_runs
from gazelle_sync.resources import AlertsResource, PostgresResource
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import TEXTS, say

logger = logging.getLogger(__name__)

# A whole mirror of ten years takes minutes.
HUNG_AFTER = timedelta(hours=1)
# How far back the very first look goes.
FIRST_LOOK = timedelta(days=1)
# How many runs are asked for at once.
RUNS_A_PAGE = 100

AT_WORK = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
# Dagster puts the first on a run just after it has noted that it failed, and the second once it has started it again:
# then the second run decides. It does so within seconds, if its daemon runs.
WILL_RETRY = "dagster/will_retry"
RETRIED_BY = "dagster/auto_retry_run_id"
RETRIED_WITHIN = timedelta(minutes=2)
# How many backfills are looked at, the latest.
BACKFILLS = 20
# What a signal raises, by Dagster and by Python.
INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
# What is read of a run that has ended.
PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
EVENTS = (
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    PLANNED,
)
Events = dict[DagsterEventType, list[DagsterEvent]]


def make_watcher(instance: DagsterInstance, postgres: PostgresResource, alerts: AlertsResource) -> Watcher:
    """As the environment configures it."""
    settings = alerts.settings()
    memory = settings.var / "watch.json"
    return Watcher(instance, postgres.engine, alerts.alerts(), memory, settings.ui_url, tables=settings.tables)


class Watcher:
    """Looks at an instance and a database, and raises and clears incidents.

    `memory` is a file, and the folder `runs` beside it has what is under way; `ui_url` is where the Dagster UI is, for
    links; `tables` are those that are read. An `engine` that can't be had (`WarehouseError`) hides nothing but what
    the database would say. What is to be told to the outside watcher is noted in the memory.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        engine: Callable[[], Engine],
        alerts: Alerts,
        memory: Path,
        ui_url: str,
        *,
        tables: Mapping[str, Table] = TABLES,
    ) -> None:
        self._instance = instance
        self._engine = engine
        self._alerts = alerts
        self._memory = memory
        self._ui_url = ui_url.rstrip("/")
        self._tables = tables

    def look(self) -> None:
        """At all that happened since the last look. What fails here is looked at again the next time.

        Raises the first failure, after everything else was looked at.
        """
        failures: list[Exception] = []
        with hold_memory(self._memory) as memory:
            for part in (
                self._look_for_left_runs,
                partial(self._look_at_runs, memory),
                self._look_for_hung_runs,
                partial(self._look_at_backfills, memory),
                self._look_for_stale_tables,
            ):
                try:
                    part()
                except Exception as error:  # one thing that can't be looked at hides none of the others
                    failures.append(error)
        if failures:
            raise failures[0]

    def _look_for_left_runs(self) -> None:
        """Runs whose process is gone: where no daemon runs, nobody else ends them, and later ones queue behind them."""
        for left in find_left_runs(self._memory.parent / "runs"):
            if left.tables:
                not_run = self._find_not_run(left.run_id, left.tables)
                why = say_with_tables(say("broke_off"), not_run)
                link = self._link(left.run_id)
                incident = Incident(
                    Kind.RUN_FAILED, f"run:{SYNC.name}", SYNC.name, datetime.now(timezone.utc), why, link
                )
                if not self._alerts.open(incident):
                    # The run itself could still say why it failed, and not what it left.
                    self._alerts.announce(incident)
            run = self._instance.get_run_by_id(left.run_id)
            if run and not run.is_finished:
                self._instance.report_run_failed(run, say("broke_off"))
            left.forget()

    def _look_at_runs(self, memory: Memory) -> None:
        """Runs that have ended and were not looked at, in the order in which they were made."""
        first_look = memory.pending is None
        pending = self._list_new_runs(memory)[-KEPT:]
        for run_id, record in self._read_records([*pending], memory):
            if record and first_look and datetime.now(timezone.utc) - end_of(record) > FIRST_LOOK:
                memory.note_seen(run_id)
            elif record:
                if is_under_way(record) or is_undecided(record, self._instance.run_retries_enabled):
                    continue
                if RETRIED_BY not in record.dagster_run.tags and not self._look_at_run(record, memory):
                    continue
                memory.note_seen(run_id)
            pending.remove(run_id)
        # What was not come to, because something failed, is not in either list, and comes up again.
        memory.pending = pending

    def _list_new_runs(self, memory: Memory) -> list[str]:
        """The ids of runs that were not looked at after their end, the oldest first."""
        pending = memory.pending or []
        known = {*memory.seen, *pending}
        new: list[str] = []
        cursor = None
        while len(new) < KEPT:
            page = self._instance.get_run_ids(cursor=cursor, limit=RUNS_A_PAGE)
            unknown = [run_id for run_id in page if run_id not in known]
            new += unknown
            if not unknown or len(page) < RUNS_A_PAGE:
                break
            cursor = page[-1]
        return [*pending, *reversed(new)]

    def _read_records(self, run_ids: Sequence[str], memory: Memory) -> Iterator[tuple[str, RunRecord | None]]:
        """Each run with its record; None for one that was deleted, and for one that can't be read, which is told."""
        for start in range(0, len(run_ids), RUNS_A_PAGE):
            chunk = list(run_ids[start : start + RUNS_A_PAGE])
            try:
                found = self._instance.get_run_records(RunsFilter(run_ids=chunk))
            except OperationalError:
                # The records are not to be had at all, or not just now.
                raise
            except Exception:
                # One of them: which one shows when they are asked for one by one.
                found = [record for run_id in chunk if (record := self._read_record(run_id, memory))]
            records = {record.dagster_run.run_id: record for record in found}
            yield from ((run_id, records.get(run_id)) for run_id in chunk)

    def _read_record(self, run_id: str, memory: Memory) -> RunRecord | None:
        try:
            return self._instance.get_run_record_by_id(run_id)
        except OperationalError:
            raise
        except Exception as error:
            self._announce_unreadable(run_id, run_id, datetime.now(timezone.utc), error)
            memory.note_seen(run_id)
            return None

    def _look_at_run(self, record: RunRecord, memory: Memory) -> bool:
        """Whether it was looked at: else its events can't be had just now."""
        run = record.dagster_run
        if NIGHTLY_TAG in run.tags:
            memory.heartbeat_due = run.is_success
        try:
            events = {kind: self._read_events(record, kind) for kind in EVENTS}
        except Exception as error:  # a damaged file, or one that is locked or gone
            if not run.is_success:
                why = say("record_unreadable", why=type(error).__name__)
                self._open(Kind.RUN_FAILED, f"run:{run.job_name}", run.job_name, end_of(record), why, run.run_id)
            elif isinstance(error, OperationalError):
                logger.warning(say("record_unreadable_now", run=run.run_id, why=type(error).__name__))
                return False
            else:
                self._announce_unreadable(run.job_name, run.run_id, end_of(record), error)
            return True
        if run.is_success:
            self._note_success(record, events)
        elif run.status is not DagsterRunStatus.CANCELED:
            self._note_failure(record, events)
        self._note_checks(record, events)
        return True

    def _announce_unreadable(self, about: str, run_id: str, since: datetime, error: Exception) -> None:
        why = say("record_unreadable", why=type(error).__name__)
        self._alerts.announce(Incident(Kind.RECORD_LOST, f"record:{run_id}", about, since, why, self._link(run_id)))

    def _note_failure(self, record: RunRecord, events: Events) -> None:
        run = record.dagster_run
        # A run that never got to a step: its process died, or it could not be launched.
        for event in events[DagsterEventType.STEP_FAILURE] or events[DagsterEventType.RUN_FAILURE]:
            if is_stopped_by_check(event):
                continue
            about = table_of(event.step_key) if event.step_key else run.job_name
            why = reason_of_event(event)
            if not event.step_key or is_interruption(event):
                planned = {each.asset_key.path[-1] for each in events[PLANNED] if each.asset_key}
                not_run = self._find_not_run(run.run_id, [name for name in TABLES if name in planned])
                why = say_with_tables(why, not_run)
            self._open(Kind.RUN_FAILED, f"run:{about}", about, end_of(record), why, run.run_id)

    def _find_not_run(self, run_id: str, tables: Sequence[str]) -> list[str]:
        """Those of a run's tables that its log has no line of; where that can't be read, Dagster no record of."""
        try:
            logged = {line["table_name"] for line in warehouse.read_run_log(self._engine(), run_id)}
        except warehouse.WarehouseError as error:
            logger.warning("%s", error)
            loaded = self._instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION).records
            events = [entry.event_log_entry.dagster_event for entry in loaded]
            logged = {event.asset_key.path[-1] for event in events if event and event.asset_key}
        return [name for name in tables if name not in logged]

    def _note_success(self, record: RunRecord, events: Events) -> None:
        for event in events[DagsterEventType.STEP_SUCCESS]:
            self._alerts.resolve(f"run:{table_of(event.step_key)}", end_of(record))
        self._alerts.resolve(f"run:{record.dagster_run.job_name}", end_of(record))

    def _note_checks(self, record: RunRecord, events: Events) -> None:
        for event in events[DagsterEventType.ASSET_CHECK_EVALUATION]:
            evaluation = event.asset_check_evaluation_data
            about = f"{evaluation.asset_key.path[-1]}: {evaluation.check_name}"
            key = f"check:{about}"
            if evaluation.passed:
                self._alerts.resolve(key, end_of(record))
            else:
                found = tell_check(evaluation.metadata) or "; ".join(
                    say("found", what=label(name), value=value.value)
                    for name, value in evaluation.metadata.items()
                    if value.value not in ("", None)
                )
                self._open(Kind.CHECK_FAILED, key, about, end_of(record), found, record.dagster_run.run_id)

    def _look_for_hung_runs(self) -> None:
        hung = {}
        for record in self._instance.get_run_records(RunsFilter(statuses=AT_WORK)):
            started = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), timezone.utc)
            if datetime.now(timezone.utc) - started > HUNG_AFTER:
                hung[f"hung:{record.dagster_run.run_id}"] = (record.dagster_run, started)
        for key, (run, started) in hung.items():
            why = say("hung_since", hours=HUNG_AFTER // timedelta(hours=1))
            self._open(Kind.RUN_HUNG, key, run.job_name, started, why, run.run_id)
        for incident in self._alerts.open_incidents():
            if incident.kind is Kind.RUN_HUNG and incident.key not in hung:
                self._alerts.resolve(incident.key)

    def _look_at_backfills(self, memory: Memory) -> None:
        """A backfill can fail without a run; a later one that completes for the same table makes it well."""
        first_look, known = memory.backfills is None, memory.backfills or []
        latest = [*reversed(self._instance.get_backfills(limit=BACKFILLS))]
        for backfill in latest:
            if backfill.backfill_id in known or backfill.status.value not in ("FAILED", "COMPLETED_SUCCESS"):
                continue
            known.append(backfill.backfill_id)
            began = datetime.fromtimestamp(backfill.backfill_timestamp, timezone.utc)
            if first_look and datetime.now(timezone.utc) - began > FIRST_LOOK:
                continue
            tables = ", ".join(sorted(key.path[-1] for key in backfill.asset_selection or ()))
            if backfill.status.value == "FAILED":
                why = reason_of(backfill.error) if backfill.error else say("no_reason_given")
                self._open(Kind.BACKFILL_FAILED, f"backfill:{backfill.backfill_id}", tables, began, why, None)
                continue
            later = {f"backfill:{each.backfill_id}" for each in latest[latest.index(backfill) :]}
            for incident in self._alerts.open_incidents():
                if incident.kind is Kind.BACKFILL_FAILED and incident.about == tables and incident.key not in later:
                    self._alerts.resolve(incident.key)
        memory.backfills = known[-KEPT:]

    def _look_for_stale_tables(self) -> None:
        """By the log, which knows what a load covered: the backfill of an old month makes nothing fresh."""
        try:
            coverage = warehouse.read_coverage(self._engine(), self._tables)
        except warehouse.WarehouseError as error:
            # A run that can't reach the database fails, and that is told.
            logger.warning(say("stale_not_known", why=error))
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
        self._alerts.open(Incident(kind, key, about, since, why, self._link(run_id)))

    def _link(self, run_id: str | None) -> str:
        return f"{self._ui_url}/runs/{run_id}" if run_id else self._ui_url


def end_of(record: RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), timezone.utc)


def table_of(step_key: str | None) -> str:
    """Steps are named after assets: `gazelle__pianos`."""
    return (step_key or "").removeprefix("gazelle__")


def is_under_way(record: RunRecord) -> bool:
    return not record.dagster_run.is_finished


def is_undecided(record: RunRecord, retries: bool) -> bool:
    """Whether a run failed that Dagster, which `retries`, may be about to start again."""
    run = record.dagster_run
    unsaid = "true" if retries and run.status is DagsterRunStatus.FAILURE else "false"
    if run.tags.get(WILL_RETRY, unsaid) != "true":
        return False
    # An end that is still to come was noted by a clock that was ahead.
    return timedelta() <= datetime.now(timezone.utc) - end_of(record) < RETRIED_WITHIN


def is_stopped_by_check(event: DagsterEvent) -> bool:
    """Whether a step failed for nothing but a check that blocks, which is told as such."""
    error = event.step_failure_data.error if event.is_step_failure else None
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def reason_of_event(event: DagsterEvent) -> str:
    """Why a step or a run failed: the innermost cause, without its traceback."""
    # Of a process that died, Dagster knows no more than that.
    error = getattr(event.event_specific_data, "error", None)
    if error:
        return reason_of(error)
    return say("dagster_says", text=event.message) if event.message else say("no_reason_given")


def is_interruption(event: DagsterEvent) -> bool:
    """Whether a signal ended a step or a run."""
    error = getattr(event.event_specific_data, "error", None)
    return error is not None and (innermost(error).cls_name or "").endswith(INTERRUPTIONS)


def say_with_tables(why: str, not_run: Sequence[str]) -> str:
    """A reason, with the tables that were not run for it."""
    return say("and_not_run", why=why, tables=", ".join(not_run)) if not_run else why


def label(name: str) -> str:
    """What a check found, as its metadata is called, for a person."""
    text = f"found_{name.lower().replace(' ', '_')}"
    return say(text) if text in TEXTS else name


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
    if (error.cls_name or "").endswith(INTERRUPTIONS):
        return say("interrupted")
    # Dagster puts the class in front, with its module.
    _, _, message = error.message.rpartition(f"{error.cls_name}: ") if error.cls_name else ("", "", error.message)
    return " ".join(message.split())
