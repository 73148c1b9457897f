"""A declared table in SQL: its names, lists of columns and conditions, composed once for the steps of a load.

In every statement `t` is the table's row and `s` the staged one. Keep out: the statements, which stand with their
steps (`staging`, `comparison`, `tombstones`, `changes`, `rejects`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from psycopg2 import sql

from gazelle_sync.tables import Column, Table
from gazelle_sync.warehouse.schema import AS_GOOD, SCHEMA, placeholder, spell

Key = tuple[str, ...]

# What rounds a value of another type of these, or leaves its time of day out. A text is never cut to fit.
EXACT = {"numeric", "integer", "timestamptz", "time", "date"}
ROUNDING = re.compile("numeric|smallint|integer|bigint|real|double precision|money|timestamp|time|date")


class Target:
    """The table that is loaded. `compose` fills its names into a statement. `own_columns` are those that are compared.

    `table` may lack columns of the `declared` one, which are not read this time: rows that are there keep what they
    have in them, and new ones get what stands where only an id is known. `types` are those of the columns as they are;
    one that was taken over may be of another type than it is declared.
    """

    def __init__(
        self, table: Table, declared: Table | None = None, types: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        columns = [column.name for column in table.all_columns]
        compared = [column for column in table.all_columns if not column.only_new]
        unread = [column for column in (declared or table).all_columns if column.name not in columns]
        stand_ins = {column.name: value for column in unread if (value := placeholder(column))}
        self.table = table
        self.own_columns = [column for column in compared if column.name not in table.key]
        own = [column.name for column in self.own_columns]
        otherwise = {
            column: there
            for column in compared
            if (there := types.get(column.name)) and there != spell(column.type.sql)
        }
        # What such a column makes of a value, it makes of it each time: that is no change.
        self.rounding = {column: there for column, there in otherwise.items() if is_rounding(column.type.sql, there)}
        self.identifier = sql.Identifier(SCHEMA, table.name)
        self._parts: dict[str, sql.Composable] = {
            "target": self.identifier,
            "target_name": sql.Literal(f"{SCHEMA}.{table.name}"),
            "columns": listed(columns),
            "inserted": listed([*columns, *stand_ins]),
            "inserted_values": sql.SQL(", ").join([*listed_each(columns), *map(sql.SQL, stand_ins.values())]),
            "only_new": sql.SQL("ARRAY[{}]::text[]").format(
                sql.SQL(", ").join(sql.Literal(column.name) for column in table.all_columns if column.only_new)
            ),
            "definitions": sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type.sql))
                for column in table.all_columns
            ),
            "key": listed(table.key),
            "key_definitions": sql.SQL(", ").join(
                sql.SQL("{} text").format(sql.Identifier(name)) for name in table.key
            ),
            "same_key": self.same_key("s", "t"),
            "same_as_earlier": self.same_key("s", "twice"),
            "same_gone": self.same_key("gone", "t"),
            "t_columns": sql.SQL(", ").join(map(self.typed, compared)),
            # As they are compared: without a zone, a time of a table that was taken over would read otherwise.
            "t_otherwise": sql.SQL("jsonb_build_object({})").format(
                sql.SQL(", ").join(
                    sql.SQL("{}, {}").format(sql.Literal(column.name), self.typed(column)) for column in otherwise
                )
            ),
            "as_stored": sql.SQL(", ").join(
                sql.SQL("{0} = {0}::{1}::{2}").format(
                    sql.Identifier(column.name), sql.SQL(there), sql.SQL(column.type.sql)
                )
                for column, there in self.rounding.items()
            ),
            "s_columns": listed([column.name for column in compared], "s"),
            "t_key": listed(table.key, "t"),
            "t_key_text": key_as_text(table.key, "t"),
            "s_key_text": key_as_text(table.key, "s"),
            "set_columns": sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in own),
            "set_excluded": sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in own
            ),
        }

    def compose(self, statement: str, **more: sql.Composable) -> sql.Composed:
        return sql.SQL(statement).format(**self._parts, **more)

    @staticmethod
    def typed(column: Column) -> sql.Composed:
        """What is stored, as declared: a table that was taken over can have varchar, or times without a zone."""
        return sql.SQL("{}::{}").format(sql.Identifier("t", column.name), sql.SQL(column.type.sql))

    def same_key(self, left: str, right: str) -> sql.Composed:
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name))
            for name in self.table.key
        )


def is_rounding(declared: str, there: str) -> bool:
    holds_all = there in AS_GOOD.get(declared, ()) or (declared, there) == (
        "timestamptz",
        "timestamp without time zone",
    )
    return declared in EXACT and not holds_all and ROUNDING.match(there) is not None


def listed(names: Iterable[str], prefix: str = "") -> sql.Composed:
    return sql.SQL(", ").join(listed_each(names, prefix))


def listed_each(names: Iterable[str], prefix: str = "") -> list[sql.Identifier]:
    return [sql.Identifier(*([prefix] if prefix else []), name) for name in names]


def key_as_text(key: Sequence[str], prefix: str) -> sql.Composed:
    """A key as the log and the rejects name it: the id, or the parts of a pair joined by a slash."""
    return sql.SQL(" || '/' || ").join(sql.Identifier(prefix, name) for name in key)
