"""The checks that failed when they were made last, each in the words that its run told: reason, ids, and what to do.

Keep out: what is checked (`checks`, `view_assets`), and where it is said (`status_page`, `incidents`, `cli`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey, DagsterEventType, DagsterInstance, MetadataValue

from gazelle_sync import warehouse
from gazelle_sync.monitoring.freshness import CHECKS
from gazelle_sync.tables import Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse import VIEWS

logger = logging.getLogger(__name__)

COUNT = "count_agrees_with_gazelle"
# What a check tells, in its metadata.
WHY, REMEDY = "why", "what to do"


class FailedCheck(NamedTuple):
    """A check of a table or a view. `why` is the reason alone, `text` also what to do."""

    table: str
    check: str
    why: str
    text: str


def tell_check(metadata: Mapping[str, MetadataValue]) -> str:
    """The reason and what to do, as sentences; empty for a check that tells no reason."""
    if WHY not in metadata:
        return ""
    told = [str(metadata[name].value) for name in (WHY, REMEDY) if name in metadata]
    return " ".join(text if text.endswith((".", "…", "!", "?")) else f"{text}." for text in told)


def list_failed(evaluations: Iterable[AssetCheckEvaluation]) -> list[FailedCheck]:
    """Those that failed and tell why. What is not fresh is told as that."""
    return [
        FailedCheck(each.asset_key.path[-1], each.check_name, str(each.metadata[WHY].value), text)
        for each in evaluations
        if not each.passed and each.check_name not in CHECKS.values() and (text := tell_check(each.metadata))
    ]


def find_failed_checks(instance: DagsterInstance, tables: Mapping[str, Table]) -> list[FailedCheck]:
    """Of these tables, and the views. None of them, with a warning in the log, where the records can't be read."""
    any_zone = ZoneInfo("UTC")
    names = [(name, check.name) for name, table in tables.items() for check in warehouse.row_checks(table, any_zone)]
    names += [(name, COUNT) for name in tables]
    names += [(name, check.name) for name, view in VIEWS.items() for check in view.all_agreements]
    keys = [AssetCheckKey(AssetKey([warehouse.SCHEMA, asset]), check) for asset, check in names]
    try:
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    except Exception as error:
        logger.warning("%s", say("runs_unreadable", why=type(error).__name__))
        return []
    events = [found[key].event for key in keys if key in found]
    told = [event.dagster_event for event in events if event and event.dagster_event]
    made = [event for event in told if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION]
    return list_failed(event.asset_check_evaluation_data for event in made)


def leave_out_told(checks: Iterable[FailedCheck], told: Mapping[str, str | None]) -> list[FailedCheck]:
    """Without those whose reason the table's load has told itself."""
    return [each for each in checks if each.why != told.get(each.table)]
