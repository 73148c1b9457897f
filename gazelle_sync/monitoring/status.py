"""The figures that `gazelle-sync status` prints and the status page shows.

Keep out: where they come from (`warehouse.history`), and how they look (`status_page`, `cli.status`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.monitoring.freshness import is_fresh
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import OpenReject, RunLine, TableStatus


@dataclass(frozen=True)
class Status:
    """What there is to see. `fresh` says of each table whether it is; None for one that was never read whole."""

    tables: list[TableStatus]
    fresh: dict[str, bool | None]
    runs: list[RunLine]
    rejects: list[OpenReject]


def read_status(engine: Engine) -> Status:
    """Raises `WarehouseError`."""
    covered = warehouse.read_covered(engine, TABLES)
    return Status(
        warehouse.read_status(engine, TABLES),
        {name: None if at is None else is_fresh(at) for name, at in covered.items()},
        warehouse.read_recent_runs(engine),
        warehouse.read_open_rejects(engine),
    )
