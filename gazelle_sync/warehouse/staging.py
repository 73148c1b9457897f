"""The first step of a load: the spooled rows in a temporary table `staging`, each record once.

Keep out: how rows are spooled (`spool`), and what they are compared with (`comparison`).
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from gazelle_sync.tables import Table
from gazelle_sync.warehouse.schema import SCHEMA, placeholder
from gazelle_sync.warehouse.spool import Spool
from gazelle_sync.warehouse.target import Target, in_one_message, listed


def stage(cursor: Cursor, target: Target, spool: Spool) -> int:
    """How many different records are staged. Of one that came twice, the later one stands."""
    cursor.execute(target.compose("CREATE TEMP TABLE staging ({definitions}) ON COMMIT DROP"))
    copy = target.compose("COPY staging ({columns}) FROM STDIN (ENCODING 'UTF8')")
    cursor.copy_expert(copy.as_string(cursor), spool.rewind())
    # Rows stand in the temporary table in the order in which they were copied.
    cursor.execute(
        target.compose(
            "DELETE FROM staging s USING (SELECT {key}, max(ctid) AS latest FROM staging GROUP BY {key} "
            "HAVING count(*) > 1) AS twice WHERE {same_as_earlier} AND s.ctid < twice.latest"
        )
    )
    staged = spool.rows - cursor.rowcount
    if target.rounding:
        cursor.execute(target.compose("UPDATE staging SET {as_stored}"))
    return staged


def insert_placeholders(cursor: Cursor, target: Target, tables: Mapping[str, Table]) -> None:
    """A parent that is not mirrored yet gets a row with its id alone, so that no child is lost.

    All loads touch the tables in one order, so that no two wait for each other.
    """
    if statements := [
        placeholders_of(column, parent)
        for name, parent in tables.items()
        for column, refers_to in target.table.references.items()
        if refers_to == name
    ]:
        cursor.execute(in_one_message(*statements))


def placeholders_of(column: str, parent: Table) -> sql.Composed:
    needed = {other.name: value for other in parent.all_columns if (value := placeholder(other))}
    return sql.SQL(
        "INSERT INTO {parent} ({columns}) SELECT {values} FROM "
        "(SELECT DISTINCT {column} AS external_id FROM staging WHERE {column} IS NOT NULL) AS s "
        "WHERE NOT EXISTS (SELECT FROM {parent} t WHERE t.external_id = s.external_id) "
        # In one order, so that two loads do not wait for each other.
        "ORDER BY external_id ON CONFLICT (external_id) DO NOTHING"
    ).format(
        parent=sql.Identifier(SCHEMA, parent.name),
        columns=listed(["external_id", *needed]),
        values=sql.SQL(", ").join(map(sql.SQL, ["external_id", *needed.values()])),
        column=sql.Identifier(column),
    )
