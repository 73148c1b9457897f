"""The views over the tables as assets, and their checks. All are looked at in one step: there is nothing to load.

Keep out: SQL (`warehouse.views`), how a view is made (`warehouse.view_migrations`), the tables' assets (`assets`).
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    CodeReferencesMetadataValue,
    LocalFileCodeReference,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
    multi_asset,
    multi_asset_check,
)

from gazelle_sync import warehouse
from gazelle_sync.assets import asset_key
from gazelle_sync.monitoring.failed_checks import REMEDY, WHY
from gazelle_sync.resources import PostgresResource
from gazelle_sync.tables import Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse import VIEWS, View, views

KINDS = {"postgres", "view"}


def find_shown(read: Collection[str], wanted: Collection[str]) -> list[str]:
    """The views that are worth a look after these tables were read: those of which all tables were, off ones aside."""
    return [name for name, view in VIEWS.items() if not is_off(view, wanted) and {*view.tables} & {*wanted} <= {*read}]


def is_off(view: View, wanted: Collection[str]) -> bool:
    """Whether the table that its rows are of is not read."""
    return view.tables[0] not in wanted


def describe_missing(view: View) -> str:
    return say("view_is_not_there", view=f"{warehouse.SCHEMA}.{view.name}")


def make_spec(view: View, wanted: Collection[str], zone: ZoneInfo) -> AssetSpec:
    off = [name for name in view.tables if name not in wanted]
    told = f" Off, by GAZELLE_TABLES_OFF, and shown as it was read last: {', '.join(off)}." if off else ""
    file = Path(views.__file__).with_name(f"{view.name}.py")
    return AssetSpec(
        asset_key(view.name),
        deps=[asset_key(name) for name in view.tables],
        description=view.comment + told,
        # Together: most read tables of several groups, and the graph of the groups would go round in circles.
        group_name="views",
        kinds=KINDS,
        metadata={
            "dagster/table_name": f"{warehouse.SCHEMA}.{view.name}",
            "dagster/column_schema": TableSchema(
                [TableColumn(column.name, column.type, column.comment) for column in view.columns]
            ),
            "dagster/code_references": CodeReferencesMetadataValue(
                code_references=[LocalFileCodeReference(file_path=str(file), line_number=1, label=file.name)]
            ),
            "a query to begin with": MetadataValue.md(f"```sql\n{views.in_zone(view.example, zone)}\n```"),
        },
    )


def column_lineage(view: View) -> TableColumnLineage:
    """Which columns of the tables are shown as they are."""
    return TableColumnLineage(
        {
            column.name: [TableColumnDep(asset_key(table), name)]
            for column in view.columns
            for table, _, name in [column.of.partition(".")]
            if name
        }
    )


def make_view_assets(wanted: Mapping[str, Table], zone: ZoneInfo) -> list[AssetsDefinition | AssetSpec]:
    """A view over a table that is off is shown as what it is: nothing that a run looks at."""
    unread: list[AssetsDefinition | AssetSpec] = [
        make_spec(view, wanted, zone) for view in VIEWS.values() if is_off(view, wanted)
    ]
    if len(unread) == len(VIEWS):
        return unread

    @multi_asset(
        name="views",
        specs=[make_spec(view, wanted, zone) for view in VIEWS.values() if not is_off(view, wanted)],
        can_subset=True,
    )
    def look_at_views(context: AssetExecutionContext, postgres: PostgresResource) -> Iterator[MaterializeResult[None]]:
        chosen = [VIEWS[key.path[-1]] for key in sorted(context.selected_asset_keys)]
        rows = warehouse.count_view_rows(postgres.engine(), chosen)
        for view in chosen:
            # One that gave nothing would keep the others from being checked.
            found: dict[str, int | str | TableColumnLineage] = {"dagster/column_lineage": column_lineage(view)}
            if view.name in rows:
                found["dagster/row_count"] = rows[view.name]
            else:
                found["left out"] = why = describe_missing(view)
                context.log.warning(why)
            yield MaterializeResult(asset_key=asset_key(view.name), metadata=found)

    return [look_at_views, *unread]


def make_view_checks(wanted: Mapping[str, Table], zone: ZoneInfo) -> list[AssetChecksDefinition]:
    claims = {
        (view.name, claim.name): claim
        for view in VIEWS.values()
        if not is_off(view, wanted)
        for claim in warehouse.view_checks(view, zone)
    }
    if not claims:
        return []

    @multi_asset_check(
        name="views_checks",
        specs=[
            AssetCheckSpec(name, asset=asset_key(view), description=claim.description)
            for (view, name), claim in claims.items()
        ],
        can_subset=True,
    )
    def checks(context: AssetCheckExecutionContext, postgres: PostgresResource) -> Iterator[AssetCheckResult]:
        chosen = sorted((each.asset_key.path[-1], each.name) for each in context.selected_asset_check_keys)
        engine = postgres.engine()
        there = warehouse.count_view_rows(engine, [VIEWS[name] for name in dict(chosen)])
        # Before any is told of: what Dagster has been told stands in its records with the next that it is told.
        results = {
            view: warehouse.run_checks(engine, [claims[each] for each in chosen if each[0] == view]) for view in there
        }
        for view, name in chosen:
            if view in results:
                result = results[view][name]
                passed = result.broken == 0
                found: dict[str, int | str] = {"rows": result.broken}
                if not passed:
                    claim = claims[view, name]
                    found |= {"examples": ", ".join(result.examples), WHY: claim.tell_why(result)}
                    found[REMEDY] = claim.tell_remedy()
            else:
                passed, found = False, {WHY: describe_missing(VIEWS[view])}
            yield AssetCheckResult(
                passed=passed,
                asset_key=asset_key(view),
                check_name=name,
                severity=AssetCheckSeverity.WARN,
                metadata=found,
            )

    return [checks]
