"""What a declaration no longer says, and the database still asks for: columns and constraints that break a load.

Nothing is dropped here: what is in the database may be somebody's. Each leftover is named with the statement that mends
it. What people added and what lets every row in is none. Keep out: what is missing (`migrations`), and what has another
type (`preflight`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import WarehouseError, transaction, with_retries
from gazelle_sync.warehouse.schema import SCHEMA, metadata

# What every load writes to, beside its own table.
WRITTEN_BY_ALL = ("sync_log", "rejected_rows", "row_changes")

# The longest name that PostgreSQL keeps.
NAMEDATALEN = 63

# Columns that have to be given a value, foreign keys, and unique constraints: of which table, the constraint's name (a
# column's, for a column), its columns, and what it refers to. A column of NOT NULL with an identity, a default or an
# expression fills itself.
LOOK = """
SELECT 'now', NULL, NULL, NULL::text[], NULL, NULL::text[], clock_timestamp()
UNION ALL
SELECT 'column', relname, attname, ARRAY[attname::text], NULL, NULL, NULL
FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
WHERE relnamespace = to_regnamespace('gazelle') AND relkind IN ('r', 'p') AND relname = ANY (%(tables)s)
  AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef AND attidentity = ''
UNION ALL
SELECT CASE contype WHEN 'f' THEN 'foreign key' ELSE 'unique' END, child.relname, conname,
       ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place),
       CASE WHEN parent.relnamespace = child.relnamespace THEN parent.relname END,
       ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place), NULL
FROM pg_constraint JOIN pg_class AS child ON child.oid = conrelid LEFT JOIN pg_class AS parent ON parent.oid = confrelid
WHERE connamespace = to_regnamespace('gazelle') AND contype IN ('f', 'u') AND child.relname = ANY (%(tables)s)
"""


@dataclass(frozen=True)
class Leftover:
    """What is in the way, in words; `mending` is the statement that takes it out of the way and loses nothing.

    A `certain` one lets no new row in. Another one only refuses rows that are not to its liking.
    """

    table: str
    text: str
    mending: str
    certain: bool = True


def look(
    engine: Engine, tables: Mapping[str, Table], names: Sequence[str], what: str, *, attempts: int
) -> tuple[datetime, list[Leftover]]:
    """The database's clock, and what is left over in the tables of these names: one trip. Raises `WarehouseError`."""

    def work() -> list[tuple[Any, ...]]:
        with transaction(engine) as cursor:
            cursor.execute(LOOK, {"tables": list(names)})
            return cursor.fetchall()

    (_, *_, clock), *found = with_retries(work, what, attempts)
    return clock, list(find_leftovers(found, tables))


def find_leftovers(found: Sequence[tuple[Any, ...]], tables: Mapping[str, Table]) -> Iterator[Leftover]:
    """Of what the database has, that which no declaration has."""
    shape = {table.name: table for table in metadata(tables).tables.values()}
    for kind, name, constraint, columns, parent, referred, _ in sorted(found, key=lambda row: row[:3]):
        declared, table = shape[name].columns, tables.get(name)
        altered = f"ALTER TABLE {SCHEMA}.{quote(name)}"
        if kind == "column":
            if constraint not in declared:
                yield Leftover(
                    name,
                    say("leftover_column", table=name, column=constraint),
                    f"{altered} ALTER {quote(constraint)} DROP NOT NULL;",
                )
            continue
        drop = f"{altered} DROP CONSTRAINT {quote(constraint)};"
        if table is None or not all(column in declared for column in columns):
            # Without a value in a column that nobody fills, these let a row in.
            continue
        if kind == "foreign key":
            # Where a parent is declared, a placeholder takes its place; what people refer to is not by Gazelle's id.
            by_id = parent is not None and referred == ["external_id"]
            if by_id and not (table.references.get(columns[0]) == parent and parent in tables):
                text = say("leftover_foreign_key", table=name, column=columns[0], parent=parent, constraint=constraint)
                yield Leftover(name, text, drop)
        elif is_named_by_us(constraint, name, columns) and columns not in ([*table.key], ["external_id"]):
            text = say("leftover_unique", table=name, columns=", ".join(columns), constraint=constraint)
            yield Leftover(name, text, drop, certain=False)


def is_named_by_us(constraint: str, table: str, columns: Sequence[str]) -> bool:
    """Whether a unique constraint has the name that SQLAlchemy gives it, which ends in a digest when it is too long."""
    return constraint.startswith(f"{table}_{'_'.join(columns)}_key"[: NAMEDATALEN - 8])


def quote(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def check_leftovers(engine: Engine, tables: Mapping[str, Table] = TABLES) -> None:
    """Raises `WarehouseError` with all that is left over in any table, and the statements that mend it."""
    names = [table.name for table in metadata(tables).tables.values()]
    _, found = look(engine, tables, names, say("reading_the_database"), attempts=1)
    if found:
        raise WarehouseError(
            say(
                "leftovers",
                what="; ".join(each.text for each in found),
                mending=" ".join(each.mending for each in found),
            )
        )


def start_reading(engine: Engine, table: Table, tables: Mapping[str, Table], what: str, attempts: int) -> datetime:
    """The database's clock, right before a table is read. Raises `WarehouseError` when the table can't be loaded."""
    declared = {**tables, table.name: table}
    clock, found = look(engine, declared, (table.name, *WRITTEN_BY_ALL), what, attempts=attempts)
    if broken := [each for each in found if each.certain]:
        raise WarehouseError(
            say(
                "leftovers_before_reading",
                what="; ".join(each.text for each in broken),
                mending=" ".join(each.mending for each in broken),
            )
        )
    return clock
