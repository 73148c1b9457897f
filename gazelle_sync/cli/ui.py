"""`gazelle-sync-ui`: the Dagster UI and the status page, without what runs beside them.

It takes what `dagster-webserver` takes, in whose place containers start it. Keep out: how it is served (`ui.server`).
"""

from __future__ import annotations

import os
import signal
import sys

import click

from gazelle_sync.cli.command import PORT
from gazelle_sync.cli.help import Command
from gazelle_sync.environment.settings import ROOT, Misconfigured, load_files, read_settings


# As `dagster-webserver` has it, -h is the host.
@click.command("ui", cls=Command, context_settings={"help_option_names": ["--help"]})
@click.option("--host", "-h", default="127.0.0.1")
@click.option("--port", "-p", type=PORT, default=3000)
@click.option("--workspace", "-w", default=str(ROOT / "workspace.yaml"))
@click.option("--socket", "descriptor", type=int, hidden=True)  # a bound one, which the parent left open
def main(host: str, port: int, workspace: str, descriptor: int | None) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("DAGSTER_HOME", str(ROOT))
    try:
        load_files()
        settings = read_settings()
    except Misconfigured as error:
        click.echo(f"gazelle-sync-ui: {error}", err=True)
        sys.exit(2)
    from gazelle_sync.ui.server import serve  # noqa: PLC0415  seconds, for which `--help` need not wait

    serve(settings, workspace, host=host, port=port, descriptor=descriptor)


if __name__ == "__main__":
    main()
