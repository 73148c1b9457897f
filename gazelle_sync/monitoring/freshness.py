"""What fresh means. Keep out: when a table was read (`warehouse.coverage`), and who is told (`incidents`)."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from gazelle_sync.partitions import ROLLING_MONTHS_AHEAD, months_later
from gazelle_sync.warehouse import Coverage

# A day, and time for the run itself and for a retry.
FRESH_FOR = timedelta(hours=26)


def find_as_of(coverage: Coverage, today: date, *, proved: bool = True) -> datetime | None:
    """Since when all is known that a nightly run reads; None for a table that was never read whole.

    What lies further ahead is known since the last weekly run. A read that could not be proved whole does not count,
    unless it is asked for what was read.
    """
    return coverage.as_of(months_later(today, ROLLING_MONTHS_AHEAD), proved=proved)


def is_fresh(coverage: Coverage) -> bool | None:
    """Whether what is known of a table, without a gap, is recent enough; None for one that was never read whole."""
    now = datetime.now(timezone.utc)
    if find_as_of(coverage, now.date(), proved=False) is None:
        return None
    known = find_as_of(coverage, now.date())
    return known is not None and now - known <= FRESH_FOR
