"""`gazelle-sync status`: what the log says, on the screen or as a page. Keep out: the figures (`monitoring.status`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table

from gazelle_sync.cli.command import FILE, configured, make_screen, started_in
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.translations import Speech

if TYPE_CHECKING:
    from gazelle_sync.monitoring.status import Status


@click.command()
@click.option("--html", "file", type=FILE)
@configured
def status(settings: Settings, say: Speech, file: Path | None) -> None:
    from gazelle_sync.environment import connections  # noqa: PLC0415
    from gazelle_sync.monitoring.records import open_records  # noqa: PLC0415
    from gazelle_sync.monitoring.status import read_status  # noqa: PLC0415
    from gazelle_sync.monitoring.status_page import write_page  # noqa: PLC0415

    if file and not (started_in() / file).parent.is_dir():
        raise Misconfigured(say("no_such_folder", folder=(started_in() / file).parent))
    console = make_screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    with open_records(settings) as instance:
        engine, names = connections.make_engine(settings), settings.status_page_names
        seen = read_status(engine, settings.tables, instance, names=names)
    if file:
        write_page(started_in() / file, seen, settings.zone, say)
        console.print(say("page_written", file=file))
        return
    if seen.account:
        told = say("mirrored_account", company=seen.account.company_name, id=seen.account.company_id)
        console.print(told, markup=False)
    console.print(make_table(seen, settings, say))
    if seen.off:
        console.print(say("tables_off", names=", ".join(seen.off)), style="dim")
    for state in seen.tables:
        if state.error:
            style = "red" if state.status == "error" else "yellow"
            console.print(f"{state.table}{say('colon')}{state.error}", markup=False, style=style)
    for check in seen.failed_checks:
        console.print(f"{check.table}{say('colon')}{check.text}", markup=False, style="yellow")
    if seen.runs:
        console.print("\n" + say("recent_runs", count=len(seen.runs)), style="bold")
    for run in seen.runs:
        told = say(
            "run_told",
            at=f"{run.started_at.astimezone(settings.zone):%Y-%m-%d %H:%M}",
            status=say(run.status),
            seconds=run.seconds,
            fetched=run.fetched,
            changed=run.changed,
        )
        console.print(told, style={"error": "red", "warning": "yellow"}.get(run.status, ""))
    if seen.rejects:
        console.print("\n" + say("open_rejects", count=len(seen.rejects)), style="bold")
    for reject in seen.rejects:
        console.print(f"{reject.table} {reject.external_id}{say('colon')}{reject.reason}", markup=False)


def make_table(seen: Status, settings: Settings, say: Speech) -> Table:
    from gazelle_sync.warehouse import describe_scope  # noqa: PLC0415

    table = Table(
        Column(say("table"), no_wrap=True), box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column(say("rows"), justify="right")
    table.add_column(say("last"))
    table.add_column(say("scope"))
    table.add_column(say("fresh"))
    table.add_column(say("status"))
    for state in seen.tables:
        rows = "" if state.rows is None else str(state.rows)
        if state.finished_at is None or state.status is None:
            table.add_row(state.table, rows, "", "", "", say("never"), style="dim")
            continue
        table.add_row(
            state.table,
            rows,
            f"{state.finished_at.astimezone(settings.zone):%Y-%m-%d %H:%M}",
            describe_scope(state.scope or "all", say),
            {True: say("yes"), False: say("no"), None: ""}[seen.fresh[state.table]],
            say(state.status),
            style={"error": "red", "warning": "yellow"}.get(state.status, ""),
        )
    return table
