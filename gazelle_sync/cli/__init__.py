"""The command `gazelle-sync`: one file per command. It says what happens; what happens is done elsewhere.

Keep out: HTTP, SQL, what a run does. Dagster and the rest are imported by the commands that need them, inside their
functions, so that `--help` answers at once.
"""

from __future__ import annotations

import click

from gazelle_sync.cli.check import check
from gazelle_sync.cli.describe import describe
from gazelle_sync.cli.dev import dev
from gazelle_sync.cli.login import login
from gazelle_sync.cli.migrate import migrate
from gazelle_sync.cli.sandbox import sandbox
from gazelle_sync.cli.status import status
from gazelle_sync.cli.sync import sync


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Mirrors a Gazelle account into PostgreSQL."""


for command in (sync, status, check, login, migrate, describe, sandbox, dev):
    main.add_command(command)
