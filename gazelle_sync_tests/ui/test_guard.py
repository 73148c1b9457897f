"""The guard in front of the UI: what each kind of request is answered, without Dagster behind it.

A browser on a page of another origin tries the same against the real UI: `browser/test_guard.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gazelle_sync.ui.guard import Guard, own_origins

HOST = "127.0.0.1:3000"
OURS = "http://127.0.0.1:3000"
ADDRESSES = own_origins(3000, "https://sync.example.com")


async def show(_: Request) -> PlainTextResponse:
    return PlainTextResponse("Dagster")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


BEHIND = Starlette(
    routes=[
        WebSocketRoute("/graphql", talk),
        Route("/graphql", show, methods=["GET", "POST"]),
        Route("/{path:path}", show, methods=["GET", "POST", "DELETE", "OPTIONS"]),
    ]
)


def ask(
    method: str = "GET", path: str = "/runs", *, hosts: tuple[str, ...] = (HOST,), kind: str = "http", **headers: str
) -> tuple[Any, dict[str, str]]:
    """The status and the headers that a raw request gets; of a websocket, whether it was accepted."""
    sent: list[dict[str, Any]] = []
    given = [(b"host", host.encode()) for host in hosts]
    given += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": kind,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": given,
        "server": ("127.0.0.1", 3000),
        "scheme": "http",
    }
    if kind == "http":
        scope["method"] = method

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Guard(BEHIND, ADDRESSES)(scope, receive, send))
    if kind == "websocket":
        return sent[0]["type"] == "websocket.accept", {}
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST:3000", "[::1]:3000", "sync.example.com"]
)
def test_what_names_this_machine_or_the_configured_address_is_answered(host: str) -> None:
    assert ask(hosts=(host,))[0] == 200


@pytest.mark.parametrize(
    "hosts",
    [
        ("rebound.example:3000",),  # a name that its owner has made point here
        ("127.0.0.1:3000.rebound.example",),
        ("localhost",),
        ("localhost:8080",),
        ("0.0.0.0:3000",),
        ("sync.example.com:8443",),
        ("",),
        (),
        ("127.0.0.1:3000", "rebound.example"),
    ],
)
def test_any_other_host_is_refused(hosts: tuple[str, ...]) -> None:
    assert ask(hosts=hosts)[0] == 403
    assert ask(hosts=hosts, kind="websocket", path="/graphql")[0] is False


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "null",  # a sandboxed frame, a file
        "http://localhost:8080",  # another program of this machine
        "http://localhost:3000",  # ours, but not the one that was asked: a page of it has no reason to
        "https://127.0.0.1:3000",
        "http://127.0.0.1:3000.elsewhere.example",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_a_page_of_another_origin_is_refused(method: str, origin: str) -> None:
    for path in ("/graphql", "/report_asset_materialization/gazelle/pianos", "/status"):
        status, headers = ask(method, path, origin=origin)
        assert status == 403
        assert "access-control-allow-origin" not in headers


def test_a_websocket_of_another_origin_is_refused_and_ours_is_accepted() -> None:
    assert ask(kind="websocket", path="/graphql", origin="https://elsewhere.example")[0] is False
    assert ask(kind="websocket", path="/graphql", sec_fetch_site="cross-site", sec_fetch_mode="websocket")[0] is False
    assert ask(kind="websocket", path="/graphql", origin=OURS, sec_fetch_site="same-origin")[0] is True


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("method", "mode", "destination"),
    [
        ("GET", "no-cors", "image"),
        ("GET", "no-cors", "script"),
        ("GET", "cors", "empty"),
        ("GET", "navigate", "iframe"),
        ("POST", "navigate", "document"),
        ("POST", "no-cors", "empty"),
    ],
)
def test_what_the_browser_says_another_site_asks_for_is_refused(
    method: str, mode: str, destination: str, site: str
) -> None:
    """Where no `Origin` is sent, as for an image."""
    asked = {"sec_fetch_site": site, "sec_fetch_mode": mode, "sec_fetch_dest": destination}
    assert ask(method, "/runs", **asked)[0] == 403


def test_a_link_that_a_person_follows_is_answered() -> None:
    """In Slack's page, or in a mail's."""
    asked = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert ask("GET", "/runs/1", **asked)[0] == 200


def test_our_own_pages_and_programs_that_are_no_page_are_answered() -> None:
    assert ask("POST", "/graphql", origin=OURS, sec_fetch_site="same-origin", sec_fetch_mode="cors")[0] == 200
    assert ask("GET", "/", sec_fetch_site="none", sec_fetch_mode="navigate", sec_fetch_dest="document")[0] == 200
    assert ask("POST", "/graphql")[0] == 200
    at_the_proxy = {"hosts": ("sync.example.com",), "origin": "https://sync.example.com"}
    assert ask("POST", "/graphql", **at_the_proxy)[0] == 200  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_no_query_is_taken_by_get(method: str) -> None:
    mutation = "/graphql?query=mutation{deletePipelineRun(runId:%22x%22){__typename}}"
    assert ask(method, mutation)[0] == 405
    assert ask(method, mutation, accept="*/*", origin=OURS)[0] == 405


def test_the_page_for_queries_is_still_there() -> None:
    """Dagster answers a browser that wants a page with one, and runs no query of its address."""
    assert ask("GET", "/graphql", accept="text/html,application/xhtml+xml", sec_fetch_site="none")[0] == 200


def test_nothing_can_be_framed() -> None:
    assert ask("GET", "/runs")[1]["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("https://sync.example.com/dagster/", "sync.example.com", "https://sync.example.com"),
        ("https://sync.example.com:443", "sync.example.com", "https://sync.example.com"),
        ("http://10.0.0.5:80", "10.0.0.5", "http://10.0.0.5"),
        ("http://localhost:8080", "127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[fd00::5]:3000", "[fd00::5]:3000", "http://[fd00::5]:3000"),
    ],
)
def test_the_configured_address_is_read_as_browsers_write_it(url: str, host: str, origin: str) -> None:
    assert own_origins(3000, url)[host] == origin


@pytest.mark.parametrize("url", ["", "sync.example.com", "ftp://sync.example.com", "https://"])
def test_an_address_that_is_none_opens_nothing(url: str) -> None:
    assert set(own_origins(80, url)) == {"127.0.0.1", "localhost", "[::1]"}
