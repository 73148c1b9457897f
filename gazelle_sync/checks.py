"""The checks on every table, run after each materialization: the claims of `warehouse`, the count, the age.

A claim that is vital blocks what is downstream: a table with an id twice would double what joins to it. All
others are said and block nothing. Keep out: SQL (`warehouse.claims`), who is told of a failed check (`sensors`).
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    multi_asset_check,
)

from gazelle_sync import warehouse
from gazelle_sync.assets import asset_key
from gazelle_sync.page import FRESH_FOR
from gazelle_sync.resources import PostgresResource
from gazelle_sync.tables import TABLES, Scope, Table

COUNT = "count_agrees_with_gazelle"
FRESH = "read_within_26_hours"


def checks_of(table: Table, zone: ZoneInfo, history_start: date) -> AssetChecksDefinition:
    claims = {claim.name: claim for claim in warehouse.claims(table, zone)}
    key = asset_key(table.name)

    @multi_asset_check(
        name=f"{table.name}_checks",
        specs=[
            *(
                AssetCheckSpec(claim.name, asset=key, description=claim.description, blocking=claim.vital)
                for claim in claims.values()
            ),
            AssetCheckSpec(
                COUNT, asset=key, description="There are as many records as Gazelle counts, within the scope."
            ),
            AssetCheckSpec(
                FRESH, asset=key, description="A load that covered its own day was made; an old month's is none."
            ),
        ],
        # Otherwise materializing one table alone could not leave out the checks of the others.
        can_subset=True,
    )
    def checks(context: AssetCheckExecutionContext, postgres: PostgresResource) -> Iterator[AssetCheckResult]:
        engine = postgres.engine()
        chosen = sorted(each.name for each in context.selected_asset_check_keys)
        verdicts = warehouse.tested(engine, [claims[name] for name in chosen if name in claims])
        for name in chosen:
            if name == COUNT:
                yield count_result(context, engine, table, Scope(zone, history_start))
            elif name == FRESH:
                covered = warehouse.last_covered(engine, [table.name])
                fresh = covered is not None and datetime.now(timezone.utc) - covered <= FRESH_FOR
                yield result(table, FRESH, fresh, {"last": str(covered or "never")})
            else:
                verdict = verdicts[name]
                found = {"rows": verdict.broken, "examples": ", ".join(verdict.examples)}
                yield result(table, name, verdict.broken == 0, found, claims[name].vital)

    return checks


def count_result(
    context: AssetCheckExecutionContext, engine: warehouse.Engine, table: Table, all_history: Scope
) -> AssetCheckResult:
    """What Gazelle counted when the table was last read, against what is stored of the same scope."""
    event = context.instance.get_latest_materialization_event(asset_key(table.name))
    metadata = event.asset_materialization.metadata if event and event.asset_materialization else {}
    if "gazelle_count" not in metadata:
        return result(table, COUNT, False, {"why": "the table was never materialized"})
    first, _, last = str(metadata["scope"].value).partition("..")
    scope = Scope(all_history.zone, date.fromisoformat(first), date.fromisoformat(last)) if last else all_history
    counted, stored = metadata["gazelle_count"].value, warehouse.rows_in_scope(engine, table, scope)
    return result(table, COUNT, counted == stored, {"in Gazelle": counted, "here": stored})


def result(table: Table, name: str, passed: bool, metadata: Mapping[str, Any], vital: bool = False) -> AssetCheckResult:
    return AssetCheckResult(
        passed=passed,
        asset_key=asset_key(table.name),
        check_name=name,
        severity=AssetCheckSeverity.ERROR if vital else AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def checks(zone: ZoneInfo, history_start: date) -> list[AssetChecksDefinition]:
    return [checks_of(table, zone, history_start) for table in TABLES.values()]
