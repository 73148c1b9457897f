"""A rate limit has many guises and is waited for in each; patience is for a dead server, a budget for the run."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gazelle_sync.gazelle import ApiKey, Client, GazelleError, InvalidResponse, Refused, Unavailable
from gazelle_sync.gazelle import transport as transport_module
from gazelle_sync.gazelle.errors import TooMuch
from gazelle_sync.gazelle.rate_limit import announced_wait, is_limited
from gazelle_sync.gazelle.transport import Budget, Transport
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.sandbox.faults import RATE_LIMITS
from gazelle_sync_tests.conftest import AT_ONCE, client_of, close_for_all
from gazelle_sync_tests.gazelle.conftest import JSON, Answer, Scripted

GOOD = Answer('{"data": {"name": "Mélanie"}}')


def error(message: str, **more: Any) -> Answer:
    return Answer(json.dumps({"errors": [{"message": message, **more}]}))


LIMITS = {
    "429": Answer("", 429, {}),
    "429 for a second": Answer("", 429, {"Retry-After": "1"}),
    "503 for a second": Answer("", 503, {"Retry-After": "1"}),
    "403 for a second": Answer("", 403, {"Retry-After": "1"}),
    "403, nothing left, GitHub's way": Answer("", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
    "403, by an IETF draft": Answer("", 403, {"RateLimit": "limit=100, remaining=0, reset=1"}),
    "403, by the next draft": Answer("", 403, {"RateLimit": '"default";r=0;t=1'}),
    "200 with a code": error("x", extensions={"code": "THROTTLED"}),
    "200 with another code": error("x", extensions={"code": "rate_limited", "retryAfter": 1}),
    "200 with a type": error("x", type="RATE_LIMITED"),
    "200 in English": error("Rate limit exceeded, slow down"),
    "200 in French": error("Trop de requêtes, réessayez plus tard"),
    "200 with a header only": Answer(
        '{"errors": [{"message": "Nein"}]}', 200, {**JSON, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}
    ),
}


def test_each_guise_of_a_rate_limit_slows_down_and_waits_as_it_says_and_is_not_a_refusal():
    def outcome(limit: Answer) -> tuple[object, int, bool, bool]:
        server = Scripted()
        server.answer(limit, limit, GOOD)
        # With so little patience, a fault after which two seconds are waited would have been given up.
        transport = Transport(server.url, requests_per_second=1000, patience=1.9)
        try:
            data: object = Client(transport, ApiKey("k")).execute("the clients", "{ x }", {})
        except GazelleError as failure:
            data = str(failure)
        finally:
            transport.close()
            server.close()
        waited = server.asked[1].at - server.asked[0].at if len(server.asked) > 1 else 0.0
        says_so = "1" in str(limit.headers) or "retryAfter" in str(limit.body)
        return data, len(server.asked), waited >= (0.95 if says_so else 0.2), transport._pace._interval > 0.003

    # All at once, each with a server of its own: they spend their time waiting.
    with ThreadPoolExecutor(len(LIMITS)) as pool:
        outcomes = dict(zip(LIMITS, pool.map(outcome, LIMITS.values()), strict=True))
    assert outcomes == dict.fromkeys(LIMITS, ({"name": "Mélanie"}, 3, True, True))


@pytest.mark.parametrize("limit", RATE_LIMITS.values(), ids=RATE_LIMITS)
def test_a_sync_goes_on_after_any_of_them(sandbox: Sandbox, limit: dict[str, Any]):
    fault = sandbox.faults.add(Fault(**limit))
    client = client_of(sandbox, patience=0.9)
    client.execute("the pianos", "{ allPianos(first: 1) { totalCount } }", {})
    client.close()
    assert fault.struck == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [(403, {}), (403, {"X-RateLimit-Remaining": "12"}), (404, {}), (200, {"X-RateLimit-Remaining": "0"})],
)
def test_what_is_not_one_is_not_taken_for_one(status: int, headers: dict[str, str]):
    assert not is_limited(status, headers)


def test_a_reset_may_be_a_time_or_so_many_seconds():
    left = {"X-RateLimit-Remaining": "0"}
    assert announced_wait({**left, "X-RateLimit-Reset": "30"}) == 30
    at = announced_wait({**left, "X-RateLimit-Reset": str(int(time.time()) + 30)})
    assert at is not None
    assert 28 < at <= 30
    assert announced_wait({**left, "X-RateLimit-Reset": "soon"}) is None
    assert announced_wait({**left, "X-RateLimit-Reset": "inf"}) is None


def test_while_one_thread_was_told_to_wait_no_other_sends(scripted: Scripted, caplog: pytest.LogCaptureFixture):
    scripted.answer(Answer("", 429, {"Retry-After": "3"}), GOOD)
    client = Client(Transport(scripted.url, requests_per_second=1000), ApiKey("k"))
    first = threading.Thread(target=client.execute, args=("x", "{ x }", {}))
    first.start()
    # It says so when the pace is slowed.
    while not caplog.records:
        time.sleep(0.01)
    client.execute("y", "{ y }", {})
    first.join()
    client.close()
    assert min(asked.at for asked in scripted.asked[1:]) - scripted.asked[0].at >= 2.9


# -- the run's budget -------------------------------------------------------------------------------------------------


def test_an_announced_wait_that_is_longer_than_patience_is_waited_for(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer("", 503, {"Retry-After": "3"}), GOOD)
    assert ask(patience=2.5, budget=10) == {"name": "Mélanie"}


def test_one_that_does_not_fit_the_budget_is_said_at_once_with_what_to_set(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer("", 429, {"Retry-After": "7200"}))
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        ask(budget=900)
    assert time.monotonic() - began < AT_ONCE
    assert "in 1 attempt: HTTP 429, too many requests" in str(caught.value)
    assert "may follow in 2 h, but a run may wait for 15 min in all (GAZELLE_PATIENCE)" in str(caught.value)


def test_the_budget_is_for_all_requests_of_a_run_together(scripted: Scripted):
    limit = Answer("", 429, {"Retry-After": "3"})
    scripted.answer(limit, GOOD, limit, GOOD, limit, GOOD)
    client = Client(Transport(scripted.url, requests_per_second=1000, budget=8), ApiKey("k"))
    client.execute("one", "{ x }", {})
    client.execute("two", "{ x }", {})
    with pytest.raises(Unavailable, match="a run may wait for 8 s in all"):
        client.execute("three", "{ x }", {})
    client.close()


def test_a_dead_server_uses_up_the_budget_too(scripted: Scripted):
    scripted.answer(Answer("", 502, {}))
    client = Client(Transport(scripted.url, requests_per_second=1000, patience=3, budget=3), ApiKey("k"))
    began = time.monotonic()
    for _ in range(4):
        with pytest.raises(Unavailable):
            client.execute("x", "{ x }", {})
    client.close()
    assert time.monotonic() - began < AT_ONCE


def test_what_threads_wait_at_once_counts_once():
    budget = Budget(10)
    budget.spend(100, 104)
    budget.spend(101, 104)
    budget.spend(103, 105)
    assert budget.left == 5


# -- malformed, endless and slow answers ------------------------------------------------------------------------------


@pytest.fixture
def raw() -> Iterator[Callable[..., str]]:
    """A server that answers with these bytes, a connection each, the last one for ever; a pause between two pieces."""
    servers: list[socket.socket] = []

    def raw(*answers: bytes | Callable[[], Iterator[bytes]], pause: float = 0.0) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            for number in range(1000):
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=reply, args=(connection, answers[min(number, len(answers) - 1)])).start()

        def reply(connection: socket.socket, answer: Any) -> None:
            with connection:
                try:
                    connection.recv(65536)
                    for piece in [answer] if isinstance(answer, bytes) else answer():
                        connection.sendall(piece)
                        time.sleep(pause)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield raw
    for server in servers:
        close_for_all(server)


def whole(body: bytes = GOOD.body.encode(), head: bytes = b"") -> bytes:  # type: ignore[union-attr]
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


MALFORMED = {
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a status that is no number": b"HTTP/1.1 OK OK\r\n\r\n",
    "a chunk without a length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 400, 12\r\n\r\n{}",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{",
    "a redirect to nowhere": None,
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500,
    "a cookie of garbage": b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff;;;=\x01\r\nContent-Length: 1\r\n\r\n{",
    "an encoding that nobody asked for": whole(b"\x1b\x03", b"Content-Encoding: br\r\n"),
}


@pytest.mark.parametrize(
    "answer", [each for each in MALFORMED.values() if each], ids=[n for n, e in MALFORMED.items() if e]
)
def test_a_malformed_answer_may_pass_and_blames_nobody_s_key(raw: Callable[..., str], answer: bytes):
    client = Client(Transport(raw(answer, whole()), requests_per_second=1000, patience=10), ApiKey("k"))
    assert client.execute("the clients", "{ x }", {}) == {"name": "Mélanie"}
    client.close()
    dead = Client(Transport(raw(answer), requests_per_second=1000, patience=0.4), ApiKey("k"))
    with pytest.raises(Unavailable) as caught:
        dead.execute("the clients", "{ x }", {})
    dead.close()
    assert "GAZELLE_API_KEY" not in str(caught.value)


@pytest.mark.parametrize("place", ["http://[::1", "http://x:y/", "//", "\x01"])
def test_where_a_redirect_leads_is_not_looked_at(scripted: Scripted, ask: Callable[..., Any], place: str):
    scripted.answer(Answer("", 302, {"Location": place}))
    with pytest.raises(Refused, match="Gazelle answered HTTP 302 to the clients"):
        ask()


def drip(piece: bytes, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n") -> Iterator[bytes]:
    yield head
    while True:
        yield piece


@pytest.mark.parametrize(
    "answer",
    [
        lambda: drip(b" "),
        lambda: drip(b"X", b"HTTP/1.1 200 OK\r\n"),
        lambda: drip(b"1\r\n \r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        lambda: drip(b"0", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["body", "headers", "chunks", "the length of a chunk"],
)
def test_a_byte_at_a_time_ends_with_patience_and_leaves_no_connection_and_no_thread(
    raw: Callable[..., str], answer: Callable[[], Iterator[bytes]]
):
    before = threading.active_count()
    transport = Transport(raw(answer, pause=0.1), requests_per_second=1000, patience=1.0, read_timeout=0.6)
    client = Client(transport, ApiKey("k"))
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no answer in time"):
        client.execute("the clients", "{ x }", {})
    assert time.monotonic() - began < AT_ONCE
    client.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.05)  # the server's own threads end when they find the connection closed
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    "fault", [{"kind": "endless_body"}, {"kind": "gzip_bomb"}, {"kind": "dripping", "seconds": 0.2}], ids=str
)
def test_a_body_without_end_is_refused_early(sandbox: Sandbox, fault: dict[str, Any]):
    sandbox.faults.add(Fault(**fault, times=None))
    # To make a bomb takes a busy server its time, and it is refused for its size.
    is_bomb = fault["kind"] == "gzip_bomb"
    client = (
        client_of(sandbox, patience=30, read_timeout=30)
        if is_bomb
        else client_of(sandbox, patience=2, read_timeout=1.5)
    )
    began = time.monotonic()
    with pytest.raises((TooMuch, Unavailable)) as caught:
        client.execute("the pianos", "{ allPianos(first: 1) { totalCount } }", {})
    client.close()
    sandbox.faults.clear()
    assert time.monotonic() - began < (30 if is_bomb else AT_ONCE)
    if is_bomb:
        assert "larger than 64 MB, unpacked: it was not read to its end" in str(caught.value)


def test_a_small_body_that_unpacks_to_much_takes_no_more_memory_than_is_allowed(
    scripted: Scripted, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transport_module, "LARGEST_ANSWER", 2**20)
    bomb = gzip.compress(b" " * 2**26)
    scripted.answer(Answer(bomb, 200, {**JSON, "Content-Encoding": "gzip"}))
    with pytest.raises(TooMuch, match="is larger than 1 MB, unpacked"):
        ask()
    assert len(scripted.asked) == 1
    scripted.answer(Answer(gzip.compress(GOOD.body.encode()), 200, {**JSON, "Content-Encoding": "gzip"}))  # type: ignore[union-attr]
    assert ask() == {"name": "Mélanie"}


# -- cursors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("language", ["english", "french"])
def test_a_cursor_that_is_not_known_any_more_is_not_sent_again_and_the_list_is_read_anew(
    sandbox: Sandbox, mirror: Callable[..., Any], opaque: bool, language: str
):
    sandbox.opaque_cursors = opaque
    if language == "french":
        sandbox.faults.add(Fault("french"))
    lost = sandbox.faults.add(Fault("unknown_cursor", with_after=True, skip=3, times=1))
    report = mirror("timeline_entries")
    assert lost.struck == 1
    assert report.warnings == []
    assert report.inserted == len(sandbox.account.timeline)
    sent = [request.variables.get("after") for request in sandbox.requests if "allTimelineEntries" in request.query]
    assert sent.count(None) == 2, "it began anew, once"


def test_a_cursor_that_never_is_known_ends_as_a_warning_and_marks_nothing(sandbox: Sandbox, mirror: Callable[..., Any]):
    sandbox.faults.add(Fault("unknown_cursor", with_after=True))
    report = mirror("timeline_entries")
    assert "Gazelle no longer knows a cursor" in report.warnings[0]
    assert report.deleted == 0


def test_errors_of_no_known_shape_stay_errors(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer('{"data": {}, "errors": "x"}'))
    with pytest.raises(InvalidResponse, match=re.escape("`errors` of no known shape")):
        ask()
