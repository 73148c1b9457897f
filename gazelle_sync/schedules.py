"""When the job runs by itself.

Keep out: which months a run is for (`partitions`), and what it does (`jobs`).
"""

import logging
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from dagster import (
    DefaultScheduleStatus,
    MonthlyPartitionsDefinition,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    schedule,
)

from gazelle_sync import warehouse
from gazelle_sync.jobs import HOURLY, PARTITIONED, SYNC, nightly_tags, range_tags
from gazelle_sync.partitions import coming_months, rolling_range, whole_range
from gazelle_sync.resources import PostgresResource

logger = logging.getLogger(__name__)

NIGHTLY_AT = time(2)


def nightly(months: MonthlyPartitionsDefinition) -> ScheduleDefinition:
    @schedule(
        job=SYNC,
        cron_schedule=f"{NIGHTLY_AT.minute} {NIGHTLY_AT.hour} * * *",
        execution_timezone=months.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Every table at 02:00; the dated ones from 60 days back to 18 months ahead.",
    )
    def nightly(context: ScheduleEvaluationContext, postgres: PostgresResource) -> RunRequest:
        at = context.scheduled_execution_time.astimezone(ZoneInfo(months.timezone))
        return RunRequest(tags=nightly_tags(rolling_range(months, at.date(), read_last_covered(postgres, at))))

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


def read_last_covered(postgres: PostgresResource, now: datetime) -> date | None:
    """What `rolling_range` needs to know from the log, in the zone of `now`.

    A tick that fails tells nobody; so a database that can't be asked is left to the run, which fails loudly.
    """
    try:
        covered = warehouse.read_last_covered(postgres.engine(), PARTITIONED)
    except warehouse.WarehouseError as error:
        logger.warning("the log could not be read, the run will do the usual months: %s", error)
        return now.date()
    return covered and covered.astimezone(now.tzinfo).date()
