"""How much may go at once: records that are marked as deleted, and values that turn empty.

More than that is more likely a fault of whoever answers than what people did: it is kept, said, and done when a person
allows it once. Keep out: which records are gone (`tombstones`), and what differs (`comparison`).
"""

from __future__ import annotations

from psycopg2 import sql

from gazelle_sync.tables import Column, Table, Type
from gazelle_sync.warehouse.schema import placeholder

# More than this share, and more than so many, is too much ...
SHARE_TO_REFUSE = 0.10
ROWS_TO_REFUSE = 25
# ... and more than this share of a whole table, however small it is, unless it is so few.
SHARE_OF_SMALL_TABLE = 0.50
ROWS_NEVER_REFUSED = 3
# A column that changes in more than this share of a table's rows (and more than `ROWS_TO_REFUSE`) is mentioned.
SHARE_TO_MENTION = 0.50


def limit(among: int, of_table: int) -> float:
    """How many may go without being told to: `among` those that a read is about, in a table of so many."""
    return min(max(ROWS_TO_REFUSE, SHARE_TO_REFUSE * among), max(ROWS_NEVER_REFUSED, SHARE_OF_SMALL_TABLE * of_table))


# The same in SQL, of a whole table with `{rows}`.
LIMIT = (
    f"least(greatest({ROWS_TO_REFUSE}, {SHARE_TO_REFUSE} * {{rows}}), "
    f"greatest({ROWS_NEVER_REFUSED}, {SHARE_OF_SMALL_TABLE} * {{rows}}))"
)


def is_empty(table: Table, column: Column, row: str) -> sql.Composable:
    """Whether a row has no value in a column; what stands there in its place is none."""
    value = sql.Identifier(row, column.name)
    if column.type is Type.TEXT_ARRAY:
        return sql.SQL("coalesce(cardinality({}), 0) = 0").format(value)
    if column.type is Type.TEXT and placeholder(column) and table.key == ("external_id",):
        return sql.SQL("({0} = '' OR {0} = {1})").format(value, sql.Identifier(row, "external_id"))
    if column.type is Type.TEXT:
        return sql.SQL("coalesce({}, '') = ''").format(value)
    return sql.SQL("{} IS NULL").format(value)


def is_lost(table: Table, column: Column) -> sql.Composable:
    """Whether the staged row `s` has no value where the stored row `t` has one."""
    return sql.SQL("({} AND NOT {})").format(is_empty(table, column, "s"), is_empty(table, column, "t"))
