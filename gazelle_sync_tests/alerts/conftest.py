"""What the tests of the alerts share: the two servers, a certificate, and alerts that know both channels."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gazelle_sync.alerts import Alerts, Incident, Kind, channels_from
from gazelle_sync_tests.alerts.servers import MailServer, Webhook

TORONTO = ZoneInfo("America/Toronto")
INCIDENT = Incident(
    kind=Kind.CHECK_FAILED,
    key="check:gazelle/pianos:parents_known",
    about="gazelle/pianos: parents_known",
    since=datetime(2026, 3, 16, 6, 14, tzinfo=timezone.utc),
    why="3 pianos have a client that is not in Gazelle",
    link="http://127.0.0.1:3000/runs/abc",
)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.stop()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


@pytest.fixture
def incident() -> Callable[..., Incident]:
    """An incident, with what is given changed."""

    def build(**changes: Any) -> Incident:
        return replace(INCIDENT, **changes)

    return build


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "var" / "alerts.json"


@pytest.fixture
def alerts(webhook: Webhook, mail_server: MailServer, state: Path) -> Alerts:
    return Alerts(channels_from(webhook.url, "ann@example.org", mail_server.url), state, "en", TORONTO)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for mail.test that vouches for itself, with its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mail.test "
        "-addext subjectAltName=DNS:mail.test -addext keyUsage=critical,digitalSignature,keyCertSign "
        "-keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """The server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
