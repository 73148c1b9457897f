"""`gazelle-sync login`. Keep out: the flow (`authorization`)."""

from __future__ import annotations

import click

from gazelle_sync.cli.command import PORT, configured
from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import Speech


@click.command()
@click.option("--port", type=PORT)
@configured
def login(settings: Settings, say: Speech, port: int | None) -> None:
    from gazelle_sync.cli import authorization  # noqa: PLC0415
    from gazelle_sync.environment import connections  # noqa: PLC0415

    transport = connections.make_transport(settings)
    oauth = connections.make_oauth(settings, transport)
    click.echo(say("open_this"))
    authorization.log_in(oauth, transport.base_url, settings.client_id, port or authorization.PORT, click.echo)
    click.echo(say("token_stored"))
