"""A running sandbox for each test, and the few ways in which the tests here ask it. No test, and no expectation."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
import requests

from gazelle_sync.sandbox import Account, Sandbox

TODAY = date(2026, 3, 2)


@pytest.fixture(scope="session")
def session() -> Iterator[requests.Session]:
    """One HTTP session without the machine's proxies; tests that need headers of their own pass them."""
    with requests.Session() as http:
        http.trust_env = False
        yield http


@pytest.fixture(scope="session")
def server() -> Iterator[Sandbox]:
    """One server for all tests, as starting and ending one takes longer than most of them."""
    with Sandbox(Account()) as running:
        yield running


@pytest.fixture(scope="session")
def typical() -> bytes:
    """The typical account, pickled: a fresh copy is had in less time than a new one."""
    return pickle.dumps(Account.typical(TODAY))


@pytest.fixture
def sandbox(server: Sandbox, typical: bytes) -> Sandbox:
    """The server as if it had just been started on a fresh typical account."""
    server.account = pickle.loads(typical)
    server.page_cap, server.opaque_cursors, server.latency, server.latency_per_record = 100, False, 0.0, 0.0
    server.usual_filters = {}
    server.access_token_lifetime = 2_592_000
    server.rotate_refresh_tokens, server.omit_refresh_token_in_reply = True, False
    server.faults.clear()
    server.revoke_everything()
    return server


@pytest.fixture
def post(sandbox: Sandbox, session: requests.Session) -> Callable[..., requests.Response]:
    """Posts a query with the personal key (or with the headers given) and gives the HTTP response."""

    def ask(query: str, variables: dict[str, Any] | None = None, headers: dict[str, str] | None = None):
        key = {"x-gazelle-api-key": sandbox.api_key} if headers is None else headers
        body = {"query": query, "variables": variables or {}}
        return session.post(f"{sandbox.url}/graphql/private/", json=body, headers=key, timeout=60)

    return ask


@pytest.fixture
def data(post: Callable[..., requests.Response]) -> Callable[..., dict[str, Any]]:
    """Posts a query that must succeed and gives its `data`."""

    def ask(query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = post(query, variables).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    return ask


@pytest.fixture
def pages(data: Callable[..., dict[str, Any]]) -> Callable[..., list[dict[str, Any]]]:
    """All pages of a list whose query takes `$after` and names the connection `list`."""

    def read(query: str, variables: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        read_so_far: list[dict[str, Any]] = []
        after = None
        while True:
            page = data(query, {**(variables or {}), "after": after})["list"]
            read_so_far.append(page)
            if not page["pageInfo"]["hasNextPage"]:
                return read_so_far
            assert page["nodes"], "a page after the last one"
            after = page["pageInfo"]["endCursor"]

    return read


@pytest.fixture
def token(sandbox: Sandbox, session: requests.Session) -> Callable[..., requests.Response]:
    """Posts a form to the token endpoint, with the app's credentials unless the form has others."""

    def ask(**form: str) -> requests.Response:
        whole = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, **form}
        return session.post(f"{sandbox.url}/developer/oauth/token", data=whole, timeout=10)

    return ask
