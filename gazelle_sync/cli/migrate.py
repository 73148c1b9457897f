"""`gazelle-sync migrate`. Keep out: what is added (`warehouse.migrations`)."""

from __future__ import annotations

import click

from gazelle_sync.cli.command import configured
from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import Speech


@click.command()
@configured
def migrate(settings: Settings, say: Speech) -> None:
    """Adds to the database what it lacks. A sync does so too; nothing is ever dropped or renamed."""
    from gazelle_sync import warehouse  # noqa: PLC0415
    from gazelle_sync.environment import connections  # noqa: PLC0415

    done = warehouse.migrate(connections.make_engine(settings))
    for what in done:
        click.echo(say("added", what=what))
    if not done:
        click.echo(say("nothing_to_add"))
