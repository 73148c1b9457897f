"""When the job runs by itself.

Keep out: which months a run is for (`partitions`), and what it does (`jobs`).
"""

import logging
from collections.abc import Mapping
from datetime import datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dagster import (
    DefaultScheduleStatus,
    MonthlyPartitionsDefinition,
    PartitionKeyRange,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    schedule,
)

from gazelle_sync import warehouse
from gazelle_sync.assets import asset_key
from gazelle_sync.jobs import HOURLY, SYNC, nightly_tags, range_tags
from gazelle_sync.monitoring.freshness import is_due
from gazelle_sync.partitions import coming_months, due_range, whole_range
from gazelle_sync.resources import PostgresResource
from gazelle_sync.tables import Cadence, Table
from gazelle_sync.translations import say
from gazelle_sync.view_assets import find_shown

logger = logging.getLogger(__name__)

NIGHTLY_AT = time(2)
SUNDAY = 6


class Due(NamedTuple):
    """What a nightly run reads: these tables, and of each dated one these months."""

    tables: list[str]
    months: dict[str, PartitionKeyRange]


def nightly(months: MonthlyPartitionsDefinition, tables: Mapping[str, Table]) -> ScheduleDefinition:
    @schedule(
        job=SYNC,
        cron_schedule=f"{NIGHTLY_AT.minute} {NIGHTLY_AT.hour} * * *",
        execution_timezone=months.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Every table at 02:00, but for those of Sunday's run; each dated one from 60 days back, or its "
        "first gap, to 18 months ahead.",
    )
    def nightly(context: ScheduleEvaluationContext, postgres: PostgresResource) -> RunRequest:
        at = context.scheduled_execution_time.astimezone(ZoneInfo(months.timezone))
        # On Sunday, the run that reads all is an hour away.
        asked = {
            name: table for name, table in tables.items() if table.every is Cadence.NIGHT or at.weekday() != SUNDAY
        }
        due = read_due(postgres, months, asked, at)
        shown = find_shown(due.tables, tables)
        return RunRequest(
            asset_selection=[asset_key(name) for name in (*due.tables, *shown)], tags=nightly_tags(due.months)
        )

    return nightly


def weekly(months: MonthlyPartitionsDefinition) -> ScheduleDefinition:
    @schedule(
        job=SYNC,
        cron_schedule="0 3 * * 0",
        execution_timezone=months.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        description="All tables and all history, Sundays at 03:00: nothing else tells what was corrected much later.",
    )
    def weekly() -> RunRequest:
        return RunRequest(tags=range_tags(whole_range(months)))

    return weekly


def hourly(months: MonthlyPartitionsDefinition) -> ScheduleDefinition:
    @schedule(
        job=HOURLY,
        cron_schedule="0 7-21 * * *",
        execution_timezone=months.timezone,
        default_status=DefaultScheduleStatus.STOPPED,
        description="Clients, pianos, and appointments of this month and the next two, from 7:00 to 21:00. Off.",
    )
    def hourly(context: ScheduleEvaluationContext) -> RunRequest:
        at = context.scheduled_execution_time.astimezone(ZoneInfo(months.timezone))
        return RunRequest(tags=range_tags(coming_months(months, at.date(), 2)))

    return hourly


def read_due(
    postgres: PostgresResource, months: MonthlyPartitionsDefinition, tables: Mapping[str, Table], at: datetime
) -> Due:
    """Which of these tables are due at this moment, and which months of the dated ones, by the log.

    A tick that fails tells nobody; so a database that can't be asked is left to the run, which fails loudly.
    """
    coverage: dict[str, warehouse.Coverage] = {}
    try:
        engine = postgres.engine()
        coverage = warehouse.read_coverage(engine, tables)
        # A column that its declaration gained is filled in all of history.
        coverage |= dict.fromkeys(warehouse.read_unfilled(engine), warehouse.Coverage())
    except warehouse.WarehouseError as error:
        logger.warning("%s", say("log_not_read", why=error))
    due = {name: table for name, table in tables.items() if is_due(table, coverage.get(name), at)}
    dated = [name for name, table in due.items() if table.partitioned_by]
    return Due(list(due), {name: due_range(months, at.date(), coverage.get(name)) for name in dated})
