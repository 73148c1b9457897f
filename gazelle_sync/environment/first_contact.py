"""What the API has not, or has otherwise, of what is asked for: said on the first run of a database, before it reads.

What it costs is decided later, where Gazelle refuses it (`gazelle.gaps`). Keep out: comparing (`gazelle.preflight`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from gazelle_sync.gazelle import Client
from gazelle_sync.gazelle.preflight import Difference, Kind, compare, read_schema
from gazelle_sync.tables import Scope, Table
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)


def tell_differences(client: Client, tables: Iterable[Table]) -> None:
    """One request: a warning in the run's log for each difference. Nothing where Gazelle refuses introspection."""
    live = read_schema(client)
    if live is None:
        return
    # The names of the arguments are what counts, and no day.
    zone, day = ZoneInfo("UTC"), date(2020, 1, 1)
    scopes = (Scope(zone, day), Scope(zone, day, day + timedelta(days=1)))
    for table in tables:
        for each in compare(live, None, table, scopes):
            logger.warning("%s: %s", each.table, describe_difference(each))


def describe_difference(difference: Difference) -> str:
    """In one sentence, with the columns that it costs."""
    columns = ", ".join(difference.columns) or say("the_whole_table")
    texts = {
        Kind.NULLABLE: "difference_null",
        Kind.TYPE: "difference_type",
        Kind.NEW_VALUE: "difference_new_value",
    }
    return say(texts.get(difference.kind, "difference_gone"), what=difference.name, columns=columns)
