"""`gazelle-sync sync`: runs the job in this process, and sums it up. Keep out: the run (`job_run`)."""

from __future__ import annotations

import sys
from datetime import date, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from gazelle_sync.cli.command import DATE, configured, freeze_imports, make_screen
from gazelle_sync.cli.telling import tell, tell_of_failure
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.translations import Speech

if TYPE_CHECKING:
    from gazelle_sync.cli.job_run import Outcome

COUNTS = ("fetched", "inserted", "updated", "unchanged", "rejected")


@click.command()
@click.option("--full", is_flag=True, help="All history.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only this table; may be given again.")
@click.option("--from", "first", type=DATE, help="Of the dated tables, only the months from this business day ...")
@click.option("--to", "last", type=DATE, help="... to this one.")
@click.option("--allow-mass-delete", is_flag=True, help="Mark any number of records as deleted, once.")
@click.option("--if-due", is_flag=True, help="Only if every table was not read yet since it was last 02:00.")
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
    """Mirrors every table, as the daily schedule does."""
    with tell_of_failure(settings), freeze_imports():
        from gazelle_sync.cli import job_run  # noqa: PLC0415
        from gazelle_sync.cli.progress import show_progress  # noqa: PLC0415
        from gazelle_sync.tables import TABLES  # noqa: PLC0415

    days = parse_days(full, first, last)
    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise Misconfigured(f"There is no table {', '.join(unknown)}. There are {', '.join(TABLES)}.")
    console = make_screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    if off := [name for name in tables if name in settings.tables_off]:
        raise Misconfigured(say("table_is_off", names=", ".join(off)))
    plain = not (full or tables or days)
    if if_due and not plain:
        raise Misconfigured("--if-due is for the nightly run: leave out --full, --table, --from and --to.")
    with tell_of_failure(settings):
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
    tell(settings, interrupted=outcome.interrupted)
    return 0 if outcome.success else 1


def show_outcome(console: Console, outcome: Outcome, say: Speech) -> None:
    console.print(make_summary(outcome, say))
    for line in outcome.log:
        if line["deleted"] or line["restored"]:
            console.print(say("gone", table=line["table_name"], deleted=line["deleted"], restored=line["restored"]))
        if line["filled"]:
            console.print(say("filled_rows", table=line["table_name"], filled=line["filled"]))
    for (why, style), names in group_reasons(outcome).items():
        console.print(f"{', '.join(names)}: {why}", markup=False, style=style)
    if outcome.not_looked_at:
        console.print(say("not_looked_at", why=outcome.not_looked_at), markup=False, style="yellow")
    warned = any(line["status"] == "warning" for line in outcome.log)
    console.print(say("failed" if not outcome.success else "done_with_warnings" if warned else "done"))


def parse_days(full: bool, first: datetime | None, last: datetime | None) -> tuple[date, date] | None:
    """Raises `Misconfigured` for an invalid range."""
    if first is None and last is None:
        return None
    if full:
        raise Misconfigured("--full reads all history: leave out --from and --to.")
    if first is None or last is None:
        raise Misconfigured("--from and --to go together: give both.")
    if first > last:
        raise Misconfigured("--from is later than --to.")
    return first.date(), last.date()


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
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(say("table"))
    for name in (*COUNTS, "seconds"):
        table.add_column(say(name), justify="right")
    table.add_column(say("status"))
    for line in outcome.log:
        table.add_row(
            line["table_name"],
            *(str(line[name]) for name in COUNTS),
            f"{line['seconds']:.1f}",
            say(line["status"]),
            style={"error": "red", "warning": "yellow"}.get(line["status"], ""),
        )
    for names, status, style in ((outcome.unknown, "error", "red"), (outcome.not_run, "skipped", "dim")):
        for name in names:
            table.add_row(name, *[""] * (len(COUNTS) + 1), say(status), style=style)
    return table
