"""`gazelle-sync login`: the address that it shows leads to a token, and a sync then lives on it."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from click.testing import Result

from gazelle_sync.sandbox import Sandbox
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.project import PATIENCE, Project, running

Stored = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def variables(own_database: str, live: Sandbox) -> dict[str, str]:
    """An OAuth app in place of a key."""
    return {
        "SUPABASE_DB_URL": own_database,
        "GAZELLE_BASE_URL": live.url,
        "GAZELLE_CLIENT_ID": live.client_id,
        "GAZELLE_CLIENT_SECRET": live.client_secret,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
    }


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


class Waiting:
    """A login that has shown its address and waits for the browser."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.intro = process.stdout.readline()
        self.address = process.stdout.readline().strip()
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(self.address).query).items()}

    def come_back(self, **query: str) -> requests.Response:
        """What the browser does at the end, when Gazelle sends it back with these."""
        callback = self.asked["redirect_uri"].replace("localhost", "127.0.0.1")
        return requests.get(callback, params=query, timeout=PATIENCE)

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def waiting(project: Project, port: int) -> Iterator[Waiting]:
    with running(project.start("login", "--port", str(port))) as process:
        yield Waiting(process)


def token_file(project: Project) -> Any:
    return project.root / "config" / "token.json"


def test_who_says_no_is_told_so(waiting: Waiting, project: Project) -> None:
    waiting.come_back(error="access_denied", error_description="The owner said no", state=waiting.asked["state"])
    code, _, err = waiting.ended()
    assert code == 1
    assert err == "gazelle-sync: Gazelle did not authorize gazelle-sync: The owner said no.\n"
    assert not token_file(project).exists()


def test_following_the_address_stores_a_token_for_its_owner_only_and_a_sync_lives_on_it(
    waiting: Waiting, project: Project, live: Sandbox, stored: Stored
) -> None:
    assert waiting.intro == "Open this address, and authorize gazelle-sync:\n"
    assert waiting.address.startswith(f"{live.url}/developer/oauth/authorize?")
    assert waiting.asked["client_id"] == live.client_id
    assert waiting.asked["response_type"] == "code"
    assert live.client_secret not in waiting.address
    # Any page that is open in a browser can call here: it is told off, and the login goes on.
    assert len(waiting.asked["state"]) >= 32
    for foreign in ({"code": "stolen", "state": "guessed"}, {"code": "stolen"}, {"error": "x", "state": ""}):
        refused = waiting.come_back(**foreign)
        assert (refused.status_code, "does not belong to the login" in refused.text) == (400, True)
    assert waiting.process.poll() is None
    assert not token_file(project).exists()
    # A browser asks for more than it is sent to, and opens connections that it says nothing on.
    callback = urlsplit(waiting.asked["redirect_uri"])
    assert requests.get(f"http://127.0.0.1:{callback.port}/favicon.ico", timeout=PATIENCE).status_code == 404
    with socket.create_connection(("127.0.0.1", callback.port)):
        page = requests.get(waiting.address, timeout=20)
    assert page.status_code == 200
    assert "You can close this page" in page.text
    code, out, err = waiting.ended()
    assert (code, err) == (0, "")
    assert out == "The token is stored. `gazelle-sync check` says whether all else is in order.\n"
    assert stat.S_IMODE(token_file(project).stat().st_mode) == 0o600
    token = json.loads(token_file(project).read_text())
    assert token["access_token"] not in out + waiting.address

    # Spent: the sync has to renew it, and to keep the new one.
    live.expire_tokens()
    synced = project.run("sync", "--table", "users")
    assert (synced.code, synced.err) == (0, "")
    assert stored("SELECT count(*) FROM gazelle.users") == [{"count": 6}]
    renewed = json.loads(token_file(project).read_text())
    assert renewed["refresh_token"] != token["refresh_token"]
    assert stat.S_IMODE(token_file(project).stat().st_mode) == 0o600
    assert any(each.headers.get("authorization") == f"Bearer {renewed['access_token']}" for each in live.requests)
    for file in (project.root / "var/logs").iterdir():
        assert renewed["access_token"] not in file.read_text()


def test_a_port_that_is_taken_is_one_sentence_and_exit_2(
    command: Callable[..., Result], variables: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = command("login", "--port", str(port), **variables)
    assert result.exit_code == 2
    assert re.search(
        rf"gazelle-sync: The callback can't listen on port {port} \(something else listens there\): ", said(result)
    )


def test_a_token_may_live_in_the_database(project: Project, port: int, stored: Stored) -> None:
    with running(project.start("login", "--port", str(port), GAZELLE_TOKEN_FILE="postgres")) as process:
        waiting = Waiting(process)
        assert requests.get(waiting.address, timeout=PATIENCE).status_code == 200
        assert waiting.ended()[0] == 0
    ((token,),) = [row.values() for row in stored("SELECT token FROM gazelle.oauth_token")]
    assert token["refresh_token"]
    assert project.run("check", "--quick", GAZELLE_TOKEN_FILE="postgres").code == 0
    assert not (project.root / "postgres").exists()
