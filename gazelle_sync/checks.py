"""The checks on every table, run after each materialization: the claims of `warehouse`, the count, the age.

A claim that is blocking blocks what is downstream: a table with an id twice would double what joins to it. All
others are said and block nothing. Keep out: SQL (`warehouse.row_checks`), who is told of a failed check (`sensors`).
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    DagsterInstance,
    MetadataValue,
    multi_asset_check,
)

from gazelle_sync import warehouse
from gazelle_sync.assets import asset_key
from gazelle_sync.monitoring.failed_checks import COUNT, REMEDY, WHY
from gazelle_sync.monitoring.freshness import CHECKS as FRESH
from gazelle_sync.monitoring.freshness import find_as_of, is_fresh
from gazelle_sync.redaction import one_line
from gazelle_sync.resources import PostgresResource
from gazelle_sync.tables import Scope, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse import RowCheckResult

logger = logging.getLogger(__name__)

LONGEST_WHY = 300

VANISHED = "few_rows_vanished"
# Checks of what the load itself warns of, in its words.
SAID = (VANISHED, "no_row_is_set_aside")


def make_checks(table: Table, zone: ZoneInfo, history_start: date) -> AssetChecksDefinition:
    claims = {claim.name: claim for claim in warehouse.row_checks(table, zone)}
    key = asset_key(table.name)

    @multi_asset_check(
        name=f"{table.name}_checks",
        specs=[
            *(
                AssetCheckSpec(claim.name, asset=key, description=claim.description, blocking=claim.blocking)
                for claim in claims.values()
            ),
            AssetCheckSpec(
                COUNT, asset=key, description="There are as many records as Gazelle counts, within the scope."
            ),
            AssetCheckSpec(
                FRESH[table.every],
                asset=key,
                description="All that a nightly run reads was read, without a gap, and proved whole.",
            ),
        ],
        # Otherwise materializing one table alone could not leave out the checks of the others.
        can_subset=True,
    )
    def checks(context: AssetCheckExecutionContext, postgres: PostgresResource) -> Iterator[AssetCheckResult]:
        chosen = sorted(each.name for each in context.selected_asset_check_keys)
        try:
            results = [*make_results(context.instance, postgres.engine(), chosen)]
        except Exception as error:  # the load is committed: what can't be checked is said, and blocks nothing
            why = one_line(str(error), (), LONGEST_WHY) or type(error).__name__
            logger.warning("%s", say("not_verified", table=table.name, why=why))
            results = [make_result(table, name, False, {}, why=why) for name in chosen]
        yield from results

    def make_results(
        instance: DagsterInstance, engine: warehouse.Engine, chosen: Sequence[str]
    ) -> Iterator[AssetCheckResult]:
        event = instance.get_latest_materialization_event(key)
        last = event.asset_materialization.metadata if event and event.asset_materialization else {}
        verdicts = warehouse.run_checks(engine, [claims[name] for name in chosen if name in claims])
        for name in chosen:
            if name == COUNT:
                yield compare_count(engine, table, Scope(zone, history_start), last)
            elif name == FRESH[table.every]:
                coverage = warehouse.read_coverage(engine, [table.name])[table.name]
                known, fresh = find_as_of(coverage, datetime.now(zone).date()), is_fresh(table, coverage)
                passed = fresh is True or (fresh is None and is_refused(last))
                read = {"last": str(known or say("never"))}
                at = f"{known:%Y-%m-%d %H:%M}" if known else ""
                why = say("known_as_of", at=at) if known else say("never_whole")
                remedy = say("remedy_stale", table=table.name)
                yield make_result(table, name, passed, read, said=last, why=why, remedy=remedy)
            else:
                verdict = verdicts[name]
                broken, examples = verdict.broken, verdict.examples
                # Those that were held back have not vanished yet, and are more than may.
                if name == VANISHED and "held back" in last and not broken:
                    held_back = last["held back"].value
                    assert isinstance(held_back, list)
                    examples = [str(each) for each in held_back]
                    broken = len(examples)
                found = {"rows": broken, **({"examples": ", ".join(examples)} if examples else {})}
                yield make_result(
                    table,
                    name,
                    broken == 0,
                    found,
                    blocking=claims[name].blocking,
                    said=last if name in SAID else None,
                    why=claims[name].tell_why(RowCheckResult(broken, examples)),
                    remedy=claims[name].tell_remedy(),
                )

    return checks


def is_refused(metadata: Mapping[str, MetadataValue[Any]]) -> bool:
    """Whether Gazelle did not let us read the table, which an account need not have."""
    return "refused" in metadata and metadata["refused"].value is True


def compare_count(
    engine: warehouse.Engine, table: Table, all_history: Scope, metadata: Mapping[str, MetadataValue[Any]]
) -> AssetCheckResult:
    """What Gazelle counted when the table was last read, against what is stored of the same scope."""
    if is_refused(metadata):
        return make_result(table, COUNT, True, {WHY: say("nothing_counted")})
    remedy = say("remedy_count_agrees_with_gazelle", table=table.name)
    if "gazelle_count" not in metadata:
        return make_result(table, COUNT, False, {}, why=say("never_materialized"), remedy=remedy)
    # Before there were `days`, the scope was told as the log has it.
    first, _, last = str(metadata.get("days", metadata["scope"]).value).partition("..")
    scope = Scope(all_history.zone, date.fromisoformat(first), date.fromisoformat(last)) if last else all_history
    counted, stored = metadata["gazelle_count"].value, warehouse.count_rows_in_scope(engine, table, scope)
    found = {"in Gazelle": counted, "here": stored}
    why = say("counted_otherwise", counted=counted, stored=stored)
    return make_result(table, COUNT, counted == stored, found, said=metadata, why=why, remedy=remedy)


def make_result(
    table: Table,
    name: str,
    passed: bool,
    metadata: Mapping[str, Any],
    *,
    blocking: bool = False,
    said: Mapping[str, MetadataValue[Any]] | None = None,
    why: str = "",
    remedy: str = "",
) -> AssetCheckResult:
    """What a check found. Of a failed one also why, in the sentences that the load itself said if it did, and what to
    do."""
    told = dict(metadata)
    if not passed:
        told[WHY] = said["warnings"].value if said and "warnings" in said else why
        told |= {REMEDY: remedy} if remedy else {}
    return AssetCheckResult(
        passed=passed,
        asset_key=asset_key(table.name),
        check_name=name,
        severity=AssetCheckSeverity.ERROR if blocking else AssetCheckSeverity.WARN,
        metadata=told,
    )


def checks(tables: Iterable[Table], zone: ZoneInfo, history_start: date) -> list[AssetChecksDefinition]:
    return [make_checks(table, zone, history_start) for table in tables]
