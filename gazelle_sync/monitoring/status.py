"""The figures that `gazelle-sync status` prints and the status page shows.

Keep out: where they come from (`warehouse.history`), and how they look (`status_page`, `cli.status`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from dagster import DagsterInstance
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.monitoring.failed_checks import FailedCheck, find_failed_checks, leave_out_told
from gazelle_sync.monitoring.freshness import is_fresh
from gazelle_sync.monitoring.records import find_failed
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.warehouse import Change, MirroredAccount, OpenReject, RefusedField, RunLine, TableStatus

# What the last nightly run changed, and all since.
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Status:
    """What there is to see. `fresh` says of each table whether it is; None for one that was never read whole.

    `account` is None where nothing was synced yet. `off` names the tables that are not read. `changes` are the last
    ones of the day that ends with the last run, with what is personal if `names` says so; `change_counts` is how many
    there are, by table and kind. `refused` are the fields that Gazelle refuses at present. `failed_checks` are those
    that no table's load has told of itself.
    """

    account: MirroredAccount | None
    tables: list[TableStatus]
    fresh: dict[str, bool | None]
    runs: list[RunLine]
    rejects: list[OpenReject]
    off: list[str]
    refused: list[RefusedField]
    changes: list[Change]
    change_counts: dict[tuple[str, str], int]
    names: bool
    failed_checks: list[FailedCheck] = field(default_factory=list)


def read_status(
    engine: Engine, tables: Mapping[str, Table], instance: DagsterInstance | None = None, *, names: bool = False
) -> Status:
    """Of these tables. A run that failed by the records of `instance` did fail, whatever the log says of its tables.

    With `names`, changes have what is personal too. Raises `WarehouseError`.
    """
    states, runs = warehouse.read_status(engine, tables), warehouse.read_recent_runs(engine)
    failed = find_failed(instance, [run.run_id for run in runs]) if instance and runs else set()
    last = max((each.finished_at for each in states if each.finished_at), default=datetime.now(timezone.utc))
    changes, _ = warehouse.read_changes(engine, tables, since=last - DAY, personal=names)
    coverage = warehouse.read_coverage(engine, tables)
    checks = find_failed_checks(instance, tables) if instance else []
    return Status(
        warehouse.read_mirrored_account(engine),
        states,
        {name: is_fresh(tables[name], each) for name, each in coverage.items()},
        [replace(run, status="error") if run.run_id in failed else run for run in runs],
        warehouse.read_open_rejects(engine),
        [name for name in TABLES if name not in tables],
        [each for each in warehouse.read_refused_fields(engine) if each.table in tables],
        changes,
        warehouse.count_changes(engine, tables, last - DAY),
        names,
        leave_out_told(checks, {each.table: each.error for each in states}),
    )
