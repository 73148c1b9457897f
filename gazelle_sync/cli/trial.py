"""What `gazelle-sync check` tries on the account: who asks, the schema, every query; and what a sync will cost.

Keep out: sending (`gazelle.trial`), comparing (`gazelle.preflight`), and what else is looked at (`findings`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from rich.table import Table as Grid

from gazelle_sync import warehouse
from gazelle_sync.cli.findings import PATIENCE, Finding
from gazelle_sync.environment import connections
from gazelle_sync.environment.first_contact import describe_difference
from gazelle_sync.environment.settings import Settings
from gazelle_sync.gazelle import Client
from gazelle_sync.gazelle.estimate import Cost
from gazelle_sync.gazelle.preflight import Difference, Kind, compare, read_schema
from gazelle_sync.gazelle.trial import Conditions, Outcome, Watch, try_tables
from gazelle_sync.partitions import due_range, months
from gazelle_sync.sandbox.schema import schema as published_schema
from gazelle_sync.tables import Scope, Table
from gazelle_sync.tables.declaration import Sizes
from gazelle_sync.translations import Speech

# Seconds. What was sent last has the rest of the minute to come.
TIME = 60.0


@dataclass
class AccountTrial:
    """What was found. `differences` is None where the schema can't be looked at."""

    outcomes: list[Outcome] = field(default_factory=list)
    differences: list[Difference] | None = None
    refused_since: dict[tuple[str, str], date] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)


def try_account(settings: Settings, *, has_database: bool) -> AccountTrial:
    """Tries every query of every wanted table, within a minute and the rate limit. Changes nothing.

    Raises `WarehouseError` where the database can't say what earlier syncs learned.
    """
    trial = AccountTrial()
    known: dict[str, Sizes] = {}
    if has_database:
        engine = connections.make_engine(settings)
        known = warehouse.read_page_sizes(engine) if warehouse.has_table(engine, "page_sizes") else {}
        gone = warehouse.read_refused_fields(engine)
        trial.refused_since = {(each.table, each.field): each.since for each in gone}
    end = time.monotonic() + TIME
    client = connections.make_client(replace(settings, patience=TIME), patience=PATIENCE, observe=trial.watch)
    nightly, whole = find_nightly_scope(settings), Scope(settings.zone, settings.history_start)
    tables = list(settings.tables.values())
    try:
        with quiet():
            trial.differences = find_differences(client, tables, (nightly, whole))
            # On this machine there is nobody to be polite to.
            per_second = float("inf") if settings.embedded else settings.requests_per_second
            conditions = Conditions(client, trial.watch, nightly, whole, per_second, end - PATIENCE, end)
            trial.outcomes += try_tables(tables, known, conditions)
    finally:
        client.close()
    return trial


@contextmanager
def quiet() -> Iterator[None]:
    """What is tried again is no news here: how it ends is told."""
    logger = logging.getLogger("gazelle_sync.gazelle")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def find_nightly_scope(settings: Settings) -> Scope:
    """What a night reads of a dated table that was read before."""
    partitions = months(settings.history_start, settings.zone)
    due = due_range(partitions, datetime.now(settings.zone).date(), None)
    first, last = (partitions.time_window_for_partition_key(key) for key in (due.start, due.end))
    return Scope(settings.zone, first.start.date(), last.end.date())


def find_differences(client: Client, tables: Iterable[Table], scopes: tuple[Scope, ...]) -> list[Difference] | None:
    """None where the schema can't be looked at."""
    live = read_schema(client)
    if live is None:
        return None
    published = published_schema()
    return [each for table in tables for each in compare(live, published, table, scopes)]


# -- what is said of it -----------------------------------------------------------------------------------------------


def list_findings(trial: AccountTrial, say: Speech) -> Iterator[Finding]:
    """The schema, the queries, and each thing that is missing or wrong."""
    what = say("check_schema")
    harmful = [each for each in trial.differences or () if not is_harmless(each, trial)]
    if trial.differences is None:
        yield Finding(what, True, say("schema_hidden"))
    elif harmful:
        yield Finding(what, False, say("schema_differs", count=len(harmful)))
    else:
        yield Finding(what, True, say("schema_as_known"))
    sent = sum(len(outcome.answers) for outcome in trial.outcomes)
    bad = [outcome.table.name for outcome in trial.outcomes if not outcome.is_good]
    text = say("queries_bad", count=sent, tables=", ".join(bad)) if bad else say("queries_good", count=sent)
    yield Finding(say("check_queries"), bool(sent) and not bad, text)
    for outcome in trial.outcomes:
        for told in tell_faults(outcome, trial, say):
            yield Finding(outcome.table.name, False, told)
    for each in trial.differences or ():
        if not is_gap_of(each, trial):
            yield Finding(each.table, is_harmless(each, trial), describe_difference(each))


def tell_faults(outcome: Outcome, trial: AccountTrial, say: Speech) -> Iterator[str]:
    for gap in outcome.gaps:
        since = trial.refused_since.get((outcome.table.name, gap.field), datetime.now().astimezone().date())
        name = "field_refused" if gap.columns else "argument_refused"
        yield say(name, field=gap.field, since=since, columns=", ".join(gap.columns))
    if outcome.is_misleading:
        yield say("listed_but_gone")
    if outcome.error:
        yield say("table_refused", why=outcome.error) if outcome.is_refused else str(outcome.error)
    if not outcome.is_finished:
        yield say("time_is_up")


def is_harmless(difference: Difference, trial: AccountTrial) -> bool:
    """Whether it costs nothing: a value that may be null now, in columns that may be."""
    if difference.kind is not Kind.NULLABLE or not difference.columns:
        return False
    table = next(each.table for each in trial.outcomes if each.table.name == difference.table)
    declared = {column.name: column for column in table.all_columns}
    return all(name in declared and declared[name].nullable for name in difference.columns)


def is_gap_of(difference: Difference, trial: AccountTrial) -> bool:
    """Whether a query met it as well, so that it is told already."""
    name = difference.name.rpartition(".")[2]
    return any(
        outcome.table.name == difference.table and any(gap.field.rpartition(".")[2] == name for gap in outcome.gaps)
        for outcome in trial.outcomes
    )


def make_table(trial: AccountTrial, say: Speech) -> Grid:
    """What there is, and what a sync will ask for, table by table."""
    grid = Grid(box=None, header_style="bold", pad_edge=False, show_footer=True)
    outcomes = trial.outcomes
    nightly = sum((outcome.nightly for outcome in outcomes if outcome.nightly), Cost(0, 0.0))
    full = sum((outcome.full for outcome in outcomes if outcome.full), Cost(0, 0.0))
    totals = ("", "", "", *tell_cost(nightly, say), *tell_cost(full, say))
    grid.add_column(say("table"), say("in_all"), no_wrap=True)
    names = ("records", "page", "page_seconds", "night_requests", "night_minutes", "full_requests", "full_minutes")
    for name, total in zip(names, totals, strict=True):
        grid.add_column(say(name), total, justify="right", max_width=10)
    for outcome in outcomes:
        mark = "[green]✓[/]" if outcome.is_good else "[red]✗[/]"
        about = "≈" if outcome.is_estimate else ""
        grid.add_row(
            f"{mark} {outcome.table.name}",
            "" if outcome.records is None else f"{about}{outcome.records}",
            "" if outcome.page is None else str(outcome.page),
            "" if outcome.seconds is None else say.number(outcome.seconds, 2),
            *tell_cost(outcome.nightly, say),
            *tell_cost(outcome.full, say),
        )
    return grid


def tell_cost(cost: Cost | None, say: Speech) -> tuple[str, str]:
    return ("", "") if cost is None else (str(cost.requests), say.number(cost.seconds / 60, 1))
