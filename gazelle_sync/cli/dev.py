"""`gazelle-sync dev`: the Dagster UI, on this machine. Keep out: what it shows (`definitions`)."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime

import click

from gazelle_sync.cli.command import configured
from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import Speech


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("dagster_options", nargs=-1, type=click.UNPROCESSED)
@configured
def dev(settings: Settings, say: Speech, dagster_options: tuple[str, ...]) -> int:
    """Opens the Dagster UI, on this machine only; options are `dagster dev`'s (such as --port)."""
    from contextlib import ExitStack  # noqa: PLC0415

    os.environ.setdefault("DAGSTER_HOME", str(settings.root))
    # Off in dagster.yaml too; without this, Dagster still makes empty folders beside it for what it would send.
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    with ExitStack() as stack:
        if settings.embedded:
            from gazelle_sync.environment import embedded  # noqa: PLC0415
            from gazelle_sync.sandbox import Account, Sandbox  # noqa: PLC0415

            click.echo(say("banner"))
            # Held here, so that both outlive each single run.
            bundled = stack.enter_context(Sandbox(Account.typical(datetime.now(settings.zone).date())))
            stack.enter_context(embedded.announce(settings.var, bundled))
            embedded.start_postgres(settings.var)
        command = [sys.executable, "-m", "dagster", "dev", "--workspace", "workspace.yaml", *dagster_options]
        with subprocess.Popen(command) as dagster:  # noqa: S603  our own interpreter
            try:
                return dagster.wait()
            except KeyboardInterrupt:
                dagster.terminate()
                dagster.wait()
                return 0
