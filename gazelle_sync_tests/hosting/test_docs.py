"""The set-up page is followed word for word, in a copy of the project and on a server with Supabase's roles; and each
command that the documentation shows is executed there, or named below with the reason why it is not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import psycopg2
import pytest
import requests

from gazelle_sync import cli, warehouse
from gazelle_sync.sandbox import Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.conftest import HISTORY_START, query_rows
from gazelle_sync_tests.hosting.servers import Server
from gazelle_sync_tests.project import COMMANDS, PATIENCE, SOURCE, Project, running

PAGES = [*(SOURCE / "docs").glob("*.md"), SOURCE / "README.md", SOURCE / "README.fr.md"]
SETUP = (SOURCE / "docs/setup.md").read_text()
FRENCH = (SOURCE / "docs/setup.fr.md").read_text()

# What the walk below executes, besides SQL.
WALKED = [
    "make install",
    "cp .env.example .env",
    ".venv/bin/gazelle-sync login",
    ".venv/bin/gazelle-sync check",
    ".venv/bin/gazelle-sync sync",
    ".venv/bin/gazelle-sync status",
]
# Executed by another test, or by none, and why.
IMAGE = "docker build --file deploy/Dockerfile --build-arg EXTRAS=[kubernetes] --tag"
ELSEWHERE = {
    "make sync": "test_make_sync_ends_with_a_summary, below",
    "gazelle-sync describe": "answers/test_describe.py",
    "gazelle-sync describe --json": "answers/test_describe.py",
    "make test": "it is what runs this",
    "sudo cp deploy/systemd/* /etc/systemd/system/": "needs a systemd that runs; the units are verified",
    "sudo systemctl enable --now gazelle-sync.timer gazelle-sync-weekly.timer": "the same",
    "sudo systemctl enable --now gazelle-sync-ui.service": "the same",
    "docker compose --file deploy/compose.yaml up --detach": "no Docker engine; the containers' commands are executed",
    "docker compose --file deploy/compose.yaml exec daemon gazelle-sync check": "no Docker engine",
    f"{IMAGE} registry.example.com/gazelle-sync:1.0.0 .": "no Docker engine",
    "kubectl create secret generic gazelle-sync --from-env-file=.env": "no cluster",
    "helm upgrade --install dagster dagster/dagster --version 1.13.27 --values deploy/kubernetes.yaml": "no cluster",
}


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines of its shell blocks, without comments."""
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks(text, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_is_executed_or_named_with_the_reason(page: Path) -> None:
    assert [line for line in commands(page.read_text()) if line not in {*WALKED, *ELSEWHERE}] == []


def test_nothing_is_named_that_no_page_shows() -> None:
    shown = {line for page in PAGES for line in commands(page.read_text())}
    assert {*WALKED, *ELSEWHERE} - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_form_of_our_command_in_running_text_is_one_that_it_takes(page: Path) -> None:
    for form in re.findall(r"`gazelle-sync ([^`\n]+)`", page.read_text()):
        name, *arguments = form.split()
        command = cli.main.commands[name]
        given = [{"FILE": "a.file"}.get(argument, argument) for argument in arguments]
        with click.Context(cli.main) as parent:
            command.make_context(name, given, parent=parent)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_the_documentation_names_exists(page: Path) -> None:
    text = page.read_text()
    named = {name for name in re.findall(r"`((?:deploy|docs|gazelle_sync)/[^`\s]*)`", text) if "*" not in name}
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    to_be_made = {"gazelle_sync/tables/localizations.py"}
    assert [name for name in named - to_be_made if not (SOURCE / name).exists()] == []
    assert [link for link in linked if not (page.parent / link).exists()] == []


def test_both_languages_show_the_same_commands_sql_and_settings() -> None:
    for kind in ("sh", "sql", "ini"):
        assert blocks(SETUP, kind) == blocks(FRENCH, kind)


# -- the walk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def supabase(emptied: Server) -> Iterator[str]:
    """Supabase's roles, and the connection string of the one that its SQL editor uses: an owner, no superuser."""
    roles = ("anon", "authenticated", "service_role", "authenticator", "project_owner")
    emptied.run(*(f"CREATE ROLE {role}" for role in roles))
    emptied.run(
        "ALTER ROLE project_owner LOGIN CREATEROLE PASSWORD 'geheim'",
        "GRANT CREATE ON DATABASE postgres TO project_owner",
        "GRANT anon, authenticated, service_role TO authenticator",
        "ALTER ROLE authenticator LOGIN PASSWORD 'geheim'",
    )
    yield emptied.url("project_owner", "geheim")
    emptied.run("DROP SCHEMA IF EXISTS gazelle CASCADE")
    for role in ("gazelle_sync", *reversed(roles)):
        emptied.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """The project as cloned, with what `make install` makes there already: nothing is fetched."""
    project = Project(tmp_path / "checkout", PATH=f"{COMMANDS}:/usr/bin:/bin")
    (project.root / "Makefile").write_text((SOURCE / "Makefile").read_text())
    (project.root / ".venv").mkdir()
    # A virtual environment is its folder: Python looks beside itself for what is installed.
    for part in ("bin", "lib", "pyvenv.cfg"):
        (project.root / ".venv" / part).symlink_to(COMMANDS.parent / part)
    (project.root / ".venv/installed").touch()
    return project


def typed(project: Project, line: str, **options: Any) -> subprocess.Popen[str]:
    """A line as somebody types it, in the checkout."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f"exec {line}"],
        cwd=project.root,
        env=project.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(project: Project, line: str) -> str:
    process = typed(project, line)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
    return out


def in_sql_editor(url: str, statements: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements.split(";"):
            if statement.strip():
                cursor.execute(statement)
    connection.close()


def test_the_page_leads_from_nothing_to_a_mirrored_account_that_only_who_was_let_in_can_read(
    checkout: Project, supabase: str, emptied: Server, live: Sandbox
) -> None:
    lines = iter(line for line in commands(SETUP) if line in WALKED)
    making_the_role, letting_in = blocks(SETUP, "sql")

    assert next(lines) == "make install"
    said(checkout, "make install")
    said(checkout, next(lines))
    in_sql_editor(supabase, making_the_role)
    names = re.findall(r"^(\w+)=", "".join(blocks(SETUP, "ini")), re.MULTILINE)
    values = [live.tokens.client_id, live.tokens.client_secret, emptied.url("gazelle_sync", "a-long-random-password")]
    settings = dict(zip(names, values, strict=True)) | {
        # Not on the page: where the sandbox is, and haste.
        "GAZELLE_BASE_URL": live.url,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
        "GAZELLE_HISTORY_START": HISTORY_START.isoformat(),
    }
    file = checkout.root / ".env"
    kept = [line for line in file.read_text().splitlines() if line.split("=")[0] not in settings]
    file.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in settings.items())]))

    with running(typed(checkout, next(lines))) as login:
        assert login.stdout is not None
        login.stdout.readline()
        # The browser: Gazelle asks, and sends it to the callback address that the page says.
        arrived = requests.get(login.stdout.readline().strip(), timeout=PATIENCE)
        assert arrived.url.startswith("http://localhost:8765/callback?")
        assert login.wait(PATIENCE) == 0

    checked = said(checkout, next(lines))
    assert checked.count("✓") > 5 + len(TABLES)
    assert "✗" not in checked
    assert "Done in " in said(checkout, next(lines))
    assert re.search(r"pianos +85 ", said(checkout, next(lines)))
    assert list(lines) == []

    in_sql_editor(supabase, letting_in)
    assert {line[0] for line in said(checkout, ".venv/bin/gazelle-sync check --quick").splitlines()} <= {"✓", "?"}
    rest = warehouse.connect(emptied.url("authenticator", "geheim"))

    def counted(role: str, table: str) -> int:
        return int(query_rows(rest, f"SET LOCAL ROLE {role}; SELECT count(*) FROM gazelle.{table}")[0]["count"])

    assert counted("authenticated", "pianos") == 85
    assert counted("service_role", "clients") == 150
    for role, table in (("authenticated", "clients"), ("anon", "pianos"), ("service_role", "oauth_token")):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            counted(role, table)
    # It owns its schema, and nothing else is open to it.
    owned = query_rows(
        warehouse.connect(emptied.url()),
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'gazelle_sync'",
    )
    assert set(owned[0].values()) == {False}


def test_make_sync_ends_with_a_summary(checkout: Project, emptied: Server, gazelle: dict[str, str]) -> None:
    checkout.variables.update(gazelle, SUPABASE_DB_URL=emptied.url())
    out = said(checkout, "make sync")
    assert re.search(r"^Done in .* s\.$", out, re.MULTILINE)
