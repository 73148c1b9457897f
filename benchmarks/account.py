"""Which account is mirrored, for which days, and which lists that makes.

Keep out: its pages (`pages`), and whatever a contender would have to import without need.
"""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from benchmarks.plain import List
from gazelle_sync.gazelle import query
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.declaration import Nested, PlainList

ZONE = ZoneInfo("America/Toronto")
# The same account for ever, so that figures of two days can be compared.
TODAY = date(2026, 11, 20)
# What `gazelle-sync sync --full` reads of the dated tables, and what the nightly run does (see `partitions`).
SCOPES = {"all": Scope(ZONE, date(2017, 1, 1)), "nightly": Scope(ZONE, date(2026, 9, 1), date(2028, 6, 1))}


def lists(scope: Scope) -> list[List]:
    """What the peers are told of the project's lists."""
    found = []
    for table in TABLES.values():
        read = table.read
        levels = read.levels if isinstance(read, Nested) else ()
        root = read.root if isinstance(read, Nested) else read
        found += [
            List(
                table.name,
                text,
                root.field,
                not isinstance(read, PlainList),
                query.PAGE_OF_LISTS if levels else query.PAGE,
                tuple((level.field, level.parent_field or "parent", level.paged) for level in levels),
            )
            for text in query.whole_lists(table, scope)
        ]
    return found
