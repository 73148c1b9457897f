"""Whom the UI answers: its own pages, and programs that are no web page.

Dagster's webserver asks for no login and believes whoever reaches it. A browser reaches it for every page that is open
in it, so any page could launch runs and stop schedules. What tells its own pages from others are headers that no page
can set for itself: `Host`, `Origin` (Fetch standard, 3.2) and `Sec-Fetch-Site` (W3C Fetch Metadata).

Keep out: what is served (`server`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gazelle_sync.translations import say

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
GRAPHQL = "/graphql"


def own_origins(port: int, ui_url: str) -> dict[str, str]:
    """`Host` → `Origin` of the pages that are ours: this machine's names with the port, and where `ui_url` leads.

    >>> own_origins(3000, "https://sync.example.com/")["sync.example.com"]
    'https://sync.example.com'
    """
    origins = [f"http://{name}:{port}" for name in LOOPBACK]
    told = urlsplit(ui_url)
    if told.scheme in ("http", "https") and told.hostname:
        name = f"[{told.hostname}]" if ":" in told.hostname else told.hostname
        names = LOOPBACK if name in LOOPBACK else (name,)
        origins += [f"{told.scheme}://{each}:{told.port}" if told.port else f"{told.scheme}://{each}" for each in names]
    # Browsers leave out the port that the scheme has anyway.
    usual = {"http": ":80", "https": ":443"}
    origins = [origin.removesuffix(usual[urlsplit(origin).scheme]) for origin in origins]
    return {urlsplit(origin).netloc: origin for origin in origins}


class Guard:
    """An ASGI application before another one, which gets only what `origins` (see `own_origins`) may ask."""

    def __init__(self, app: ASGIApp, origins: dict[str, str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if refusal := find_refusal(scope, self._origins):
            status, text = refusal
            if scope["type"] == "websocket":
                # Before the connection is accepted, this is a 403 (ASGI specification, WebSocket close).
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse(f"{text}\n", status)(scope, receive, send)
            return

        async def send_unframed(message: Message) -> None:
            # In a frame, a click that a page provokes would be one of ours.
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Frame-Options"] = "DENY"
            await send(message)

        await self._app(scope, receive, send_unframed)


def find_refusal(scope: Scope, origins: dict[str, str]) -> tuple[int, str] | None:
    """Why a request is not answered: a status and a text for a person; None for one that may pass."""
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    # A name that somebody else has made point to this machine is not ours (DNS rebinding).
    origin = origins.get(hosts[0].lower()) if len(hosts) == 1 else None
    if origin is None:
        return 403, say("ui_foreign_host", urls=", ".join(origins.values()))
    if any(given.lower() != origin for given in headers.getlist("origin")) or comes_from_elsewhere(scope, headers):
        return 403, say("ui_foreign_page", url=origin)
    if scope["type"] == "http" and scope["path"] == GRAPHQL and not is_post_or_page(scope["method"], headers):
        return 405, say("ui_only_by_post")
    return None


def comes_from_elsewhere(scope: Scope, headers: Headers) -> bool:
    """Whether a browser says that another site's page asks. A link that a person follows, as in an alert, may."""
    site = headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return False
    return not (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def is_post_or_page(method: str, headers: Headers) -> bool:
    """Whether Dagster takes the query from the body, or shows its page for queries: by GET, it would run mutations."""
    return method == "POST" or (method == "GET" and "text/html" in headers.get("accept", ""))
