"""What was read of each table, and when, by the log: which business days are settled, and where the gaps are.

A day is settled once it was read late enough: corrections that come still later are left to the weekly run. A load
counts from the moment at which its reading began, and for the days of its scope alone. The log is needed back to the
last load of all history; where that is gone, a table is read whole again.
Keep out: which months a run reads for it (`partitions`), and what counts as fresh (`monitoring.freshness`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine

from gazelle_sync.warehouse.connection import NotThere, fetch
from gazelle_sync.warehouse.history import has_log

# How long after a business day it is read again every night.
DAYS_UNTIL_SETTLED = 60


class Reading(NamedTuple):
    """Business days that were read since `at`, `end` exclusive. `proved` says that what was read was all there was."""

    first: date
    end: date
    at: datetime
    proved: bool = True

    @property
    def settled_until(self) -> date:
        """The day before which all days of this reading are settled."""
        return min(self.end, self.at.date() - timedelta(days=DAYS_UNTIL_SETTLED))


@dataclass(frozen=True)
class Coverage:
    """All that was read of one table. A table without a date is always read whole."""

    readings: Sequence[Reading] = ()

    def first_gap(self, *, proved: bool = False) -> date | None:
        """The first business day that is not settled; None when history was not read from its beginning.

        What was read counts, `proved` or not, unless only what was proved is asked for.
        """
        readings = self._choose(proved)
        day = date.min
        while reached := [each.settled_until for each in readings if each.first <= day < each.settled_until]:
            day = max(reached)
        return None if day == date.min else day

    def as_of(self, end: date, *, proved: bool = True) -> datetime | None:
        """Since when all is known of the days before `end` that are not settled; None if there is one never read.

        Only what was `proved` counts, unless it is asked for what was read.
        """
        start = self.first_gap(proved=proved)
        if start is None:
            return None
        readings = self._choose(proved)
        # Between two of these days, no reading begins or ends.
        days = {start, *(day for each in readings for day in (each.first, each.end) if start < day < end)}
        latest = [max((each.at for each in readings if each.first <= day < each.end), default=None) for day in days]
        return None if None in latest else min(at for at in latest if at)

    def _choose(self, proved: bool) -> list[Reading]:
        return [each for each in self.readings if each.proved or not proved]


def read_coverage(engine: Engine, tables: Iterable[str]) -> dict[str, Coverage]:
    """What the log has of each of these tables. Raises `WarehouseError`."""
    names = list(tables)
    try:
        rows = read_readings(engine, names, "proved IS NOT false")
    except NotThere:
        # A log of an earlier version, before the next sync adds the column; or none.
        rows = read_readings(engine, names, "true") if has_log(engine) else []
    found: dict[str, list[Reading]] = {name: [] for name in names}
    for table, scope, at, was_proved in rows:
        found[table].append(Reading(*days_of_scope(scope), at, was_proved))
    return {name: Coverage(tuple(readings)) for name, readings in found.items()}


def read_readings(engine: Engine, tables: Sequence[str], proved: str) -> list[tuple[Any, ...]]:
    return fetch(
        engine,
        f"SELECT table_name, scope, max(started_at), {proved} AS proved FROM gazelle.sync_log "  # noqa: S608  ours
        "WHERE status <> 'error' AND table_name = ANY (%(tables)s) GROUP BY 1, 2, 4",
        {"tables": tables},
    )[1]


def days_of_scope(scope: str) -> tuple[date, date]:
    """The days of a scope as the log has it, the second exclusive."""
    first, _, end = scope.partition("..")
    return (date.fromisoformat(first), date.fromisoformat(end)) if end else (date.min, date.max)
