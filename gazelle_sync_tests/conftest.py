"""What every test stands on: a real PostgreSQL, and the sandbox over real HTTP. Neither is ever mocked."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
import pytest
from dagster import DagsterInstance
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from xdist.scheduler import LoadFileScheduling

from gazelle_sync import redaction, warehouse
from gazelle_sync.environment import embedded
from gazelle_sync.environment import settings as environment
from gazelle_sync.gazelle import ApiKey, Client, Snapshot, page_size
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.declaration import Cadence
from gazelle_sync.translations import speak
from gazelle_sync.warehouse import LoadReport
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync_tests.older_postgres import start_older
from gazelle_sync_tests.project import SOURCE

TORONTO = ZoneInfo("America/Toronto")
TODAY = date(2026, 3, 16)
# What every night reads, and not only Sunday's run.
NIGHTLY = [name for name, table in TABLES.items() if table.every is Cadence.NIGHT]
ALL = Scope(TORONTO, date(2017, 1, 1))
# Of the tests that are about today: the day, and the beginning of a short history.
NOW = datetime.now(TORONTO).date()
# Seconds. What is done at once is done by then, though the machine is busy or stops for a moment; what it is told from
# takes longer.
AT_ONCE = 8
HISTORY_START = (NOW - timedelta(days=180)).replace(day=1)


# Their installations look around every two seconds: they come one after the other, and first, as they take longest.
INSTALLATIONS = ("daemon", "browser")
LONG = ("command", "orchestration", "hosting", "monitoring")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate((*INSTALLATIONS, *LONG))}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(order)))


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """For `make test`: each of several processes takes a file at a time, and one takes all installations."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(super()._split_scope(nodeid))
        return "installations" if file.parent.name in INSTALLATIONS else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def folder_for_postgres() -> Path:
    """A folder that is removed at the end, after the server in it was stopped.

    Not below pytest's own: each session of pytest that root starts closes that to other users, and so to a
    PostgreSQL that still runs there, as a user of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="gazelle-sync-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process knows of itself, its secrets and its language, is each test's own."""
    monkeypatch.setattr(redaction, "_hidden", set())
    # A page that a busy machine holds up is no slow page.
    monkeypatch.setattr(page_size, "QUICK", 60.0)
    yield
    speak("en")


@pytest.fixture(scope="session")
def server_url() -> str:
    """A PostgreSQL server in a folder of its own: the embedded one, or that whose programs are in `TEST_POSTGRES`."""
    if program := os.environ.get("TEST_POSTGRES"):
        url = start_older(Path(program), folder_for_postgres())
    else:
        url = embedded.start_postgres(folder_for_postgres())
    hurry(url)
    return url


def hurry(url: str) -> None:
    """Lets a server answer before what it wrote is on the disk: it does not outlive its tests."""
    admin = psycopg2.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    admin.autocommit = True
    with contextlib.closing(admin), admin.cursor() as cursor:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"ALTER SYSTEM SET {name} = off")
        cursor.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def database_url(server_url: str) -> Iterator[str]:
    """A database of this test run's own, dropped at its end."""
    name = f"gazelle_test_{uuid.uuid4().hex[:8]}"
    admin = psycopg2.connect(make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield make_url(server_url).set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.close()


@pytest.fixture
def empty_engine(database_url: str) -> Engine:
    """An engine on a database without schema `gazelle`."""
    engine = warehouse.connect(database_url)
    with transaction(engine) as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS gazelle CASCADE")
    return engine


# All that a test can have changed about schema gazelle, apart from rows.
SHAPE = """
    SELECT (SELECT array_agg((c.oid, c.relacl, c.relowner, c.relrowsecurity, c.relnatts)::text ORDER BY c.oid)
            FROM pg_class c WHERE c.relnamespace = n.oid),
           (SELECT array_agg((k.oid, k.convalidated)::text ORDER BY k.oid) FROM pg_constraint k
            WHERE k.connamespace = n.oid),
           (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal), n.oid::text
    FROM pg_namespace n WHERE nspname = 'gazelle'
"""


@pytest.fixture(scope="session")
def known_shape() -> dict[str, Any]:
    """What the schema looked like when it was last made."""
    return {}


@pytest.fixture
def engine(database_url: str, known_shape: dict[str, Any]) -> Engine:
    """An engine on a database with every table, all of them empty: made anew only if a test changed its shape."""
    engine = warehouse.connect(database_url)
    empty_tables(engine, known_shape)
    return engine


def empty_tables(engine: Engine, known_shape: dict[str, Any]) -> None:

    def shape(cursor: Any) -> Any:
        cursor.execute(SHAPE)
        return cursor.fetchone()

    with transaction(engine) as cursor:
        if known_shape and known_shape["shape"] == shape(cursor):
            cursor.execute(
                "DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg('gazelle.' || tablename, ', ') || "
                "' RESTART IDENTITY CASCADE' FROM pg_tables WHERE schemaname = 'gazelle'); END $$"
            )
            # What a run notes there, that nothing is lacking, is not known of tables that were just made.
            cursor.execute("COMMENT ON SCHEMA gazelle IS NULL")
            return
        cursor.execute("DROP SCHEMA IF EXISTS gazelle CASCADE")
    warehouse.migrate(engine)
    with transaction(engine) as cursor:
        known_shape["shape"] = shape(cursor)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The typical account, as of `TODAY`, served over HTTP."""
    with Sandbox(Account.typical(TODAY)) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """A client in a hurry: it asks quickly, and gives up after a few seconds."""
    client = client_of(sandbox)
    yield client
    client.close()


def wait_for_abandoned_reads() -> None:
    """A read that is abandoned ends with the request on its way, which is not to meet the faults of the next test."""
    for thread in threading.enumerate():
        if thread.name in TABLES:
            thread.join()


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def close_for_all(used: socket.socket) -> None:
    """Closes a socket that another thread may wait at. Without the first step that thread would go on waiting there, or
    at the next socket that gets this one's number."""
    with contextlib.closing(used), contextlib.suppress(OSError):
        used.shutdown(socket.SHUT_RDWR)


def client_of(sandbox: Sandbox, **options: Any) -> Client:
    transport = Transport(sandbox.url, **{"requests_per_second": 1000, "patience": 10, "budget": 10, **options})
    return Client(transport, ApiKey(sandbox.api_key))


@pytest.fixture
def mirror(engine: Engine, client: Client) -> Callable[..., LoadReport]:
    """Mirrors one table, with `warehouse.load`'s options: `mirror("clients", allow_mass_delete=True)`."""

    def mirror(table: str, scope: Scope = ALL, **options: Any) -> LoadReport:
        snapshot = Snapshot(client, TABLES[table], scope)
        return warehouse.load(engine, snapshot, **{"run_id": "test", **options})

    return mirror


@pytest.fixture
def mirror_all(mirror: Callable[..., LoadReport]) -> Callable[..., dict[str, LoadReport]]:
    """Mirrors every table in the order of their dependencies."""
    return lambda *args, **options: {name: mirror(name, *args, **options) for name in TABLES}


@pytest.fixture
def rows(engine: Engine) -> Callable[..., list[dict[str, Any]]]:
    """Runs a query: a list of rows as dictionaries."""
    return lambda query, *parameters: query_rows(engine, query, *parameters)


@pytest.fixture
def ask(empty_engine: Engine) -> Callable[..., list[dict[str, Any]]]:
    """As `rows`, for a test that makes the tables itself."""
    return lambda query, *parameters: query_rows(empty_engine, query, *parameters)


def query_rows(engine: Engine, query: str, *parameters: object) -> list[dict[str, Any]]:
    with transaction(engine) as cursor:
        cursor.execute(query, parameters)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# -- the project as it is installed -----------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """None of our variables is set, and the project's root is an empty folder: no `.env` of this machine is read."""
    unset_everything(monkeypatch, tmp_path)
    handlers = {ending: signal.getsignal(ending) for ending in (signal.SIGINT, signal.SIGTERM)}
    yield monkeypatch
    for ending, handler in handlers.items():
        signal.signal(ending, handler)


@pytest.fixture
def shipped(bare: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DagsterInstance]:
    """The instance that dagster.yaml describes, in an empty folder."""
    shutil.copy2(SOURCE / "dagster.yaml", tmp_path)
    (tmp_path / "var/logs").mkdir(parents=True)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """`gazelle_sync.definitions`, with a history of six months: a partition costs 17 ms in each run."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        unset_everything(monkeypatch, tmp_path_factory.mktemp("root"))
        monkeypatch.setenv("GAZELLE_HISTORY_START", HISTORY_START.isoformat())
        importlib.import_module("gazelle_sync.cli.job_run")
        return importlib.import_module("gazelle_sync.definitions")


def unset_everything(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setattr(environment, "ROOT", root)
    monkeypatch.chdir(root)
    for name in (*environment.DEFAULTS, "DAGSTER_HOME", "LC_ALL", "LC_MESSAGES", "LANG"):
        # Set and then unset, so that what a command sets is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
