"""A run in this process, of the same job as the schedule's, recorded in the same Dagster instance.

Keep out: what is shown of it (`cli`), and what the job does.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import partial
from typing import Any

from dagster import DagsterEvent, DagsterInstance

# Dagster has no public names for where a run's job comes from, and gives none to a run within this process.
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from gazelle_sync import warehouse
from gazelle_sync.assets import asset_key
from gazelle_sync.cli.faults import describe_fault, log_traceback
from gazelle_sync.definitions import alerts, defs, partitions, postgres, settings
from gazelle_sync.due import Due, read_due
from gazelle_sync.environment.account import AnotherAccount
from gazelle_sync.environment.settings import Misconfigured
from gazelle_sync.jobs import LOCATION, NIGHTLY_AT, READ_TAG, SYNC, due_tags, nightly_tags
from gazelle_sync.monitoring import freshness
from gazelle_sync.monitoring.failed_checks import FailedCheck, leave_out_told, list_failed
from gazelle_sync.monitoring.incidents import is_caused_by, is_interruption, make_watcher, reason_of_event, table_of
from gazelle_sync.monitoring.records import forget_old_runs
from gazelle_sync.monitoring.under_way import mark_under_way
from gazelle_sync.partitions import range_of_days, whole_range
from gazelle_sync.tables import Cadence, Table
from gazelle_sync.translations import say
from gazelle_sync.view_assets import find_shown

# Nobody starts a run of this process again, though Dagster would say on its record that it means to.
NEVER_RETRIED = {"dagster/max_retries": "0"}

# Dagster's name for definitions that are no named repository.
REPOSITORY = "__repository__"


@dataclass(frozen=True)
class Outcome:
    """What a run did: its lines of `sync_log`, the tables that were not run, and the failures that have no line there.

    `unknown` are tables that failed before a line could be written, or whose line can't be read. A failure is the
    reason, by the table or the job that failed. Where the log can't be read, the lines are Dagster's records of it.

    `failed_checks` are those that no line of the log has told of. `not_looked_at` is why what there is to tell people
    of could not be found out, None when it was.
    """

    success: bool
    log: list[dict[str, Any]]
    unknown: list[str]
    not_run: list[str]
    failures: dict[str, str]
    interrupted: bool = False
    not_looked_at: str | None = None
    failed_checks: Sequence[FailedCheck] = ()


def find_due(tables: Sequence[str], *, full: bool, days: tuple[date, date] | None) -> Due:
    """These tables, or all that are due, and the months to read of each dated one.

    Raises `Misconfigured` for days before all history or too far ahead.
    """
    chosen = {name: table for name, table in settings.tables.items() if name in tables or not tables}
    dated = [name for name, table in chosen.items() if table.partitioned_by]
    if full:
        return Due(list(chosen), dict.fromkeys(dated, whole_range(partitions)))
    if days is None:
        with closing(postgres.read_environment()) as database:
            due = read_due(database, partitions, chosen, datetime.now(settings.zone))
        # A table that is named is read, whatever its turn.
        return due._replace(tables=list(chosen)) if tables else due
    months = range_of_days(partitions, *days)
    if months.start > months.end:
        whole = whole_range(partitions)
        raise Misconfigured(
            say("no_such_month", first=days[0], last=days[1], history=whole.start, latest_month=whole.end)
        )
    return Due(list(chosen), dict.fromkeys(dated, months))


def is_due(now: datetime) -> bool:
    """Whether the nightly run is still to be done: some table was not read since it was last 02:00, by `now`'s clock.

    For whoever starts runs by a clock in another zone, or more often than needed. Raises `WarehouseError`.
    """
    at = datetime.combine(now.date(), NIGHTLY_AT, now.tzinfo)
    if at > now:
        at = datetime.combine(now.date() - timedelta(days=1), NIGHTLY_AT, now.tzinfo)
    with closing(postgres.read_environment()) as database:
        coverage = warehouse.read_coverage(database.engine(), settings.tables)

    def is_waiting(name: str, table: Table) -> bool:
        if table.every is not Cadence.NIGHT:
            return freshness.is_due(table, coverage[name], now)
        as_of = freshness.find_as_of(coverage[name], now.date(), proved=False)
        # As moments: on the night when clocks go forward, 02:00 is the same as 03:00.
        return as_of is None or as_of < at.astimezone(timezone.utc)

    return any(is_waiting(name, table) for name, table in settings.tables.items())


def describe_read(tables: Sequence[str], *, full: bool, days: tuple[date, date] | None) -> str:
    """What a run was asked for, as its tag has it: `full`, `pianos, clients`, `2026-03 … 2026-05`, or `what is due`."""
    months = " … ".join(dict.fromkeys(f"{day:%Y-%m}" for day in days or ()))
    asked = (", ".join(tables), "full" if full else "", months)
    return ", ".join(filter(None, asked)) or "what is due"


def find_origin() -> RemoteJobOrigin:
    """Where the UI and the daemon find the job: a run that lacks it is in no list of the job's runs."""
    target = LoadableTargetOrigin(
        executable_path=sys.executable, module_name="gazelle_sync.definitions", working_directory=str(settings.root)
    )
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    return RemoteRepositoryOrigin(location, REPOSITORY).get_job_origin(SYNC.name)


def run_job(due: Due, *, read: str, nightly: bool, allow_mass_delete: bool) -> Outcome:
    """Runs the job for what is due. Failures are in the outcome.

    Raises `AnotherAccount`, whatever else is missing: then nothing was written.

    `read` is what it reads, for whoever sees the run in a list. A `nightly` run is one that the outside watcher of the
    heartbeat expects.
    """
    os.environ.setdefault("DAGSTER_HOME", str(settings.root))
    names, months = due
    ops = {asset_key(name).to_python_identifier(): {"config": {"allow_mass_delete": True}} for name in names}
    tags = nightly_tags(months) if nightly else due_tags(months)
    run_id = str(uuid.uuid4())
    with DagsterInstance.get() as instance:
        create_run = partial(instance.create_run_for_job, remote_job_origin=find_origin())
        instance.create_run_for_job = create_run  # type: ignore[method-assign]
        with mark_under_way(settings.var / "runs", run_id, names), keep_output():
            result = defs.resolve_job_def(SYNC.name).execute_in_process(
                instance=instance,
                run_id=run_id,
                asset_selection=[asset_key(name) for name in (*names, *find_shown(names, settings.tables))],
                tags={**tags, **NEVER_RETRIED, READ_TAG: read},
                run_config={
                    "ops": ops if allow_mass_delete else {},
                    # The summary tells what happened; the whole story is in the log file and the UI.
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                raise_on_error=False,
            )
        not_looked_at = look_back(instance)
    # A run fails because a step did, and then has nothing to add; or before any step.
    failed = [event for event in result.all_events if event.is_step_failure]
    failed = failed or [event for event in result.all_events if event.is_run_failure]
    failures = {table_of(event.step_key) or SYNC.name: reason_of_event(event) for event in failed}
    if any(is_caused_by(event, AnotherAccount) for event in failed):
        raise AnotherAccount(next(iter(failures.values())))
    try:
        with closing(postgres.read_environment()) as database:
            log = warehouse.read_run_log(database.engine(), result.run_id)
    except Exception as error:
        if not isinstance(error, warehouse.WarehouseError):
            log_traceback(settings.root, error)
        log = make_lines(result.all_events)
        if log:
            failures["sync_log"] = say("log_from_records", why=describe_fault(error))
    logged = {line["table_name"]: line["status"] for line in log}
    return Outcome(
        result.success,
        log,
        unknown=[name for name in names if name not in logged and name in failures],
        not_run=[name for name in names if name not in logged and name not in failures],
        # What failed after a table was committed is not in the table's own line.
        failures={about: why for about, why in failures.items() if logged.get(about) != "error"},
        interrupted=any(is_interruption(event) for event in failed),
        not_looked_at=not_looked_at,
        failed_checks=leave_out_told(
            list_failed(result.get_asset_check_evaluations()), {line["table_name"]: line["error"] for line in log}
        ),
    )


@contextmanager
def keep_output() -> Iterator[None]:
    """Gives the process its output back, whatever becomes of a run.

    Dagster leads it through a file under var/ meanwhile; when that can't be written any more, it stays there, and what
    is to be said of it would be lost.
    """
    kept = {}
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        # One that is closed needs none.
        with suppress(OSError, ValueError):
            kept[stream.fileno()] = os.dup(stream.fileno())
    try:
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def make_lines(events: Sequence[DagsterEvent]) -> list[dict[str, Any]]:
    """What the log has of the tables that were loaded, made of what Dagster recorded of each."""
    lines = []
    for event in events:
        if event.is_step_materialization and event.asset_key:
            told = {
                name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
            }
            lines.append({**told, "table_name": event.asset_key.path[-1], "error": told.get("warnings")})
    return lines


def look_back(instance: DagsterInstance) -> str | None:
    """Finds out what there is to tell people, and forgets old runs, as the daemon would if there is one.

    Why that failed, or None: the run itself is done, whatever is wrong with the records of others.
    """
    try:
        with closing(alerts.read_environment()) as channels, closing(postgres.read_environment()) as database:
            if channels.is_on():
                make_watcher(instance, database, channels).look()
        forget_old_runs(instance, datetime.now(timezone.utc))
    except Exception as error:
        log_traceback(settings.root, error)
        return describe_fault(error)
    return None
