"""The command `gazelle-sync`. It says what happens; what happens is done elsewhere.

Exit codes: 0 done, warnings included; 1 failed; 2 misconfigured. Keep out: HTTP, SQL, what a run does.
Dagster and the rest are imported by the commands that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gazelle_sync import environment
from gazelle_sync.environment import Misconfigured, Settings
from gazelle_sync.language import Speech

if TYPE_CHECKING:
    from gazelle_sync.page import Overview

DAY = click.DateTime(["%Y-%m-%d"])
PORT = click.IntRange(1, 65535)
COUNTS = ("fetched", "inserted", "updated", "unchanged", "rejected")


@contextmanager
def for_good() -> Iterator[None]:
    """While modules are imported: they are there to stay, and need not be looked through for garbage, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def configured(command: Callable[..., int | None]) -> Callable[..., None]:
    """Gives a command the settings and the speech; ends it with its exit code, and never with a traceback
    for what a person can put right."""

    @wraps(command)
    def run(**options: Any) -> None:
        with for_good():
            from gazelle_sync.gazelle import GazelleError  # noqa: PLC0415
            from gazelle_sync.warehouse import WarehouseError  # noqa: PLC0415

        # Paths in dagster.yaml, and the default of GAZELLE_TOKEN_FILE, are meant from here.
        context = click.get_current_context()
        context.obj = Path.cwd()
        os.chdir(environment.ROOT)
        # What a service manager sends ends a command as Ctrl-C does: in order. A shell's background job ignores
        # the latter, and so would Dagster's processes, which take their handling of both from it.
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.default_int_handler)
        # What a terminal has no sign for, such as ✓, is a question mark there, and not the end.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            environment.load()
            settings = environment.settings()
            code = command(settings=settings, say=Speech(settings.language), **options)
        except Misconfigured as error:
            click.echo(f"gazelle-sync: {error}", err=True)
            code = 2
        except (GazelleError, WarehouseError) as error:
            click.echo(f"gazelle-sync: {error}", err=True)
            code = 1
        sys.exit(code or 0)

    return run


def started_in() -> Path:
    """The folder that the command was started in, where the files that a person names are."""
    folder: Path = click.get_current_context().obj
    return folder


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Mirrors a Gazelle account into PostgreSQL."""


@main.command()
@click.option("--full", is_flag=True, help="All history.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only this table; may be given again.")
@click.option("--from", "first", type=DAY, help="Of the dated tables, only the months from this business day ...")
@click.option("--to", "last", type=DAY, help="... to this one.")
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
    with for_good():
        from gazelle_sync import runs  # noqa: PLC0415
        from gazelle_sync.progress import shown  # noqa: PLC0415
        from gazelle_sync.tables import TABLES  # noqa: PLC0415

    days = days_given(full, first, last)
    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise Misconfigured(f"There is no table {', '.join(unknown)}. There are {', '.join(TABLES)}.")
    console = screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    plain = not (full or tables or days)
    if if_due and not plain:
        raise Misconfigured("--if-due is for the nightly run: leave out --full, --table, --from and --to.")
    if if_due and not runs.due(datetime.now(settings.zone)):
        console.print(say("not_due"))
        return 0
    months = runs.months_to_read(full=full, days=days)
    with shown(console, say):
        outcome = runs.run(tables, months, nightly=plain, allow_mass_delete=allow_mass_delete)
    console.print(summary(outcome.log, outcome.not_run, say))
    for line in outcome.log:
        if line["deleted"] or line["restored"]:
            console.print(say("gone", table=line["table_name"], deleted=line["deleted"], restored=line["restored"]))
        if line["error"]:
            style = "red" if line["status"] == "error" else "yellow"
            console.print(f"{line['table_name']}: {line['error']}", markup=False, style=style)
    for failure in outcome.failures:
        console.print(failure, markup=False, style="red")
    if outcome.not_sent:
        console.print(say("not_sent", why=outcome.not_sent), markup=False, style="yellow")
    warned = any(line["status"] == "warning" for line in outcome.log)
    console.print(say("failed" if not outcome.success else "done_with_warnings" if warned else "done"))
    return 0 if outcome.success else 1


def screen() -> Console:
    """A log is not as narrow as rich takes it to be."""
    return Console() if sys.stdout.isatty() else Console(width=120)


def days_given(full: bool, first: datetime | None, last: datetime | None) -> tuple[date, date] | None:
    """Raises `Misconfigured` for a span that is none."""
    if first is None and last is None:
        return None
    if full:
        raise Misconfigured("--full reads all history: leave out --from and --to.")
    if first is None or last is None:
        raise Misconfigured("--from and --to go together: give both.")
    if first > last:
        raise Misconfigured("--from is later than --to.")
    return first.date(), last.date()


def summary(log: Sequence[dict[str, Any]], not_run: Sequence[str], say: Speech) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(say("table"))
    for name in (*COUNTS, "seconds"):
        table.add_column(say(name), justify="right")
    table.add_column(say("status"))
    for line in log:
        table.add_row(
            line["table_name"],
            *(str(line[name]) for name in COUNTS),
            f"{line['seconds']:.1f}",
            say(line["status"]),
            style={"error": "red", "warning": "yellow"}.get(line["status"], ""),
        )
    for name in not_run:
        table.add_row(name, *[""] * (len(COUNTS) + 1), say("skipped"), style="dim")
    return table


@main.command()
@click.option("--html", "file", type=click.Path(dir_okay=False), help="Write it as one self-contained page.")
@configured
def status(settings: Settings, say: Speech, file: str | None) -> None:
    """Shows the last run of each table, the rows there are, the last runs, and what could not be stored."""
    from gazelle_sync import page, services  # noqa: PLC0415

    console = screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    seen = page.overview(services.database(os.environ["SUPABASE_DB_URL"]))
    if file:
        page.write(started_in() / file, seen, settings.zone, say)
        console.print(say("page_written", file=file))
        return
    console.print(status_table(seen, settings, say))
    for state in seen.states:
        if state.error:
            style = "red" if state.status == "error" else "yellow"
            console.print(f"{state.table}: {state.error}", markup=False, style=style)
    if seen.runs:
        console.print("\n" + say("recent_runs", count=len(seen.runs)), style="bold")
    for run in seen.runs:
        told = say(
            "run_told",
            at=f"{run.started_at.astimezone(settings.zone):%Y-%m-%d %H:%M}",
            status=say(run.status),
            seconds=f"{run.seconds:.1f}",
            fetched=run.fetched,
            changed=run.changed,
        )
        console.print(told, style={"error": "red", "warning": "yellow"}.get(run.status, ""))
    if seen.rejects:
        console.print("\n" + say("open_rejects", count=len(seen.rejects)), style="bold")
    for reject in seen.rejects:
        console.print(f"{reject.table} {reject.external_id}: {reject.reason}", markup=False)


def status_table(seen: Overview, settings: Settings, say: Speech) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(say("table"))
    table.add_column(say("rows"), justify="right")
    table.add_column(say("last"))
    table.add_column(say("seconds"), justify="right")
    table.add_column(say("scope"))
    table.add_column(say("fresh"))
    table.add_column(say("status"))
    for state in seen.states:
        rows = "" if state.rows is None else str(state.rows)
        if state.finished_at is None or state.seconds is None or state.status is None:
            table.add_row(state.table, rows, "", "", "", "", say("never"), style="dim")
            continue
        table.add_row(
            state.table,
            rows,
            f"{state.finished_at.astimezone(settings.zone):%Y-%m-%d %H:%M}",
            f"{state.seconds:.1f}",
            say("all") if state.scope == "all" else state.scope,
            {True: say("yes"), False: say("no"), None: ""}[seen.fresh[state.table]],
            say(state.status),
            style={"error": "red", "warning": "yellow"}.get(state.status, ""),
        )
    return table


@main.command()
@configured
def check(settings: Settings, say: Speech) -> int:
    """Says whether configuration, Gazelle, database, privileges and tables are in order. Changes nothing."""
    from gazelle_sync.diagnosis import examine  # noqa: PLC0415

    console = screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    well = True
    for finding in examine(settings, say):
        mark = "[green]✓[/]" if finding.good else "[red]✗[/]"
        console.print(f"{mark} {finding.what}: {escape(finding.text)}")
        well = well and finding.good
    return 0 if well else 1


@main.command()
@click.option("--port", type=PORT, help="Where the callback listens; the app's callback address has to say the same.")
@configured
def login(settings: Settings, say: Speech, port: int | None) -> None:
    """Authorizes this program to read a Gazelle account (OAuth)."""
    from gazelle_sync import login as flow  # noqa: PLC0415
    from gazelle_sync import services  # noqa: PLC0415

    client_id = os.environ["GAZELLE_CLIENT_ID"]
    transport = services.transport(settings.base_url, os.environ["GAZELLE_REQUESTS_PER_SECOND"])
    oauth = services.oauth(
        transport,
        client_id,
        os.environ["GAZELLE_CLIENT_SECRET"],
        os.environ["GAZELLE_TOKEN_FILE"],
        os.environ["SUPABASE_DB_URL"],
    )
    click.echo(say("open_this"))
    flow.log_in(oauth, transport.base_url, client_id, port or flow.PORT, click.echo)
    click.echo(say("token_stored"))


@main.command()
@configured
def migrate(settings: Settings, say: Speech) -> None:
    """Adds to the database what it lacks. A sync does so too; nothing is ever dropped or renamed."""
    from gazelle_sync import services, warehouse  # noqa: PLC0415

    done = warehouse.migrate(services.database(os.environ["SUPABASE_DB_URL"]))
    for what in done:
        click.echo(say("added", what=what))
    if not done:
        click.echo(say("nothing_to_add"))


@main.command()
@click.option("--port", type=PORT, help="Any free one unless given.")
@configured
def sandbox(settings: Settings, say: Speech, port: int | None) -> None:
    """Runs the stand-in for Gazelle, until it is interrupted."""
    from gazelle_sync.embedded import announced  # noqa: PLC0415
    from gazelle_sync.sandbox import Account, Sandbox  # noqa: PLC0415
    from gazelle_sync.services import VAR  # noqa: PLC0415

    bundled = Sandbox(Account.typical(datetime.now(settings.zone).date()), port=port or 0)
    try:
        url = bundled.url  # takes the port
    except OSError as error:
        raise Misconfigured(f"The sandbox can't serve on port {port} ({error.strerror}): give another one.") from None
    with bundled, announced(VAR, bundled):
        click.echo(say("sandbox_serves", url=url, key=bundled.api_key))
        wait_for_interrupt()


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("dagster_options", nargs=-1, type=click.UNPROCESSED)
@configured
def dev(settings: Settings, say: Speech, dagster_options: tuple[str, ...]) -> int:
    """Opens the Dagster UI, on this machine only; options are `dagster dev`'s (such as --port)."""
    from contextlib import ExitStack  # noqa: PLC0415

    os.environ.setdefault("DAGSTER_HOME", str(environment.ROOT))
    # Off in dagster.yaml too; without this, Dagster still makes empty folders beside it for what it would send.
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    with ExitStack() as stack:
        if settings.embedded:
            from gazelle_sync import embedded  # noqa: PLC0415
            from gazelle_sync.sandbox import Account, Sandbox  # noqa: PLC0415
            from gazelle_sync.services import VAR  # noqa: PLC0415

            click.echo(say("banner"))
            # Held here, so that both outlive each single run.
            bundled = stack.enter_context(Sandbox(Account.typical(datetime.now(settings.zone).date())))
            stack.enter_context(embedded.announced(VAR, bundled))
            embedded.database_url(VAR)
        command = [sys.executable, "-m", "dagster", "dev", "--workspace", "workspace.yaml", *dagster_options]
        with subprocess.Popen(command) as dagster:  # noqa: S603  our own interpreter
            try:
                return dagster.wait()
            except KeyboardInterrupt:
                dagster.terminate()
                dagster.wait()
                return 0


def wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo()
