"""Which months there are, and which of them a run reads.

Keep out: the API (`gazelle`), and when runs are started (`schedules`).
"""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from dagster import AssetExecutionContext, MonthlyPartitionsDefinition, PartitionKeyRange

# Appointments are booked this far ahead, at most.
MONTHS_AHEAD = 24

# A nightly run reads the dated tables from so many days back to so many months ahead.
DAYS_BACK = 60
ROLLING_MONTHS_AHEAD = 18


def months(history_start: date, zone: ZoneInfo) -> MonthlyPartitionsDefinition:
    """A partition for each month of business days, from the beginning of history to two years ahead."""
    return MonthlyPartitionsDefinition(
        # Dagster's first month is the first that begins at or after this date.
        start_date=history_start.replace(day=1).isoformat(),
        timezone=zone.key,
        end_offset=MONTHS_AHEAD + 1,
    )


def whole_range(months: MonthlyPartitionsDefinition) -> PartitionKeyRange:
    first, last = months.get_first_partition_key(), months.get_last_partition_key()
    assert first is not None
    assert last is not None
    return PartitionKeyRange(first, last)


def range_of_days(months: MonthlyPartitionsDefinition, first: date, last: date) -> PartitionKeyRange:
    """The months that the days from `first` to `last`, inclusive, fall in, as far as there are such months."""
    whole = whole_range(months)
    start, end = (day.replace(day=1).isoformat() for day in (first, last))
    return PartitionKeyRange(max(start, whole.start), min(end, whole.end))


def rolling_range(months: MonthlyPartitionsDefinition, today: date, last_covered: date | None) -> PartitionKeyRange:
    """What the daily run reads. `last_covered` is the day of the last run that read its own day.

    After days without a run the range reaches back further by as much; None, for a table that was never
    read whole, is all history.
    """
    if last_covered is None:
        return whole_range(months)
    return range_of_days(
        months, min(today, last_covered) - timedelta(days=DAYS_BACK), months_later(today, ROLLING_MONTHS_AHEAD)
    )


def coming_months(months: MonthlyPartitionsDefinition, today: date, ahead: int) -> PartitionKeyRange:
    """The month of a day, and as many after it."""
    return range_of_days(months, today, months_later(today, ahead))


def months_later(day: date, months: int) -> date:
    """The first day of the month that is so many months after the day's own."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def days_of(context: AssetExecutionContext) -> tuple[date, date] | None:
    """The business days that a run of a dated asset is for, the second exclusive; None for all history."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    months = context.assets_def.partitions_def
    assert isinstance(months, MonthlyPartitionsDefinition)
    if context.partition_key_range == whole_range(months):
        return None
    window = context.partition_time_window
    return window.start.date(), window.end.date()
