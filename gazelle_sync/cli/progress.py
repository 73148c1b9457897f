"""Progress of a run: a bar per table on a terminal, plain lines in a log.

Reading says how far it is through the logger `gazelle_sync.progress`, and a wait is a warning with its seconds. Keep
out: anything else that is shown.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console, RenderableType
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

from gazelle_sync.redaction import LogFormatter, make_printable
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import Speech

# Seconds between two plain lines about one table.
PAUSE = 10.0
LONGEST_NAME = max(map(len, TABLES))
# What is left of 80 columns.
BAR_WIDTH = 12


class Count(ProgressColumn):
    """How many records were read, of how many, where that is known before they are read."""

    def render(self, task: Task) -> Text:
        seen, expected = task.fields["seen"], task.fields["expected"]
        return Text(f"{seen}/{expected}" if expected else str(seen), justify="right")


class Rate(ProgressColumn):
    def __init__(self, say: Speech) -> None:
        super().__init__()
        self._say = say

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed or 0
        return Text(self._say("rate", rate=round(task.fields["seen"] / seconds)) if seconds > 0.1 else "", style="dim")


class Left(ProgressColumn):
    """How long the table will take at its pace until now; once it is read, how long it took."""

    def __init__(self, say: Speech) -> None:
        super().__init__()
        self._say = say

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        if not task.total or not task.completed or task.completed >= task.total:
            return Text(self._say.duration(seconds))
        return Text(self._say("time_left", time=self._say.duration(seconds * (task.total / task.completed - 1))))


class Board(Progress):
    """The bars, and below them what the run waits for."""

    def __init__(self, console: Console, say: Speech) -> None:
        self._say = say
        self._waiting: tuple[float, str] | None = None
        self._spinner: Spinner | None = Spinner("dots", say("preparing"))
        super().__init__(
            TextColumn("{task.description}", table_column=Column(width=LONGEST_NAME, no_wrap=True)),
            BarColumn(BAR_WIDTH),
            Count(Column(no_wrap=True, min_width=9)),
            Rate(say),
            Left(say),
            console=console,
        )

    def wait(self, seconds: float, why: str) -> None:
        self._waiting = (time.monotonic() + seconds, why)

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.tasks:
            self._spinner = None
            yield self.make_tasks_table(self.tasks)
        elif self._spinner:
            yield self._spinner
        if self._waiting:
            until, why = self._waiting
            left = until - time.monotonic()
            if left > 0:
                told = self._say("waiting_for_gazelle", seconds=round(left + 0.5), why=make_printable(why))
                yield Text(told, style="yellow")


class Bars(logging.Handler):
    """A bar for the table whose turn it is. Those of the tables before it stand above, as they ended."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self._table = ""
        self._task: TaskID | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if wait := getattr(record, "wait", None):
            self._board.wait(wait, record.why)  # type: ignore[attr-defined]
        if not hasattr(record, "table"):
            return
        if record.table != self._table:
            self.settle()
            self._table = record.table
            self._task = self._board.add_task(record.table, seen=0, expected=0)
        assert self._task is not None
        of = max(record.of, record.done)  # type: ignore[attr-defined]
        self._board.update(
            self._task,
            completed=record.done,  # type: ignore[attr-defined]
            total=of or None,
            seen=record.seen,  # type: ignore[attr-defined]
            expected=record.expected,  # type: ignore[attr-defined]
        )

    def settle(self) -> None:
        """Leaves the bar where it is, above what follows."""
        if self._task is not None:
            self._board.stop_task(self._task)
            row = self._board.make_tasks_table(self._board.tasks)
            self._board.remove_task(self._task)
            self._board.refresh()  # or the old bar would be drawn below its end
            self._board.console.print(row)
            self._task = None


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
    drawn = console.is_terminal and not console.is_dumb_terminal
    board = Board(console, say)
    steps: logging.Handler = Lines(console, say)
    lines: logging.Handler = logging.StreamHandler(console.file)
    if drawn:
        steps, lines = Bars(board), RichHandler(logging.WARNING, console=console, show_path=False)
        ours.addHandler(steps)
    lines.setFormatter(LogFormatter("%(message)s" if drawn else "%(asctime)s %(levelname)s %(message)s"))
    progress.addHandler(steps)
    progress.setLevel(logging.DEBUG)
    progress.propagate = False
    ours.addHandler(lines)
    try:
        with board if drawn else nullcontext():
            yield
            if isinstance(steps, Bars):
                steps.settle()
    finally:
        progress.removeHandler(steps)
        for handler in (steps, lines):
            ours.removeHandler(handler)
