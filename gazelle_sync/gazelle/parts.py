"""A long connection as the sum of disjoint parts: how it is cut, what was read of it, and reading several at once.

Every part is a list of its own, with its own count, its own chain of pages and its own proof. What was read of a part
that is proved is kept on disk, so that it need not be read again when another part shifts or fails. Keep out: pages
(`pages`), GraphQL text (`query`), counting, and what proves the whole (`snapshot`).
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from queue import Full, Queue
from typing import IO, Any, NamedTuple, TypeVar

from gazelle_sync.tables.declaration import ByDay, ByValue, Connection, Gap, Scope, Table

T = TypeVar("T")

# Pages of the greatest size. A part costs one that is not full, so it has several, and a list of a few is not cut.
LEAST_TO_CUT = 12
SMALLEST = 2
MOST_PARTS = 16
# What is counted at first: a year each, and together what came before; or the months, where the scope has so many.
YEARS = 12
MONTHS = 28
# A span with more than this share of all is split, so often at most: an account that moved in has most in one month.
LARGE = 8
SPLIT_INTO = 4
SPLITS = 2
# Bytes of answers that are kept of one part; the largest real account has a third of that in all.
MOST_KEPT = 256 * 2**20
LENGTH = 8


class Span(NamedTuple):
    """The days from `start` to before `end`; where there is none, as far as the list goes."""

    start: dt.date | None
    end: dt.date | None


class Piece(NamedTuple):
    """The least that is counted: of the list of that number (`Connection.each`), one value or one span."""

    number: int
    what: str | Span


class Reading:
    """One reading of a part: its answers, on disk. One that was abandoned goes on for a moment, and in no other."""

    def __init__(self) -> None:
        # By `time.monotonic`.
        self.began = time.monotonic()
        # How many records were handed on.
        self.seen = 0
        # An unlinked file, readable by this process only.
        self._file: IO[bytes] | None = tempfile.TemporaryFile()  # noqa: SIM115  closed when nobody has it any more
        self._kept = 0

    @property
    def is_kept(self) -> bool:
        return self._file is not None

    def keep(self, answer: bytes) -> None:
        self._kept += len(answer)
        if self._file and self._kept > MOST_KEPT:
            self._file = None
        if self._file:
            self._file.write(len(answer).to_bytes(LENGTH, "big") + answer)
            self._file.flush()

    def forget(self) -> None:
        self._file = None

    def answers(self) -> Iterator[dict[str, Any]]:
        """`data` of each answer that was kept, in the order in which they came."""
        assert self._file is not None
        # Not by the file's own position: two may go through it.
        at = 0
        while length := os.pread(self._file.fileno(), LENGTH, at):
            size = int.from_bytes(length, "big")
            yield json.loads(os.pread(self._file.fileno(), size, at + LENGTH))["data"]
            at += LENGTH + size


class Part:
    """The records that these arguments narrow the connection to: `count` of them, when they were counted last."""

    def __init__(self, arguments: Mapping[str, str], count: int) -> None:
        self.arguments = arguments
        self.count = count
        self.reading: Reading | None = None
        # Whether all of it was read, is proved, and is kept.
        self.is_proved = False

    @property
    def seen(self) -> int:
        return self.reading.seen if self.reading else 0

    def begin(self) -> Reading:
        """Forgets what was read of it."""
        self.is_proved, self.reading = False, Reading()
        return self.reading

    def repeat(self) -> Reading:
        """What was kept, to be gone through once more."""
        assert self.reading is not None
        self.reading = copy.copy(self.reading)
        self.reading.seen = 0
        return self.reading

    def finish(self, reading: Reading, count: int, *, proved: bool) -> None:
        """Of an older reading, nothing is taken over."""
        if reading is self.reading:
            self.count, self.is_proved = count, proved and reading.is_kept
        if not proved:
            reading.forget()


class Cut:
    """How one connection is cut, and what is kept of it. It outlives a read that fails, and ends with the run.

    `parts` is None until it is cut. Where there is a `refusal`, why it can't be, it is read in one piece. Where Gazelle
    refuses something of the table, it is asked for as `table`, without these `gaps`: what is kept can't answer them.
    """

    def __init__(self) -> None:
        self.parts: list[Part] | None = None
        self.refusal: str | None = None
        self.table: Table | None = None
        self.gaps: list[Gap] = []

    @property
    def is_kept(self) -> bool:
        """Whether anything is there that need not be read again."""
        return any(part.is_proved for part in self.parts or ())

    def forget(self) -> None:
        self.parts, self.refusal = None, None

    def doubt(self) -> None:
        """Nothing that is kept is a proof any more."""
        for part in self.parts or ():
            part.is_proved = False


def find_pieces(connection: Connection, scope: Scope) -> list[Piece]:
    """All pieces of a connection, those of each of its lists in their order. Each day of it is in one of them."""
    by = connection.parts
    assert by
    if isinstance(by, ByValue):
        found: Sequence[str | Span] = by.values
    else:
        is_bounded = by.first in connection.window
        start, end = (scope.start, scope.end) if is_bounded else (None, None)
        found = [Span(*each) for each in pairwise([start, *find_days(scope, is_bounded=is_bounded), end])]
    return [Piece(number, each) for number in range(len(connection.each)) for each in found]


def find_days(scope: Scope, *, is_bounded: bool) -> list[dt.date]:
    """Where a list is cut that has the scope's days only, or any day: between months if they are few, else years."""
    if is_bounded and scope.end is not None:
        first, last = (12 * day.year + day.month for day in (scope.start, scope.end - dt.timedelta(days=1)))
        if last - first < MONTHS:
            return [dt.date((month - 1) // 12, (month - 1) % 12 + 1, 1) for month in range(first + 1, last + 1)]
    this_year = dt.datetime.now(scope.zone).year
    days = [dt.date(year, 1, 1) for year in range(this_year - YEARS + 2, this_year + 2)]
    return [day for day in days if not is_bounded or (scope.start < day and (scope.end is None or day < scope.end))]


def split(piece: Piece) -> list[Piece]:
    """The smaller pieces that it is made of; none, if it can't be split."""
    span = piece.what
    if isinstance(span, str) or span.start is None or span.end is None:
        return []
    length = (span.end - span.start).days
    count = min(SPLIT_INTO, length)
    days = [span.start + dt.timedelta(days=length * number // count) for number in range(count + 1)]
    return [Piece(piece.number, Span(*each)) for each in pairwise(days)] if count > 1 else []


def narrow(connection: Connection, pieces: Sequence[Piece]) -> dict[str, str]:
    """The arguments, path → GraphQL text, for some pieces of one list; spans have to be neighbours."""
    by, found = connection.parts, dict(connection.each[pieces[0].number])
    if isinstance(by, ByValue):
        found[by.argument] = f"[{', '.join(str(piece.what) for piece in pieces)}]"
        return found
    first, last = pieces[0].what, pieces[-1].what
    assert isinstance(by, ByDay)
    assert isinstance(first, Span)
    assert isinstance(last, Span)
    if first.start:
        found[by.first] = json.dumps(first.start.isoformat())
    if last.end:
        found[by.last] = json.dumps((last.end - dt.timedelta(days=1)).isoformat())
    return found


def divide(connection: Connection, counts: Mapping[Piece, int], page: int) -> list[Part]:
    """The parts for as many records of each piece, the longest first; the greatest page has `page` records.

    A frequent value is alone, the rare ones are together; spans are together with their neighbours. Pieces that no
    record is in are in a part as well: one may come while the others are read.
    """
    enough = max(SMALLEST * page, sum(counts.values()) // MOST_PARTS)
    found: list[Part] = []
    for _, of_list in groupby(counts, key=lambda piece: piece.number):
        pieces = list(of_list)
        if isinstance(connection.parts, ByValue):
            pieces.sort(key=lambda piece: -counts[piece])
        together: list[Piece] = []
        for piece in pieces:
            together.append(piece)
            count = sum(counts[each] for each in together)
            if count >= enough or piece is pieces[-1]:
                found.append(Part(narrow(connection, together), count))
                together = []
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
