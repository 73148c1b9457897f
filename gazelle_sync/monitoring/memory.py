"""What was looked at already, in one file that the daemon's sensor and the command share.

It is remembered by identity: a clock that was ahead for one run would hide what came after it. Keep out: what there is
to look at (`incidents`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gazelle_sync.files import hold_lock, replace_file
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)

# Seconds. Another process that looks keeps the memory for as long as that takes.
PATIENCE = 60.0
# How many ids are remembered of each kind.
KEPT = 1000


@dataclass
class Memory:
    """Ids of runs that were looked at after their end, of those still to be, and of backfills that were looked at.

    `pending` and `backfills` are None before the first look. `heartbeat_due` says that the outside watcher has still
    to be told of a good night.
    """

    seen: list[str] = field(default_factory=list)
    pending: list[str] | None = None
    backfills: list[str] | None = None
    heartbeat_due: bool = False

    @staticmethod
    def parse(text: str) -> Memory:
        """Raises `ValueError` for anything that is not of this shape."""
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("it is no object")  # noqa: TRY004  one kind of error for whatever a file may hold
        return Memory(
            seen=_ids(document.get("seen", [])),
            pending=None if document.get("pending") is None else _ids(document["pending"]),
            backfills=None if document.get("backfills") is None else _ids(document["backfills"]),
            heartbeat_due=document.get("heartbeat_due") is True,
        )

    def note_seen(self, run_id: str) -> None:
        self.seen = [*(each for each in self.seen if each != run_id), run_id][-KEPT:]


@contextmanager
def hold_memory(path: Path) -> Iterator[Memory]:
    """The memory, while no other process may change it; written back at the end, also after an exception.

    One of another shape is begun anew. Raises `OSError`, also when another process keeps it.
    """
    with hold_lock(path, timeout=PATIENCE):
        memory = _read(path)
        before = asdict(memory)
        try:
            yield memory
        finally:
            if asdict(memory) != before:
                replace_file(path, json.dumps(asdict(memory)))


def _read(path: Path) -> Memory:
    try:
        return Memory.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Memory()
    except (ValueError, RecursionError):
        # Said once, since it is written anew. What is told twice for it is told of the last day.
        logger.warning(say("memory_begun_anew", path=path))
        return Memory()


def _ids(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("it has no list of ids where one is")
    return value[-KEPT:]
