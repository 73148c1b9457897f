"""The processes that `gazelle-sync dev` is made of: started, watched, and ended in order.

Keep out: which ones there are (`dev`), and what they do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

LOOK_EVERY = 0.2  # seconds
PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


@dataclass
class Service:
    """A process of ours. Once it `works_by_child`, its child serves, and it would not notice if that were gone."""

    name: str
    process: subprocess.Popen[bytes]
    works_by_child: bool = False

    def has_ended(self) -> bool:
        return self.process.poll() is not None or (self.works_by_child and not self._has_child())

    def _has_child(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return any(is_alive(child.pid) for child in psutil.Process(self.process.pid).children())
        return False


class ServiceEnded(Exception):
    """A service that is to last has ended; `code` is its exit code, None while only its child is gone."""

    def __init__(self, name: str, code: int | None) -> None:
        super().__init__(name)
        self.name = name
        self.code = code


@contextmanager
def run_service(
    name: str, command: Sequence[str], *, patience: float, descriptors: Sequence[int] = ()
) -> Iterator[Service]:
    """Runs a program of this interpreter's as `python -m …`, until the block ends; then it is told to end.

    After `patience` seconds, it and what it started are killed.
    """
    process = subprocess.Popen(  # noqa: S603  our own interpreter
        [sys.executable, "-m", *command],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        # A session of its own: Ctrl-C is heard by its parent alone, which ends all of them in order.
        start_new_session=True,
        preexec_fn=end_with_parent(),  # noqa: PLW1509  there is one thread here
    )
    try:
        yield Service(name, process)
    finally:
        end_session(process, patience)


def end_session(process: subprocess.Popen[bytes], patience: float) -> None:
    """Ends a process and what it started, such as runs that roll back; after `patience` seconds, kills what is left."""
    family = [process.pid]
    with suppress(psutil.NoSuchProcess):
        family += [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(map(is_alive, family)) and time.monotonic() < deadline:
        process.poll()
        time.sleep(LOOK_EVERY)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def end_with_parent() -> Callable[[], None] | None:
    """What makes a child end when this process is killed, where the system can: on Linux."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_until(look: Callable[[], bool], services: Sequence[Service]) -> None:
    """Returns as soon as `look` says so. Raises `ServiceEnded` for the first service that has ended."""
    while not look():
        for service in services:
            if service.has_ended():
                raise ServiceEnded(service.name, service.process.poll())
        time.sleep(LOOK_EVERY)


def accepts(family: int, address: object) -> bool:
    """Whether a server listens at a socket's address."""
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0  # type: ignore[arg-type]
