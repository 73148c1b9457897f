"""When the job runs by itself.

Keep out: what a run reads (`due`), and what it does (`jobs`).
"""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from dagster import (
    DefaultScheduleStatus,
    MonthlyPartitionsDefinition,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    schedule,
)

from gazelle_sync.assets import asset_key
from gazelle_sync.due import read_due
from gazelle_sync.jobs import HOURLY, NIGHTLY_AT, SYNC, nightly_tags, range_tags
from gazelle_sync.partitions import coming_months, whole_range
from gazelle_sync.resources import PostgresResource
from gazelle_sync.tables import Cadence, Table
from gazelle_sync.view_assets import find_shown

SUNDAY = 6


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
