"""Whatever fails: no token, key or secret is in an error, in what caused it, or in the log."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from gazelle_sync.gazelle import ApiKey, Client, GazelleError, OAuth, TokenFile
from gazelle_sync.gazelle.auth import TOKEN_PATH
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync_tests.gazelle.conftest import Answer, Asked, Scripted

KEY, ACCESS, REFRESH, SECRET = "MARKED-key", "MARKED-access", "MARKED-refresh", "MARKED-secret"
NEW = json.dumps({"access_token": "MARKED-new-access", "refresh_token": "MARKED-new-refresh", "expires_in": 7200})


def echo(asked: Asked, status: int) -> Answer:
    """What the worst server does: it shows what it was sent, headers and body."""
    sent = [asked.headers.get(name, "") for name in ("Authorization", "x-gazelle-api-key")]
    return Answer(f"{sent} {asked.body.decode()}", status, {"Content-Type": "text/plain"})


def graphql(asked: Asked, more: dict[str, object]) -> Answer:
    """An error of GraphQL that shows what was sent, as one of a gateway in front does."""
    sent = [asked.headers.get(name, "") for name in ("Authorization", "x-gazelle-api-key")]
    return Answer(json.dumps({"errors": [{"message": f"no rights: {sent}", **more}]}))


def renewing(answer: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """401 to the first query; `answer` to the token request."""
    return lambda asked: answer(asked) if asked.path == TOKEN_PATH else Answer("", 401)


CASES: dict[str, Callable[[Asked], Answer]] = {
    **{f"{status}, echoed": lambda asked, status=status: echo(asked, status) for status in (200, 400, 403, 404, 500)},
    "401": lambda asked: echo(asked, 401),
    "429 beyond patience": lambda asked: Answer("", 429, {"Retry-After": "99"}),
    "a reset connection": lambda asked: Answer(reset=True),
    "no answer in time": lambda asked: Answer(hold=1),
    "a redirect with the token": lambda asked: Answer("", 302, {"Location": f"http://127.0.0.1:9/?t={ACCESS}&k={KEY}"}),
    "a GraphQL error": lambda asked: graphql(asked, {}),
    "a refused query": lambda asked: graphql(asked, {"locations": [{}]}),
    "an answer without data": lambda asked: Answer("[]"),
    **{
        f"token: {status}, echoed": renewing(lambda asked, status=status: echo(asked, status))
        for status in (200, 400, 401, 403, 500)
    },
    "token: cut short": renewing(lambda asked: Answer(NEW[:60])),
    "token: and then 401 again": renewing(lambda asked: Answer(NEW)),
    "token: without access_token": renewing(lambda asked: Answer(NEW.replace("access_token", "acces_token"))),
    "token: reset": renewing(lambda asked: Answer(reset=True)),
}


def chain(error: BaseException | None) -> list[BaseException]:
    """The error and all that is behind it, also what `from None` hides from a traceback."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in found:
            found.append(each)
            waiting += [each.__cause__, each.__context__]
    return found


def texts(error: BaseException) -> str:
    shown = traceback.format_exception(type(error), error, error.__traceback__)
    return "\n".join([*shown, *(f"{each} {each!r}" for each in chain(error) if isinstance(each, GazelleError))])


# A key is not renewed: what the token endpoint says is met with OAuth only.
@pytest.mark.parametrize(
    ("kind", "case"),
    [(kind, case) for kind in ("key", "oauth") for case in CASES if kind == "oauth" or not case.startswith("token")],
)
def test_no_secret_is_in_an_error_or_in_the_log(
    scripted: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str, kind: str
):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "token.json"
    path.write_text(json.dumps({"access_token": ACCESS, "refresh_token": REFRESH}))
    scripted.answer(CASES[case])
    transport = Transport(scripted.url, requests_per_second=1000, patience=0.4, budget=5, read_timeout=0.2)
    oauth = OAuth(transport, "client-id", SECRET, TokenFile(path))
    client = Client(transport, ApiKey(KEY) if kind == "key" else oauth)
    with pytest.raises(GazelleError) as caught:
        client.execute("the clients", "{ x }", {})
    client.close()
    assert scripted.asked, "something was sent"
    assert "MARKED" not in texts(caught.value)
    logged = "\n".join(f"{record.getMessage()} {record.args!r} {record.exc_info!r}" for record in caplog.records)
    assert "MARKED" not in logged


def test_a_key_that_can_not_be_sent_is_not_shown(scripted: Scripted):
    client = Client(Transport(scripted.url), ApiKey(f"{KEY}\r\nX: y"))
    with pytest.raises(GazelleError) as caught:
        client.execute("the clients", "{ x }", {})
    assert KEY not in texts(caught.value)


def test_credentials_in_the_base_url_are_not_shown():
    client = Client(Transport("http://user:MARKED-password@127.0.0.1:9", patience=0.3), ApiKey(KEY))
    with pytest.raises(GazelleError) as caught:
        client.execute("the clients", "{ x }", {})
    assert "MARKED" not in texts(caught.value)


def test_a_token_file_that_is_none_is_not_shown(tmp_path: Path):
    path = tmp_path / "token.json"
    path.write_text('{"access_token": "MARKED-access", "refresh_token": "MARK')
    transport = Transport("http://127.0.0.1:9")
    with pytest.raises(GazelleError) as caught:
        Client(transport, OAuth(transport, "client-id", SECRET, TokenFile(path))).execute("x", "{ x }", {})
    assert "MARKED" not in texts(caught.value)
