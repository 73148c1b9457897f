"""One sandbox for all tests here, fresh for each; and a server that answers exactly what a test says."""

from __future__ import annotations

import pickle
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from gazelle_sync.gazelle import ApiKey, Client, Cut
from gazelle_sync.gazelle.transport import Exchange, Transport
from gazelle_sync.sandbox import Account, Fault, Sandbox
from gazelle_sync_tests.conftest import TODAY, wait_for_abandoned_reads

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def one_sandbox() -> Iterator[Sandbox]:
    with Sandbox(Account()) as running:
        yield running


@pytest.fixture(scope="session")
def typical() -> bytes:
    return pickle.dumps(Account.typical(TODAY))


@pytest.fixture
def sandbox(one_sandbox: Sandbox, typical: bytes) -> Sandbox:
    """The typical account, as if its server had just been started: starting one takes longer than most tests."""
    wait_for_abandoned_reads()
    one_sandbox.account = pickle.loads(typical)
    one_sandbox.page_cap, one_sandbox.opaque_cursors, one_sandbox.latency = 100, False, 0.0
    one_sandbox.access_token_lifetime = 2_592_000
    one_sandbox.rotate_refresh_tokens, one_sandbox.omit_refresh_token_in_reply = True, False
    one_sandbox.faults.clear()
    one_sandbox.revoke_everything()
    one_sandbox._requests.clear()
    return one_sandbox


def fail_for_good_once_kept(fault: Fault, cut: Cut) -> Callable[[Exchange], None]:
    """To observe a transport with: a server error is tried again until another part is kept, however long that takes.

    Then it says when to come back, after more time than any budget has.
    """

    def observe(_: Exchange) -> None:
        if cut.is_kept:
            fault.retry_after = 1_000_000

    return observe


@pytest.fixture
def under_way(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests were on their way whenever one was sent, itself included."""
    now: list[None] = []
    counts: list[int] = []
    send = requests.Session.send

    def counted(*given: Any, **options: Any) -> Any:
        now.append(None)
        counts.append(len(now))
        try:
            return send(*given, **options)
        finally:
            now.pop()

    monkeypatch.setattr(requests.Session, "send", counted)
    return counts


@dataclass
class Asked:
    """A request as the server met it. `connection` is the client's port: the same for the same TCP connection."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    at: float


@dataclass
class Answer:
    """What a request is answered with. `length` is what is announced where that is a lie; `hold` is in seconds."""

    body: bytes | str = b'{"data": {}}'
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    length: int | None = None
    hold: float = 0.0
    reset: bool = False


Script = Callable[[Asked], Answer]


class Scripted:
    """An HTTP server on loopback. Answers are given in the order of `answers`; the last one for ever after."""

    def __init__(self, port: int = 0) -> None:
        self.answers: list[Answer | Script] = [Answer()]
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, *answers: Answer | Script) -> None:
        self.answers = list(answers)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_answer(self, asked: Asked) -> Answer:
        with self._lock:
            given = self.answers[min(len(self.asked), len(self.answers) - 1)]
            self.asked.append(asked)
        return given if isinstance(given, Answer) else given(asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                # Or every answer waits 40 ms for the client's acknowledgement.
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.path, dict(self.headers), body, self.client_address[1], time.monotonic())
                answer = scripted.next_answer(asked)
                time.sleep(answer.hold)
                if answer.reset:
                    # Zero seconds of lingering: the kernel sends RST in place of FIN.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                text = answer.body.encode() if isinstance(answer.body, str) else answer.body
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text) if answer.length is None else answer.length))
                if answer.length is not None:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def finish(self) -> None:
                try:
                    super().finish()
                except (OSError, ValueError):
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Nothing: the tests look at `asked`."""

        return Handler


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


@pytest.fixture
def ask(scripted: Scripted) -> Iterator[Callable[..., Any]]:
    """Sends one query to the scripted server, with the client's options: `ask(patience=1)`."""
    clients: list[Client] = []

    def ask(**options: Any) -> Any:
        transport = Transport(scripted.url, **{"requests_per_second": 1000, "patience": 10, "budget": 10, **options})
        clients.append(Client(transport, ApiKey("a-key")))
        return clients[-1].execute("the clients", "{ x }", {})

    yield ask
    for client in clients:
        client.close()
