"""A database that is far away, or does not answer: how often it is asked, how long a process waits for it, and that it
can be told to stop waiting."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Client, Snapshot
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import LoadReport, WarehouseError, connection, interruption
from gazelle_sync.warehouse.connection import Availability, transaction
from gazelle_sync_tests.conftest import ALL, close_for_all, wait_until

# A process that waits for a lock on a table, and says how it ended. It hears both signals as the command does: what a
# shell starts in the background ignores the first of them.
WAITER = """
import signal
for ending in (signal.SIGINT, signal.SIGTERM):
    signal.signal(ending, signal.default_int_handler)
import sys
from gazelle_sync import warehouse
from gazelle_sync.warehouse.connection import transaction, with_retries
def work():
    with transaction(engine) as cursor:
        cursor.execute("LOCK TABLE gazelle.clients")
engine = warehouse.connect(sys.argv[1])
try:
    with_retries(work, "Waiting")
except KeyboardInterrupt:
    print("interrupted")
"""


class Proxy:
    """A way to the database over TCP that can be shut, with those that go through it, and opened again."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        self.shut = False
        self.asked = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                incoming, _ = self._server.accept()
            except OSError:
                return
            if self.shut:
                incoming.close()
                continue
            outgoing = socket.socket(socket.AF_UNIX)
            outgoing.connect(self._path)
            self._open += [incoming, outgoing]
            for source, target in ((incoming, outgoing), (outgoing, incoming)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                # PostgreSQL manual, "Message Formats": Query. Whoever sends one waits for its answer.
                self.asked += data.startswith(b"Q")
                target.sendall(data)
        close_for_all(target)

    def close_all(self) -> None:
        self.shut = True
        for each in self._open:
            close_for_all(each)
        self._open.clear()

    def end(self) -> None:
        self.close_all()
        close_for_all(self._server)


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    folder = str(make_url(database_url).query["host"])
    (name,) = (name for name in os.listdir(folder) if name.startswith(".s.PGSQL.") and not name.endswith(".lock"))
    proxy = Proxy(f"{folder}/{name}")
    yield proxy
    proxy.end()


@pytest.fixture
def through(proxy: Proxy, database_url: str, engine: Engine) -> Engine:
    """An engine that reaches the test's database through the proxy."""
    url = make_url(database_url)
    plain = url.set(host="127.0.0.1", port=proxy.port, query={"sslmode": "disable"})
    return warehouse.connect(plain.render_as_string(hide_password=False))


def test_a_table_that_did_not_change_takes_seven_messages(
    proxy: Proxy, through: Engine, client: Client, mirror: Callable[..., LoadReport]
) -> None:
    """The way to another continent and back takes a tenth of a second, and there are many tables."""
    mirror("clients")
    mirror("pianos")
    kept = warehouse.connect(through.url.render_as_string(hide_password=False), keep_open=True)
    connection.fetch(kept, "SELECT 1", {})
    asked = proxy.asked
    report = warehouse.load(kept, Snapshot(client, TABLES["pianos"], ALL), run_id="test")
    assert (report.unchanged, report.status) == (report.fetched, "success")
    assert proxy.asked - asked == 7
    kept.dispose()


@contextmanager
def locked(engine: Engine) -> Iterator[None]:
    """Somebody else holds the table of clients."""
    with transaction(engine) as cursor:
        cursor.execute("LOCK TABLE gazelle.clients")
        yield


def is_waited_for(rows: Callable[..., list[dict[str, object]]]) -> bool:
    return bool(rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_that_waits_for_a_lock_and_cancels_its_statement(
    ending: signal.Signals, engine: Engine, database_url: str, rows: Callable[..., list[dict[str, object]]]
) -> None:
    with locked(engine):
        process = subprocess.Popen([sys.executable, "-c", WAITER, database_url], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: is_waited_for(rows))
        process.send_signal(ending)
        out, _ = process.communicate(timeout=20)
        assert (out.strip(), process.returncode) == ("interrupted", 0)
        assert not is_waited_for(rows)


def test_without_the_watch_the_signal_is_not_heard(
    engine: Engine, database_url: str, rows: Callable[..., list[dict[str, object]]]
) -> None:
    """What the watch is for: this is how a process waits that only asks psycopg2."""
    plain = WAITER.replace("import sys\n", "import sys\nfrom gazelle_sync.warehouse import interruption\n", 1)
    plain = plain.replace("engine =", "interruption.Watch._start = lambda self: None\nengine =", 1)
    with locked(engine):
        process = subprocess.Popen([sys.executable, "-c", plain, database_url])
        wait_until(lambda: is_waited_for(rows))
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        process.kill()
        process.wait(10)


def test_a_database_that_is_away_for_longer_than_five_attempts_took_is_waited_for(
    proxy: Proxy, through: Engine
) -> None:
    with transaction(through) as cursor:
        cursor.execute("SELECT 1")
    proxy.close_all()
    # Five attempts ended after 7.5 seconds.
    timer = threading.Timer(9.0, lambda: setattr(proxy, "shut", False))
    timer.start()
    assert len(warehouse.read_status(through, ["clients"])) == 1
    assert not timer.is_alive()


def test_a_connection_that_breaks_within_a_transaction_is_made_anew(proxy: Proxy, through: Engine) -> None:
    broken = []

    def work() -> int:
        with transaction(through) as cursor:
            cursor.execute("SELECT 1")
            if not broken:
                broken.append(True)
                proxy.close_all()
                proxy.shut = False
            cursor.execute("SELECT 2")
            return int(cursor.fetchone()[0])

    assert connection.with_retries(work, "Working") == 2


def test_patience_is_for_a_database_that_was_there_and_once_for_a_whole_process() -> None:
    availability = Availability()
    assert availability.patience() == connection.PATIENCE_AT_FIRST
    availability.reached()
    assert availability.patience() == connection.PATIENCE
    availability.give_up()
    assert availability.patience() == 0
    availability.reached()
    assert availability.patience() == connection.PATIENCE


def test_a_connection_says_that_it_is_alive_and_ends_in_a_minute_when_nobody_hears_it(through: Engine) -> None:
    with connection.borrow(through) as used:
        wire = socket.socket(fileno=os.dup(used.fileno()))
        with wire:
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, every, times, milliseconds = (
                wire.getsockopt(socket.IPPROTO_TCP, option)
                for option in (
                    socket.TCP_KEEPIDLE,
                    socket.TCP_KEEPINTVL,
                    socket.TCP_KEEPCNT,
                    socket.TCP_USER_TIMEOUT,
                )
            )
    assert idle + every * times <= 60
    assert milliseconds <= 60_000


def test_a_transaction_that_takes_longer_than_any_may_is_ended(
    through: Engine, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler whose server is gone: the line is up, and nobody answers."""
    monkeypatch.setattr(interruption, "LONGEST", 0.5)
    monkeypatch.setattr(connection, "PATIENCE", 0.0)

    def work() -> None:
        with transaction(through) as cursor:
            cursor.execute("SELECT pg_sleep(60)")

    began = time.monotonic()
    with pytest.raises((WarehouseError, psycopg2.Error)):
        connection.with_retries(work, "Waiting")
    assert time.monotonic() - began < 15
