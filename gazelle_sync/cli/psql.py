"""`gazelle-sync psql`: PostgreSQL's own client on the mirrored data.

Keep out: where the database is (`environment.connections`).
"""

from __future__ import annotations

import os
import signal
import subprocess

import click

from gazelle_sync.cli.command import configured, started_in
from gazelle_sync.environment.settings import Settings
from gazelle_sync.translations import Speech


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@configured
def psql(settings: Settings, say: Speech, arguments: tuple[str, ...]) -> int:
    from gazelle_sync.environment import connections  # noqa: PLC0415
    from gazelle_sync.environment.postgres_server import find_program  # noqa: PLC0415

    url = connections.make_engine(settings).url
    # Everybody on this machine can read the arguments of a process, and not its environment.
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    # Not in place of this process, which keeps the embedded PostgreSQL up.
    client = subprocess.Popen(  # noqa: S603  the package's own program
        [find_program() / "psql", "--dbname", address, *arguments], cwd=started_in(), env={**os.environ, **secret}
    )
    # Ctrl-C ends a query, and not psql.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return client.wait()
