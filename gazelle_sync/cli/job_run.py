"""A run in this process, of the same job as the schedule's, recorded in the same Dagster instance.

Keep out: what is shown of it (`cli`), and what the job does.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeVar

from dagster import ConfigurableResource, DagsterInstance, PartitionKeyRange

from gazelle_sync import warehouse
from gazelle_sync.assets import asset_key
from gazelle_sync.cli.faults import describe_fault
from gazelle_sync.definitions import alerts, defs, partitions, postgres, settings
from gazelle_sync.environment.account import AnotherAccount
from gazelle_sync.environment.settings import Misconfigured
from gazelle_sync.jobs import PARTITIONED, SYNC, due_tags, nightly_tags
from gazelle_sync.monitoring.freshness import find_as_of
from gazelle_sync.monitoring.incidents import is_caused_by, is_interruption, make_watcher, reason_of_event, table_of
from gazelle_sync.monitoring.records import forget_old_runs
from gazelle_sync.monitoring.under_way import mark_under_way
from gazelle_sync.partitions import range_of_days, whole_range
from gazelle_sync.schedules import NIGHTLY_AT, read_due
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import say

Resource = TypeVar("Resource", bound=ConfigurableResource[Any])


@dataclass(frozen=True)
class Outcome:
    """What a run did: its lines of `sync_log`, the tables that were not run, and the failures that have no line there.

    A failure is the reason, by the table or the job that failed.

    `not_looked_at` is why what there is to tell people of could not be found out, None when it was.
    """

    success: bool
    log: list[dict[str, Any]]
    not_run: list[str]
    failures: dict[str, str]
    interrupted: bool = False
    not_looked_at: str | None = None


def months_to_read(
    tables: Sequence[str], *, full: bool, days: tuple[date, date] | None
) -> dict[str, PartitionKeyRange]:
    """The months to read of each dated table among these, or of all.

    Raises `Misconfigured` for days before all history or too far ahead.
    """
    dated = [name for name in PARTITIONED if name in tables or not tables]
    if full:
        return dict.fromkeys(dated, whole_range(partitions))
    if days is None:
        with initialize(postgres) as database:
            return read_due(database, partitions, dated, datetime.now(settings.zone).date()) if dated else {}
    months = range_of_days(partitions, *days)
    if months.start > months.end:
        whole = whole_range(partitions)
        raise Misconfigured(
            say("no_such_month", first=days[0], last=days[1], history=whole.start, latest_month=whole.end)
        )
    return dict.fromkeys(dated, months)


def is_due(now: datetime) -> bool:
    """Whether the nightly run is still to be done: some table was not read since it was last 02:00, by `now`'s clock.

    For whoever starts runs by a clock in another zone, or more often than needed. Raises `WarehouseError`.
    """
    at = datetime.combine(now.date(), NIGHTLY_AT, now.tzinfo)
    if at > now:
        at = datetime.combine(now.date() - timedelta(days=1), NIGHTLY_AT, now.tzinfo)
    with initialize(postgres) as database:
        coverage = warehouse.read_coverage(database.engine(), TABLES)
    read = [find_as_of(each, now.date(), proved=False) for each in coverage.values()]
    # As moments: on the night when clocks go forward, 02:00 is the same as 03:00.
    return any(as_of is None or as_of < at.astimezone(timezone.utc) for as_of in read)


def run_job(
    tables: Sequence[str], months: Mapping[str, PartitionKeyRange], *, nightly: bool, allow_mass_delete: bool
) -> Outcome:
    """Runs the job for these tables, or all, with these months of the dated ones. Failures are in the outcome.

    Raises `AnotherAccount`, whatever else is missing: then nothing was written.

    A `nightly` run is one that the outside watcher of the heartbeat expects.
    """
    os.environ.setdefault("DAGSTER_HOME", str(settings.root))
    names = [name for name in TABLES if name in tables or not tables]
    ops = {asset_key(name).to_python_identifier(): {"config": {"allow_mass_delete": True}} for name in names}
    tags = {} if not months else nightly_tags(months) if nightly else due_tags(months)
    run_id = str(uuid.uuid4())
    with DagsterInstance.get() as instance, mark_under_way(settings.var / "runs", run_id, names):
        result = defs.resolve_job_def(SYNC.name).execute_in_process(
            instance=instance,
            run_id=run_id,
            asset_selection=[asset_key(name) for name in names] if tables else None,
            tags=dict(tags),
            run_config={
                "ops": ops if allow_mass_delete else {},
                # The summary tells what happened; the whole story is in the log file and the UI.
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    with DagsterInstance.get() as instance:
        not_looked_at = look_for_incidents(instance)
        # Where no daemon does it.
        forget_old_runs(instance, datetime.now(timezone.utc))
    try:
        with initialize(postgres) as database:
            log = warehouse.read_run_log(database.engine(), result.run_id)
    except warehouse.WarehouseError:
        log = []
    logged = {line["table_name"] for line in log}
    # A run fails because a step did, and then has nothing to add; or before any step.
    failed = [event for event in result.all_events if event.is_step_failure]
    failed = failed or [event for event in result.all_events if event.is_run_failure]
    failures = {table_of(event.step_key) or SYNC.name: reason_of_event(event) for event in failed}
    if any(is_caused_by(event, AnotherAccount) for event in failed):
        raise AnotherAccount(next(iter(failures.values())))
    return Outcome(
        result.success,
        log,
        not_run=[name for name in names if name not in logged],
        failures={about: why for about, why in failures.items() if about not in logged},
        interrupted=any(is_interruption(event) for event in failed),
        not_looked_at=not_looked_at,
    )


def look_for_incidents(instance: DagsterInstance) -> str | None:
    """Finds out what there is to tell people, as the daemon would if there is one. Why that failed, or None."""
    with initialize(alerts) as channels, initialize(postgres) as database:
        if not channels.is_on():
            return None
        try:
            make_watcher(instance, database, channels).look()
        except Exception as error:  # the run itself is done, whatever is wrong with the records of others
            return describe_fault(error)
    return None


def initialize(resource: Resource) -> AbstractContextManager[Resource]:
    """A resource with its environment variables read, as long as it is used."""
    return resource.process_config_and_initialize_cm()
