"""A scope of business dates as a condition on rows.

Keep out: what is done with those rows (`load`, `read`).
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg2 import sql

from gazelle_sync.tables import Scope, Table, Type
from gazelle_sync.warehouse.schema import SCHEMA


def condition(table: Table, scope: Scope, tables: Mapping[str, Table]) -> tuple[sql.Composable, dict[str, object]]:
    """Whether row `t` of the table belongs to the scope, and the condition's parameters.

    All rows of a table without a date do. A row whose date is null, or whose parent's is, belongs to none.
    """
    if table.partitioned_by is None:
        return sql.SQL("true"), {}
    *relation, name = table.partitioned_by.split(".")
    owner = tables[table.references[relation[0]]] if relation else table
    bounds = {"start": scope.start} if scope.end is None else {"start": scope.start, "end": scope.end}
    is_moment = owner.column(name).type is Type.TIMESTAMP
    parameters: dict[str, object] = {key: scope.start_of(day) if is_moment else day for key, day in bounds.items()}
    within = sql.SQL("{row}.{date} >= %(start)s" + (" AND {row}.{date} < %(end)s" if scope.end else "")).format(
        row=sql.Identifier("p" if relation else "t"), date=sql.Identifier(name)
    )
    if relation:
        within = sql.SQL("EXISTS (SELECT FROM {owner} p WHERE p.external_id = t.{relation} AND {within})").format(
            owner=sql.Identifier(SCHEMA, owner.name), relation=sql.Identifier(relation[0]), within=within
        )
    return within, parameters
