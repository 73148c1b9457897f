"""Tells the outside watcher of a good night. Keep out: which night was good (`incidents`), how to tell (`alerts`)."""

from __future__ import annotations

from pathlib import Path

from gazelle_sync.alerts import send_heartbeat
from gazelle_sync.monitoring.memory import hold_memory


def give_sign_of_life(memory_file: Path, url: str) -> None:
    """If that is still to be done. Raises `NotSent`, and `OSError` for the memory.

    Nothing is held meanwhile: two processes may both tell it, which does no harm.
    """
    if not url:
        return
    with hold_memory(memory_file) as memory:
        due = memory.heartbeat_due
    if due:
        send_heartbeat(url)
        with hold_memory(memory_file) as memory:
            memory.heartbeat_due = False
