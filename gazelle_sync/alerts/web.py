"""HTTP requests to addresses that are themselves secret. Keep out: what is sent, and when."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests

from gazelle_sync.alerts.channel import NotSent
from gazelle_sync.redaction import find_keys, one_line, without

# Seconds to connect, and to wait for the answer.
TIMEOUT = (5.0, 15.0)


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
        raise ValueError(f"{variable} is not an address of the web. Write one that begins with https://.")


def ask(method: str, url: str, what: str, *, json: object = None) -> None:
    """Returns when the answer is a 2xx. `what` names the other side. Raises `NotSent`, without the address's path."""
    secrets = find_keys(url)
    try:
        with unlogged(secrets):
            response = requests.request(
                method,
                url,
                json=json,
                headers={"User-Agent": "gazelle-sync"},
                # As an `auth` callable, so that a ~/.netrc entry for the host is not sent along.
                auth=lambda request: request,
                timeout=TIMEOUT,
                # A redirect would turn a POST into a GET: it would look sent.
                allow_redirects=False,
            )
    except (requests.RequestException, UnicodeError) as error:
        # Only the kind of error is passed on: its text holds the address.
        raise NotSent(f"{what} gave no answer ({type(error).__name__})", unreachable=True) from None
    status = response.status_code
    if not 200 <= status < 300:
        answer = one_line(response.text, secrets, 100)
        raise NotSent(
            f"{what} answered HTTP {status}" + (f": {answer}" if answer else ""),
            # Any other status may be about this message alone.
            unreachable=status >= 500 or status in (requests.codes.too_many, requests.codes.request_timeout),
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
