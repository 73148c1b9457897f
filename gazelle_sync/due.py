"""What a nightly run reads: which tables, and which months of the dated ones; and the same for a run without a month.

Keep out: which months there are (`partitions`), when runs are started (`schedules`), what they do (`assets`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dagster import AssetExecutionContext, MonthlyPartitionsDefinition, PartitionKeyRange

from gazelle_sync import warehouse
from gazelle_sync.jobs import due_tags
from gazelle_sync.monitoring.freshness import is_due
from gazelle_sync.partitions import due_range
from gazelle_sync.resources import PostgresResource
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)


class Due(NamedTuple):
    """What a nightly run reads: these tables, and of each dated one these months."""

    tables: list[str]
    months: dict[str, PartitionKeyRange]


def read_due(
    postgres: PostgresResource, months: MonthlyPartitionsDefinition, tables: Mapping[str, Table], at: datetime
) -> Due:
    """Which of these tables are due at this moment, and which months of the dated ones, by the log.

    A tick that fails tells nobody; so a database that can't be asked is left to the run, which fails loudly.
    """
    coverage: dict[str, warehouse.Coverage] = {}
    try:
        engine = postgres.engine()
        coverage = warehouse.read_coverage(engine, tables)
        # A column that its declaration gained is filled in all of history.
        coverage |= dict.fromkeys(warehouse.read_unfilled(engine), warehouse.Coverage())
    except warehouse.WarehouseError as error:
        logger.warning("%s", say("log_not_read", why=error))
    due = {name: table for name, table in tables.items() if is_due(table, coverage.get(name), at)}
    dated = [name for name, table in due.items() if table.partitioned_by]
    return Due(list(due), {name: due_range(months, at.date(), coverage.get(name)) for name in dated})


def settle_months(
    context: AssetExecutionContext, postgres: PostgresResource, months: MonthlyPartitionsDefinition
) -> None:
    """Gives a run that was launched without a month those that a nightly run would read now, for all its dated tables.

    Dagster asks a run's tags, each time anew, which months it is for: a run from the launchpad has none, and its first
    dated table would be stored and then fail. The tags are kept with the run, so that the UI shows them.
    """
    if context.has_partition_key or context.has_partition_key_range:
        return
    chosen = context.job_def.asset_layer.selected_asset_keys
    dated = {key.path[-1]: TABLES[key.path[-1]] for key in chosen if key.path[-1] in TABLES}
    dated = {name: table for name, table in dated.items() if table.partitioned_by}
    tags = due_tags(read_due(postgres, months, dated, datetime.now(ZoneInfo(months.timezone))).months)
    context.instance.add_run_tags(context.run_id, tags)
    known = context.run.tags
    assert isinstance(known, dict)
    known.update(tags)
