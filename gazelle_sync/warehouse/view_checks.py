"""How many rows each view has, and what must be true of them: checks as of tables, declared with the view.

Keep out: the declarations (`views`), and when checks run (the module `view_assets`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from psycopg2 import sql
from sqlalchemy import Engine

from gazelle_sync.warehouse.connection import fetch
from gazelle_sync.warehouse.row_checks import RowCheck
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.views import View, in_zone

THERE = """
SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('gazelle') AND relkind = 'v'
AND relname = ANY (%(names)s) AND has_table_privilege(oid, 'SELECT')
"""


def count_view_rows(engine: Engine, views: Sequence[View]) -> dict[str, int]:
    """View → its rows, of those that are there for this role to read. Raises `WarehouseError`."""
    there = {name for (name,) in fetch(engine, THERE, {"names": [view.name for view in views]})[1]}
    counts = [
        sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(name), sql.Identifier(SCHEMA, name))
        for name in sorted(there)
    ]
    return dict(fetch(engine, sql.SQL(" UNION ALL ").join(counts), {})[1]) if counts else {}


def view_checks(view: View, zone: ZoneInfo) -> Iterator[RowCheck]:
    for each in view.all_agreements:
        yield RowCheck(
            each.name,
            each.description,
            sql.SQL(in_zone(each.breaking, zone)),
            reason="broken_view",
            remedy="remedy_view",
            values={"view": view.name},
        )
