"""deletion_candidates: what a list without a count no longer shows, and since when. To ask twice in one night is no
evidence: such a record is gone when it is still missing a night later, and nothing live refers to it.

Keep out: what proves that any other record is gone (`gazelle.deletions`), and marking it (`tombstones`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg2 import sql

from gazelle_sync.tables import Scope, Table
from gazelle_sync.tables.declaration import ReadAgain
from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import Cursor
from gazelle_sync.warehouse.report import LoadReport
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.scope import condition
from gazelle_sync.warehouse.target import Key, Target

# Two nights are never less apart, also when clocks change or a run begins late.
APART = timedelta(hours=20)

FORGET = """
DELETE FROM gazelle.deletion_candidates c
WHERE table_name = %(table)s AND external_id <> ALL (%(missing)s::text[])
  AND (%(all_seen)s OR EXISTS (SELECT FROM staging s WHERE {s_key_text} = c.external_id))
"""
NOTE = """
INSERT INTO gazelle.deletion_candidates (table_name, external_id, first_missing_at)
SELECT %(table)s, external_id, %(began)s FROM unnest(%(missing)s::text[]) AS external_id
ON CONFLICT (table_name, external_id) DO NOTHING
"""
WAITING = """
SELECT external_id, first_missing_at FROM gazelle.deletion_candidates
WHERE table_name = %(table)s AND external_id = ANY (%(missing)s::text[]) AND first_missing_at > %(before)s
ORDER BY first_missing_at, external_id
"""


def hold_back(
    cursor: Cursor,
    target: Target,
    tables: Mapping[str, Table],
    missing: Iterable[Key],
    *,
    placeholders: set[Key],
    zone: ZoneInfo,
    began: datetime,
    report: LoadReport,
) -> set[Key]:
    """The keys among the `missing` that must not be marked as gone yet; the report says why.

    None, of a table whose records are proved gone otherwise. A placeholder waits for nothing, as it was never shown
    to anybody, but stays while something live refers to it. `began` is when the reading began.
    """
    if not isinstance(target.table.deletion_proved_by, ReadAgain):
        return set()
    keys = {"/".join(key): key for key in missing}
    values = {
        "table": target.table.name,
        "missing": [name for name, key in keys.items() if key not in placeholders],
        "all_seen": report.proved,
        "began": began,
        "before": began - APART,
    }
    cursor.tell(target.compose(FORGET), values)
    cursor.tell(NOTE, values)
    cursor.execute(WAITING, values)
    waiting: list[tuple[str, datetime]] = cursor.fetchall()
    from_today = Scope(zone, began.astimezone(zone).date())
    referred = find_live_references(cursor, target.table, tables, list(keys), from_today)
    if new := [name for name, _ in waiting if name not in referred]:
        report.warnings.append(
            say("missing_for_now", count=len(new), records=shorten(new), hours=APART // timedelta(hours=1))
        )
    if referred:
        told = [f"{name} ({', '.join(where)})" for name, where in referred.items()]
        report.warnings.append(say("missing_and_referred_to", count=len(told), records=shorten(told)))
    return {keys[name] for name in {*referred, *(name for name, _ in waiting)}}


def find_live_references(
    cursor: Cursor, table: Table, tables: Mapping[str, Table], missing: Sequence[str], from_today: Scope
) -> dict[str, list[str]]:
    """Which of the missing records something live refers to, and where: `57 × appointments.technician_external_id`.

    Live is what is dated today or later, such as an appointment ahead. Who made it may have left since.
    """
    found: dict[str, list[str]] = {}
    dated = [other for other in tables.values() if other.partitioned_by and missing]
    for other in dated:
        within, parameters = condition(other, from_today, tables)
        for column in other.columns:
            if column.references != table.name or column.authorship:
                continue
            cursor.execute(
                sql.SQL(
                    "SELECT t.{column}, count(*) FROM {other} t WHERE t.{column} = ANY (%(missing)s) "
                    "AND t.deleted_at IS NULL AND t.synced_at IS NOT NULL AND {within} GROUP BY 1 ORDER BY 1"
                ).format(column=sql.Identifier(column.name), other=sql.Identifier(SCHEMA, other.name), within=within),
                {**parameters, "missing": list(missing)},
            )
            for name, count in cursor.fetchall():
                found.setdefault(name, []).append(f"{count} × {other.name}.{column.name}")
    return found


def shorten(names: Sequence[str]) -> str:
    return "; ".join(names[:3]) + ("; …" if len(names) > 3 else "")
