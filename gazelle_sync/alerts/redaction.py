"""What must not be said: secrets, credentials in addresses, e-mail addresses; and text made fit for one line.

Keep out: knowing which secrets there are. Each channel names its own, and the caller the rest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN = "***"

# Shorter ones would blot out ordinary words, and are no secrets to anybody.
_SHORTEST_SECRET = 4

# The parts of an address's path that are keys are this long at least: `services` and `T0123ABCD` are not.
_SHORTEST_KEY = 16

# Up to the last @ of the word: a password may hold one.
_URL_CREDENTIALS = re.compile(r"(?<=://)\S*@")
_EMAIL_ADDRESS = re.compile(r"[^\s@<>()\[\]{}\"',;:=]+@[^\s@<>()\[\]{}\"',;:=]+")


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for every secret, for credentials in addresses, and for e-mail addresses."""
    text = without(text, secrets)
    return _EMAIL_ADDRESS.sub(HIDDEN, _URL_CREDENTIALS.sub(f"{HIDDEN}@", text))


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for every secret, and nothing else changed."""
    # The longest first, so that a secret within another doesn't leave the other's ends.
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return text


def one_line(text: str, secrets: Iterable[str], length: int) -> str:
    """The text redacted, on one line, without characters that can't be seen, and no longer than `length`."""
    secrets = tuple(secrets)
    # Before it is cut, since half a secret would not be recognized; and again once line breaks are gone.
    text = redact(text, secrets)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    text = redact(text, secrets)
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def secrets_in(url: str) -> tuple[str, ...]:
    """What of an address must not be seen, where the address itself is the key, as a Slack webhook's is."""
    parts = urlsplit(url)
    keys = [part for part in parts.path.split("/") if len(part) >= _SHORTEST_KEY]
    values = [value for _, value in parse_qsl(parts.query)]
    found = [url, f"{parts.path}?{parts.query}", parts.path, *keys, *values, parts.password or ""]
    return tuple(dict.fromkeys(form for text in found for form in (text, unquote(text)) if form))


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
