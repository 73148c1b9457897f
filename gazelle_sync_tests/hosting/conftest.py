"""A server with TLS and passwords, poolers before it, and installations that use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync_tests.command.conftest import command, root  # noqa: F401  fixtures
from gazelle_sync_tests.conftest import HISTORY_START, NOW
from gazelle_sync_tests.hosting.servers import (  # noqa: F401  fixtures
    emptied,
    secure_server,
    session_pooler,
    transaction_pooler,
)


@pytest.fixture(scope="package")
def live() -> Iterator[Sandbox]:
    """The typical account as of today, served over HTTP."""
    with Sandbox(Account.typical(NOW)) as sandbox:
        yield sandbox


@pytest.fixture
def gazelle(live: Sandbox) -> dict[str, str]:
    """The variables of an installation that reads it, with a short history: each partition costs a run 17 ms."""
    return {
        "GAZELLE_BASE_URL": live.url,
        "GAZELLE_API_KEY": live.api_key,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
        "GAZELLE_HISTORY_START": HISTORY_START.isoformat(),
    }


@pytest.fixture
def app(live: Sandbox, gazelle: dict[str, str]) -> dict[str, str]:
    """The same, as an OAuth app whose token is kept in the database."""
    return gazelle | {
        "GAZELLE_API_KEY": "",
        "GAZELLE_CLIENT_ID": live.tokens.client_id,
        "GAZELLE_CLIENT_SECRET": live.tokens.client_secret,
        "GAZELLE_TOKEN_FILE": "postgres",
    }
