"""What goes wrong on the way is tried again as long as it may pass, and no longer; the rest is said at once."""

from __future__ import annotations

import email.utils
import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from gazelle_sync.gazelle import ApiKey, Client, GazelleError, Refused, Unavailable
from gazelle_sync.gazelle.rate_limit import retry_after
from gazelle_sync.gazelle.transport import Pace, Transport
from gazelle_sync_tests.conftest import AT_ONCE
from gazelle_sync_tests.gazelle.conftest import JSON, Answer, Scripted

GOOD = Answer('{"data": {"name": "Mélanie"}}')
PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"

PASSING = {
    "a reset connection": Answer(reset=True),
    "408": Answer(status=408),
    "429": Answer("slow down", 429, {}),
    "500": Answer("oops", 500, {}),
    "502": Answer(PAGE, 502, {"Content-Type": "text/html"}),
    "503": Answer("", 503, {}),
    "504": Answer("", 504, {}),
    "522": Answer(PAGE, 522, {"Content-Type": "text/html"}),
    "an HTML page with 200": Answer(PAGE, 200, {"Content-Type": "text/html"}),
    "an HTML page said to be JSON": Answer(PAGE),
    "truncated JSON": Answer(GOOD.body[:20]),
    "an empty body": Answer(""),
    "more announced than sent": Answer(GOOD.body[:20], length=400),
    "whole JSON, but more announced": Answer(GOOD.body, length=400),
    "less announced than sent": Answer(GOOD.body, length=12),
    "gzip that is none": Answer(GOOD.body, 200, {**JSON, "Content-Encoding": "gzip"}),
    "gzip cut short": Answer(gzip.compress(b" " * 999 + b"{}")[:-15], 200, {**JSON, "Content-Encoding": "gzip"}),
    "bytes that are not UTF-8": Answer('{"data": {"name": "Mélanie"}}'.encode("latin-1")),
    "JSON that never stops nesting": Answer("[" * 200_000),
    "a list": Answer("[1]"),
    "null": Answer("null"),
    "no data": Answer("{}"),
    "data that is null": Answer('{"data": null}'),
    "data that is a list": Answer('{"data": []}'),
    "a GraphQL error": Answer('{"data": null, "errors": [{"message": "Something went wrong"}]}'),
    "a GraphQL error beside data": Answer('{"data": {"a": [1, null]}, "errors": [{"message": "x", "path": ["a", 1]}]}'),
}


def test_a_failure_that_may_pass_is_tried_again():
    def outcome(failure: Answer) -> tuple[object, int, bool]:
        server = Scripted()
        server.answer(failure, GOOD)
        client = Client(Transport(server.url, patience=20), ApiKey("k"))
        try:
            data = client.execute("the clients", "{ x }", {})
        except GazelleError as error:
            data = {"failed": str(error)}
        finally:
            client.close()
            server.close()
        return data, len(server.asked), server.asked[0].body == server.asked[-1].body

    # All at once, each with a server of its own: they spend their time waiting.
    with ThreadPoolExecutor(len(PASSING)) as pool:
        outcomes = dict(zip(PASSING, pool.map(outcome, PASSING.values()), strict=True))
    assert outcomes == dict.fromkeys(PASSING, ({"name": "Mélanie"}, 2, True))


def test_a_server_that_comes_back_is_met_again():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = Client(Transport(f"http://127.0.0.1:{port}", patience=10), ApiKey("k"))
    started: list[Scripted] = []
    timer = threading.Timer(0.3, lambda: started.append(Scripted(port)))
    timer.start()
    try:
        assert client.execute("x", "{ x }", {}) == {}
    finally:
        timer.join()
        started[0].close()
        client.close()
    assert client.api_retries >= 1


def test_a_server_that_is_not_there_is_given_up(scripted: Scripted, ask: Callable[..., Any]):
    scripted.close()
    with pytest.raises(Unavailable, match=r"in \d attempts?(; the last one)?: no answer \(ConnectionError\)"):
        ask(patience=0.5)


@pytest.mark.parametrize(
    ("status", "body"), [(400, "Bad request"), (403, PAGE), (404, "{}"), (413, ""), (422, "{}"), (204, ""), (201, "{}")]
)
def test_a_refusal_is_said_at_once(scripted: Scripted, ask: Callable[..., Any], status: int, body: str):
    scripted.answer(Answer("" if status == 204 else body, status, {}))
    with pytest.raises(Refused) as caught:
        ask()
    assert len(scripted.asked) == 1
    assert f"Gazelle answered HTTP {status} to the clients" in str(caught.value)
    assert "Check GAZELLE_BASE_URL" in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_carries_nothing_elsewhere(
    scripted: Scripted, ask: Callable[..., Any], status: int
):
    elsewhere = Scripted()
    scripted.answer(Answer("", status, {"Location": f"{elsewhere.url}/graphql/private/"}))
    with pytest.raises(Refused, match=f"HTTP {status}"):
        ask()
    elsewhere.close()
    assert elsewhere.asked == []


def test_patience_ends_with_what_was_asked_how_often_and_the_last_failure(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer("", 502, {}), Answer("", 503, {}))
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        ask(patience=3.0)
    assert time.monotonic() - began < AT_ONCE
    said = re.fullmatch(
        r"Gazelle could not answer the clients in (\d+) attempts; the last one: HTTP 503\. Nothing was changed for "
        r"this table\. Run the sync again when Gazelle is well\.",
        str(caught.value),
    )
    assert said, str(caught.value)
    assert int(said[1]) == len(scripted.asked) >= 2


def test_a_server_that_does_not_answer_in_time_is_asked_again(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer(hold=3), GOOD)
    assert ask(read_timeout=0.2) == {"name": "Mélanie"}


def test_a_server_that_never_answers_is_given_up(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer(hold=20))
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"in \d attempts?(; the last one)?: no answer in time \(ReadTimeout\)"):
        ask(patience=0.8)
    assert time.monotonic() - began < AT_ONCE


def test_retry_after_in_seconds_is_obeyed(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer("", 429, {"Retry-After": "1"}), GOOD)
    ask()
    assert scripted.asked[1].at - scripted.asked[0].at >= 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_as_a_date_is_obeyed(scripted: Scripted, ask: Callable[..., Any], status: int):
    def in_two_seconds(_: object) -> Answer:
        # Full seconds: what is left of the present one is lost.
        return Answer("", status, {"Retry-After": email.utils.formatdate(time.time() + 2, usegmt=True)})

    scripted.answer(in_two_seconds, GOOD)
    ask()
    assert scripted.asked[1].at - scripted.asked[0].at >= 0.95


def test_who_is_told_to_wait_beyond_patience_gives_up_at_once(scripted: Scripted, ask: Callable[..., Any]):
    scripted.answer(Answer("", 429, {"Retry-After": "3600"}))
    began = time.monotonic()
    with pytest.raises(Unavailable, match="in 1 attempt: HTTP 429, too many requests"):
        ask()
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("header", ["0", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_who_is_told_to_come_back_at_once_does_not_hammer(scripted: Scripted, ask: Callable[..., Any], header: str):
    scripted.answer(Answer("", 503, {"Retry-After": header}))
    with pytest.raises(Unavailable):
        ask(patience=1.0)
    # A rate limit, as far as one can tell: it is waited for as long as the budget of ten seconds lasts.
    assert len(scripted.asked) <= 6


def test_a_retry_after_date_without_a_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "America/Toronto")
    time.tzset()
    try:
        in_a_minute = datetime.now(timezone.utc) + timedelta(seconds=60)
        # asctime's form, which RFC 9110 wants to be understood; and one with a zone that says nothing.
        for text in (in_a_minute.strftime("%a %b %d %H:%M:%S %Y"), in_a_minute.strftime("%a, %d %b %Y %H:%M:%S -0000")):
            seconds = retry_after(text)
            assert seconds is not None
            assert 50 < seconds <= 60
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "value",
    ["", "soon", "-5", "1.5", "²", "Mon, 99 Foo 2024", "Mon, 01 Jan 99999999999999 00:00:00 GMT", "١"],
)
def test_a_retry_after_that_is_none_is_ignored(value: str):
    assert retry_after(value) is None


def test_at_most_so_many_requests_a_second_are_sent_over_all_threads(scripted: Scripted):
    client = Client(Transport(scripted.url, requests_per_second=20), ApiKey("k"))
    # From here, and not from the first one, which a busy machine may hold up on its way.
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: client.execute("x", "{ x }", {}), range(13)))
    client.close()
    sent = sorted(asked.at for asked in scripted.asked)
    assert len(sent) == 13
    assert all(at - began >= number / 20 for number, at in enumerate(sent))


def test_after_a_429_requests_come_at_half_the_pace(scripted: Scripted):
    client = Client(Transport(scripted.url, requests_per_second=10), ApiKey("k"))
    scripted.answer(Answer("", 429, {"Retry-After": "0"}), Answer())
    client.execute("x", "{ x }", {})
    began = time.monotonic()
    for _ in range(4):
        client.execute("x", "{ x }", {})
    client.close()
    # At the whole pace it would be 0.4.
    assert scripted.asked[-1].at - began >= 0.5


def test_the_pace_comes_back_slowly_and_never_gets_faster_than_was_set():
    pace = Pace(10)
    for _ in range(20):
        pace.slow_down(0, time.monotonic())
    assert pace._interval == 5
    pace.speed_up()
    assert 4.5 < pace._interval < 5
    for _ in range(500):
        pace.speed_up()
    assert pace._interval == 0.1


def test_a_netrc_entry_can_not_take_the_place_of_our_headers(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.post(scripted.url, timeout=5).ok
    assert scripted.asked[0].headers["Authorization"].startswith("Basic"), "the entry is in effect"

    class Bearer:
        def headers(self) -> dict[str, str]:
            return {"Authorization": "Bearer ours"}

        def renew(self, refused: object) -> bool:
            return False

    transport = Transport(scripted.url)
    Client(transport, Bearer()).execute("x", "{ x }", {})
    Client(transport, ApiKey("ours")).execute("x", "{ x }", {})
    transport.close()
    assert scripted.asked[1].headers["Authorization"] == "Bearer ours"
    assert "Authorization" not in scripted.asked[2].headers
    assert scripted.asked[2].headers["x-gazelle-api-key"] == "ours"


def test_many_requests_share_one_connection(scripted: Scripted):
    client = Client(Transport(scripted.url, requests_per_second=1000), ApiKey("k"))
    for _ in range(12):
        client.execute("x", "{ x }", {})
    client.close()
    assert len(scripted.asked) == 12
    assert len({asked.connection for asked in scripted.asked}) == 1


def test_a_request_carries_nothing_of_the_one_before_but_the_server_s_cookies(scripted: Scripted):
    """An address is prepared once; what goes to it is not. Balancers know by their cookie who talked to whom."""
    given = iter([{"a": "1"}, {"b": "2"}, {}])

    class Changing:
        def headers(self) -> dict[str, str]:
            return next(given)

        def renew(self, refused: object) -> bool:
            return False

    scripted.answer(Answer(headers={**JSON, "Set-Cookie": "lb=7; Path=/"}), Answer())
    client = Client(Transport(scripted.url, requests_per_second=1000), Changing())
    for number in range(3):
        client.execute("x", "{ x }", {"number": "1" * (number + 1)})
    client.close()
    assert [[asked.headers.get(name) for name in ("a", "b", "Cookie")] for asked in scripted.asked] == [
        ["1", None, None],
        [None, "2", "lb=7"],
        [None, None, "lb=7"],
    ]
    bodies = [json.loads(asked.body)["variables"]["number"] for asked in scripted.asked]
    assert bodies == ["1", "11", "111"]
    assert [int(asked.headers["Content-Length"]) for asked in scripted.asked] == [len(a.body) for a in scripted.asked]


def test_requests_and_retries_are_counted(scripted: Scripted):
    client = Client(Transport(scripted.url, requests_per_second=1000), ApiKey("k"))
    scripted.answer(Answer(), Answer("", 502, {}), Answer())
    for _ in range(3):
        client.execute("x", "{ x }", {})
    client.close()
    assert (client.api_requests, client.api_retries) == (4, 1)


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_slashes_at_the_end_of_the_base_url_do_not_matter(scripted: Scripted, slashes: str):
    client = Client(Transport(scripted.url + slashes), ApiKey("k"))
    client.execute("x", "{ y }", {"z": 1})
    client.close()
    assert scripted.asked[0].path == "/graphql/private/"
    assert json.loads(scripted.asked[0].body) == {"query": "{ y }", "variables": {"z": 1}}
    assert scripted.asked[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", "application/json; charset=x"])
def test_json_is_read_as_utf_8_whatever_the_header_says(scripted: Scripted, ask: Callable[..., Any], kind: str):
    scripted.answer(Answer(GOOD.body, 200, {"Content-Type": kind}))
    assert ask() == {"name": "Mélanie"}


@pytest.mark.parametrize(
    "base_url", ["", "gazelleapp.io", "ftp://x", "http://", "http://[::1", "http://a b/", "http://x:y"]
)
def test_an_address_that_is_none_is_refused_at_once(base_url: str):
    client = Client(Transport(base_url), ApiKey("k"))
    began = time.monotonic()
    with pytest.raises(Refused, match=r"can't be sent .* Check GAZELLE_BASE_URL"):
        client.execute("the clients", "{ x }", {})
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("key", ["pasted-key\n", "key…", "ключ"])
def test_a_key_that_no_header_can_hold_is_refused_at_once_and_not_shown(scripted: Scripted, key: str):
    client = Client(Transport(scripted.url), ApiKey(key))
    with pytest.raises(Refused, match=r"can't be sent .* GAZELLE_API_KEY") as caught:
        client.execute("the clients", "{ x }", {})
    assert key.strip() not in str(caught.value)
    assert scripted.asked == []


def test_failures_of_another_kind_do_not_use_up_the_tries_of_a_graphql_error(
    scripted: Scripted, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gazelle_sync.gazelle.client.TRIES", 2)
    error = Answer('{"errors": [{"message": "still waking up"}]}')
    scripted.answer(Answer("", 502, {}), error, GOOD)
    assert ask() == {"name": "Mélanie"}
