"""Progress of a run: a bar per table on a terminal, plain lines in a log.

Reading says how far it is through the logger `gazelle_sync.progress`. Keep out: anything else that is shown.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gazelle_sync.redaction import LogFormatter
from gazelle_sync.translations import Speech

# Seconds between two plain lines about one table.
PAUSE = 10.0


class Bars(logging.Handler):
    """A bar per table."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        table, seen, expected = record.table, record.seen, record.expected  # type: ignore[attr-defined]
        if table not in self._tasks:
            self._tasks[table] = self._progress.add_task(table)
        self._progress.update(self._tasks[table], completed=seen, total=max(expected, seen))


class Lines(logging.Handler):
    """A line every few seconds about a table that takes long."""

    def __init__(self, console: Console, say: Speech) -> None:
        super().__init__()
        self._console = console
        self._say = say
        self._due: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        table, seen, expected = record.table, record.seen, record.expected  # type: ignore[attr-defined]
        now = time.monotonic()
        if now >= self._due.setdefault(table, now + PAUSE):
            self._due[table] = now + PAUSE
            self._console.print(self._say("read_so_far", table=table, seen=seen, expected=expected))


@contextmanager
def show_progress(console: Console, say: Speech) -> Iterator[None]:
    """Shows the progress of what runs inside: on a terminal bars and warnings, in a log every line."""
    progress, ours = logging.getLogger("gazelle_sync.progress"), logging.getLogger("gazelle_sync")
    bars = Progress(
        TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    steps: logging.Handler
    lines: logging.Handler
    if console.is_terminal:
        steps, lines = Bars(bars), RichHandler(logging.WARNING, console=console, show_path=False)
    else:
        steps, lines = Lines(console, say), logging.StreamHandler(console.file)
    lines.setFormatter(LogFormatter("%(message)s" if console.is_terminal else "%(asctime)s %(levelname)s %(message)s"))
    progress.addHandler(steps)
    progress.setLevel(logging.DEBUG)
    progress.propagate = False
    ours.addHandler(lines)
    try:
        with bars if console.is_terminal else nullcontext():
            yield
    finally:
        progress.removeHandler(steps)
        ours.removeHandler(lines)
