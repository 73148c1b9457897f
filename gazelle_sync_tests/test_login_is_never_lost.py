"""A refresh token is spent by being used: what replaces it has a place before, and is saved before it is used."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync.gazelle import Client, NotAuthorized, OAuth, TokenFile, auth
from gazelle_sync.gazelle.auth import TOKEN_PATH, TokenStore
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync.sandbox import Sandbox
from gazelle_sync.warehouse import TokenTable, WarehouseError, tokens
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync_tests.conftest import query_rows
from gazelle_sync_tests.gazelle.conftest import Answer, Asked, Scripted, scripted  # noqa: F401  a fixture
from gazelle_sync_tests.test_files import in_a_namespace, needs_mounts

OLD = {"access_token": "old", "refresh_token": "first"}
NEW = {"access_token": "new", "refresh_token": "second", "expires_in": 7200}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "token.json"
    path.parent.mkdir()
    path.write_text(json.dumps(OLD))
    return path


@pytest.fixture
def connect(scripted: Scripted) -> Iterator[Callable[[TokenStore], Client]]:  # noqa: F811
    """A client whose token is refused, with a store of its own."""
    made: list[Client] = []

    def connect(store: TokenStore) -> Client:
        transport = Transport(scripted.url, requests_per_second=1000, patience=5)
        made.append(Client(transport, OAuth(transport, "app", "app-secret", store)))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def renewing(meanwhile: Callable[[], Any]) -> Callable[[Asked], Answer]:
    """Refuses the old token and takes the new one; something happens while it answers the request for that."""

    def answer(asked: Asked) -> Answer:
        if asked.path == TOKEN_PATH:
            meanwhile()
            return Answer(json.dumps(NEW))
        return Answer() if asked.headers["Authorization"] == "Bearer new" else Answer("", 401)

    return answer


def execute(client: Client) -> None:
    client.execute("the clients", "{ x }", {})


def spent(server: Scripted) -> int:
    return sum(asked.path == TOKEN_PATH for asked in server.asked)


# -- in a file --------------------------------------------------------------------------------------------------------

PROCESS = """
import sys, pathlib
from gazelle_sync.gazelle import Client, GazelleError, OAuth, TokenFile
from gazelle_sync.gazelle.transport import Transport
transport = Transport(sys.argv[3], requests_per_second=100, patience=10)
client = Client(transport, OAuth(transport, sys.argv[4], sys.argv[5], TokenFile(pathlib.Path(sys.argv[1]))))
try:
    print(len(client.execute("users", "{ allUsers { id } }", {})["allUsers"]))
except GazelleError as error:
    print(error)
print(pathlib.Path(sys.argv[1]).read_text())
"""


@needs_mounts
@pytest.mark.parametrize(
    ("mounts", "why"),
    [
        (
            'cp "$1" "$2"; mount -t tmpfs -o size=12k t "${1%/*}"; cp "$2" "$1"; head -c 8k /dev/zero > "${1%/*}/x"',
            "the disk is full",
        ),
        ('mount --bind "$2" "$1"; mount -o remount,bind,ro "$1"', "it can only be read"),
    ],
    ids=["a full disk", "a file mounted read-only"],
)
def test_where_a_token_can_not_be_saved_none_is_asked_for(
    sandbox: Sandbox, tmp_path: Path, path: Path, mounts: str, why: str
) -> None:
    reply = json.dumps(sandbox.authorize())
    sandbox.expire_tokens()
    other = tmp_path / "other.json"
    for file in (path, other):
        file.write_text(reply)
    said = in_a_namespace(mounts, PROCESS, path, other, sandbox.url, sandbox.client_id, sandbox.client_secret)
    assert f"token.json: {why}" in said
    assert "nothing is lost" in said
    assert said.endswith(reply)
    assert [request.path for request in sandbox.requests if request.path == TOKEN_PATH] == []
    # And so it is still good where it can be saved.
    arguments = [str(path), "", sandbox.url, sandbox.client_id, sandbox.client_secret]
    ended = subprocess.run([sys.executable, "-c", PROCESS, *arguments], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("6\n")


@needs_mounts
def test_a_token_whose_file_is_mounted_by_itself_is_renewed_in_it(sandbox: Sandbox, tmp_path: Path, path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(reply := sandbox.authorize()))
    sandbox.expire_tokens()
    arguments = path, outside, sandbox.url, sandbox.client_id, sandbox.client_secret
    assert in_a_namespace('mount --bind "$2" "$1"', PROCESS, *arguments).startswith("6\n")
    assert json.loads(outside.read_text())["refresh_token"] != reply["refresh_token"]


def test_a_token_behind_a_link_is_renewed_where_the_link_leads(
    scripted: Scripted,  # noqa: F811
    connect: Callable[[TokenStore], Client],
    path: Path,
    tmp_path: Path,
) -> None:
    link = tmp_path / "token.json"
    link.symlink_to(path)
    scripted.answer(renewing(lambda: None))
    execute(connect(TokenFile(link)))
    assert link.is_symlink()
    assert json.loads(path.read_text())["refresh_token"] == "second"


def test_a_token_that_can_not_be_saved_any_more_is_saved_as_soon_as_it_can_be(
    scripted: Scripted,  # noqa: F811
    connect: Callable[[TokenStore], Client],
    path: Path,
) -> None:
    """Its folder goes away while Gazelle answers, and comes back."""
    away = path.parent.with_name("away")

    def lose_the_folder() -> None:
        path.parent.rename(away)
        path.parent.write_text("not a folder")

        def bring_it_back() -> None:
            path.parent.unlink()
            away.rename(path.parent)

        threading.Timer(1.0, bring_it_back).start()

    scripted.answer(renewing(lose_the_folder))
    execute(connect(TokenFile(path)))
    assert json.loads(path.read_text())["refresh_token"] == "second"
    assert spent(scripted) == 1


def test_a_token_that_could_not_be_saved_is_kept_and_saved_before_it_is_used(
    scripted: Scripted,  # noqa: F811
    connect: Callable[[TokenStore], Client],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auth, "PAUSES", (0.01,))
    away = path.parent.with_name("away")

    def lose_the_folder() -> None:
        path.parent.rename(away)
        path.parent.write_text("not a folder")

    scripted.answer(renewing(lose_the_folder))
    client = connect(TokenFile(path))
    with pytest.raises(NotAuthorized, match=r"could not be saved \(a part of the path is not a folder\)") as caught:
        execute(client)
    assert "second" not in str(caught.value)
    assert [asked.headers.get("Authorization") for asked in scripted.asked] == ["Bearer old", None]
    path.parent.unlink()
    away.rename(path.parent)
    execute(client)
    assert json.loads(path.read_text())["refresh_token"] == "second"
    assert spent(scripted) == 1


def test_a_token_that_another_process_keeps_is_not_waited_for_without_end(
    scripted: Scripted,  # noqa: F811
    connect: Callable[[TokenStore], Client],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auth, "LOCK_PATIENCE", 0.3)
    with (
        TokenFile(path).held(),
        pytest.raises(NotAuthorized, match=r"another process has kept .*token\.json"),
    ):
        execute(connect(TokenFile(path)))
    assert scripted.asked == []


# -- in the database --------------------------------------------------------------------------------------------------


@pytest.fixture
def table(engine: Engine) -> TokenTable:
    table = TokenTable(engine)
    with table.held() as held:
        held.write(OLD)
    return table


def stored(engine: Engine) -> str:
    ((token,),) = (row.values() for row in query_rows(engine, "SELECT token FROM gazelle.oauth_token"))
    return str(token["refresh_token"])


def test_a_connection_that_ends_while_gazelle_answers_loses_no_token(
    scripted: Scripted,  # noqa: F811
    connect: Callable[[TokenStore], Client],
    table: TokenTable,
    engine: Engine,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def end_it() -> None:
        ended = query_rows(
            engine,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' "
            "AND datname = current_database() AND application_name = 'gazelle-sync'",
        )
        assert len(ended) == 1

    scripted.answer(renewing(end_it))
    execute(connect(table))
    assert stored(engine) == "second"
    assert spent(scripted) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_a_role_that_may_not_save_the_token_asks_for_none(
    scripted: Scripted,  # noqa: F811
    connect: Callable[[TokenStore], Client],
    table: TokenTable,
    engine: Engine,
) -> None:
    query_rows(
        engine,
        "CREATE FUNCTION gazelle.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '53100' "
        "USING MESSAGE = 'could not extend file'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON gazelle.oauth_token EXECUTE FUNCTION gazelle.no()",
    )
    scripted.answer(renewing(lambda: None))
    with pytest.raises(WarehouseError, match=r"could not extend file \(53100\).*make room"):
        execute(connect(table))
    assert spent(scripted) == 0
    assert stored(engine) == "first"


def test_the_row_stays_locked_while_gazelle_is_asked(
    scripted: Scripted,  # noqa: F811
    connect: Callable[[TokenStore], Client],
    table: TokenTable,
    engine: Engine,
) -> None:
    seen: list[int] = []
    free = "SELECT 1 FROM gazelle.oauth_token FOR UPDATE SKIP LOCKED"
    scripted.answer(renewing(lambda: seen.append(len(query_rows(engine, free)))))
    execute(connect(table))
    assert seen == [0]
    assert len(query_rows(engine, free)) == 1


def test_a_row_that_another_host_keeps_is_not_waited_for_without_end(
    connect: Callable[[TokenStore], Client], table: TokenTable, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "LOCK_PATIENCE", 1)
    with transaction(engine) as cursor:
        cursor.execute("SELECT 1 FROM gazelle.oauth_token FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(WarehouseError, match="Another process has kept the OAuth token for 1 s"):
            execute(connect(table))
        assert time.monotonic() - began < 5


def test_a_first_login_makes_the_table_before_the_code_is_spent(
    scripted: Scripted,  # noqa: F811
    empty_engine: Engine,
) -> None:
    found: list[bool] = []

    def look() -> None:
        ((there,),) = (
            row.values() for row in query_rows(empty_engine, "SELECT to_regclass('gazelle.oauth_token') IS NOT NULL")
        )
        found.append(there)

    scripted.answer(renewing(look))
    transport = Transport(scripted.url, patience=5)
    OAuth(transport, "app", "app-secret", TokenTable(empty_engine)).exchange("code", "http://localhost/callback")
    transport.close()
    assert found == [True]
    assert stored(empty_engine) == "second"
