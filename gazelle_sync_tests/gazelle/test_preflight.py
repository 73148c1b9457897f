"""What differs between the live schema and what is asked, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.preflight import Difference, compare, read_schema
from gazelle_sync.sandbox.schema import schema as published_schema
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync_tests.conftest import ALL, TORONTO

SCOPES = (ALL, Scope(TORONTO, date(2026, 1, 1), date(2026, 4, 1)))


@pytest.fixture
def differences(client: Client) -> Callable[[str], list[Difference]]:
    """What a table finds different, on the sandbox as it is now."""

    def find(table: str) -> list[Difference]:
        schema = read_schema(client)
        assert schema is not None
        return compare(schema, published_schema(), TABLES[table], SCOPES)

    return find


@pytest.mark.parametrize("name", TABLES)
def test_the_published_schema_has_all_that_is_asked(name: str, differences: Callable[[str], list[Difference]]) -> None:
    assert differences(name) == []
