"""Which months there are, and which of them a run reads of each table.

Keep out: the API (`gazelle`), what was read before (`warehouse.coverage`), and when runs are started (`schedules`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dagster import AssetExecutionContext, MonthlyPartitionsDefinition, PartitionKeyRange

from gazelle_sync.files import replace_file
from gazelle_sync.warehouse import DAYS_UNTIL_SETTLED, Coverage

# How many months ahead there are while nothing is known of the appointments; and at least, for the hourly run.
MONTHS_AHEAD, LEAST_MONTHS_AHEAD = 12, 2
# The last month stands for what lies further ahead, too: a run reads the dated tables so many months ahead, whatever
# months there are. A nightly one reads back to the first day that is not settled.
ROLLING_MONTHS_AHEAD = 18

# Processes that share a run have to agree on the months there are: a child takes those of its parent.
AGREED = "GAZELLE_SYNC_MONTHS_AHEAD"

# On a run: `gazelle-sync/<table>` names the months to read of a table that needs less than the run's range.
TABLE_TAG = "gazelle-sync/"


def note_last_day(folder: Path, table: str, day: date) -> None:
    """Notes how far ahead a table's records are, for when the definitions are loaded next. Raises `OSError`."""
    file = folder / table
    if not file.exists() or file.read_text() != day.isoformat():
        replace_file(file, day.isoformat())


def find_months_ahead(folder: Path, today: date) -> int:
    """How many months ahead the records are that the last loads noted there, or as this process's parent has found."""
    if AGREED not in os.environ:
        try:
            last = max(date.fromisoformat(file.read_text()) for file in folder.iterdir())
        except (OSError, ValueError):
            # Nothing was loaded here yet, or the note is damaged, which the next load mends.
            ahead = MONTHS_AHEAD
        else:
            ahead = max((last.year - today.year) * 12 + last.month - today.month, LEAST_MONTHS_AHEAD)
        os.environ[AGREED] = str(min(ahead, ROLLING_MONTHS_AHEAD))
    return int(os.environ[AGREED])


def months(history_start: date, zone: ZoneInfo, ahead: int = MONTHS_AHEAD) -> MonthlyPartitionsDefinition:
    """A partition for each month of business days, from the beginning of history to so many months ahead."""
    return MonthlyPartitionsDefinition(
        # Dagster's first month is the first that begins at or after this date.
        start_date=history_start.replace(day=1).isoformat(),
        timezone=zone.key,
        end_offset=ahead + 1,
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


def due_range(months: MonthlyPartitionsDefinition, today: date, coverage: Coverage | None) -> PartitionKeyRange:
    """What the daily run reads of a table: from its first gap on, or from 60 days back, to 18 months ahead.

    All months, of a table whose history was never read from its beginning. `coverage` is None when the log could not
    be asked: the usual months then.
    """
    usual = today - timedelta(days=DAYS_UNTIL_SETTLED)
    gap = usual if coverage is None else coverage.first_gap()
    whole = whole_range(months)
    if gap is None:
        return whole
    return range_of_days(months, min(usual, gap), months_later(today, ROLLING_MONTHS_AHEAD))


def widest(ranges: Iterable[PartitionKeyRange]) -> PartitionKeyRange:
    """The range from the first month of any to the last month of any."""
    given = list(ranges)
    return PartitionKeyRange(min(each.start for each in given), max(each.end for each in given))


def coming_months(months: MonthlyPartitionsDefinition, today: date, ahead: int) -> PartitionKeyRange:
    """The month of a day, and as many after it."""
    return range_of_days(months, today, months_later(today, ahead))


def months_later(day: date, months: int) -> date:
    """The first day of the month that is so many months after the day's own."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def days_of(context: AssetExecutionContext) -> tuple[date, date] | None:
    """The business days that a run reads of a dated table, the second exclusive; None for all history.

    Those of the run's months, unless the run has a tag with fewer months for this table.
    """
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    months = context.assets_def.partitions_def
    assert isinstance(months, MonthlyPartitionsDefinition)
    chosen = context.partition_key_range
    if own := context.run.tags.get(TABLE_TAG + context.asset_key.path[-1]):
        chosen = PartitionKeyRange(*own.split(".."))
    return days_in(months, chosen)


def days_in(months: MonthlyPartitionsDefinition, chosen: PartitionKeyRange) -> tuple[date, date] | None:
    """The business days of a range of months, the second exclusive; None for all months, which are all history."""
    whole = whole_range(months)
    if chosen == whole:
        return None
    first, last = (months.time_window_for_partition_key(key) for key in (chosen.start, chosen.end))
    end = last.end.date()
    if chosen.end == whole.end:
        # As a nightly run that begins within this month counts them.
        end = max(end, months_later(datetime.now(ZoneInfo(months.timezone)).date(), ROLLING_MONTHS_AHEAD + 1))
    return first.start.date(), end
