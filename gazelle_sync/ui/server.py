"""`gazelle-sync-ui`: one web server with the Dagster UI and the status page, behind the guard.

Keep out: whom it answers (`guard`), and how the status page looks (`monitoring.status_page`).
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import click
import dagster
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from gazelle_sync.environment import connections
from gazelle_sync.environment.settings import ROOT, Misconfigured, Settings, load_files, read_settings
from gazelle_sync.monitoring.status import read_status
from gazelle_sync.monitoring.status_page import render_page
from gazelle_sync.translations import Speech
from gazelle_sync.ui.guard import Guard, own_origins
from gazelle_sync.warehouse import WarehouseError

# As `dagster-webserver` has them: milliseconds, seconds, connections, milliseconds.
STATEMENT_TIMEOUT, POOL_RECYCLE, POOL_OVERFLOW, POLL_RATE = 15_000, 3600, 20, 2000
# Seconds that requests under way get when the server is told to end.
GRACE = 5


@click.command(context_settings={"help_option_names": ["--help"]})
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", "-p", type=click.IntRange(1, 65535), default=3000, show_default=True)
@click.option("--workspace", "-w", default=str(ROOT / "workspace.yaml"), help="What Dagster loads.")
@click.option("--socket", "descriptor", type=int, hidden=True, help="A bound socket that the parent left open.")
def main(host: str, port: int, workspace: str, descriptor: int | None) -> None:
    """Serves the Dagster UI and the status page. `gazelle-sync dev` runs it, and so do containers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("DAGSTER_HOME", str(ROOT))
    try:
        load_files()
        settings = read_settings()
    except Misconfigured as error:
        click.echo(f"gazelle-sync-ui: {error}", err=True)
        sys.exit(2)
    with (
        dagster.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget([workspace]), version=dagster.__version__) as context,
    ):
        instance.optimize_for_webserver(STATEMENT_TIMEOUT, POOL_RECYCLE, POOL_OVERFLOW)
        app = create_app_from_workspace_process_context(context, live_data_poll_rate=POLL_RATE)
        add_status_page(app, settings, instance)
        config = uvicorn.Config(
            Guard(app, own_origins(port, settings.ui_url)),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=GRACE,
        )
        sockets = None if descriptor is None else [socket.socket(fileno=descriptor)]
        # uvicorn ends in order, and then passes the signal on.
        try:
            uvicorn.Server(config).run(sockets)
        except KeyboardInterrupt:
            return


def add_status_page(app: Starlette, settings: Settings, instance: dagster.DagsterInstance) -> None:
    """Adds `/status`, made of the database at the moment it is asked for: it is never older than the last run."""
    engine = connections.make_engine(settings)

    def show_status(_: Request) -> Response:
        try:
            status = read_status(engine, settings.tables, instance, names=settings.status_page_names)
        except WarehouseError as error:
            return PlainTextResponse(f"{error}\n", 503)
        page = render_page(status, settings.zone, Speech(settings.language))
        return HTMLResponse(page, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})

    # Before Dagster's own, the last of which takes every path.
    app.router.routes.insert(0, Route("/status", show_status))
