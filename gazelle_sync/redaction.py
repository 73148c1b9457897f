"""What must not be said, and what can't be shown: secrets, credentials in addresses, control characters.

A process learns its secrets once, by `hide`; from then on no `PlainError` and no line of the log holds one, whoever
repeats it. Keep out: which secrets there are, and who is told.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN = "***"

# Shorter ones would blot out ordinary words, and are no secrets to anybody.
_SHORTEST_SECRET = 4

# The parts of an address's path that are keys are this long at least: `services` and `T0123ABCD` are not.
_SHORTEST_KEY = 16

# Up to the last @ of the word: a password may hold one.
_URL_CREDENTIALS = re.compile(r"(?<=://)\S*@")
_EMAIL_ADDRESS = re.compile(r"[^\s@<>()\[\]{}\"',;:=]+@[^\s@<>()\[\]{}\"',;:=]+")

# What French puts before a colon. Python counts both among what can't be printed.
_NO_BREAK_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"

# The secrets of this process.
_hidden: set[str] = set()


class PlainError(Exception):
    """An error whose text may be shown to anybody: on one line, without secrets and without control characters.

    It is made of what others said, a server or a library, which may repeat what they were sent.
    """

    def __init__(self, text: str) -> None:
        shown = re.sub(" +", " ", make_printable(without(text, _hidden), keep=""))
        # Once more, for a secret with a line break in its midst.
        super().__init__(without(shown, _hidden))


def hide(*secrets: str) -> None:
    """From now on, no `PlainError` and no line of the log of this process holds these."""
    _hidden.update(form for secret in secrets for form in (secret, unquote(secret)) if form)


def make_printable(text: str, *, keep: str = "\n\t") -> str:
    """The text without what moves a cursor, turns a line around or can't be encoded; `keep` stays as it is.

    Control characters, separators of lines and lone surrogates become a space; format characters (such as those that
    reverse the direction of writing) go, as they take no place.
    """
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter in _NO_BREAK_SPACES or letter in keep
        else ""
        if unicodedata.category(letter) == "Cf"
        else " "
        for letter in text
    )


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for every secret, for credentials in addresses, and for e-mail addresses."""
    text = without(text, {*secrets, *_hidden})
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
    text = re.sub(" +", " ", make_printable(text, keep="")).strip()
    text = redact(text, secrets)
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def find_passwords(address: str) -> tuple[str, ...]:
    """What may be the password of an address, as it is written and decoded; nothing where there is none.

    Programs disagree on `postgresql://u:pa@ss/word@host/db`: where the address holds more than one @, each piece
    between the first colon and the last @ may turn up by itself.
    """
    credentials, _, _ = address.split("://", 1)[-1].rpartition("@")
    _, _, password = credentials.partition(":")
    pieces = re.split("[@/:?#]", password) if "@" in credentials else []
    return tuple(dict.fromkeys(form for text in (password, *pieces) for form in (text, unquote(text)) if form))


def find_keys(address: str) -> tuple[str, ...]:
    """What of an address must not be seen, where the address itself is the key, as a Slack webhook's is."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return (address,)
    keys = [part for part in parts.path.split("/") if len(part) >= _SHORTEST_KEY]
    values = [value for _, value in parse_qsl(parts.query)]
    found = [address, f"{parts.path}?{parts.query}", parts.path, *keys, *values, *find_passwords(address)]
    return tuple(dict.fromkeys(form for text in found for form in (text, unquote(text)) if form))


class LogFormatter(logging.Formatter):
    """Writes a record without the secrets of this process and without control characters; a traceback keeps its lines.

    dagster.yaml names it for the log file.
    """

    def format(self, record: logging.LogRecord) -> str:
        return make_printable(without(super().format(record), _hidden))
