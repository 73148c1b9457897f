"""`gazelle-sync sync`: runs the job in this process, and sums it up. Keep out: the run (`job_run`)."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Column, Table

from gazelle_sync.cli.command import DATE, configured, freeze_imports, how_to_run, make_screen
from gazelle_sync.cli.telling import tell, tell_of_failure
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import Speech

if TYPE_CHECKING:
    from gazelle_sync.cli.job_run import Outcome

COUNTS = ("fetched", "inserted", "updated", "unchanged", "rejected")
COLOURS = {"error": "red", "warning": "yellow"}


@click.command()
@click.option("--full", is_flag=True)
@click.option("--table", "tables", multiple=True)
@click.option("--from", "first", type=DATE)
@click.option("--to", "last", type=DATE)
@click.option("--allow-mass-delete", is_flag=True)
@click.option("--if-due", is_flag=True)
@configured
def sync(
    settings: Settings,
    say: Speech,
    full: bool,
    tables: tuple[str, ...],
    first: datetime | None,
    last: datetime | None,
    allow_mass_delete: bool,
    if_due: bool,
) -> int:
    began = time.monotonic()
    check_tables(settings, say, tables)
    days = parse_days(say, full, first, last, tables)
    plain = not (full or tables or days)
    if if_due and not plain:
        raise Misconfigured(say("if_due_alone"))
    console = make_screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    with tell_of_failure(settings):
        # Ends before the bars: one that is drawn around others stays on the screen, above the last lines.
        with console.status(say("preparing")) if console.is_terminal else nullcontext():
            with freeze_imports():
                from gazelle_sync.cli import job_run  # noqa: PLC0415
                from gazelle_sync.cli.progress import show_progress  # noqa: PLC0415
                from gazelle_sync.environment.connections import check_var  # noqa: PLC0415
            check_var(settings)
            if if_due and not job_run.is_due(datetime.now(settings.zone)):
                console.print(say("not_due"))
                return 0
            due = job_run.find_due(tables, full=full, days=days)
        with show_progress(console, say):
            read = job_run.describe_read(tables, full=full, days=days)
            # A person at a terminal is no timer: nobody waits for this run's sign of life.
            is_by_hand = sys.stdin is not None and sys.stdin.isatty() and not if_due
            nightly = plain and not is_by_hand
            outcome = job_run.run_job(due, read=read, nightly=nightly, allow_mass_delete=allow_mass_delete)
        show_outcome(console, outcome, say)
        warned = bool(outcome.failed_checks) or any(line["status"] == "warning" for line in outcome.log)
        ended = "failed" if not outcome.success else "done_with_warnings" if warned else "done"
        console.print(say(ended, time=say.duration(time.monotonic() - began)))
        # A cron's log needs no advice.
        if outcome.success and (console.is_terminal or settings.embedded):
            for text, command in (("next_browser", "dev"), ("next_data", "psql")):
                console.print(say(text, command=how_to_run(command)), markup=False, highlight=False, soft_wrap=True)
    tell(settings, interrupted=outcome.interrupted)
    return 0 if outcome.success else 1


def check_tables(settings: Settings, say: Speech, tables: Sequence[str]) -> None:
    """Raises `Misconfigured` for names that can't be synced."""
    if unknown := sorted(set(tables) - set(TABLES)):
        raise Misconfigured(say("no_such_table", names=", ".join(unknown), tables=", ".join(TABLES)))
    if off := [name for name in tables if name in settings.tables_off]:
        raise Misconfigured(say("table_is_off", names=", ".join(off)))


def parse_days(
    say: Speech, full: bool, first: datetime | None, last: datetime | None, tables: Sequence[str]
) -> tuple[date, date] | None:
    """Raises `Misconfigured` for an invalid range, and for tables that it says nothing about."""
    if first is None and last is None:
        return None
    if full:
        raise Misconfigured(say("full_and_days"))
    if first is None or last is None:
        raise Misconfigured(say("half_a_range"))
    if first > last:
        raise Misconfigured(say("range_backwards"))
    if undated := [name for name in dict.fromkeys(tables) if not TABLES[name].partitioned_by]:
        dated = ", ".join(name for name, table in TABLES.items() if table.partitioned_by)
        raise Misconfigured(say("tables_without_date", count=len(undated), names=", ".join(undated), dated=dated))
    return first.date(), last.date()


def show_outcome(console: Console, outcome: Outcome, say: Speech) -> None:
    console.print(make_summary(outcome, say))
    for line in outcome.log:
        if line["deleted"] or line["restored"]:
            console.print(say("gone", table=line["table_name"], deleted=line["deleted"], restored=line["restored"]))
        if line["filled"]:
            console.print(say("filled_rows", table=line["table_name"], filled=line["filled"]))
    for (why, style), names in group_reasons(outcome).items():
        console.print(f"{', '.join(names)}{say('colon')}{why}", markup=False, style=style)
    for check in outcome.failed_checks:
        console.print(f"{check.table}{say('colon')}{check.text}", markup=False, style="yellow")
    if outcome.not_looked_at:
        console.print(say("not_looked_at", why=outcome.not_looked_at), markup=False, style="yellow")


def group_reasons(outcome: Outcome) -> dict[tuple[str, str], list[str]]:
    """What went wrong, and the colour to say it in, with the tables it went wrong for: a wrong key fails many alike."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for line in outcome.log:
        if line["error"]:
            style = "red" if line["status"] == "error" else "yellow"
            reasons.setdefault((line["error"], style), []).append(line["table_name"])
    for about, why in outcome.failures.items():
        reasons.setdefault((why, "red"), []).append(about)
    return reasons


def make_summary(outcome: Outcome, say: Speech) -> Table:
    # In 80 columns, with every name whole.
    table = Table(
        Column(say("table"), no_wrap=True), box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in (*COUNTS, "time"):
        table.add_column(say(name), justify="right")
    table.add_column(say("status"))
    for line in outcome.log:
        table.add_row(
            line["table_name"],
            *(str(line[name]) for name in COUNTS),
            say.duration(line["seconds"]),
            say(line["status"]),
            style=COLOURS.get(line["status"], ""),
        )
    for names, status, style in ((outcome.unknown, "error", "red"), (outcome.not_run, "skipped", "dim")):
        for name in names:
            table.add_row(name, *[""] * (len(COUNTS) + 1), say(status), style=style)
    return table
