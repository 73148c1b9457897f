"""Which runs are under way in a process of this machine, and which were left by one that is gone.

A file for each, which is locked as long as the process lives: no clock, and no daemon, has to tell. Keep out: what is
said of those that were left (`incidents`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gazelle_sync.files import Busy, explain, hold_lock, replace_file
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftRun:
    """A run whose process is gone before it ended. `tables` are those that it was for."""

    file: Path
    run_id: str
    tables: list[str]

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)
        Path(f"{self.file}.lock").unlink(missing_ok=True)


@contextmanager
def mark_under_way(folder: Path, run_id: str, tables: Sequence[str]) -> Iterator[None]:
    """While it lasts, whoever looks knows that the run is under way. After an exception it counts as left."""
    run = LeftRun(folder / f"{run_id}.json", run_id, list(tables))
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(run.file, timeout=0))
            replace_file(run.file, json.dumps(run.tables))
        except OSError as error:
            # A disk that can't be written is no reason not to run.
            logger.warning(say("run_not_marked", path=run.file, why=explain(error)))
        yield
        run.forget()


def find_left_runs(folder: Path) -> list[LeftRun]:
    """Those whose process is gone. Raises `OSError`."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            with hold_lock(file, timeout=0):
                found.append(LeftRun(file, file.stem, _read(file)))
        except Busy:
            continue
    return found


def _read(file: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads(file.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, FileNotFoundError):
        return []
