"""A PostgreSQL that is installed on this machine, in place of the embedded one: the oldest that is supported.

Keep out: the embedded one, which is the project's own (`environment/postgres_server`).
"""

from __future__ import annotations

import atexit
import os
import subprocess
from pathlib import Path

from gazelle_sync.environment import postgres_server


def start_older(program: Path, folder: Path) -> str:
    """The connection string of a server with its data below `folder`, by the programs in `program`. It ends with us."""
    data = folder / "postgres"
    data.mkdir()
    if account := postgres_server.choose_account(data):
        postgres_server.open_way(account, [data, program])
        os.chown(data, account.pw_uid, account.pw_gid)
    command = [program / "initdb", "--pgdata", data, "--username", postgres_server.USER, "--auth", "trust"]
    subprocess.run(
        [*command, "--encoding", "UTF8", "--locale", "C"],
        check=True,
        stdout=subprocess.DEVNULL,
        **postgres_server.run_as(account),
    )
    running = postgres_server.start_server(program, data, account)
    atexit.register(postgres_server.stop_server, data, running)
    return f"postgresql://{postgres_server.USER}@/postgres?host={running.sockets}&port={postgres_server.PORT}"
