"""A long connection as the sum of disjoint parts: how it is cut, what was read of it, and reading several at once.

Every part is a list of its own, with its own count, its own chain of pages and its own proof. What was read of a part
that is proved is kept on disk, so that it need not be read again when another part shifts or fails. Keep out: pages
(`pages`), what is asked (`query`), and what proves the whole (`snapshot`).
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from queue import Full, Queue
from typing import IO, Any, NamedTuple, TypeVar

T = TypeVar("T")

# Records. A part costs a page that is not full, so there are not many, and a list of a few pages is not cut.
SMALLEST = 1000
LEAST_TO_CUT = 5 * SMALLEST
MOST_PARTS = 16
# Bytes of answers that are kept of one part; the largest real account has a third of that in all.
MOST_KEPT = 256 * 2**20
LENGTH = 8


class Part:
    """The records that have one of these values: `count` of them, when they were counted."""

    def __init__(self, values: tuple[str, ...], count: int) -> None:
        self.values = values
        self.count = count
        # Whether all of it was read, is proved, and is kept.
        self.is_proved = False
        # When its reading began, by `time.monotonic`.
        self.began = 0.0
        self._file: IO[bytes] | None = None
        self._kept = 0

    def begin(self) -> None:
        """Forgets what was read of it."""
        self.began, self.is_proved, self._kept = time.monotonic(), False, 0
        # An unlinked file, readable by this process only.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed when nobody has it any more

    def keep(self, answer: bytes) -> None:
        self._kept += len(answer)
        if self._file and self._kept > MOST_KEPT:
            self._file = None
        if self._file:
            self._file.write(len(answer).to_bytes(LENGTH, "big") + answer)

    def finish(self, *, proved: bool) -> None:
        self.is_proved = proved and self._file is not None
        if not self.is_proved:
            self._file = None

    def answers(self) -> Iterator[dict[str, Any]]:
        """`data` of each answer that was kept, in the order in which they came."""
        assert self._file is not None
        self._file.seek(0)
        while length := self._file.read(LENGTH):
            yield json.loads(self._file.read(int.from_bytes(length, "big")))["data"]


class Cut:
    """How one connection is cut, and what is kept of it. It outlives a read that fails, and ends with the run.

    `parts` is None until it is cut. One that `is_refused` can't be cut: it is read in one piece.
    """

    def __init__(self) -> None:
        self.parts: list[Part] | None = None
        self.is_refused = False

    @property
    def is_kept(self) -> bool:
        """Whether anything is there that need not be read again."""
        return any(part.is_proved for part in self.parts or ())

    @property
    def oldest(self) -> float | None:
        """When the oldest of what is kept was asked for, by `time.monotonic`."""
        return min((part.began for part in self.parts or () if part.is_proved), default=None)

    def forget(self) -> None:
        self.parts, self.is_refused = None, False


def divide(counts: Mapping[str, int]) -> list[Part]:
    """The parts for as many records of each value: a frequent one alone, the rare ones together. The longest first.

    Values that no record has are in a part as well: one may come while the others are read.
    """
    enough = max(SMALLEST, sum(counts.values()) // MOST_PARTS)
    found: list[Part] = []
    values: list[str] = []
    count = 0
    for value in sorted(counts, key=lambda value: -counts[value]):
        values.append(value)
        count += counts[value]
        if count >= enough:
            found.append(Part(tuple(values), count))
            values, count = [], 0
    if values:
        found.append(Part(tuple(values), count))
    return sorted(found, key=lambda part: -part.count)


class Failure(NamedTuple):
    error: BaseException


def read_at_once(reads: Iterable[Iterator[T]], at_once: int, name: str) -> Iterator[T]:
    """What each of these gives, in the order in which it comes; so many of them are under way, each in a thread.

    No more is read ahead than one for each thread. Raises what the first of them raises that fails; then, or when the
    caller stops, the others end with the request that is on its way.
    """
    waiting = deque(reads)
    handed: Queue[T | Failure | None] = Queue(maxsize=at_once)
    taking, abandoned = threading.Lock(), threading.Event()

    def take() -> Iterator[T] | None:
        with taking:
            return waiting.popleft() if waiting else None

    def hand(each: T | Failure | None) -> None:
        while not abandoned.is_set():
            try:
                handed.put(each, timeout=0.1)
            except Full:
                continue
            return

    def work() -> None:
        try:
            while (reading := take()) is not None and not abandoned.is_set():
                for each in reading:
                    hand(each)
                    if abandoned.is_set():
                        return
        except BaseException as error:
            hand(Failure(error))
        finally:
            hand(None)

    threads = [threading.Thread(target=work, name=name, daemon=True) for _ in range(min(at_once, len(waiting)))]
    for thread in threads:
        thread.start()
    working = len(threads)
    try:
        while working:
            found = handed.get()
            if found is None:
                working -= 1
            elif isinstance(found, Failure):
                raise found.error
            else:
                yield found
    finally:
        abandoned.set()
