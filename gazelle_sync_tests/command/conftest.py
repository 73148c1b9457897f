"""An installation to try the command on: in this process where nothing about a process matters, or as a real one."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.cli import main
from gazelle_sync.environment import settings as environment
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync_tests.conftest import HISTORY_START, NOW, query_rows
from gazelle_sync_tests.project import SOURCE, Project, running


@pytest.fixture(scope="module")
def own_database(server_url: str) -> Iterator[str]:
    """A database for the tests of one file, which build on each other."""
    url = make_url(server_url).set(drivername="postgresql")
    name = f"gazelle_test_{uuid.uuid4().hex[:8]}"
    admin = psycopg2.connect(url.render_as_string(hide_password=False))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield url.set(database=name).render_as_string(hide_password=False)
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    """The typical account as of today, served over HTTP."""
    with Sandbox(Account.typical(NOW)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def variables(own_database: str, live: Sandbox) -> dict[str, str]:
    """A whole configuration, with a short history: each partition costs a run 17 ms."""
    return {
        "SUPABASE_DB_URL": own_database,
        "GAZELLE_BASE_URL": live.url,
        "GAZELLE_API_KEY": live.api_key,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
        "GAZELLE_HISTORY_START": HISTORY_START.isoformat(),
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Project:
    """A configured copy of the project."""
    return Project(tmp_path_factory.mktemp("configured") / "project", **variables)


@pytest.fixture(scope="module")
def own_engine(own_database: str) -> Engine:
    return warehouse.connect(own_database)


@pytest.fixture(scope="module")
def stored(own_engine: Engine) -> Callable[..., list[dict[str, Any]]]:
    """Runs a query on the file's own database: a list of rows as dictionaries."""
    return lambda query, *parameters: query_rows(own_engine, query, *parameters)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's root for commands in this process, with Dagster's instance in it."""
    root = tmp_path_factory.mktemp("in_process")
    (root / "var" / "logs").mkdir(parents=True)
    shutil.copy2(SOURCE / "dagster.yaml", root)
    return root


@pytest.fixture
def command(bare: pytest.MonkeyPatch, root: Path) -> Callable[..., Result]:
    """Runs the command in this process, with these variables set and no other of ours."""
    bare.setattr(environment, "ROOT", root)

    def run(*arguments: str, **variables: str) -> Result:
        # The definitions were loaded for another root, and its records would be Dagster's own kind: slow ones.
        for name, value in {"DAGSTER_HOME": str(root), **variables}.items():
            bare.setenv(name, value)
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


# -- what takes half a minute: it is begun early, and its end looked at late ------------------------------------------

NOWHERE = "postgresql://someone:geheim@127.0.0.1:9/nowhere"


def hopeless_project(folder: Path) -> Project:
    """A copy of the project whose database and Gazelle are nowhere."""
    return Project(
        folder / "project",
        SUPABASE_DB_URL=NOWHERE,
        GAZELLE_API_KEY="key",
        GAZELLE_BASE_URL="http://127.0.0.1:9",
        GAZELLE_PATIENCE="10s",
        GAZELLE_HISTORY_START=HISTORY_START.isoformat(),
    )


@pytest.fixture(scope="session")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return hopeless_project(tmp_path_factory.mktemp("hopeless"))


@pytest.fixture
def hopeless_dev(tmp_path: Path) -> Project:
    """One of its own: its daemon may launch runs, which are not those of the commands above."""
    return hopeless_project(tmp_path)


@pytest.fixture(scope="session")
def sync_without_a_database(hopeless: Project) -> Iterator[subprocess.Popen[str]]:
    with running(hopeless.start("sync")) as process:
        yield process


@pytest.fixture(scope="session")
def check_of_nothing(hopeless: Project) -> Iterator[subprocess.Popen[str]]:
    """On a terminal without ✓ and ✗ in its alphabet."""
    with running(hopeless.start("check", PYTHONIOENCODING="latin-1")) as process:
        yield process


# ---------------------------------------------------------------------------------------------------------------------


def said(result: Result) -> str:
    """All that a command said, in one line: a long message is wrapped."""
    return " ".join(result.output.split())
