"""Reading the mirror back: a table as a DataFrame.

Keep out: anything that writes, and what the log says (`history`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pandas
from psycopg2 import sql
from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.warehouse.connection import fetch
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.scope import condition


def read(
    engine: Engine, table: Table, scope: Scope | None = None, tables: Mapping[str, Table] = TABLES
) -> pandas.DataFrame:
    """A table, or its rows of a scope, with every column there is; deleted records have `deleted_at`.

    Columns are `object`, so that null stays null and whole numbers whole. Raises `WarehouseError`.
    """
    within, parameters = condition(table, scope, tables) if scope else (sql.SQL("true"), {})
    query = sql.SQL("SELECT t.* FROM {} t WHERE {} ORDER BY t.id").format(sql.Identifier(SCHEMA, table.name), within)
    names, rows = fetch(engine, query, parameters)
    frame: pandas.DataFrame = pandas.DataFrame(rows, columns=pandas.Index(names), dtype=object)
    return frame


def read_sample(engine: Engine, table: Table, count: int = 5) -> pandas.DataFrame:
    """The rows that the sync changed last, without the columns that are personal. Raises `WarehouseError`."""
    shown = [column.name for column in table.all_columns if not column.personal]
    query = sql.SQL(
        "SELECT {} FROM {} WHERE synced_at IS NOT NULL ORDER BY synced_at DESC, id DESC LIMIT %(count)s"
    ).format(sql.SQL(", ").join(map(sql.Identifier, shown)), sql.Identifier(SCHEMA, table.name))
    _, rows = fetch(engine, query, {"count": count})
    frame: pandas.DataFrame = pandas.DataFrame(rows, columns=pandas.Index(shown), dtype=object)
    return frame


def read_last_day(engine: Engine, table: Table) -> date | None:
    """The last business day of a table's records; None without any, and for one that has no date of its own.

    Raises `WarehouseError`.
    """
    if table.partitioned_by is None or "." in table.partitioned_by:
        return None
    query = sql.SQL("SELECT max({})::date FROM {} WHERE deleted_at IS NULL").format(
        sql.Identifier(table.partitioned_by), sql.Identifier(SCHEMA, table.name)
    )
    last: date | None = fetch(engine, query, {})[1][0][0]
    return last
