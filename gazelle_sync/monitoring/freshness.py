"""What fresh means. Keep out: when a table was read (`warehouse.coverage`), and who is told (`incidents`)."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from gazelle_sync.partitions import ROLLING_MONTHS_AHEAD, months_later
from gazelle_sync.tables import Cadence, Table
from gazelle_sync.warehouse import Coverage

# A day, or a week, and time for the run itself and for a retry: a table that Sunday's run missed is read on Monday.
FRESH_FOR = {Cadence.NIGHT: timedelta(hours=26), Cadence.WEEK: timedelta(days=8)}
# After this, a nightly run reads a weekly table too. Less than a week, so that a run each night reads it every seventh.
DUE_AFTER = {Cadence.NIGHT: timedelta(0), Cadence.WEEK: timedelta(days=6, hours=12)}

# The check that says so.
CHECKS = {Cadence.NIGHT: "read_within_26_hours", Cadence.WEEK: "read_within_8_days"}


def find_as_of(coverage: Coverage, today: date, *, proved: bool = True) -> datetime | None:
    """Since when all is known that a nightly run reads; None for a table that was never read whole.

    What lies further ahead is known since the last weekly run. A read that could not be proved whole does not count,
    unless it is asked for what was read.
    """
    return coverage.as_of(months_later(today, ROLLING_MONTHS_AHEAD), proved=proved)


def is_fresh(table: Table, coverage: Coverage) -> bool | None:
    """Whether what is known of a table, without a gap, is recent enough; None for one that was never read whole.

    An optional table that was never proved is one that there may be no right to read.
    """
    now = datetime.now(timezone.utc)
    known = find_as_of(coverage, now.date())
    if known is None and (table.optional or find_as_of(coverage, now.date(), proved=False) is None):
        return None
    return known is not None and now - known <= FRESH_FOR[table.every]


def is_due(table: Table, coverage: Coverage | None, at: datetime) -> bool:
    """Whether a nightly run at this moment reads the table. `coverage` is None when the log could not be asked."""
    if table.every is Cadence.NIGHT or coverage is None:
        return True
    read = find_as_of(coverage, at.date(), proved=False)
    return read is None or at - read > DUE_AFTER[table.every]
