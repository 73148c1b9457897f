"""When the job runs by itself.

Keep out: which months a run is for (`partitions`), and what it does (`jobs`).
"""

import logging
from collections.abc import Iterable
from datetime import date, time
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
from gazelle_sync.jobs import HOURLY, PARTITIONED, SYNC, nightly_tags, range_tags
from gazelle_sync.partitions import coming_months, due_range, whole_range
from gazelle_sync.resources import PostgresResource
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)

NIGHTLY_AT = time(2)


def nightly(months: MonthlyPartitionsDefinition) -> ScheduleDefinition:
    @schedule(
        job=SYNC,
        cron_schedule=f"{NIGHTLY_AT.minute} {NIGHTLY_AT.hour} * * *",
        execution_timezone=months.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Every table at 02:00; each dated one from 60 days back, or its first gap, to 18 months ahead.",
    )
    def nightly(context: ScheduleEvaluationContext, postgres: PostgresResource) -> RunRequest:
        at = context.scheduled_execution_time.astimezone(ZoneInfo(months.timezone))
        return RunRequest(tags=nightly_tags(read_due(postgres, months, PARTITIONED, at.date())))

    return nightly


def weekly(months: MonthlyPartitionsDefinition) -> ScheduleDefinition:
    @schedule(
        job=SYNC,
        cron_schedule="0 3 * * 0",
        execution_timezone=months.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        description="All history, Sundays at 03:00: nothing else tells what was corrected long after it happened.",
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
    postgres: PostgresResource, months: MonthlyPartitionsDefinition, tables: Iterable[str], today: date
) -> dict[str, PartitionKeyRange]:
    """The months that are due of each of these dated tables, by the log.

    A tick that fails tells nobody; so a database that can't be asked is left to the run, which fails loudly.
    """
    names = list(tables)
    coverage: dict[str, warehouse.Coverage] = {}
    try:
        coverage = warehouse.read_coverage(postgres.engine(), names)
    except warehouse.WarehouseError as error:
        logger.warning("%s", say("log_not_read", why=error))
    return {name: due_range(months, today, coverage.get(name)) for name in names}
