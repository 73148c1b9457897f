"""The bundled account as of today, mirrored once into a database of its own, for all who ask it something.

A quarter of its pianos is due, as is so in every account: the bundled one is well looked after.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Snapshot
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.conftest import ALL, NOW, TORONTO, client_of, query_rows

Ask = Callable[..., list[dict[str, Any]]]


def today() -> date:
    """The day that a query takes for today. It is not `NOW` where midnight has passed since the tests began."""
    return datetime.now(TORONTO).date()


@pytest.fixture(scope="session")
def account() -> Account:
    account = Account.typical(NOW)
    for number, piano in enumerate(account.pianos.values()):
        if number % 4 == 0:
            piano["calculatedNextService"] = (NOW - timedelta(days=3 * number)).isoformat()
        if number % 8 == 0:
            piano["nextServiceOverride"] = (NOW - timedelta(days=number)).isoformat()
    # A year has its services from its first day on, and it may begin while the tests run.
    services = [each for each in account.timeline.values() if each["type"] == "SERVICE_ENTRY_MANUAL"]
    for days, entry in enumerate(services[:2]):
        entry["occurredAt"] = f"{NOW + timedelta(days)}T12:00:00Z"
    return account


@pytest.fixture(scope="session")
def mirrored_url(server_url: str, account: Account) -> Iterator[str]:
    """The connection string of a database that mirrors the account. Whoever writes to it takes it back."""
    name = f"gazelle_answers_{uuid.uuid4().hex[:8]}"
    admin = psycopg2.connect(make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False))
    admin.autocommit = True
    url = make_url(server_url).set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            engine = warehouse.connect(url)
            warehouse.migrate(engine, loads_follow=True)
            with Sandbox(account) as sandbox:
                client = client_of(sandbox)
                for table in TABLES.values():
                    warehouse.load(engine, Snapshot(client, table, ALL), run_id="test")
                client.close()
            yield url
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.close()


@pytest.fixture
def mirrored(mirrored_url: str) -> Engine:
    return warehouse.connect(mirrored_url)


@pytest.fixture
def ask_mirror(mirrored: Engine) -> Ask:
    """Runs a query on the mirrored account: a list of rows as dictionaries."""
    return lambda query, *parameters: query_rows(mirrored, query, *parameters)


@pytest.fixture
def after(mirrored_url: str) -> Iterator[Callable[[str, str], list[tuple[Any, ...]]]]:
    """The rows of a query after statements, all of which are taken back."""
    connection = psycopg2.connect(mirrored_url)

    def after(statements: str, query: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statements)
            cursor.execute(query)
            found = cursor.fetchall()
        connection.rollback()
        return found

    yield after
    connection.close()
