"""The figures that `gazelle-sync status` prints and the status page shows.

Keep out: where they come from (`warehouse.history`), and how they look (`status_page`, `cli.status`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dagster import DagsterInstance
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.monitoring.freshness import is_fresh
from gazelle_sync.monitoring.records import find_failed
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.warehouse import MirroredAccount, OpenReject, RefusedField, RunLine, TableStatus


@dataclass(frozen=True)
class Status:
    """What there is to see. `fresh` says of each table whether it is; None for one that was never read whole.

    `account` is None where nothing was synced yet. `off` names the tables that are not read. `refused` are the fields
    that Gazelle refuses at present.
    """

    account: MirroredAccount | None
    tables: list[TableStatus]
    fresh: dict[str, bool | None]
    runs: list[RunLine]
    rejects: list[OpenReject]
    off: list[str]
    refused: list[RefusedField]


def read_status(engine: Engine, tables: Mapping[str, Table], instance: DagsterInstance | None = None) -> Status:
    """Of these tables. A run that failed by the records of `instance` did fail, whatever the log says of its tables.

    Raises `WarehouseError`.
    """
    runs = warehouse.read_recent_runs(engine)
    failed = find_failed(instance, [run.run_id for run in runs]) if instance and runs else set()
    coverage = warehouse.read_coverage(engine, tables)
    return Status(
        warehouse.read_mirrored_account(engine),
        warehouse.read_status(engine, tables),
        {name: is_fresh(tables[name], each) for name, each in coverage.items()},
        [replace(run, status="error") if run.run_id in failed else run for run in runs],
        warehouse.read_open_rejects(engine),
        [name for name in TABLES if name not in tables],
        [each for each in warehouse.read_refused_fields(engine) if each.table in tables],
    )
