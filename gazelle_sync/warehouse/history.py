"""What the log says: each table's last attempt, the last runs, and the open rejects.

Keep out: what was covered when (`coverage`), anything that writes, and the tables' own rows (`read`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import sql
from sqlalchemy import Engine

from gazelle_sync.tables import Table
from gazelle_sync.warehouse.connection import NotThere, fetch
from gazelle_sync.warehouse.schema import SCHEMA


@dataclass(frozen=True)
class TableStatus:
    """A table's last attempt, as `sync_log` has it, and its live rows; all None for one never attempted.

    `since` is when it began to be as it is, for one whose last attempt was no success.
    """

    table: str
    rows: int | None = None
    status: str | None = None
    scope: str | None = None
    finished_at: datetime | None = None
    seconds: float | None = None
    error: str | None = None
    since: datetime | None = None


def read_status(engine: Engine, tables: Iterable[str]) -> list[TableStatus]:
    """One for each table, in the order given. Raises `WarehouseError`."""
    there = {name for (name,) in fetch(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'gazelle'", {})[1]}
    if "sync_log" not in there:
        return [TableStatus(name) for name in tables]
    _, latest = fetch(
        engine,
        """
        SELECT DISTINCT ON (table_name) table_name, status, scope, finished_at,
               extract(epoch FROM finished_at - started_at)::float8, error,
               (SELECT min(finished_at) FROM gazelle.sync_log bad
                WHERE bad.table_name = log.table_name AND bad.status = log.status AND log.status <> 'success'
                AND NOT EXISTS (SELECT FROM gazelle.sync_log other WHERE other.table_name = log.table_name
                                AND other.status <> log.status AND other.finished_at > bad.finished_at))
        FROM gazelle.sync_log log ORDER BY table_name, finished_at DESC
        """,
        {},
    )
    by_name = {row[0]: row[1:] for row in latest}
    names = list(tables)
    live = count_live_rows(engine, [name for name in names if name in there])
    return [TableStatus(name, live.get(name), *by_name.get(name, ())) for name in names]


def count_live_rows(engine: Engine, tables: Sequence[str]) -> dict[str, int]:
    counts = [
        sql.SQL("SELECT {}, count(*) FROM {} WHERE deleted_at IS NULL").format(
            sql.Literal(table), sql.Identifier(SCHEMA, table)
        )
        for table in tables
    ]
    return dict(fetch(engine, sql.SQL(" UNION ALL ").join(counts), {})[1]) if counts else {}


def read_run_log(engine: Engine, run_id: str) -> list[dict[str, Any]]:
    """What `sync_log` has of a run, in the order in which its tables ended."""
    names, rows = fetch(
        engine,
        "SELECT *, extract(epoch FROM finished_at - started_at)::float8 AS seconds "
        "FROM gazelle.sync_log WHERE run_id = %(run_id)s ORDER BY finished_at, id",
        {"run_id": run_id},
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def changes_query(run_id: str, table: str) -> str:
    """The SQL to look at what a run changed in a table, to be pasted."""
    return (
        f"SELECT * FROM gazelle.row_changes WHERE run_id = '{run_id}' AND table_name = '{table}' "  # noqa: S608  shown
        "ORDER BY id;"
    )


@dataclass(frozen=True)
class Change:
    """What a run did to a record: `insert`, `update`, `delete` or `restore`; of an update, each column old and new."""

    table: str
    external_id: str
    change: str
    columns: dict[str, tuple[Any, Any]]
    at: datetime


def read_changes(
    engine: Engine,
    tables: Mapping[str, Table],
    *,
    run_id: str | None = None,
    since: datetime | None = None,
    personal: bool = False,
    count: int = 50,
) -> tuple[list[Change], int]:
    """What was changed in these tables, by a run or since a time: the last so many, and how many there are.

    Columns that are personal are shown on purpose only. Raises `WarehouseError`.
    """
    rows = fetch_logged(
        engine,
        "SELECT table_name, external_id, change, changed, changed_at, count(*) OVER () FROM gazelle.row_changes "
        "WHERE (%(run_id)s::text IS NULL OR run_id = %(run_id)s) AND table_name = ANY(%(tables)s) "
        "AND (%(since)s::timestamptz IS NULL OR changed_at > %(since)s) ORDER BY id DESC LIMIT %(count)s",
        {"run_id": run_id, "since": since, "tables": list(tables), "count": count},
    )
    changes = []
    for name, key, change, changed, at, _ in rows:
        shown = {column.name for column in tables[name].all_columns if personal or not column.personal}
        columns = {column: (old, new) for column, (old, new) in changed.items() if column in shown}
        changes.append(Change(name, key, change, columns, at))
    return changes, rows[0][-1] if rows else 0


def count_changes(engine: Engine, tables: Iterable[str], since: datetime) -> dict[tuple[str, str], int]:
    """How many records of each of these tables were changed in each way since then. Raises `WarehouseError`."""
    rows = fetch_logged(
        engine,
        "SELECT table_name, change, count(*)::int FROM gazelle.row_changes "
        "WHERE changed_at > %(since)s AND table_name = ANY(%(tables)s) GROUP BY 1, 2",
        {"since": since, "tables": list(tables)},
    )
    return {(table, change): number for table, change, number in rows}


@dataclass(frozen=True)
class RunLine:
    """A run, summed up over its tables. `status` is the worst of theirs; `changed` counts rows written."""

    run_id: str
    started_at: datetime
    seconds: float
    status: str
    fetched: int
    changed: int


def read_recent_runs(engine: Engine, count: int = 30) -> list[RunLine]:
    """The last runs, the oldest first. Raises `WarehouseError`."""
    rows = fetch_logged(
        engine,
        """
        SELECT * FROM (
            SELECT run_id, min(started_at) AS began, extract(epoch FROM max(finished_at) - min(started_at))::float8,
                   CASE WHEN bool_or(status = 'error') THEN 'error'
                        WHEN bool_or(status = 'warning') THEN 'warning' ELSE 'success' END,
                   sum(fetched)::int, sum(inserted + updated + deleted + restored)::int
            FROM gazelle.sync_log GROUP BY run_id ORDER BY began DESC LIMIT %(count)s) AS latest
        ORDER BY began
        """,
        {"count": count},
    )
    return [RunLine(*row) for row in rows]


@dataclass(frozen=True)
class OpenReject:
    """A record that could not be stored as it came, and still can't."""

    table: str
    external_id: str
    reason: str
    first_seen_at: datetime


def read_open_rejects(engine: Engine, count: int = 50) -> list[OpenReject]:
    """The newest first, at most `count`. Raises `WarehouseError`."""
    rows = fetch_logged(
        engine,
        "SELECT table_name, external_id, reason, first_seen_at FROM gazelle.rejected_rows "
        "WHERE resolved_at IS NULL ORDER BY first_seen_at DESC LIMIT %(count)s",
        {"count": count},
    )
    return [OpenReject(*row) for row in rows]


def fetch_logged(engine: Engine, query: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """The rows of a query about the log; none, where nothing was ever synced. Raises `WarehouseError`."""
    try:
        return fetch(engine, query, parameters)[1]
    except NotThere:
        if has_log(engine):
            raise
        return []


def has_log(engine: Engine) -> bool:
    """Whether anything was ever synced here."""
    return fetch(engine, "SELECT to_regclass('gazelle.sync_log') IS NOT NULL", {})[1][0][0] is True
