"""What was learned about Gazelle's API, so that tomorrow starts with it: sizes of pages, and fields that are refused.

A database mirrors one account, so what stands here is that account's. Keep out: how it is learned (`gazelle`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, Protocol

from sqlalchemy import Engine

from gazelle_sync.tables.declaration import Gap, Sizes
from gazelle_sync.warehouse.connection import Cursor, fetch

# A limit may have been raised since.
LIMITS_KEPT = "7 days"

READ_SIZES = """
SELECT table_name, first, nested, CASE WHEN refused_at > now() - %(limits_kept)s::interval THEN refused END
FROM gazelle.page_sizes
"""
# The day on which a limit was met stays, as long as the limit does.
NOTE_SIZES = """
INSERT INTO gazelle.page_sizes (table_name, first, nested, refused, refused_at)
VALUES (%(table)s, %(first)s, %(nested)s, %(refused)s, CASE WHEN %(refused)s IS NOT NULL THEN now() END)
ON CONFLICT (table_name) DO UPDATE SET first = excluded.first, nested = excluded.nested, refused = excluded.refused,
    refused_at = CASE WHEN page_sizes.refused = excluded.refused THEN page_sizes.refused_at ELSE excluded.refused_at END
WHERE (page_sizes.first, page_sizes.nested, page_sizes.refused)
    IS DISTINCT FROM (excluded.first, excluded.nested, excluded.refused)
"""
READ_GAPS = (
    "SELECT table_name, field, columns, since::date FROM gazelle.refused_fields ORDER BY since, table_name, field"
)
FORGET_GAPS = "DELETE FROM gazelle.refused_fields WHERE table_name = %(table)s AND field <> ALL(%(fields)s)"
NOTE_GAPS = """
INSERT INTO gazelle.refused_fields (table_name, field, columns)
SELECT %(table)s, gap->>'field', ARRAY(SELECT jsonb_array_elements_text(gap->'columns'))
FROM jsonb_array_elements(%(gaps)s::jsonb) gap
ON CONFLICT (table_name, field) DO UPDATE SET columns = excluded.columns
RETURNING field, since::date
"""
# When the field is back, what fills its columns is no change of the record.
NOTE_COLUMNS = """
INSERT INTO gazelle.new_columns (table_name, column_name, added_at)
SELECT %(table)s, unnest(%(columns)s::text[]), clock_timestamp()
ON CONFLICT (table_name, column_name) DO UPDATE SET added_at = excluded.added_at
"""


class RefusedField(NamedTuple):
    """What Gazelle refuses of a table, the columns that it costs, and since which day."""

    table: str
    field: str
    columns: Sequence[str]
    since: date


class Learned(Protocol):
    """What a read of one table learned, see `gazelle.snapshot.Snapshot`."""

    @property
    def gaps(self) -> Sequence[Gap]: ...
    @property
    def sizes(self) -> Sizes | None: ...


def read_page_sizes(engine: Engine) -> dict[str, Sizes]:
    """Table → the size of pages that worked last. Raises `WarehouseError`."""
    rows = fetch(engine, READ_SIZES, {"limits_kept": LIMITS_KEPT})[1]
    return {table: Sizes(first, nested, refused) for table, first, nested, refused in rows}


def read_refused_fields(engine: Engine) -> list[RefusedField]:
    """Those of the last sync of each table, the oldest first. Raises `WarehouseError`."""
    if not has_table(engine, "refused_fields"):
        return []
    return [RefusedField(*row) for row in fetch(engine, READ_GAPS, {})[1]]


def has_table(engine: Engine, name: str) -> bool:
    """Whether a sync, or a migration, ever made this table."""
    return bool(fetch(engine, "SELECT to_regclass(%(name)s) IS NOT NULL", {"name": f"gazelle.{name}"})[1][0][0])


def remember(cursor: Cursor, table: str, learned: Learned) -> None:
    """Writes down sizes, and forgets what is no longer refused."""
    cursor.tell(FORGET_GAPS, {"table": table, "fields": [gap.field for gap in learned.gaps]})
    if learned.sizes:
        cursor.tell(NOTE_SIZES, {"table": table, **learned.sizes._asdict()})


def note_gaps(cursor: Cursor, table: str, gaps: Sequence[Gap]) -> dict[str, date]:
    """Writes down what is refused: each field, and the day since which it has been."""
    cursor.tell(NOTE_COLUMNS, {"table": table, "columns": [column for gap in gaps for column in gap.columns]})
    cursor.execute(NOTE_GAPS, {"table": table, "gaps": json.dumps([gap._asdict() for gap in gaps])})
    return dict(cursor.fetchall())
