"""Which load knows more: several may read one table at the same time, and the order of commits is not that of reads.

What a load read is as old as the beginning of its reading, by the database's clock; what it asked for by id, as old as
the beginning of asking, which is the `deleted_at` of what it found gone. What is newer stands: whoever comes later with
what is older leaves it alone. The log says who read what, and since when.
Keep out: how rows are compared (`comparison`), marked (`tombstones`) and logged (`sync_log`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg2 import sql

from gazelle_sync.tables import Scope, Table, Type
from gazelle_sync.warehouse.connection import Cursor
from gazelle_sync.warehouse.locks import LOCK_TABLE, lock_parameters
from gazelle_sync.warehouse.scope import condition
from gazelle_sync.warehouse.target import Target

LOOK = """
SELECT 'now', NULL, NULL, clock_timestamp()
UNION ALL
SELECT 'load', run_id, scope, started_at FROM gazelle.sync_log
WHERE table_name = %(name)s AND proved AND finished_at > %(read_from)s AND started_at > %(read_from)s
UNION ALL
SELECT 'column', column_name, NULL, added_at FROM gazelle.new_columns WHERE table_name = %(name)s
UNION ALL
SELECT 'type', attname, format_type(atttypid, atttypmod), NULL FROM pg_attribute
WHERE attrelid = to_regclass({target_name}) AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'rows', NULL, NULL, NULL WHERE EXISTS (SELECT FROM {target})
"""


@dataclass(frozen=True)
class LaterLoad:
    """A load that began to read later, and was done first. It proved that what it read was all there was."""

    run_id: str
    scope: str
    read_from: datetime

    def covers(self, scope: str) -> bool:
        """Whether it knows all of another load's scope."""
        if self.scope == "all":
            return True
        mine, other = self.scope.split(".."), scope.split("..")
        return len(other) == 2 and mine[0] <= other[0] and other[1] <= mine[1]


@dataclass(frozen=True)
class Standing:
    """What holds of a table once it is this load's turn to write: `at`, by the database's clock.

    `new_columns` says since when a column is there that was not yet filled for all rows, see `new_columns`; `types`, of
    which type each column is; `has_rows`, whether there is one in it.
    """

    at: datetime
    later: Sequence[LaterLoad]
    new_columns: Mapping[str, datetime]
    types: Mapping[str, str]
    has_rows: bool


def lock_and_look(cursor: Cursor, target: Target, read_from: datetime) -> Standing:
    """Waits until this transaction is the only one that loads the table; what was done since `read_from`, then."""
    name = target.table.name
    cursor.tell(LOCK_TABLE, lock_parameters(name))
    cursor.execute(target.compose(LOOK), {"name": name, "read_from": read_from})
    rows = cursor.fetchall()
    return Standing(
        at=next(at for kind, _, _, at in rows if kind == "now"),
        later=[LaterLoad(run_id, scope, at) for kind, run_id, scope, at in rows if kind == "load"],
        new_columns={column: at for kind, column, _, at in rows if kind == "column"},
        types={column: type_ for kind, column, type_, _ in rows if kind == "type"},
        has_rows=any(kind == "rows" for kind, *_ in rows),
    )


class Knowledge:
    """What this load may say of a row, as conditions on the stored row `t` and the staged row `s`.

    `asked_at` is when it began to ask for records by id, None before it did.
    """

    def __init__(
        self,
        table: Table,
        scope: Scope,
        tables: Mapping[str, Table],
        read_from: datetime,
        standing: Standing,
        asked_at: datetime | None,
    ) -> None:
        self.parameters: dict[str, object] = {}
        since = sql.SQL("t.synced_at > {}")
        newer: list[sql.Composable] = [sql.SQL("t.deleted_at > {}").format(sql.Literal(read_from))]
        if any(column.name == "updated_at" and column.type is Type.TIMESTAMP for column in table.all_columns):
            # Loads whose reading overlapped: of two states of a record, Gazelle says which is the later one.
            written = since.format(sql.Literal(read_from))
            newer.append(sql.SQL("{} AND t.updated_at::timestamptz > s.updated_at").format(written))
        unsure: list[sql.Composable] = [since.format(sql.Literal(asked_at)) if asked_at else sql.SQL("false")]
        for number, load in enumerate(standing.later):
            written = since.format(sql.Literal(load.read_from))
            stored = self._within(table, scope, tables, load, "t", f"later{number}_")
            staged = self._within(table, scope, tables, load, "s", f"later{number}_")
            newer += [written, stored, staged]
            unsure += [written, stored]
        # Whether what is stored of a record is newer than what was staged; a record that is not stored may be gone.
        self.is_outdated = sql.SQL("({}) IS TRUE").format(sql.SQL(" OR ").join(newer))
        # Whether that a record was not shown says nothing about it any more.
        self.is_unsure = sql.SQL("({}) IS TRUE").format(sql.SQL(" OR ").join(unsure))

    def _within(
        self, table: Table, scope: Scope, tables: Mapping[str, Table], load: LaterLoad, row: str, prefix: str
    ) -> sql.Composable:
        """Whether a row belongs to what a later load read, which was not all: then nothing would be asked."""
        first, end = map(date.fromisoformat, load.scope.split(".."))
        within, parameters = condition(table, Scope(scope.zone, first, end), tables, row=row, prefix=prefix)
        self.parameters |= parameters
        return within
