"""The first step of a load: the spooled rows in a temporary table `staging`, each record once.

Keep out: how rows are spooled (`spool`), and what they are compared with (`comparison`).
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg2 import sql

from gazelle_sync.tables import Table
from gazelle_sync.warehouse.connection import Cursor
from gazelle_sync.warehouse.schema import SCHEMA, placeholder
from gazelle_sync.warehouse.spool import Spool
from gazelle_sync.warehouse.target import Target, listed


def make_room(cursor: Cursor, target: Target) -> None:
    cursor.tell(target.compose("CREATE TEMP TABLE staging ({definitions}) ON COMMIT DROP"))


def stage(cursor: Cursor, target: Target, spool: Spool) -> None:
    """Copies the rows. Of a record that came twice, the later one stands."""
    copy = target.compose("COPY staging ({columns}) FROM STDIN (ENCODING 'UTF8')")
    cursor.copy_expert(copy.as_string(cursor), spool.rewind())
    # Rows stand in the temporary table in the order in which they were copied.
    cursor.tell(
        target.compose(
            "DELETE FROM staging s USING (SELECT {key}, max(ctid) AS latest FROM staging GROUP BY {key} "
            "HAVING count(*) > 1) AS twice WHERE {same_as_earlier} AND s.ctid < twice.latest"
        )
    )
    if target.rounding:
        cursor.tell(target.compose("UPDATE staging SET {as_stored}"))


def insert_placeholders(cursor: Cursor, target: Target, tables: Mapping[str, Table]) -> None:
    """A parent that is not mirrored yet gets a row with its id alone, so that no child is lost.

    All loads touch the tables in one order, so that no two wait for each other.
    """
    for name, parent in tables.items():
        for column, refers_to in target.table.references.items():
            if refers_to == name:
                cursor.tell(placeholders_of(column, parent))


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
