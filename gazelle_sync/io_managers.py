"""The Postgres IO manager: an asset's rows into the warehouse, and a table back out as a DataFrame.

Keep out: SQL (`warehouse`), and what is read (`assets`).
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pandas
from dagster import (
    ConfigurableIOManager,
    DataVersion,
    InputContext,
    MetadataValue,
    MonthlyPartitionsDefinition,
    OutputContext,
    ResourceDependency,
    RetryRequested,
    TableColumn,
    TableMetadataValue,
    TableRecord,
    TableSchema,
)

from gazelle_sync import warehouse
from gazelle_sync.assets import Mirror, column_lineage
from gazelle_sync.gazelle import GazelleError, Unavailable
from gazelle_sync.partitions import days_in, note_last_day
from gazelle_sync.redaction import one_line
from gazelle_sync.resources import PostgresResource
from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)

# Below var/: how far ahead each dated table's records are.
LAST_DAYS = "last_days"
LONGEST_WHY = 300
# Seconds until a long list, of which a part failed, is read on.
PAUSE = 30
# Records that the UI shows of those that were held back.
MOST_SHOWN = 50


class PostgresIOManager(ConfigurableIOManager):
    """Stores what a mirror's asset reads; `load_input` gives a downstream asset the table."""

    postgres: ResourceDependency[PostgresResource]

    def handle_output(self, context: OutputContext, obj: Mirror) -> None:
        table, began = obj.snapshot.table, datetime.now(timezone.utc)
        try:
            engine, seen = self.postgres.open_for(obj.snapshot.client)
        except GazelleError as error:
            engine, scope = self.postgres.migrate(), warehouse.scope_of(obj.snapshot)
            warehouse.record_failure(
                engine, run_id=context.run_id, table=table.name, scope=scope, started=began, error=error
            )
            raise
        if known := self.postgres.page_sizes().get(table.name):
            obj.snapshot.recall(known)
        if seen.locale:
            obj.snapshot.prefer(seen.locale)
        try:
            report = warehouse.load(
                engine,
                obj.snapshot,
                run_id=context.run_id,
                allow_mass_delete=obj.allow_mass_delete,
                blind_spot=seen.blind_spot,
            )
        except Unavailable as error:
            if context.step_context.previous_attempt_count or not obj.snapshot.cut.is_kept:
                raise
            # Most of a long list is there. Once, and soon: what was read gets older.
            context.log.warning(say("read_again_soon", table=table.name, why=error, seconds=PAUSE))
            raise RetryRequested(max_retries=1, seconds_to_wait=PAUSE) from error
        obj.snapshot.cut.forget()
        for warning in report.warnings:
            context.log.warning(f"{report.table}: {warning}")
        # Dagster would take every load for a change, and all that is read after this table for out of date.
        context.step_context.set_data_version(context.asset_key, DataVersion(report.version))
        decoration: dict[str, Any] = {}
        try:
            if last := warehouse.read_last_day(engine, table):
                note_last_day(self.postgres.settings().var / LAST_DAYS, table.name, last)
            decoration = make_decoration(engine, table, context.run_id if report.has_changed else None)
        except Exception as error:  # the load is committed, and this only decorates it
            why = one_line(str(error), (), LONGEST_WHY) or type(error).__name__
            logger.warning("%s", say("sample_not_read", table=table.name, why=why))
        context.add_output_metadata(
            {
                "dagster/row_count": report.rows,
                "scope": warehouse.describe_scope(report.scope, say),
                # The same as the log has it, for the check of the count.
                "days": report.scope,
                "status": report.status,
                "refused": report.refused,
                "gazelle_count": report.expected,
                "fetched": report.fetched,
                "inserted": report.inserted,
                "updated": report.updated,
                "filled": report.filled,
                "unchanged": report.unchanged,
                "deleted": report.deleted,
                "restored": report.restored,
                "rejected": report.rejected,
                "api_requests": report.api_requests,
                "api_retries": report.api_retries,
                "page_sizes": ", ".join(map(str, report.page_sizes)) or "-",
                **({"warnings": "\n".join(report.warnings)} if report.warnings else {}),
                # For the check that few vanish.
                **({"held back": MetadataValue.json(report.held_back[:MOST_SHOWN])} if report.held_back else {}),
                "seconds": round(report.seconds, 3),
            }
        )
        self.add_at_length(
            context,
            {
                "dagster/column_lineage": column_lineage(table),
                **decoration,
                "what changed": MetadataValue.md(f"```sql\n{warehouse.changes_query(context.run_id, table.name)}\n```"),
            },
        )

    @staticmethod
    def add_at_length(context: OutputContext, metadata: Mapping[str, Any]) -> None:
        """Adds what is long, and the same for each month, to the last month only: it is the one that an asset's page
        shows. Each event of a month is stored with all that it has."""
        if context.has_asset_partitions:
            last = context.asset_partition_key_range.end
            context.step_context.add_asset_metadata(metadata, context.asset_key, last)
        else:
            context.add_output_metadata(metadata)

    def load_input(self, context: InputContext) -> pandas.DataFrame:
        """The table of the upstream asset with all its columns, those that people added too.

        Of a dated table, the rows of the partitions that are asked for; all of them are every row.
        """
        table = TABLES[context.asset_key.path[-1]]
        scope = None
        if table.partitioned_by and context.has_asset_partitions:
            months = context.asset_partitions_def
            assert isinstance(months, MonthlyPartitionsDefinition)
            days = days_in(months, context.asset_partition_key_range)
            scope = Scope(ZoneInfo(months.timezone), *days) if days else None
        return warehouse.read(self.postgres.engine(), table, scope)


def make_decoration(engine: warehouse.Engine, table: Table, run_id: str | None) -> dict[str, Any]:
    """What a run changed, None if nothing, and a few rows, as metadata. Raises `WarehouseError`."""
    changes, count = warehouse.read_changes(engine, {table.name: table}, run_id=run_id) if run_id else ([], 0)
    sample = warehouse.read_sample(engine, table)
    records = [TableRecord({str(name): to_cell(value) for name, value in row.items()}) for _, row in sample.iterrows()]
    return {
        **({"changes": tabulate(changes)} if changes else {}),
        **({"changes shown": f"{len(changes)}/{count}"} if len(changes) < count else {}),
        "sample": MetadataValue.table(records, TableSchema([TableColumn(str(name)) for name in sample.columns])),
    }


def tabulate(changes: Sequence[warehouse.Change]) -> TableMetadataValue:
    """A line for each column that changed, as before → after."""
    lines: list[dict[str, str | int | float | bool | None]] = []
    for change in changes:
        told = {"record": change.external_id, "change": say(f"change_{change.change}")}
        # What is left of a change of personal columns alone is that there was one.
        for column, (old, new) in change.columns.items() or [("", (None, None))]:
            lines.append({**told, "column": column, "before": to_cell(old), "after": to_cell(new)})
    names = ("record", "change", "column", "before", "after")
    return MetadataValue.table(
        [TableRecord(line) for line in lines], TableSchema([TableColumn(name) for name in names])
    )


def to_cell(value: object) -> str | int | float | bool | None:
    """A value as Dagster's tables take it."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
