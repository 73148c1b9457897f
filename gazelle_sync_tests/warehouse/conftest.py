"""The sandbox as it is after a start, in less time than a start takes; and a little SQL. No test, no expectation."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync_tests.conftest import TODAY, empty_tables, wait_for_abandoned_reads


@pytest.fixture(scope="session")
def served() -> Iterator[Sandbox]:
    with Sandbox(Account()) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def typical() -> bytes:
    return pickle.dumps(Account.typical(TODAY))


@pytest.fixture
def sandbox(served: Sandbox, typical: bytes) -> Iterator[Sandbox]:
    """One server for all tests, each with a fresh copy of the typical account."""
    wait_for_abandoned_reads()
    served.account = pickle.loads(typical)
    served.page_cap, served.opaque_cursors, served.latency = 100, False, 0.0
    yield served
    served.faults.clear()


@pytest.fixture
def engine(database_url: str, known_shape: dict[str, Any]) -> Iterator[Engine]:
    """As everybody's. It keeps a connection open between transactions, as a run's does."""
    engine = warehouse.connect(database_url, keep_open=True)
    empty_tables(engine, known_shape)
    yield engine
    engine.dispose()


@pytest.fixture
def run(engine: Engine) -> Callable[..., None]:
    """Runs statements, each transaction of them at once."""

    def run(statements: str) -> None:
        with transaction(engine) as cursor:
            cursor.execute(statements)

    return run


@pytest.fixture
def last_log(rows: Callable[..., list[dict[str, Any]]]) -> Callable[[str], dict[str, Any]]:
    """The newest row of `sync_log` for a table."""
    return lambda table: rows("SELECT * FROM gazelle.sync_log WHERE table_name = %s ORDER BY id DESC LIMIT 1", table)[0]


@pytest.fixture
def strike(run: Callable[..., None]) -> Callable[..., None]:
    """Makes every statement that writes to a table do something for the first `times` times, over all attempts.

    A sequence counts them: it does not roll back with the transaction that it fails.
    """

    def strike(table: str, action: str, *, times: int = 1, at_commit: bool = False) -> None:
        run(f"""
            DROP SEQUENCE IF EXISTS public.strikes;
            CREATE SEQUENCE public.strikes;
            CREATE OR REPLACE FUNCTION public.strike() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('public.strikes') <= {times} THEN {action} END IF;
                RETURN NULL;
            END $$;
            CREATE {"CONSTRAINT" if at_commit else ""} TRIGGER strikes AFTER INSERT OR UPDATE ON gazelle.{table}
            {"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW" if at_commit else "FOR EACH STATEMENT"}
            EXECUTE FUNCTION public.strike();
            """)

    return strike


@pytest.fixture
def strikes(rows: Callable[..., list[dict[str, Any]]]) -> Callable[[], int]:
    """How often the trigger of `strike` ran."""
    return lambda: rows("SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM public.strikes")[0]["n"]
