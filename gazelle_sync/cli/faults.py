"""What an exception is to a person: one line that names the file or the variable, and what to do.

The traceback goes into the log file. Keep out: who is told (`telling`), and exit codes (`command`).
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path

from gazelle_sync.files import explain
from gazelle_sync.redaction import LogFormatter, PlainError, one_line
from gazelle_sync.translations import say

LONGEST = 400
LOG = Path("var", "logs", "gazelle-sync.log")


def describe_fault(error: BaseException) -> str:
    """In one line, without secrets, in the language of this process."""
    if isinstance(error, PlainError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return say("interrupted")
    if records := find_cause(error, sqlite3.Error):
        return say("records_unusable", why=one_line(str(records), (), LONGEST))
    if isinstance(error, OSError) and error.filename:
        return say("file_unusable", path=one_line(str(error.filename), (), LONGEST), why=explain(error))
    if "DAGSTER_HOME" in str(error) or type(error).__name__ == "DagsterHomeNotSetError":
        return say("dagster_home_wrong")
    text = one_line(str(error), (), LONGEST)
    return say("unexpected", what=type(error).__name__, why=text or say("no_reason_given"))


def find_cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The error of that kind among an error and what caused it."""
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None or isinstance(seen, kind):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def log_traceback(root: Path, error: BaseException) -> None:
    """Into the log file of the project in `root`, which may be the very thing that can't be written."""
    with contextlib.suppress(Exception):
        (root / LOG).parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(root / LOG, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        record = logging.LogRecord(
            __name__,
            logging.ERROR,
            __file__,
            0,
            "a command ended unexpectedly",
            (),
            (type(error), error, error.__traceback__),
        )
        with contextlib.closing(handler):
            handler.handle(record)
