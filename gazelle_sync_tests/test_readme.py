"""What the README says is executed here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gazelle_sync.cli import main
from gazelle_sync.environment.settings import ROOT
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync_tests.conftest import NOW, query_rows

README = (ROOT / "README.md").read_text()


def test_adding_the_file_that_the_readme_shows_adds_a_table(
    tmp_path: Path, empty_engine: Engine, database_url: str
) -> None:
    project = tmp_path / "project"
    for name in ("gazelle_sync", "var/logs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.log*"))
    shutil.copy(ROOT / "dagster.yaml", project)
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (project / "gazelle_sync" / "tables" / "invoices.py").write_text(shown)
    account = Account.typical(NOW)
    with Sandbox(account) as sandbox:
        ended = subprocess.run(
            [sys.executable, "-c", "from gazelle_sync.cli import main; main()", "sync"],
            cwd=project,
            env={
                **os.environ,
                "PYTHONPATH": str(project),
                "DAGSTER_HOME": str(project),
                "SUPABASE_DB_URL": database_url,
                "GAZELLE_BASE_URL": sandbox.url,
                "GAZELLE_API_KEY": sandbox.api_key,
                "GAZELLE_REQUESTS_PER_SECOND": "1000",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    stored = query_rows(empty_engine, "SELECT external_id, number, total, client_external_id FROM gazelle.invoices")
    assert {row["external_id"]: (row["number"], row["total"], row["client_external_id"]) for row in stored} == {
        key: (invoice["number"], invoice["total"], invoice["clientId"]) for key, invoice in account.invoices.items()
    }
    keys = query_rows(
        empty_engine,
        "SELECT 1 FROM pg_constraint WHERE contype = 'f' AND conrelid = 'gazelle.timeline_entries'::regclass "
        "AND confrelid = 'gazelle.invoices'::regclass",
    )
    assert len(keys) == 1


@pytest.mark.parametrize("readme", ["README.md", "README.fr.md"])
def test_every_command_is_in_the_readme_and_every_command_in_the_readme_exists(readme: str) -> None:
    shown = set(re.findall(r"`gazelle-sync (\w+)", (ROOT / readme).read_text()))
    assert shown == set(main.commands)


@pytest.mark.parametrize("readme", ["README.md", "README.fr.md"])
def test_every_file_that_the_readme_names_exists(readme: str) -> None:
    text = (ROOT / readme).read_text()
    house = re.search(r"```\n(gazelle_sync/\n.*?)```", text, re.DOTALL)
    assert house
    names = re.findall(r"(?<=\s)(\w+(?:\.py|/))(?=\s)", house[1].removeprefix("gazelle_sync/"))
    assert len(names) > 10
    assert [name for name in names if not (ROOT / "gazelle_sync" / name).exists()] == []
