"""What a sync says, records and leaves undone when Gazelle fails, or somebody ends it."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result

from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES, dependencies
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.conftest import NIGHTLY
from gazelle_sync_tests.project import PATIENCE, Ended, Project, running

Stored = Callable[..., list[dict[str, Any]]]
Command = Callable[..., Result]

# The last two take long, and are looked at in test_unreachable.py.
pytestmark = pytest.mark.usefixtures("definitions", "sync_without_a_database", "check_of_nothing")


@pytest.fixture(autouse=True)
def healthy(live: Sandbox) -> Iterator[None]:
    yield
    live.faults.clear()


def runs(project: Project) -> list[tuple[str, str]]:
    """Job and status of each run in Dagster's history."""
    history = sqlite3.connect(project.root / "var/dagster/history/runs.db")
    return history.execute("SELECT pipeline_name, status FROM runs ORDER BY id").fetchall()


# -- Gazelle ----------------------------------------------------------------------------------------------------------


def refuse_pianos(live: Sandbox) -> None:
    """An error that is there to stay, of a text that looks like markup of the terminal's."""
    live.faults.add(Fault("status", times=None, match="allPianos", status=403, message="[/red] not for you [bold]"))


def test_a_table_that_fails_is_named_with_its_reason_and_what_depends_on_it_is_not_run(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    refuse_pianos(live)
    result = command("sync", **variables)
    assert result.exit_code == 1
    assert re.search(r"^clients +150 +150 .*done", result.output, re.MULTILINE)
    assert re.search(r"^pianos +0 .*failed", result.output, re.MULTILINE)
    dependent = {"pianos"}
    for name, table in TABLES.items():
        if dependent.intersection(dependencies(table, TABLES)):
            dependent.add(name)
    assert dependent >= {"appointments", "appointment_pianos", "timeline_entries"}
    for name in dependent - {"pianos"}:
        assert re.search(rf"^{name} +not run", result.output, re.MULTILINE)
    assert "pianos: Refused: Gazelle answered HTTP 403" in said(result)
    assert "[/red] not for you [bold]" in said(result)
    assert re.search(
        r"Failed after [\d. min]+ s\. Tables that failed or were not run are as they were before\.", said(result)
    )
    assert "Traceback" not in result.output
    log = stored("SELECT table_name, status, error, fetched FROM gazelle.sync_log ORDER BY id")
    assert {line["table_name"] for line in log if line["status"] == "success"} == TABLES.keys() - dependent
    (failed,) = [line for line in log if line["status"] == "error"]
    assert failed["table_name"] == "pianos"
    assert "HTTP 403" in failed["error"]
    assert "pianos" not in stored("SELECT DISTINCT table_name FROM gazelle.sync_log WHERE status = 'success'")


def test_status_then_shows_which_table_failed_and_why(command: Command, variables: dict[str, str]) -> None:
    result = command("status", **variables)
    assert result.exit_code == 0
    # Others refer to them: they have rows with an id alone.
    assert re.search(r"^pianos +\d+ .*failed", result.output, re.MULTILINE)
    assert "pianos: Refused: Gazelle answered HTTP 403" in said(result)
    assert re.search(r"^appointments +\d+ .*never synced", result.output, re.MULTILINE)


def test_a_wrong_key_fails_what_waits_for_nothing_and_says_what_to_check(
    command: Command, variables: dict[str, str], stored: Stored
) -> None:
    result = command("sync", **{**variables, "GAZELLE_API_KEY": "sesame-open"})
    assert result.exit_code == 1
    first = [name for name, table in TABLES.items() if not dependencies(table, TABLES)]
    # The key is tried once for all of them.
    assert f"{', '.join(first)}: NotAuthorized: Gazelle refused the credentials" in said(result)
    assert "Check GAZELLE_API_KEY" in said(result)
    assert "sesame-open" not in result.output
    assert len(re.findall("NotAuthorized", result.output)) == 1
    for name in {*NIGHTLY} - {*first}:
        assert re.search(rf"^{name} +not run", result.output, re.MULTILINE)
    log = stored("SELECT DISTINCT ON (table_name) table_name, status, error FROM gazelle.sync_log ORDER BY 1, id DESC")
    failed = {line["table_name"] for line in log if "NotAuthorized" in (line["error"] or "")}
    assert failed == set(first)


def test_after_a_failure_the_next_sync_reads_what_was_never_read(
    command: Command, variables: dict[str, str], stored: Stored
) -> None:
    result = command("sync", "--table", "timeline_entries", **variables)
    assert result.exit_code == 0
    scopes = stored(
        "SELECT table_name, scope FROM gazelle.sync_log WHERE status = 'success' AND table_name = 'timeline_entries'"
    )
    assert scopes == [{"table_name": "timeline_entries", "scope": "all"}]


# -- a person, or a service manager -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interrupted(project: Project, live: Sandbox, variables: dict[str, str]) -> tuple[Ended, float]:
    """A sync that was asked to end while it read pianos, and the seconds that it took to do so."""
    fault = live.faults.add(Fault("delay", times=None, match="allPianos", seconds=30))
    with running(project.start("sync", "--table", "pianos")) as process:
        until(lambda: fault.struck > 0)
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        out, err = process.communicate(timeout=PATIENCE)
        seconds = time.monotonic() - asked
    live.faults.clear()
    return Ended(process.returncode, out, err), seconds


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_sigterm_ends_a_sync_at_once_and_in_order(interrupted: tuple[Ended, float]) -> None:
    ended, seconds = interrupted
    assert ended.code == 1
    assert seconds < 15
    assert "pianos: interrupted" in ended.out
    assert "Failed after " in ended.out
    assert "Traceback" not in ended.text


def test_the_log_has_a_line_for_what_was_interrupted(interrupted: tuple[Ended, float], stored: Stored) -> None:
    lines = stored("SELECT table_name, status FROM gazelle.sync_log WHERE error = 'interrupted'")
    assert lines == [{"table_name": "pianos", "status": "error"}]


def test_an_interrupted_run_is_not_left_as_started(interrupted: tuple[Ended, float], project: Project) -> None:
    # Dagster would queue every later run behind it, in silence.
    assert runs(project)[-1] in [("sync", "FAILURE"), ("sync", "CANCELED")]
    assert {status for _, status in runs(project)} <= {"FAILURE", "CANCELED", "SUCCESS"}
