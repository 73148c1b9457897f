"""What a channel is to the outbox, and what it says when it can't send.

Keep out: the channels themselves (`slack`, `mail`), and which of them are on (`channels`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gazelle_sync.redaction import PlainError


@dataclass(frozen=True)
class Message:
    """What is said, in words. `id` stays the same however often it is tried; `at` is when it was first to be sent."""

    id: str
    at: datetime
    subject: str
    body: str


class NotSent(PlainError):
    """A message did not get through. The text says why, and holds no secret and no personal data.

    `unreachable` says that other messages would not get through now either, `lasting` that a person has to do
    something before this one can; `taken_by` names the recipients who have it all the same, and must not get it again.
    """

    def __init__(
        self, why: str, *, unreachable: bool = False, lasting: bool = False, taken_by: Collection[str] = ()
    ) -> None:
        super().__init__(why)
        self.unreachable = unreachable
        self.lasting = lasting
        self.taken_by = taken_by


class Channel(Protocol):
    """A way to tell people. `name` stays the same when its address changes: what waits is kept under it."""

    @property
    def name(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """What it knows that no text may hold."""

    def send(self, message: Message, taken_by: Collection[str] = ()) -> None:
        """Returns once it is taken by every recipient but those of `taken_by`. Raises `NotSent`."""
