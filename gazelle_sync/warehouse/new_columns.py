"""Columns that a declaration gained: which are not filled yet, as their table was not read whole since.

What a load writes into such a column of a row that it did not write since is no change of the record. Keep out: how a
column is added (`migrations`), and how rows are written (`comparison`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Table
from gazelle_sync.warehouse.connection import fetch

# For migrations, which run over SQLAlchemy; while they do, no load writes.
NOTE = (
    "INSERT INTO gazelle.new_columns (table_name, column_name, added_at) VALUES (:table, :column, clock_timestamp()) "
    "ON CONFLICT (table_name, column_name) DO UPDATE SET added_at = excluded.added_at"
)
# Once all of a table was read.
FORGET = "DELETE FROM gazelle.new_columns WHERE table_name = %(table)s AND %(all_seen)s"


def read_unfilled(engine: Engine, tables: Mapping[str, Table] = TABLES) -> dict[str, list[str]]:
    """The tables that have to be read whole to fill a column, and the names of such columns.

    Those too that the next migration will add to a table that is there; not those that Gazelle refuses at present.
    Raises `WarehouseError`.
    """
    _, there = fetch(
        engine,
        "SELECT relname, attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid "
        "WHERE relnamespace = to_regnamespace('gazelle') AND relkind = 'r' AND attnum > 0 AND NOT attisdropped",
        {},
    )
    columns: dict[str, set[str]] = {}
    for table, column in there:
        columns.setdefault(table, set()).add(column)
    unfilled = {
        name: {column.name for column in table.all_columns} - columns[name]
        for name, table in tables.items()
        if name in columns
    }
    refused: set[tuple[str, str]] = set()
    if "refused_fields" in columns:
        refused.update(fetch(engine, "SELECT table_name, unnest(columns) FROM gazelle.refused_fields", {})[1])
    if "new_columns" in columns:
        for name, column in fetch(engine, "SELECT table_name, column_name FROM gazelle.new_columns", {})[1]:
            if name in unfilled and (name, column) not in refused:
                unfilled[name].add(column)
    return {name: sorted(names) for name, names in unfilled.items() if names}
