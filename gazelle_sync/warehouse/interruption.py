"""Ends what the database is doing for this process, when the process is asked to end or has waited for too long.

While libpq waits for an answer, Python hears no signal: neither Ctrl-C nor SIGTERM ended a sync that waited for a
lock. A thread hears them through the wake-up descriptor, and cancels. Keep out: what happens after (`connection`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection

logger = logging.getLogger(__name__)

ENDINGS = (signal.SIGINT, signal.SIGTERM)
# Seconds that one transaction may take. The server gives up a statement after 15 minutes by itself; a server or a
# pooler that says nothing at all for longer is not there any more.
LONGEST = 20 * 60.0


class Watch:
    """The connections that are in use, and the thread that ends what they wait for."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self._in_use: dict[Connection, float] = {}
        self._lock = threading.Lock()
        self._woken: int | None = None

    @contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """While it lasts, a signal cancels what the connection waits for."""
        self._start()
        with self._lock:
            self._in_use[connection] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._in_use.pop(connection, None)

    def _start(self) -> None:
        """Once a process, and only where signals arrive: in the main thread."""
        if self._woken is not None or threading.current_thread() is not threading.main_thread():
            return
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        others = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if others != -1:
            # An event loop listens already, and cancels by its own means.
            signal.set_wakeup_fd(others)
            os.close(reading)
            os.close(writing)
            return
        self._woken = reading
        os.register_at_fork(after_in_child=self._forget)
        threading.Thread(target=self._listen, args=(reading,), name="interruption", daemon=True).start()

    def _forget(self) -> None:
        """A child has neither the thread nor the connections."""
        self._woken = None
        self._in_use.clear()

    def _listen(self, reading: int) -> None:
        while True:
            select.select([reading], [], [], 5.0)
            with contextlib.suppress(BlockingIOError):
                if set(os.read(reading, 64)) & {int(ending) for ending in ENDINGS}:
                    self.interrupted.set()
                    self._cancel()
            self._end_overdue()

    def _cancel(self) -> None:
        with self._lock:
            waiting = list(self._in_use)
        for connection in waiting:
            try:
                connection.cancel()
            except psycopg2.Error as error:
                # It waits for nothing just now, or the server is not there: the signal itself does the rest.
                logger.debug("nothing was cancelled: %s", error)

    def _end_overdue(self) -> None:
        with self._lock:
            overdue = [each for each, since in self._in_use.items() if time.monotonic() - since > LONGEST]
            for connection in overdue:
                del self._in_use[connection]
        for connection in overdue:
            logger.warning("the database has not answered for %.0f minutes: the connection is ended", LONGEST / 60)
            with (
                contextlib.suppress(OSError, psycopg2.Error),
                socket.socket(fileno=os.dup(connection.fileno())) as wire,
            ):
                wire.shutdown(socket.SHUT_RDWR)


watch = Watch()
