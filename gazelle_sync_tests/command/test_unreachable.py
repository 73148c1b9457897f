"""What is said when neither Gazelle nor the database answers: each reason once, and no password."""

from __future__ import annotations

import re
import sqlite3
import subprocess

from gazelle_sync.tables import TABLES, dependencies
from gazelle_sync_tests.project import PATIENCE, Project


def test_without_a_database_nothing_is_run_and_the_reason_is_given_once_without_the_password(
    sync_without_a_database: subprocess.Popen[str], hopeless: Project
) -> None:
    out, err = sync_without_a_database.communicate(timeout=PATIENCE)
    assert sync_without_a_database.returncode == 1
    text = " ".join(f"{out} {err}".split())
    first = [name for name, table in TABLES.items() if not dependencies(table, TABLES)]
    for name in TABLES:
        status = "failed" if name in first else "not run"
        assert re.search(rf"^{name} +{status}", out, re.MULTILINE)
    assert re.findall(r"^([\w, ]+): [\w\s]+ failed after \d+ attempts?", out, re.MULTILINE) == [", ".join(first)]
    assert "Connection refused" in text
    assert "geheim" not in text
    assert "Traceback" not in text
    history = sqlite3.connect(hopeless.root / "var/dagster/history/runs.db")
    assert history.execute("SELECT pipeline_name, status FROM runs").fetchall() == [("sync", "FAILURE")]


def test_a_check_of_what_does_not_answer_gives_each_reason_in_one_line(
    check_of_nothing: subprocess.Popen[str], hopeless: Project
) -> None:
    out, err = check_of_nothing.communicate(timeout=PATIENCE)
    assert check_of_nothing.returncode == 1
    # Its own lines, among what is said about each attempt.
    lines = [line for line in out.splitlines() if line.startswith("? ")]
    assert lines[0] == f"? configuration: America/Toronto, {hopeless.variables['GAZELLE_HISTORY_START']}"
    assert lines[1].startswith("? Gazelle: Gazelle could not answer a first question in")
    assert lines[2].startswith("? database: Reading the database failed after")
    for what in ("privileges", "tables"):
        assert f"? {what}: not checked, because of the above" in lines[3:]
    assert "geheim" not in out + err
    assert "Traceback" not in out + err
