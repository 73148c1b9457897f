"""What a sync opens and writes on this machine: looked at for `check`, by opening it and by writing beside it.

What is found stays as it is; what is not there yet is not made. Keep out: the database and Gazelle (`findings`), what
a fault is called (`faults`).
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gazelle_sync.cli.faults import describe_fault
from gazelle_sync.environment import connections
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.redaction import PlainError
from gazelle_sync.translations import say

# Bytes: a disk that has no room for these has none for a night's records either.
ROOM = 1 << 20
# Files below var/ that a sync opens to write, by what may have been made by another user, such as root.
WRITTEN = ("*.json", "*.lock", "status.html", "runs/*", "logs/*.log")
# The databases that each run of Dagster opens; each run has one more of its own.
DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
# Seconds. A run that is under way keeps a database for an instant.
LOCK_PATIENCE = 5.0


def check_files(settings: Settings) -> str:
    """Where a sync writes its files. Raises `Misconfigured` with all that can't be used."""
    with collect_faults() as attempt:
        attempt(lambda: check_folder(settings.var))
        attempt(lambda: check_folder(settings.var / "logs"))
        for file in sorted(found for pattern in WRITTEN for found in settings.var.glob(pattern)):
            attempt(lambda file=file: check_opens(file))  # type: ignore[misc]
        # Rows wait there while Gazelle is read.
        attempt(check_temporary)
        if settings.client_id and not settings.api_key:
            attempt(lambda: check_token(settings))
    return f"{settings.var}, {tempfile.gettempdir()}"


def check_temporary() -> None:
    """Raises `OSError`, also where there is no folder for temporary files at all."""
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        raise OSError(error.errno, error.strerror, "TMPDIR") from None
    check_folder(folder)


def check_token(settings: Settings) -> None:
    """That a renewed token can be kept: the old one is spent by then. Raises `PlainError` and `OSError`."""
    connections.make_oauth(settings, connections.make_transport(settings)).check_place()


def check_records(settings: Settings) -> str:
    """Dagster's own records in SQLite. Raises `Misconfigured` with all that can't be used."""
    home = os.environ.get("DAGSTER_HOME") or str(settings.root)
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise Misconfigured(say("dagster_home_wrong"))
    records = settings.var / "dagster"
    with collect_faults() as attempt:
        for folder in (Path(home), records / "history" / "runs", records / "compute_logs"):
            attempt(lambda folder=folder: check_folder(folder))  # type: ignore[misc]
        for name in DATABASES:
            attempt(lambda name=name: check_sqlite(records, name))  # type: ignore[misc]
    return str(records)


@contextmanager
def collect_faults() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Gives what tries a look: whatever it meets, the others are tried too. Raises `Misconfigured` with all faults."""
    faults: list[str] = []

    def attempt(look: Callable[[], None]) -> None:
        try:
            look()
        except (OSError, sqlite3.Error, PlainError) as error:
            faults.append(describe_fault(error))

    yield attempt
    if faults:
        raise Misconfigured(" ".join(dict.fromkeys(faults)))


def check_folder(folder: Path) -> None:
    """Writes a file there, and removes it; where there is no such folder yet, in the one that it will be made in."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def check_opens(file: Path) -> None:
    """As a sync opens it: to read it, and to write at its end."""
    if file.is_file():
        os.close(os.open(file, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC))


def check_sqlite(records: Path, name: str) -> None:
    """Begins to write and takes it back; reads all pages. Raises `sqlite3.Error`, which names the file."""
    file = records / name
    if not file.exists():
        return
    try:
        # `rw`: a database that is gone meanwhile is not made.
        where = f"{file.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(where, uri=True, timeout=LOCK_PATIENCE, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise type(error)(f"{name}: {error}") from None
    if found != "ok":
        raise sqlite3.DatabaseError(f"{name}: {found}")
