"""One asset per declared table: it says what to read, and the IO manager reads and stores it.

Keep out: HTTP and SQL, and anything about one table in particular (`tables`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    CodeReferencesMetadataValue,
    Config,
    FreshnessPolicy,
    LocalFileCodeReference,
    MaterializeResult,
    MetadataValue,
    MonthlyPartitionsDefinition,
    TableColumn,
    TableColumnConstraints,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
    asset,
)
from pydantic import Field

from gazelle_sync.due import settle_months
from gazelle_sync.environment.settings import Settings
from gazelle_sync.gazelle import Snapshot
from gazelle_sync.monitoring.freshness import FRESH_FOR
from gazelle_sync.monitoring.status import read_status
from gazelle_sync.monitoring.status_page import write_page
from gazelle_sync.partitions import days_of
from gazelle_sync.resources import GazelleResource, PostgresResource
from gazelle_sync.tables import TABLES, Table, declaration, dependencies
from gazelle_sync.translations import Speech
from gazelle_sync.warehouse import SCHEMA

KINDS = {"graphql", "postgres"}
# What is read: the account in Gazelle.
GAZELLE = AssetKey("gazelle_api")


class MirrorConfig(Config):
    """What may be chosen when a table is materialized."""

    allow_mass_delete: bool = Field(
        default=False,
        description="Mark any number of records as deleted, once: for the day on which that is right.",
    )


@dataclass(frozen=True)
class Mirror:
    """What the IO manager is given: what to read, and how to treat it."""

    snapshot: Snapshot
    allow_mass_delete: bool


def asset_key(table: str) -> AssetKey:
    return AssetKey([SCHEMA, table])


def make_mirror(table: Table, months: MonthlyPartitionsDefinition) -> AssetsDefinition:
    @asset(
        key=asset_key(table.name),
        deps=dependency_keys(table),
        # Among those that are ready, what others refer to goes first, so that placeholders are rare.
        op_tags={"dagster/priority": str(-list(TABLES).index(table.name))},
        description=table.comment,
        group_name=table.group.value,
        kinds=KINDS,
        metadata={**static_metadata(table), "read": table.every.value},
        freshness_policy=FreshnessPolicy.time_window(fail_window=FRESH_FOR[table.every]),
        partitions_def=months if table.partitioned_by else None,
        # A range of months is one run and one pass over the API.
        backfill_policy=BackfillPolicy.single_run() if table.partitioned_by else None,
        io_manager_key="warehouse",
        output_required=True,
    )
    def mirror(
        context: AssetExecutionContext, config: MirrorConfig, gazelle: GazelleResource, postgres: PostgresResource
    ) -> Mirror:
        if table.partitioned_by:
            settle_months(context, postgres, months)
        return Mirror(
            gazelle.snapshot(table, days_of(context) if table.partitioned_by else None), config.allow_mass_delete
        )

    return mirror


def make_unwanted(table: Table) -> AssetSpec:
    """A table that is off, as what it is: rows that nobody reads anew, and so neither stale nor checked."""
    return AssetSpec(
        asset_key(table.name),
        deps=dependency_keys(table),
        description=f"{table.comment} Off: GAZELLE_TABLES_OFF names it, so it is not read, and keeps what it holds.",
        group_name=table.group.value,
        kinds=KINDS,
        metadata={**static_metadata(table), "read": "never: off"},
    )


def dependency_keys(table: Table) -> list[AssetKey]:
    """What has to be read before. All come from Gazelle: those show it that begin a branch."""
    return [asset_key(parent) for parent in dependencies(table, TABLES)] or [GAZELLE]


def make_source(settings: Settings) -> AssetSpec:
    """Gazelle, as what it is: somebody else's, which is read and never written."""
    return AssetSpec(
        GAZELLE,
        description="The company's account in Gazelle. Its GraphQL API is read, and nothing is ever written there.",
        group_name="gazelle",
        kinds={"graphql"},
        # Of the bundled sandbox there is nothing to look at.
        metadata={} if settings.embedded else {"address": MetadataValue.url(settings.base_url)},
    )


def static_metadata(table: Table) -> dict[str, Any]:
    return {
        "dagster/table_name": f"{SCHEMA}.{table.name}",
        "dagster/column_schema": column_schema(table),
        "dagster/code_references": code_reference(table),
    }


def column_schema(table: Table) -> TableSchema:
    return TableSchema(
        [
            TableColumn(
                column.name,
                column.type.sql,
                column.comment,
                TableColumnConstraints(nullable=column.nullable, unique=(column.name,) == table.key),
            )
            for column in table.all_columns
        ]
    )


def column_lineage(table: Table) -> TableColumnLineage:
    """Which fields of the API each column comes from."""
    return TableColumnLineage(
        {
            column.name: [TableColumnDep(asset_key=GAZELLE, column_name=path) for path in column.paths]
            for column in table.all_columns
        }
    )


def code_reference(table: Table) -> CodeReferencesMetadataValue:
    """The file that declares the table."""
    file = Path(declaration.__file__).with_name(f"{table.name}.py")
    return CodeReferencesMetadataValue(
        code_references=[LocalFileCodeReference(file_path=str(file), line_number=1, label=file.name)]
    )


def make_status_page(settings: Settings) -> AssetsDefinition:
    file = settings.var / "status.html"
    address = MetadataValue.url(f"{settings.ui_url.rstrip('/')}/status")

    @asset(
        key="status_page",
        deps=[asset_key(name) for name in TABLES],
        description="The monitoring page: rows, runs, freshness and rejects. `gazelle-sync dev` serves it, as of the "
        "moment it is opened; a run of this asset writes the same to var/status.html.",
        metadata={"served at": address},
        group_name="monitoring",
        kinds={"html"},
    )
    def status_page(context: AssetExecutionContext, postgres: PostgresResource) -> MaterializeResult[None]:
        status = read_status(postgres.engine(), settings.tables, context.instance, names=settings.status_page_names)
        write_page(file, status, settings.zone, Speech(settings.language))
        return MaterializeResult(
            metadata={
                "served at": address,
                "page": MetadataValue.path(str(file)),
                "open rejects": len(status.rejects),
            }
        )

    return status_page


def mirrors(months: MonthlyPartitionsDefinition, wanted: Mapping[str, Table]) -> list[AssetsDefinition | AssetSpec]:
    return [make_mirror(table, months) if name in wanted else make_unwanted(table) for name, table in TABLES.items()]
