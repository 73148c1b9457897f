"""A token is renewed in time, once, and saved before it is used; a key is sent as it is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gazelle_sync.gazelle import Client, GazelleError, InvalidResponse, NotAuthorized, OAuth, TokenFile
from gazelle_sync.gazelle.auth import TOKEN_PATH, Token
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.translations import speak
from gazelle_sync_tests.gazelle.conftest import Answer, Asked, Scripted

QUERY = "{ allUsers { id } }"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "token.json"


@pytest.fixture
def connect(sandbox: Sandbox, path: Path) -> Iterator[Callable[..., Client]]:
    """A client with the OAuth app's credentials and the token of `path`; optionally of another server."""
    made: list[Client] = []

    def connect(url: str = sandbox.url, secret: str = sandbox.client_secret) -> Client:
        transport = Transport(url, requests_per_second=1000, patience=5)
        made.append(Client(transport, OAuth(transport, sandbox.client_id, secret, TokenFile(path))))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def save(path: Path, token: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(token if isinstance(token, str) else json.dumps(token))


def users(client: Client) -> int:
    return len(client.execute("users", QUERY, {})["allUsers"])


def refreshes(sandbox: Sandbox) -> list[int]:
    return [request.status for request in sandbox.requests if request.path == TOKEN_PATH]


def test_a_personal_key_goes_without_authorization(sandbox: Sandbox, client: Client):
    assert users(client) == 6
    headers = sandbox.requests[-1].headers
    assert headers["x-gazelle-api-key"] == sandbox.api_key
    assert "authorization" not in headers


def test_a_wrong_key_is_told_after_one_request(sandbox: Sandbox, client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sandbox, "api_key", "another one", raising=False)
    with pytest.raises(NotAuthorized, match=r"refused the credentials for users \(HTTP 401\). Check GAZELLE_API_KEY"):
        users(client)
    assert len(sandbox.requests) == 1


def test_a_token_is_read_from_its_file_and_sent(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    reply = sandbox.authorize()
    save(path, reply)
    assert users(connect()) == 6
    headers = sandbox.requests[-1].headers
    assert headers["authorization"] == f"Bearer {reply['access_token']}"
    assert "x-gazelle-api-key" not in headers
    assert refreshes(sandbox) == []


def test_the_file_of_the_old_service_is_accepted_as_it_is(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    """The token endpoint's reply, written as it came, and never touched while it is good."""
    reply = sandbox.authorize()
    assert reply.keys() == {"access_token", "refresh_token", "expires_in", "token_type", "created_at"}
    save(path, json.dumps(reply, indent=2) + "\n")
    before = path.read_bytes()
    assert users(connect()) == 6
    assert path.read_bytes() == before


@pytest.mark.parametrize("missing", ["created_at", "expires_in"])
def test_a_token_whose_end_is_not_known_serves_until_it_is_refused(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client], missing: str
):
    reply = sandbox.authorize()
    save(path, {name: value for name, value in reply.items() if name != missing})
    client = connect()
    assert users(client) == 6
    assert refreshes(sandbox) == []
    sandbox.expire_tokens()
    assert users(client) == 6
    assert refreshes(sandbox) == [200]


def test_a_token_is_renewed_before_it_expires(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    reply = sandbox.authorize()
    # Four minutes to go: it would do for this request, and perhaps not for the next page.
    save(path, {**reply, "created_at": int(time.time()) - reply["expires_in"] + 240})
    client = connect()
    assert [users(client) for _ in range(3)] == [6, 6, 6]
    assert refreshes(sandbox) == [200]
    stored = json.loads(path.read_text())
    assert stored["access_token"] not in ("", reply["access_token"])
    assert stored["refresh_token"] not in ("", reply["refresh_token"])
    assert sandbox.requests[-1].headers["authorization"] == f"Bearer {stored['access_token']}"
    assert abs(stored["created_at"] + stored["expires_in"] - time.time() - 2_592_000) < 5


def test_a_token_that_lives_for_minutes_is_not_renewed_for_each_request(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client]
):
    sandbox.access_token_lifetime = 120
    save(path, {**sandbox.authorize(), "created_at": int(time.time())})
    client = connect()
    assert [users(client) for _ in range(3)] == [6, 6, 6]
    assert refreshes(sandbox) == []


def test_a_token_that_expires_while_it_is_in_use_is_renewed_between_two_requests(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client]
):
    save(path, {**sandbox.authorize(), "created_at": int(time.time()) - 3600, "expires_in": 3600 + 304})
    client = connect()
    users(client)
    assert refreshes(sandbox) == []
    time.sleep(4.1)
    users(client)
    assert refreshes(sandbox) == [200]


def test_a_401_renews_the_token_once(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    save(path, sandbox.authorize())
    client = connect()
    users(client)
    sandbox.expire_tokens()
    assert users(client) == 6
    assert [request.status for request in sandbox.requests] == [200, 401, 200, 200]
    assert client.api_requests == 4


def test_a_401_that_a_new_token_does_not_cure_ends_it(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    save(path, sandbox.authorize())
    sandbox.faults.add(Fault("status", status=401, times=None))
    with pytest.raises(NotAuthorized, match=r"refused the credentials for users .* run `gazelle-sync login`"):
        users(connect())
    assert [request.status for request in sandbox.requests] == [401, 200, 401]


def test_threads_that_meet_a_401_together_renew_the_token_once(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client]
):
    save(path, sandbox.authorize())
    client = connect()
    users(client)
    sandbox.expire_tokens()
    sandbox.latency = 0.05
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: users(client), range(8))) == [6] * 8
    assert refreshes(sandbox) == [200]


def test_a_token_is_saved_before_it_is_used(scripted: Scripted, path: Path, connect: Callable[..., Client]):
    """The server looks into the file when the next request arrives."""
    found: list[str] = []

    def refuse_then_look(asked: Asked) -> Answer:
        if asked.path == TOKEN_PATH:
            return Answer(json.dumps({"access_token": "new", "refresh_token": "next", "expires_in": 7200}))
        if asked.headers["Authorization"] != "Bearer new":
            return Answer("", 401)
        found.append(json.loads(path.read_text())["refresh_token"])
        return Answer()

    scripted.answer(refuse_then_look)
    save(path, {"access_token": "old", "refresh_token": "first"})
    connect(scripted.url).execute("users", QUERY, {})
    assert found == ["next"]


def test_a_saved_token_is_for_its_owner_only_and_leaves_nothing_beside_it(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client]
):
    save(path, sandbox.authorize())
    path.chmod(0o644)
    sandbox.expire_tokens()
    assert users(connect()) == 6
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert sorted(file.name for file in path.parent.iterdir() if file.name != "token.json.lock") == ["token.json"]
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, f"{file.name} is readable by others"


def test_a_token_that_can_not_be_saved_leaves_the_old_one_and_no_part_of_the_new(path: Path):
    save(path, {"access_token": "old"})

    with pytest.raises(TypeError, match="not JSON serializable"):
        TokenFile(path).write({"access_token": "half", "refresh_token": object()})
    assert json.loads(path.read_text()) == {"access_token": "old"}
    assert [file.name for file in path.parent.iterdir()] == ["token.json"]


def test_the_old_refresh_token_is_kept_when_the_reply_has_none(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client]
):
    reply = sandbox.authorize()
    save(path, reply)
    sandbox.omit_refresh_token_in_reply = True
    client = connect()
    for _ in range(2):
        sandbox.expire_tokens()
        assert users(client) == 6
    stored = json.loads(path.read_text())
    assert stored["refresh_token"] == reply["refresh_token"]
    assert stored["access_token"] != reply["access_token"]


PROCESS = """
import sys, pathlib
from gazelle_sync.gazelle import Client, OAuth, TokenFile
from gazelle_sync.gazelle.transport import Transport
url, app, secret, path = sys.argv[1:]
transport = Transport(url, requests_per_second=100, patience=10)
client = Client(transport, OAuth(transport, app, secret, TokenFile(pathlib.Path(path))))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    print(len(client.execute("users", "{ allUsers { id } }", {})["allUsers"]))
"""


def test_two_processes_spend_a_refresh_token_once(sandbox: Sandbox, path: Path):
    save(path, sandbox.authorize())
    sandbox.expire_tokens()
    sandbox.latency = 0.2  # both meet the 401 before either has renewed
    arguments = [sandbox.url, sandbox.client_id, sandbox.client_secret, str(path)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    results = [None, None]

    def run(number: int) -> None:
        results[number] = processes[number].communicate("go\n", timeout=30)  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [("6\n6\n6\n", "")] * 2
    assert refreshes(sandbox) == [200]
    assert [request.status for request in sandbox.requests].count(401) == 2


def test_a_token_that_another_process_renewed_is_taken_over(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client]
):
    save(path, sandbox.authorize())
    client = connect()
    users(client)
    sandbox.expire_tokens()
    save(path, sandbox.authorize())
    assert users(client) == 6
    assert refreshes(sandbox) == []


def test_a_spent_refresh_token_sends_a_person_to_log_in(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    save(path, sandbox.authorize())
    before = path.read_text()
    sandbox.revoke_everything()
    with pytest.raises(NotAuthorized, match=r"OAuth grant \(refresh_token\): it is spent .* Run `gazelle-sync login`"):
        users(connect())
    assert refreshes(sandbox) == [400]
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "Another program that shares the token, such as the old service, may have used it: stop that one first"),
        ("fr", "Un autre programme qui partage le jeton, comme l’ancien service, l’a peut-être utilisé"),
    ],
)
def test_a_grant_that_another_program_spent_is_told_as_that(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client], language: str, told: str
):
    """Two programs that share one grant lock each other out: whoever renews it spends what the other has."""
    speak(language)
    ours = sandbox.authorize()
    save(path, ours)
    sandbox.expire_tokens()
    # The other one, with a copy of the file.
    assert users(connect()) == 6
    save(path, ours)
    with pytest.raises(NotAuthorized) as refused:
        users(connect())
    assert told in str(refused.value)


def test_a_wrong_client_secret_is_told(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    save(path, sandbox.authorize())
    sandbox.expire_tokens()
    with pytest.raises(NotAuthorized, match="GAZELLE_CLIENT_SECRET are not this app's"):
        users(connect(secret="another"))
    assert refreshes(sandbox) == [401]


def test_an_expired_token_without_a_refresh_token_sends_a_person_to_log_in(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client]
):
    save(path, {"access_token": "x", "created_at": 1, "expires_in": 1})
    with pytest.raises(NotAuthorized, match=r"expired and has no refresh token. Run `gazelle-sync login`"):
        users(connect())
    assert sandbox.requests == []


def test_no_file_sends_a_person_to_log_in(sandbox: Sandbox, connect: Callable[..., Client]):
    with pytest.raises(NotAuthorized, match=r"There is no OAuth token yet. Run `gazelle-sync login`"):
        users(connect())
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "content",
    [b"", b"not json", b"\xff\xfe\x00garbage", b"[]", b"null", b"{}", b'{"access_token": 5}', b'{"access_token": nul'],
)
def test_a_file_that_holds_no_token_sends_a_person_to_log_in(
    sandbox: Sandbox, path: Path, connect: Callable[..., Client], content: bytes
):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(NotAuthorized, match=r"token.json is not a token. Run `gazelle-sync login`"):
        users(connect())
    assert sandbox.requests == []


def test_a_token_endpoint_that_falters_is_asked_again(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    save(path, sandbox.authorize())
    sandbox.expire_tokens()
    sandbox.faults.add(Fault("status", status=502, path=TOKEN_PATH))
    assert users(connect()) == 6
    assert refreshes(sandbox) == [502, 200]


@pytest.mark.parametrize("reply", ["{}", '{"error": "x"}', "[]", "null", '{"access_token": null}'])
def test_a_reply_without_a_token_is_said_and_not_stored(
    scripted: Scripted, path: Path, connect: Callable[..., Client], reply: str
):
    scripted.answer(Answer("", 401), Answer(reply))
    save(path, {"access_token": "old", "refresh_token": "first"})
    with pytest.raises(InvalidResponse, match=r"has no access_token. Run `gazelle-sync login`"):
        connect(scripted.url).execute("users", QUERY, {})
    assert json.loads(path.read_text()) == {"access_token": "old", "refresh_token": "first"}


def test_a_code_is_exchanged_for_a_token_once(sandbox: Sandbox, path: Path, connect: Callable[..., Client]):
    transport = Transport(sandbox.url, patience=5)
    oauth = OAuth(transport, sandbox.client_id, sandbox.client_secret, TokenFile(path))
    callback = "http://localhost:8901/callback"
    code = sandbox.tokens.code(callback)
    oauth.exchange(code, callback)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert users(connect()) == 6
    sent = next(request.variables for request in sandbox.requests if request.path == TOKEN_PATH)
    assert sent == {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }
    with pytest.raises(NotAuthorized, match=r"OAuth grant \(authorization_code\)"):
        oauth.exchange(code, callback)
    transport.close()


def test_a_token_reads_back_as_it_was_written(path: Path):
    path.parent.mkdir()
    for token in (Token("a", "b", float(int(time.time()) + 99)), Token("a", None, None)):
        TokenFile(path).write(token.to_json())
        assert Token.parse(TokenFile(path).read()) == token


@pytest.mark.parametrize("ends", ["2026-01-01", [1], {}, None])
def test_a_token_whose_end_is_nonsense_is_taken_for_one_that_did_not_say(ends: Any):
    token = Token.parse({"access_token": "a", "created_at": ends, "expires_in": 7200})
    assert token.expires_at is None
    assert not token.stale


def test_a_token_does_not_show_itself():
    assert repr(Token("access", "refresh", 5)) == str(Token("access", "refresh", 5)) == "Token(expires_at=5)"
    assert issubclass(NotAuthorized, GazelleError)
