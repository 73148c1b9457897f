"""What is remembered between runs, in one file that several processes share: what is open, and what waits.

Keep out: deciding what is said (`outbox`), and sending.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from gazelle_sync.alerts.channel import Message
from gazelle_sync.alerts.incident import Incident, Kind
from gazelle_sync.files import hold_lock, replace_file
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)

# Seconds. The file is held for as long as it takes to write it; whoever holds it for longer is stuck.
PATIENCE = 30.0

# For how long a process that sends on a channel has it to itself. No message takes as long to send, so that this passes
# only when the process has died meanwhile.
CLAIM = timedelta(minutes=3)


@dataclass
class Open:
    """An incident that is not well yet, and the names of the channels that hear of it."""

    incident: Incident
    told: list[str]


@dataclass
class Waiting:
    """A message that one channel has still to send; `taken_by` are the recipients who have it.

    `lasting` says that the last try failed for a reason that a person has to remove.
    """

    message: Message
    tries: int = 0
    why: str = ""
    lasting: bool = False
    taken_by: list[str] = field(default_factory=list)


@dataclass
class State:
    """By key, what is open; by channel's name, what waits, the oldest first, and until when a process sends there."""

    open: dict[str, Open] = field(default_factory=dict)
    waiting: dict[str, list[Waiting]] = field(default_factory=dict)
    sending: dict[str, datetime] = field(default_factory=dict)

    def is_claimed(self, channel: str) -> bool:
        """Whether another process sends on that channel. A claim from a clock that was ahead is none."""
        until = self.sending.get(channel)
        return until is not None and timedelta() < until - datetime.now(timezone.utc) <= CLAIM

    def claim(self, channel: str) -> None:
        self.sending[channel] = datetime.now(timezone.utc) + CLAIM

    def release(self, channel: str) -> None:
        self.sending.pop(channel, None)

    def to_json(self) -> str:
        document = {
            "open": {key: {**asdict(opened.incident), "told": opened.told} for key, opened in self.open.items()},
            "waiting": {name: [asdict(entry) for entry in entries] for name, entries in self.waiting.items()},
            "sending": self.sending,
        }
        return json.dumps(document, indent=1, default=_plain)

    @staticmethod
    def parse(text: str) -> State:
        """Raises `ValueError` for anything that `to_json` didn't make."""
        try:
            document = json.loads(text)
            return State(
                open={key: _open(value) for key, value in document["open"].items()},
                waiting={name: [_waiting(value) for value in entries] for name, entries in document["waiting"].items()},
                sending={name: _time(value) for name, value in document.get("sending", {}).items()},
            )
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"it is not of the shape of this file ({type(error).__name__})") from None


class StateFile:
    """The file, which only its owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self) -> Iterator[tuple[State, Path | None]]:
        """What is remembered, while no other process may change it; what was changed is written at the end.

        A file that can't be understood is renamed, and a new one begun: the second of the pair says how it is
        called now. Raises `OSError` where the file can't be read or written, or another process keeps it.
        """
        with hold_lock(self._path, timeout=PATIENCE):
            before, state, set_aside = self._read()
            yield state, set_aside
            after = state.to_json()
            if after != before:
                replace_file(self._path, after)

    def _read(self) -> tuple[str, State, Path | None]:
        try:
            text = self._path.read_text(encoding="utf-8")
            return text, State.parse(text), None
        except FileNotFoundError:
            return "", State(), None
        except ValueError as error:
            set_aside = self._path.with_name(
                f"{self._path.name}.unreadable-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
            )
            self._path.rename(set_aside)
            # Not the error's text, which may quote the file.
            logger.error(say("state_set_aside", path=self._path, why=type(error).__name__, now=set_aside))  # noqa: TRY400
            return "", State(), set_aside


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Kind):
        return str(value.value)
    raise TypeError(f"{type(value).__name__} has no place in the state file")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _time(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError
    return at


def _open(value: dict[str, Any]) -> Open:
    return Open(
        Incident(
            kind=Kind(value["kind"]),
            key=_text(value["key"]),
            about=_text(value["about"]),
            since=_time(value["since"]),
            why=_text(value["why"]),
            link=None if value["link"] is None else _text(value["link"]),
        ),
        told=[_text(name) for name in value["told"]],
    )


def _waiting(value: dict[str, Any]) -> Waiting:
    message = value["message"]
    return Waiting(
        Message(
            id=_text(message["id"]),
            at=_time(message["at"]),
            subject=_text(message["subject"]),
            body=_text(message["body"]),
        ),
        tries=int(value["tries"]),
        why=_text(value["why"]),
        lasting=value.get("lasting") is True,
        taken_by=[_text(address) for address in value["taken_by"]],
    )
