"""Slack's webhook and the heartbeat: what is asked, what counts as failure, and what an error doesn't tell."""

from __future__ import annotations

import socket
import time

import pytest
import requests

from gazelle_sync.alerts import NotSent, Slack, send_heartbeat, web
from gazelle_sync.alerts.channel import Message
from gazelle_sync_tests.alerts.conftest import INCIDENT
from gazelle_sync_tests.alerts.servers import HOOK, Dripping
from gazelle_sync_tests.conftest import AT_ONCE

MESSAGE = Message("id", INCIDENT.since, "subject", "a body")


def test_slack_gets_the_body_with_its_three_special_characters_made_plain(webhook):
    Slack(webhook.url).send(Message("id", INCIDENT.since, "s", "<!channel> a && b > c é «\u00a0x\u00a0»"))
    assert webhook.texts == ["[gazelle-sync] &lt;!channel&gt; a &amp;&amp; b &gt; c é «\u00a0x\u00a0»"]


@pytest.mark.parametrize(
    ("status", "unreachable"), [(500, True), (503, True), (429, True), (400, False), (404, False), (302, False)]
)
def test_anything_but_a_2xx_is_a_failure(webhook, status, unreachable):
    webhook.status, webhook.answer = status, "in\nvalid <token>"
    webhook.headers = {"Location": "/elsewhere"}
    with pytest.raises(NotSent, match=rf"^Slack answered HTTP {status}: in valid <token>$") as caught:
        Slack(webhook.url).send(MESSAGE)
    assert caught.value.unreachable is unreachable
    assert len(webhook.requests) == 1


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(web, "TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{HOOK}"
        with pytest.raises(NotSent, match=r"^Slack gave no answer \(ReadTimeout\)$") as caught:
            Slack(url).send(MESSAGE)
    assert caught.value.unreachable
    assert caught.value.__suppress_context__


@pytest.fixture
def dripping():
    """Starts such a server, which ends with the test."""
    started = []

    def start(*arguments):
        started.append(Dripping(*arguments))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-", b"x"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n", b"x"),
        (b"HTTP/1.1 302 No\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["status", "headers", "body", "redirect"],
)
@pytest.mark.parametrize("use", [lambda url: Slack(url).send(MESSAGE), send_heartbeat], ids=["slack", "heartbeat"])
def test_a_byte_now_and_then_is_no_answer(dripping, monkeypatch, beginning, more, use):
    monkeypatch.setattr(web, "TIMEOUT", (0.5, 0.5))
    began = time.monotonic()
    with pytest.raises(NotSent, match=r"gave no answer \((ReadTimeoutError|ReadTimeout|ConnectionError)\)$") as caught:
        use(dripping(beginning, more, 0.05).url)
    assert caught.value.unreachable
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("status", [b"200 OK", b"404 No", b"302 No\r\nLocation: /x"])
def test_of_a_body_without_end_no_more_is_read_than_is_shown(dripping, status):
    server = dripping(b"HTTP/1.1 " + status + b"\r\n\r\n", b"x" * 65536)
    began = time.monotonic()
    if status == b"200 OK":
        Slack(server.url).send(MESSAGE)
    else:
        with pytest.raises(NotSent, match=r"HTTP \d+: x{99}…$"):
            Slack(server.url).send(MESSAGE)
    assert time.monotonic() - began < AT_ONCE
    assert server.sent < 20_000_000


def test_a_netrc_entry_for_the_host_is_not_sent_along(webhook, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    seen = []
    send = requests.Session.send

    def watched(session, request, **options):
        seen.append(request.headers)
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", watched)
    Slack(webhook.url).send(MESSAGE)
    assert "Authorization" not in seen[0]


def test_the_heartbeat_asks_for_its_address_once(webhook):
    send_heartbeat(webhook.url)
    assert webhook.requests == [("GET", f"/services/T01/B01/{HOOK}")]


def test_a_heartbeat_that_fails_says_so_without_its_address(webhook):
    webhook.status, webhook.answer = 410, f"/services/T01/B01/{HOOK} is gone"
    with pytest.raises(NotSent, match=r"^The heartbeat's address answered HTTP 410: \*\*\* is gone$"):
        send_heartbeat(f"{webhook.url}?key={HOOK}")
    webhook.stop()
    with pytest.raises(NotSent, match=r"^The heartbeat's address gave no answer \(ConnectionError\)$"):
        send_heartbeat(webhook.url)


@pytest.mark.parametrize("url", ["MARK", "ftp://MARK.org/x", "https://", "http://MARK:port/x", "http://[MARK/x"])
def test_what_is_no_address_is_refused_without_being_shown(url):
    for use in (Slack, send_heartbeat):
        with pytest.raises(ValueError, match=r"^(SLACK_WEBHOOK_URL|HEARTBEAT_URL) is not an address") as caught:
            use(url)
        assert "MARK" not in str(caught.value)
