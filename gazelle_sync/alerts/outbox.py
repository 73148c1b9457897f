"""Who is told what, and when: once when something goes wrong, once when it is well again, and never not at all.

Keep out: the words (`wording`), the sending (`slack`, `mail`), the file (`state`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone, tzinfo
from pathlib import Path

from gazelle_sync.alerts.channel import Channel, Message, NotSent
from gazelle_sync.alerts.incident import Incident, Kind
from gazelle_sync.alerts.state import Open, State, StateFile, Waiting
from gazelle_sync.alerts.wording import Wording
from gazelle_sync.redaction import one_line, without
from gazelle_sync.translations import say

LONGEST_NAME = 120
LONGEST_WHY = 300

# After so many tries of one message, the other channels say that this one doesn't work. Fewer may be a hiccup.
TRIES_BEFORE_TELLING = 3


@dataclass(frozen=True)
class Failure:
    """A channel that could not send: how many messages it keeps, the most tries of any of them, and the last reason.

    `lasting` says that none of them will get through before a person does something.
    """

    channel: str
    waiting: int
    tries: int
    why: str
    lasting: bool

    def __str__(self) -> str:
        return say("failed_channel", channel=self.channel, waiting=self.waiting, tries=self.tries, why=self.why)


class Alerts:
    """What is wrong, and what is still to be said about it. Any number of processes may share the file `state`.

    `channels` are those that are on; what waits for one that is off now is kept. `language` is `en` or `fr`, times
    are shown in `zone`. `secrets` are hidden in every text, in addition to those that the channels know.

    Everything raises `OSError` when the file can't be read or written, or another process keeps it. One that can't be
    understood is set aside under another name, and the channels say so.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        state: Path,
        language: str,
        zone: tzinfo,
        *,
        secrets: Iterable[str] = (),
    ) -> None:
        """Raises `ValueError` for a language there are no messages in."""
        self._channels = channels
        self._file = StateFile(state)
        self._wording = Wording(language, zone)
        self._secrets = (*secrets, *(secret for channel in channels for secret in channel.secrets))

    def open(self, incident: Incident) -> bool:
        """Queues a message about it, and says whether it did: no channel hears twice of what is open."""
        with self._state() as state:
            return self._open(state, incident, self._channels)

    def announce(self, incident: Incident) -> None:
        """Queues a message about something that is over: nothing is said when it is well again."""
        with self._state() as state:
            self._announce(state, self._secret_free(incident))

    def send_unkept(self, incident: Incident) -> None:
        """Sends a message about it at once, where the file can't be written. Raises `NotSent` if nobody took it."""
        subject, body = self._wording.raised(self._secret_free(incident))
        message = Message(uuid.uuid4().hex, datetime.now(timezone.utc), subject, body)
        failures = []
        for channel in self._channels:
            try:
                channel.send(message)
            except NotSent as failure:
                failures.append(failure)
        if failures and len(failures) == len(self._channels):
            raise failures[0]

    def resolve(self, key: str, at: datetime | None = None) -> bool:
        """Queues "well again" for the channels that heard of it, and says whether it was open. `at`: since when."""
        with self._state() as state:
            return self._close(state, key, at or datetime.now(timezone.utc))

    def open_incidents(self) -> list[Incident]:
        """What was raised and is not well yet, the oldest first."""
        with self._state() as state:
            return sorted((opened.incident for opened in state.open.values()), key=lambda incident: incident.since)

    def unsent(self) -> list[Failure]:
        """What was tried and could not be sent, on the channels that are on. Tries nothing."""
        with self._state() as state:
            return self._failures(state)

    def is_waiting(self) -> bool:
        """Whether there is something to send on a channel that is on."""
        with self._state() as state:
            return any(state.waiting.get(channel.name) for channel in self._channels)

    def deliver(self) -> list[Failure]:
        """Sends all that waits; returns the channels that could not, for the caller to make that visible.

        A message that is not taken is kept for the next call. On a channel that can't be reached, the others are not
        tried. A channel that another process sends on is left to that: it sends what is queued meanwhile as well.
        A process that dies while a message is on its way leaves it to be sent again, some minutes later: for e-mail
        with the same Message-ID, which mailboxes show once.
        """
        for channel in self._channels:
            self._send(channel)
        with self._state() as state:
            failures = self._failures(state)
            news = self._tell_of_channels(state, failures)
        for channel in self._channels if news else ():
            if channel.name not in {failure.channel for failure in failures}:
                self._send(channel)
        return self.unsent()

    def _send(self, channel: Channel) -> None:
        """All that waits there, each message once. No lock is held while a server takes its time."""
        tried: set[str] = set()
        while entry := self._claim(channel.name, tried):
            tried.add(entry.message.id)
            failure = None
            try:
                channel.send(entry.message, entry.taken_by)
            except NotSent as error:
                failure = error
            except BaseException:
                with self._state() as state:
                    state.release(channel.name)
                raise
            with self._state() as state:
                self._note(state, channel.name, entry.message.id, failure)
                if failure and failure.unreachable:
                    state.release(channel.name)
                    return

    def _claim(self, channel: str, tried: set[str]) -> Waiting | None:
        """The next message to send, with the channel to ourselves; None when there is none, or another process sends.

        Looked for anew each time: another process may have queued something, and left it to us.
        """
        with self._state() as state:
            if not tried and state.is_claimed(channel):
                return None
            queue = state.waiting.get(channel, [])
            entry = next((entry for entry in queue if entry.message.id not in tried), None)
            if entry:
                state.claim(channel)
            else:
                state.release(channel)
            return entry

    def _note(self, state: State, channel: str, message: str, failure: NotSent | None) -> None:
        queue = state.waiting.get(channel, [])
        for entry in [entry for entry in queue if entry.message.id == message]:
            if failure is None:
                queue.remove(entry)
            else:
                entry.tries += 1
                entry.why = one_line(str(failure), self._secrets, LONGEST_WHY)
                entry.lasting = failure.lasting
                entry.taken_by = list(failure.taken_by) or entry.taken_by
        if not queue:
            state.waiting.pop(channel, None)

    def _failures(self, state: State) -> list[Failure]:
        failures = []
        for channel in self._channels:
            queue = state.waiting.get(channel.name, [])
            tried = [entry for entry in queue if entry.tries]
            if tried:
                tries = max(entry.tries for entry in tried)
                lasting = all(entry.lasting for entry in tried)
                failures.append(Failure(channel.name, len(queue), tries, tried[0].why, lasting))
        return failures

    def _tell_of_channels(self, state: State, failures: list[Failure]) -> bool:
        """Queues, for the other channels, that one doesn't work, or works again; whether there was anything to say."""
        news = False
        failed = {failure.channel: failure for failure in failures}
        for channel in self._channels:
            key = f"alerts:{channel.name}"
            failure = failed.get(channel.name)
            others = [other for other in self._channels if other.name != channel.name]
            if failure is None:
                news |= self._close(state, key, datetime.now(timezone.utc))
            elif failure.tries >= TRIES_BEFORE_TELLING and others:
                since = state.waiting[channel.name][0].message.at
                incident = Incident(Kind.NOT_SENT, key, channel.name, since, failure.why)
                news |= self._open(state, incident, others)
        return news

    def _open(self, state: State, incident: Incident, channels: Sequence[Channel]) -> bool:
        opened = state.open.setdefault(incident.key, Open(self._secret_free(incident), []))
        # A channel that was off when it began hears of it as well.
        new = [channel.name for channel in channels if channel.name not in opened.told]
        self._queue(state, new, *self._wording.raised(opened.incident))
        opened.told += new
        return bool(new)

    def _close(self, state: State, key: str, at: datetime) -> bool:
        opened = state.open.pop(key, None)
        if opened:
            self._queue(state, opened.told, *self._wording.well(opened.incident, at))
        return opened is not None

    def _announce(self, state: State, incident: Incident) -> None:
        self._queue(state, [channel.name for channel in self._channels], *self._wording.raised(incident))

    @staticmethod
    def _queue(state: State, channels: Iterable[str], subject: str, body: str) -> None:
        message = Message(uuid.uuid4().hex, datetime.now(timezone.utc), subject, body)
        for name in channels:
            state.waiting.setdefault(name, []).append(Waiting(message))

    def _secret_free(self, incident: Incident) -> Incident:
        """The same, fit to be kept and sent: redacted, on one line, and of a length that people read."""
        return replace(
            incident,
            about=one_line(incident.about, self._secrets, LONGEST_NAME),
            why=one_line(incident.why, self._secrets, LONGEST_WHY),
            # Not cut: half an address leads nowhere.
            link=without("".join(incident.link.split()), self._secrets) if incident.link else None,
        )

    @contextmanager
    def _state(self) -> Iterator[State]:
        with self._file.held() as (state, set_aside):
            if set_aside:
                now = datetime.now(timezone.utc)
                self._announce(state, Incident(Kind.STATE_LOST, "state", set_aside.name, now, ""))
            yield state
