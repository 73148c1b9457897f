"""`gazelle-sync check`: shows the findings, a line each. Keep out: what is looked at (`findings`)."""

from __future__ import annotations

import click
from rich.markup import escape

from gazelle_sync.cli.command import configured, make_screen
from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import Speech


@click.command()
@configured
def check(settings: Settings, say: Speech) -> int:
    """Says whether configuration, Gazelle, database, privileges and tables are in order. Changes nothing."""
    from gazelle_sync.cli.findings import examine  # noqa: PLC0415

    console = make_screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    well = True
    for finding in examine(settings, say):
        mark = "[green]✓[/]" if finding.good else "[red]✗[/]"
        console.print(f"{mark} {finding.what}: {escape(finding.text)}")
        well = well and finding.good
    return 0 if well else 1
