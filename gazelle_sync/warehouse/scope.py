"""A scope of business dates: as a condition on rows, and as people say it.

Keep out: what is done with those rows (`load`, `read`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from psycopg2 import sql

from gazelle_sync.tables import Scope, Table, Type
from gazelle_sync.warehouse.schema import SCHEMA


def condition(
    table: Table, scope: Scope, tables: Mapping[str, Table], *, row: str = "t", prefix: str = ""
) -> tuple[sql.Composable, dict[str, object]]:
    """Whether `row` of the table belongs to the scope, and the condition's parameters, whose names begin with `prefix`.

    All rows of a table without a date do. A row whose date is null, or whose parent's is, belongs to none.
    """
    if table.partitioned_by is None:
        return sql.SQL("true"), {}
    *relation, name = table.partitioned_by.split(".")
    owner = tables[table.references[relation[0]]] if relation else table
    bounds = {"start": scope.start} if scope.end is None else {"start": scope.start, "end": scope.end}
    is_moment = owner.column(name).type is Type.TIMESTAMP
    parameters: dict[str, object] = {
        prefix + key: scope.start_of(day) if is_moment else day for key, day in bounds.items()
    }
    within = sql.SQL("{row}.{date} >= {start}" + (" AND {row}.{date} < {end}" if scope.end else "")).format(
        row=sql.Identifier("p" if relation else row),
        date=sql.Identifier(name),
        start=sql.Placeholder(prefix + "start"),
        end=sql.Placeholder(prefix + "end"),
    )
    if relation:
        within = sql.SQL("EXISTS (SELECT FROM {owner} p WHERE p.external_id = {relation} AND {within})").format(
            owner=sql.Identifier(SCHEMA, owner.name), relation=sql.Identifier(row, relation[0]), within=within
        )
    return within, parameters


def describe_scope(scope: str, say: Callable[..., str]) -> str:
    """A scope as the log has it, in words: `March to May 2026` for `2026-03-01..2026-06-01`, whose end is exclusive."""
    start, _, end = scope.partition("..")
    if not end:
        return say("all")
    first, after = date.fromisoformat(start), date.fromisoformat(end)
    last = after - timedelta(days=1)
    if (first.day, after.day) != (1, 1):
        return say("scope_of_days", first=first, last=last)
    names = say("months").split()
    told = {"first": names[first.month - 1], "year": first.year, "last": names[last.month - 1], "last_year": last.year}
    if first.year != last.year:
        return say("scope_of_years", **told)
    return say("scope_of_month" if first.month == last.month else "scope_of_months", **told)
