"""`gazelle-sync migrate`. Keep out: what is added (`warehouse.migrations`)."""

from __future__ import annotations

import contextlib

import click

from gazelle_sync.cli.command import configured
from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import Speech

# Seconds. Whoever migrates waits in front of it.
PATIENCE = 10.0


@click.command()
@click.option("--search", is_flag=True)
@click.option("--accept-readers", is_flag=True)
@configured
def migrate(settings: Settings, say: Speech, search: bool, accept_readers: bool) -> None:
    from gazelle_sync import warehouse  # noqa: PLC0415
    from gazelle_sync.environment import connections  # noqa: PLC0415
    from gazelle_sync.environment.account import ask_account  # noqa: PLC0415
    from gazelle_sync.gazelle import GazelleError  # noqa: PLC0415

    engine = connections.make_engine(settings)
    if warehouse.read_mirrored_account(engine):
        client = connections.make_client(settings, patience=PATIENCE)
        # Gazelle may be away: nothing of any account is written here.
        with contextlib.suppress(GazelleError), contextlib.closing(client):
            ask_account(client, engine)
    done = warehouse.migrate(engine, zone=settings.zone, accept_readers=accept_readers)
    for what in done:
        click.echo(say("added", what=what))
    if not done:
        click.echo(say("nothing_to_add"))
    for index in warehouse.add_search(engine) if search else ():
        megabytes = say.number(index.bytes / 1e6, 1)
        columns = ", ".join(index.columns)
        if index.seconds is None:
            click.echo(say("search_is_there", table=index.table, columns=columns, megabytes=megabytes))
        else:
            seconds = say.number(index.seconds, 1)
            click.echo(
                say("search_added", table=index.table, columns=columns, megabytes=megabytes, seconds=seconds)
                + " "
                + say("search_taken_back", mending=f"DROP INDEX gazelle.{index.name};")
            )
