"""`gazelle-sync describe`: what one gives to a language model. Keep out: what is in it (`description`)."""

from __future__ import annotations

import json

import click

from gazelle_sync.cli.command import configured
from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import Speech


@click.command()
@click.option("--json", "as_json", is_flag=True)
@configured
def describe(settings: Settings, say: Speech, as_json: bool) -> None:
    from gazelle_sync.cli.description import build, render  # noqa: PLC0415

    told = build(settings.zone, settings.tables)
    click.echo(json.dumps(told, ensure_ascii=False, indent=1) if as_json else render(told), nl=as_json)
