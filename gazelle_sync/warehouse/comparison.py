"""The steps in which staged rows meet the table: what differs, and writing it.

Keep out: what is gone (`tombstones`), and the list of changes (`changes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import Engine

from gazelle_sync.tables import Table
from gazelle_sync.warehouse.schema import SCHEMA, built_late, metadata
from gazelle_sync.warehouse.target import Target, in_one_message

# A temporary table, so that what does not differ is never touched: an upsert locks even the rows that it leaves
# alone (54 MB of WAL for 100,000 rows of which none changed). Names with a space are no declared column's.
CREATE_DIFFERENCE = """
CREATE TEMP TABLE difference ON COMMIT DROP AS
SELECT s.*, t.id AS "target id",
       CASE WHEN t.deleted_at IS NOT NULL THEN 'restore'
            WHEN t.synced_at IS NULL THEN 'insert'
            ELSE 'update' END AS "to do"
FROM staging s LEFT JOIN {target} t ON {same_key}
WHERE t.id IS NULL OR t.deleted_at IS NOT NULL OR t.synced_at IS NULL
   OR ({s_columns}) IS DISTINCT FROM ({t_columns})
"""
# For a table without rows. Gone with the staging table.
ALL_IS_DIFFERENT = """
CREATE TEMP VIEW difference AS SELECT *, NULL::bigint AS "target id", 'insert' AS "to do" FROM staging
"""
COUNT_DIFFERENCE = sql.SQL('SELECT "to do", count(*) FROM difference GROUP BY 1')

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


def compare(cursor: Cursor, target: Target, *, all_new: bool) -> dict[str, int]:
    """Makes `difference` of the staged records that are not as they stand: how many to insert, update, restore."""
    difference = ALL_IS_DIFFERENT if all_new else CREATE_DIFFERENCE
    cursor.execute(in_one_message(target.compose(difference), COUNT_DIFFERENCE))
    return dict(cursor.fetchall())


def write_into_empty(cursor: Cursor, target: Target, ddl: Sequence[str]) -> None:
    """Inserts all of `difference`, and builds what the table lacks."""
    cursor.execute(in_one_message(target.compose(INSERT), *map(sql.SQL, ddl)))


def write(cursor: Cursor, target: Target) -> None:
    """Updates and inserts what `difference` has."""
    cursor.execute(in_one_message(target.compose(UPDATE), target.compose(INSERT_OR_FILL)))


def lock_if_empty(cursor: Cursor, target: Target, tables: Mapping[str, Table], engine: Engine) -> list[str] | None:
    """The DDL to build after a table's first rows, see `schema.built_late`; None for a table that has rows.

    An empty table is locked against other loads, which could give it a placeholder, and so are its parents.
    """
    names_if_empty = target.compose(NAMES_IF_EMPTY)
    cursor.execute(names_if_empty)
    if cursor.fetchone() is None:
        return None
    related = {name: table for name, table in tables.items() if name in target.table.references.values()}
    related[target.table.name] = tables.get(target.table.name, target.table)
    # One after the other, in the order in which they are named (PostgreSQL manual, LOCK).
    lock = sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(
        sql.SQL(", ").join(sql.Identifier(SCHEMA, name) for name in related)
    )
    cursor.execute(in_one_message(lock, names_if_empty))
    found = cursor.fetchone()
    if found is None:
        return None
    wanted = built_late(metadata(related).tables[f"{SCHEMA}.{target.table.name}"])
    return [str(ddl.compile(engine)) for name, ddl in wanted.items() if name not in found[0]]
