"""The command `gazelle-sync`: one file per command. It says what happens; what happens is done elsewhere.

Keep out: HTTP, SQL, what a run does. Dagster and the rest are imported by the commands that need them, inside their
functions, so that `--help` answers at once.
"""

from __future__ import annotations

import click

from gazelle_sync.cli.check import check
from gazelle_sync.cli.describe import describe
from gazelle_sync.cli.dev import dev
from gazelle_sync.cli.help import Group
from gazelle_sync.cli.login import login
from gazelle_sync.cli.migrate import migrate
from gazelle_sync.cli.psql import psql
from gazelle_sync.cli.sandbox import sandbox
from gazelle_sync.cli.status import status
from gazelle_sync.cli.sync import sync


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gazelle-sync", message="gazelle-sync %(version)s")
def main() -> None:
    pass


for command in (sync, status, check, psql, login, migrate, describe, sandbox, dev):
    main.add_command(command)
