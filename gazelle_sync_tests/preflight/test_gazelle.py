"""`check` says which credentials of Gazelle do not do, and which will not for long."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Sandbox
from gazelle_sync.warehouse import TokenTable
from gazelle_sync_tests.conftest import query_rows
from gazelle_sync_tests.hosting.servers import Server

Check = Callable[..., dict[str, tuple[bool, str]]]


@pytest.fixture
def app(live: Sandbox) -> dict[str, str]:
    return {
        "GAZELLE_API_KEY": "",
        "GAZELLE_CLIENT_ID": live.tokens.client_id,
        "GAZELLE_CLIENT_SECRET": live.tokens.client_secret,
    }


def test_a_key_that_is_refused_is_told_and_the_database_is_looked_at_all_the_same(check: Check) -> None:
    found = check(GAZELLE_API_KEY="sesame")
    assert not found["Gazelle"][0]
    assert "refused the credentials" in found["Gazelle"][1]
    assert "Check GAZELLE_API_KEY" in found["Gazelle"][1]
    assert found["database"][0]


def test_a_token_that_can_not_be_renewed_is_told_while_it_still_works(
    check: Check, app: dict[str, str], live: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "token.json"
    file.write_text(json.dumps(live.tokens.pair(with_refresh_token=False)))
    good, text = check(**app, GAZELLE_TOKEN_FILE=str(file))["Gazelle"]
    assert not good
    assert text.startswith("The OAuth token has no refresh token: when it expires, syncs fail until somebody logs in")
    assert "Run `gazelle-sync login`" in text

    file.write_text(json.dumps(live.authorize()))
    assert check(**app, GAZELLE_TOKEN_FILE=str(file))["Gazelle"] == (True, live.url)


def test_a_token_that_is_to_be_in_the_database_is_looked_for_without_making_a_table_for_it(
    check: Check, app: dict[str, str], emptied: Server, live: Sandbox
) -> None:
    assert check(**app, GAZELLE_TOKEN_FILE="postgres")["Gazelle"] == (
        False,
        "There is no OAuth token yet. Run `gazelle-sync login`.",
    )
    engine = warehouse.connect(emptied.url())
    assert query_rows(engine, "SELECT to_regnamespace('gazelle')::text AS made") == [{"made": None}]
    with TokenTable(engine).held() as held:
        held.write(live.authorize())
    assert check(**app, GAZELLE_TOKEN_FILE="postgres")["Gazelle"] == (True, live.url)
