"""`gazelle-sync sandbox`. Keep out: the stand-in itself (the package `sandbox`)."""

from __future__ import annotations

from datetime import datetime

import click

from gazelle_sync.cli.command import PORT, configured, wait_for_interrupt
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.files import Busy, explain
from gazelle_sync.translations import Speech


@click.command()
@click.option("--port", type=PORT)
@configured
def sandbox(settings: Settings, say: Speech, port: int | None) -> int:
    from gazelle_sync.environment.embedded import announce, find_shared_sandbox  # noqa: PLC0415
    from gazelle_sync.sandbox import Account, Sandbox  # noqa: PLC0415

    bundled = Sandbox(Account.typical(datetime.now(settings.zone).date()), port=port or 0)
    try:
        url = bundled.url  # takes the port
    except OSError as error:
        raise Misconfigured(say("sandbox_cannot_listen", port=port, reason=explain(error))) from None
    try:
        with bundled, announce(settings.var, bundled):
            click.echo(say("sandbox_serves", url=url, key=bundled.api_key))
            wait_for_interrupt()
    except Busy:
        shared = find_shared_sandbox(settings.var)
        click.echo(f"gazelle-sync: {say('sandbox_runs_already', url=shared[0] if shared else '?')}", err=True)
        return 1
    except OSError as error:
        raise Misconfigured(say("var_unusable", folder=settings.var, reason=explain(error))) from None
    return 0
