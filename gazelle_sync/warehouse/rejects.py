"""rejected_rows: records that could not be stored as they came, until a later sync finds them sound.

Keep out: what is wrong with a value (`gazelle.rows`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Protocol

from psycopg2.extras import execute_values

from gazelle_sync.warehouse.connection import Cursor
from gazelle_sync.warehouse.sync_log import escape_unstorable

RESOLVE = """
UPDATE gazelle.rejected_rows r SET resolved_at = now()
WHERE r.table_name = %(table)s AND r.resolved_at IS NULL AND r.external_id <> ALL (%(rejected)s::text[])
  AND (%(all_seen)s OR EXISTS (SELECT FROM staging s WHERE {s_key_text} = r.external_id))
"""


class RejectLike(Protocol):
    """A record that did not convert, see `gazelle.rows.Reject`."""

    @property
    def key(self) -> tuple[str, ...] | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def payload(self) -> object: ...


def note_rejects(cursor: Cursor, table: str, rejects: Sequence[RejectLike]) -> dict[str, str]:
    """Writes the rejects down, each record once: what names each of them → the reason."""
    by_key = {name_reject(reject): reject for reject in rejects}
    if by_key:
        execute_values(
            cursor,
            """
            INSERT INTO gazelle.rejected_rows AS known (table_name, external_id, reason, payload) VALUES %s
            ON CONFLICT (table_name, external_id) WHERE resolved_at IS NULL
            DO UPDATE SET reason = excluded.reason, payload = excluded.payload, last_seen_at = now()
            """,
            [(table, key, reject.reason, to_jsonb(reject.payload)) for key, reject in by_key.items()],
        )
    return {key: reject.reason for key, reject in by_key.items()}


def name_reject(reject: RejectLike) -> str:
    if reject.key is not None:
        return "/".join(reject.key)
    # Records without an id are told apart by what they hold.
    return "?" + hashlib.sha256(to_jsonb(reject.payload).encode()).hexdigest()[:16]


def to_jsonb(payload: object) -> str:
    """JSON that PostgreSQL takes: what it can't hold is written out as text, such as `\\u0000`."""
    try:
        return json.dumps(to_storable(payload))
    except RecursionError:
        return json.dumps("nested too deeply to be kept")


def to_storable(value: object) -> object:
    if isinstance(value, str):
        return escape_unstorable(value)
    if isinstance(value, dict):
        return {to_storable(name): to_storable(below) for name, below in value.items()}
    if isinstance(value, list):
        return [to_storable(below) for below in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
