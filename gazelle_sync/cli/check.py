"""`gazelle-sync check`: shows the findings, a line each. Keep out: what is looked at (`findings`, `trial`)."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from gazelle_sync.cli.command import FILE, configured, make_screen, started_in
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.translations import Speech

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[yellow]?[/]"}


@click.command()
@click.option("--quick", is_flag=True)
@click.option("--report", "file", type=FILE)
@configured
def check(settings: Settings, say: Speech, quick: bool, file: Path | None) -> int:
    from gazelle_sync.cli.findings import Finding, examine  # noqa: PLC0415

    if quick and file:
        raise Misconfigured(say("report_and_quick"))
    console = make_screen()
    if settings.embedded:
        console.print(say("banner"), style="yellow")
    findings: list[Finding] = []

    def show(finding: Finding) -> None:
        console.print(f"{MARKS[finding.good]} {finding.what}{say('colon')}{escape(finding.text)}")
        findings.append(finding)

    for finding in examine(settings, say):
        show(finding)
    if not quick:
        from gazelle_sync.cli import report, trial  # noqa: PLC0415

        found = {finding.what: finding.good for finding in findings}
        if found[say("check_api")]:
            with console.status(say("trying")):
                tried = trial.try_account(settings, has_database=found[say("check_database")] is True)
            for finding in trial.list_findings(tried, say):
                show(finding)
            console.print()
            console.print(trial.make_table(tried, say))
        else:
            tried = trial.AccountTrial()
            show(Finding(say("check_queries"), False, say("not_checked")))
        if file:
            report.write_report(started_in() / file, settings, findings, tried)
            console.print(say("report_written", file=file))
    return 1 if any(finding.good is False for finding in findings) else 0
