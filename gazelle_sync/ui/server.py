"""One web server with the Dagster UI and the status page, behind the guard.

Keep out: whom it answers (`guard`), how the status page looks (`monitoring.status_page`), what is typed (`cli.ui`).
"""

from __future__ import annotations

import socket

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
from gazelle_sync.environment.settings import Settings
from gazelle_sync.monitoring.status import read_status
from gazelle_sync.monitoring.status_page import render_page
from gazelle_sync.translations import Speech
from gazelle_sync.ui.guard import Guard, own_origins
from gazelle_sync.warehouse import WarehouseError

# As `dagster-webserver` has them: milliseconds, seconds, connections, milliseconds.
STATEMENT_TIMEOUT, POOL_RECYCLE, POOL_OVERFLOW, POLL_RATE = 15_000, 3600, 20, 2000
# Seconds that requests under way get when the server is told to end.
GRACE = 5


def serve(settings: Settings, workspace: str, *, host: str, port: int, descriptor: int | None) -> None:
    """Serves until a signal ends it. `workspace` is the file that says what Dagster loads; `descriptor`, if given, that
    of a bound socket, which is listened on in place of `host` and `port`."""
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
