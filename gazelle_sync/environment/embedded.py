"""What serves when nothing is configured: PostgreSQL (`postgres_server`) and the sandbox, on this machine.

Keep out: anything that a configured installation needs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import requests

from gazelle_sync.environment.postgres_server import start_postgres
from gazelle_sync.files import hold_lock, replace_file

if TYPE_CHECKING:
    from gazelle_sync.sandbox import Sandbox

__all__ = ["Services", "announce", "find_shared_sandbox", "start_postgres", "start_services"]


@dataclass(frozen=True)
class Services:
    """Where the embedded services are."""

    database_url: str
    base_url: str
    api_key: str


@cache
def start_services(folder: Path, zone: ZoneInfo) -> Services:
    """Both services, started unless they run already; they end with the last process that uses them.

    PostgreSQL's data stays in `folder`. The sandbox is the one that `gazelle-sync sandbox` or
    `gazelle-sync dev` runs, or else one of this process's own, with the account as of today in `zone`.
    """
    base_url, api_key = find_shared_sandbox(folder) or start_sandbox(zone)
    return Services(start_postgres(folder), base_url, api_key)


def start_sandbox(zone: ZoneInfo) -> tuple[str, str]:
    # Here, as a configured installation does without it.
    from gazelle_sync.sandbox import Account, Sandbox  # noqa: PLC0415

    sandbox = Sandbox(Account.typical(datetime.now(zone).date()))
    sandbox.start()
    return sandbox.url, sandbox.api_key


def find_shared_sandbox(folder: Path) -> tuple[str, str] | None:
    """The sandbox that another process announced, if it still answers."""
    try:
        announced = json.loads((folder / "sandbox.json").read_text())
        requests.get(f"{announced['url']}/sandbox", timeout=2).raise_for_status()
    except (OSError, ValueError, KeyError, requests.RequestException):
        return None
    return announced["url"], announced["api_key"]


@contextmanager
def announce(folder: Path, sandbox: Sandbox) -> Iterator[None]:
    """Lets other processes find the sandbox while it runs.

    Raises `files.Busy` when another process has announced one, which stays as it is.
    """
    file = folder / "sandbox.json"
    with hold_lock(file, timeout=0):
        replace_file(file, json.dumps({"url": sandbox.url, "api_key": sandbox.api_key}))
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
