"""The steps in which staged rows meet the table: what differs, what of it is believed, and writing it.

Keep out: what is gone (`tombstones`), how much is too much (`guards`), and the list of changes (`changes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from psycopg2 import sql
from sqlalchemy import Engine

from gazelle_sync.tables import Table
from gazelle_sync.warehouse.connection import Cursor
from gazelle_sync.warehouse.guards import ROWS_NEVER_REFUSED, is_empty, is_lost, limit
from gazelle_sync.warehouse.overtaking import Knowledge
from gazelle_sync.warehouse.schema import SCHEMA, built_late, metadata
from gazelle_sync.warehouse.target import Target

# A temporary table, so that what does not differ is never touched: an upsert locks even the rows that it leaves
# alone (54 MB of WAL for 100,000 rows of which none changed). Names with a space are no declared column's.
CREATE_DIFFERENCE = """
CREATE TEMP TABLE difference ON COMMIT DROP AS
SELECT s.*, t.id AS "target id",
       CASE WHEN {is_outdated} THEN 'keep'
            WHEN t.deleted_at IS NOT NULL THEN 'restore'
            WHEN t.synced_at IS NULL THEN 'insert'
            WHEN {is_only_filled} THEN 'fill'
            ELSE 'update' END AS "to do"
FROM staging s LEFT JOIN {target} t ON {same_key}
WHERE t.id IS NULL OR t.deleted_at IS NOT NULL OR t.synced_at IS NULL
   OR ({s_columns}) IS DISTINCT FROM ({t_columns})
"""
# For a table without rows. Gone with the staging table.
ALL_IS_DIFFERENT = """
CREATE TEMP VIEW difference AS SELECT *, NULL::bigint AS "target id", 'insert' AS "to do" FROM staging
"""
COUNT = 'SELECT "to do", count(*) FROM difference GROUP BY 1'
# How many are staged; and beside the count, for each column, of how many records that are known already it would lose
# or change the value.
COUNT_BY_COLUMN = """
SELECT NULL, count(*), NULL, NULL FROM staging
UNION ALL
SELECT "to do", count(*), ARRAY[{lost}]::bigint[], ARRAY[{changed}]::bigint[]
FROM difference s LEFT JOIN {target} t ON t.id = s."target id" GROUP BY 1
"""
COUNT_VALUES = """
SELECT {counts} FROM staging s JOIN {target} t ON {same_key} WHERE t.deleted_at IS NULL AND t.synced_at IS NOT NULL
"""
# What then no longer differs is as it was.
KEEP_VALUES = """
UPDATE difference s SET {kept} FROM {target} t WHERE t.id = s."target id" AND s."to do" IN ('update', 'restore');
DELETE FROM difference s USING {target} t
WHERE t.id = s."target id" AND s."to do" = 'update' AND ({s_columns}) IS NOT DISTINCT FROM ({t_columns})
"""

UPDATE = """
UPDATE {target} t SET {set_columns}, synced_at = now(), deleted_at = NULL
FROM difference s WHERE t.id = s."target id"
"""
INSERT = """
INSERT INTO {target} ({inserted}, synced_at) SELECT {inserted_values}, now() FROM difference WHERE "target id" IS NULL
"""
# Another table's load may have inserted the same record as a placeholder since the comparison.
INSERT_OR_FILL = INSERT + " ON CONFLICT ({key}) DO UPDATE SET {set_excluded}, synced_at = now(), deleted_at = NULL"

NAMES_IF_EMPTY = """
SELECT ARRAY(SELECT conname FROM pg_constraint WHERE conrelid = empty.oid
             UNION ALL SELECT relname FROM pg_class JOIN pg_index ON pg_class.oid = indexrelid
             WHERE indrelid = empty.oid)::text[]
FROM (SELECT to_regclass({target_name}) AS oid WHERE NOT EXISTS (SELECT FROM {target})) AS empty
"""


@dataclass
class Difference:
    """How many records are `staged`, and to `insert`, `update`, `restore` and `fill`; `kept` ones are older than what
    stands.

    `lost` and `changed`: of how many known records a column would lose its value, or change it.
    """

    staged: int
    to_do: dict[str, int]
    kept: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.to_do)


def compare(
    cursor: Cursor, target: Target, knowledge: Knowledge, new_columns: Mapping[str, datetime], *, all_new: bool
) -> Difference:
    """Makes `difference` of the staged records that are not as they stand and that this load knows more of.

    `new_columns` says since when a column is there that is being filled; `all_new` is right for an empty table.
    """
    if all_new:
        cursor.tell(target.compose(ALL_IS_DIFFERENT))
        cursor.execute(COUNT)
        to_do = dict(cursor.fetchall())
        return Difference(sum(to_do.values()), to_do)
    cursor.tell(
        target.compose(
            CREATE_DIFFERENCE,
            is_outdated=knowledge.is_outdated,
            is_only_filled=is_only_filled(target, new_columns),
        ),
        knowledge.parameters,
    )
    known = sql.SQL("""s."to do" IN ('update', 'restore')""")
    count = target.compose(
        COUNT_BY_COLUMN,
        lost=count_each(
            sql.SQL("{} AND {} AND NOT {}").format(
                known, is_empty(target.table, column, "s"), is_empty(target.table, column, "t")
            )
            for column in target.own_columns
        ),
        changed=count_each(
            sql.SQL("{} AND {} IS DISTINCT FROM {}").format(
                known, sql.Identifier("s", column.name), target.typed(column)
            )
            for column in target.own_columns
        ),
    )
    cursor.execute(count)
    (_, staged, _, _), *found = cursor.fetchall()
    difference = Difference(staged, {to_do: count for to_do, count, _, _ in found})
    for at, column in enumerate(target.own_columns):
        difference.lost[column.name] = sum(lost[at] for _, _, lost, _ in found)
        difference.changed[column.name] = sum(changed[at] for _, _, _, changed in found)
    if kept := difference.to_do.pop("keep", 0):
        difference.kept = kept
        cursor.tell("""DELETE FROM difference WHERE "to do" = 'keep'""")
    return difference


def is_only_filled(target: Target, new_columns: Mapping[str, datetime]) -> sql.Composable:
    """Whether a row differs in nothing but columns that it did not have when it was last written."""
    if not new_columns:
        return sql.SQL("false")
    return sql.SQL(" AND ").join(
        sql.SQL("({} IS NOT DISTINCT FROM {}{})").format(
            sql.Identifier("s", column.name),
            target.typed(column),
            sql.SQL(" OR t.synced_at < {}").format(sql.Literal(new_columns[column.name]))
            if column.name in new_columns
            else sql.SQL(""),
        )
        for column in target.own_columns
    )


def count_each(conditions: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL("count(*) FILTER (WHERE {})").format(each) for each in conditions)


def keep_suspicious(cursor: Cursor, target: Target, difference: Difference) -> dict[str, tuple[int, int]]:
    """Columns that would lose too many values keep them: name → how many would be lost, of how many."""
    asked = [column for column in target.own_columns if difference.lost.get(column.name, 0) > ROWS_NEVER_REFUSED]
    if not asked:
        return {}
    counts = count_each(sql.SQL("NOT {}").format(is_empty(target.table, column, "t")) for column in asked)
    cursor.execute(target.compose(COUNT_VALUES, counts=counts))
    [had] = cursor.fetchall()
    suspicious = {
        column.name: (difference.lost[column.name], count)
        for column, count in zip(asked, had, strict=True)
        if difference.lost[column.name] > limit(count, count)
    }
    if suspicious:
        kept = sql.SQL(", ").join(
            sql.SQL("{} = CASE WHEN {} THEN {} ELSE {} END").format(
                sql.Identifier(column.name),
                is_lost(target.table, column),
                target.typed(column),
                sql.Identifier("s", column.name),
            )
            for column in asked
            if column.name in suspicious
        )
        cursor.tell(target.compose(KEEP_VALUES, kept=kept))
        cursor.execute(COUNT)
        difference.to_do = dict(cursor.fetchall())
        for name in suspicious:
            difference.changed[name] -= difference.lost[name]
    return suspicious


def write_into_empty(cursor: Cursor, target: Target, ddl: Sequence[str]) -> None:
    """Inserts all of `difference`, and builds what the table lacks."""
    cursor.tell(target.compose(INSERT))
    for statement in ddl:
        cursor.tell(statement)


def write(cursor: Cursor, target: Target) -> None:
    """Updates and inserts what `difference` has."""
    cursor.tell(target.compose(UPDATE))
    cursor.tell(target.compose(INSERT_OR_FILL))


def lock_empty(cursor: Cursor, target: Target, tables: Mapping[str, Table], engine: Engine) -> list[str] | None:
    """The DDL to build after a table's first rows, see `schema.built_late`; None if it has got a row meanwhile.

    The table is locked against other loads, which could give it a placeholder, and so are its parents.
    """
    related = {name: table for name, table in tables.items() if name in target.table.references.values()}
    related[target.table.name] = tables.get(target.table.name, target.table)
    # One after the other, in the order in which they are named (PostgreSQL manual, LOCK).
    lock = sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(
        sql.SQL(", ").join(sql.Identifier(SCHEMA, name) for name in related)
    )
    cursor.tell(lock)
    cursor.execute(target.compose(NAMES_IF_EMPTY))
    found = cursor.fetchone()
    if found is None:
        return None
    wanted = built_late(metadata(related).tables[f"{SCHEMA}.{target.table.name}"])
    return [str(ddl.compile(engine)) for name, ddl in wanted.items() if name not in found[0]]
