"""HTTP requests to addresses that are themselves secret. Keep out: what is sent, and when."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
import urllib3

from gazelle_sync.alerts.channel import NotSent
from gazelle_sync.deadline import DeadlineAdapter
from gazelle_sync.redaction import find_keys, one_line, without
from gazelle_sync.translations import say

# Seconds to connect, and to wait for the whole answer.
TIMEOUT = (5.0, 15.0)
# Bytes of an answer that are looked at: enough for a sentence that says why.
LOOKED_AT = 2000

# Answers that may well be others the next time, besides 5xx.
PASSING = (requests.codes.too_many, requests.codes.request_timeout, 425)


class Session(requests.Session):
    """Answers come within a deadline; none is a redirect, which would turn a POST into a GET that looks sent."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, DeadlineAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None. Otherwise `requests` reads the whole body of a redirect that it does not follow."""


def check(url: str, variable: str) -> None:
    """Raises `ValueError`, which names the variable and doesn't show the address."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        # More than one @: host and path are mistaken for each other when a password has one.
        fine = fine and url.count("@") <= 1
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(say("web_address_not_understood", variable=variable))


def ask(method: str, url: str, what: str, *, json: object = None) -> None:
    """Returns when the answer is a 2xx. `what` names the other side. Raises `NotSent`, without the address's path."""
    secrets = find_keys(url)
    text = ""
    try:
        with (
            unlogged(secrets),
            Session() as session,
            session.request(
                method,
                url,
                json=json,
                # Not packed, so that what is looked at is no more than what came.
                headers={"User-Agent": "gazelle-sync", "Accept-Encoding": "identity"},
                # As an `auth` callable, so that a ~/.netrc entry for the host is not sent along.
                auth=lambda request: request,
                timeout=TIMEOUT,
                stream=True,
            ) as response,
        ):
            status = response.status_code
            if not 200 <= status < 300:
                text = response.raw.read(LOOKED_AT, decode_content=False).decode(errors="replace")
    except (OSError, urllib3.exceptions.HTTPError, UnicodeError) as error:
        # Only the kind of error is passed on: its text holds the address.
        why = type(error).__name__
        # `requests` raises that for certificates that are not where REQUESTS_CA_BUNDLE says: nothing was sent.
        raise NotSent(say("no_answer", what=what, why=why), unreachable=True, lasting=type(error) is OSError) from None
    if not 200 <= status < 300:
        answer = one_line(text, secrets, 100)
        passing = status >= 500 or status in PASSING
        # Any other status may be about this message alone.
        raise NotSent(
            say("answered_with", what=what, status=status) + (say("and_said", answer=answer) if answer else ""),
            unreachable=passing,
            lasting=not passing,
        )


@contextmanager
def unlogged(secrets: Iterable[str]) -> Iterator[None]:
    """While it lasts, urllib3 doesn't log the secrets: at level DEBUG it writes the path of every request."""
    secrets = tuple(secrets)

    def hide(record: logging.LogRecord) -> bool:
        record.msg, record.args = without(record.getMessage(), secrets), ()
        return True

    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(hide)
    try:
        yield
    finally:
        logger.removeFilter(hide)
