"""What fresh means. Keep out: when a table was read (`warehouse.history`), and who is told (`incidents`)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

# A day, and time for the run itself and for a retry.
FRESH_FOR = timedelta(hours=26)


def is_fresh(covered_at: datetime | None) -> bool:
    """Whether the last load that covered its own day is recent enough; None is a table that was never read whole."""
    return covered_at is not None and datetime.now(timezone.utc) - covered_at <= FRESH_FOR
