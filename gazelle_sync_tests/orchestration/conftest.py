"""The Dagster project in this process, against a real database and the sandbox over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from dagster import DagsterInstance, Definitions

from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync_tests.conftest import HISTORY_START, NOW


@pytest.fixture
def defs(definitions: ModuleType) -> Definitions:
    found = definitions.defs
    assert isinstance(found, Definitions)
    return found


@pytest.fixture
def instance(shipped: DagsterInstance) -> DagsterInstance:
    return shipped


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    """The typical account as of today, served over HTTP."""
    with Sandbox(Account.typical(NOW)) as sandbox:
        yield sandbox


@pytest.fixture
def configured(bare: pytest.MonkeyPatch, database_url: str, live: Sandbox) -> pytest.MonkeyPatch:
    """The environment of a whole configuration, as the resources read it when a run begins."""
    from gazelle_sync.environment import settings as environment

    variables = {
        "SUPABASE_DB_URL": database_url,
        "GAZELLE_BASE_URL": live.url,
        "GAZELLE_API_KEY": live.api_key,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
        "GAZELLE_HISTORY_START": HISTORY_START.isoformat(),
    }
    for name, value in variables.items():
        bare.setenv(name, value)
    environment.load_files()
    return bare
