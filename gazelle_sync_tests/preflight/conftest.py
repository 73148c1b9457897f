"""The command `check` on a real server that asks for passwords, directly and through poolers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from click.testing import Result
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync_tests.command.conftest import command, live, root  # noqa: F401  fixtures
from gazelle_sync_tests.hosting.servers import (  # noqa: F401  fixtures
    Server,
    emptied,
    secure_server,
    session_pooler,
    transaction_pooler,
)

LINES = {
    "en": [
        "configuration",
        "Gazelle",
        "database",
        "clock",
        "connection",
        "privileges",
        "tables",
        "row level security",
        "readers",
        "REST API",
        "files",
        "Dagster's records",
    ],
    "fr": [
        "configuration",
        "Gazelle",
        "base de données",
        "horloge",
        "connexion",
        "droits",
        "tables",
        "sécurité des lignes",
        "lecteurs",
        "API REST",
        "fichiers",
        "registres de Dagster",
    ],
}
RECORDS = "Dagster's records"


def findings(output: str, language: str = "en") -> dict[str, tuple[bool, str]]:
    """What was looked at → whether it is well, and what is said of it."""
    names = "|".join(LINES[language])
    parts = re.split(rf"([✓✗?]) ({names}) ?: ", " ".join(output.split()))[1:]
    marks, found, texts = parts[::3], parts[1::3], parts[2::3]
    return {name: (mark != "✗", text.strip()) for mark, name, text in zip(marks, found, texts, strict=True)}


@pytest.fixture
def check(command: Callable[..., Result], live, emptied: Server) -> Callable[..., dict[str, tuple[bool, str]]]:  # noqa: F811
    """Runs `check` on the server, as its owner unless told otherwise: the findings."""

    def run(url: str | None = None, **variables: str) -> dict[str, tuple[bool, str]]:
        given = {
            "SUPABASE_DB_URL": url or emptied.url(),
            "GAZELLE_BASE_URL": live.url,
            "GAZELLE_API_KEY": live.api_key,
            "GAZELLE_REQUESTS_PER_SECOND": "1000",
        }
        result = command("check", "--quick", **{**given, **variables})
        assert "correct horse" not in result.output
        assert "correct%20horse" not in result.output
        found = findings(result.output, variables.get("GAZELLE_SYNC_LANG", "en"))
        assert result.exit_code == (0 if all(good for good, _ in found.values()) else 1)
        return found

    return run


@pytest.fixture
def owner(emptied: Server) -> Callable[..., None]:  # noqa: F811
    """Runs statements as the database's owner."""
    return emptied.run


@pytest.fixture
def migrated(emptied: Server) -> Engine:  # noqa: F811
    engine = warehouse.connect(emptied.url())
    warehouse.migrate(engine)
    return engine


@pytest.fixture
def supabase(owner: Callable[..., None]) -> Iterator[None]:
    """Supabase's roles, and its REST API's list of schemas."""
    names = ("anon", "authenticated", "service_role", "authenticator")
    owner(*(f"CREATE ROLE {name}" for name in names))
    owner("ALTER ROLE authenticator SET pgrst.db_schemas = 'public, graphql_public, gazelle'")
    yield
    owner("DROP SCHEMA IF EXISTS gazelle CASCADE", *(f"DROP OWNED BY {name}" for name in names))
    owner(*(f"DROP ROLE {name}" for name in names))


@pytest.fixture
def obeyed(owner: Callable[..., None]) -> Callable[[str], None]:
    """Runs the statements that a finding ends with, as somebody would who reads it."""

    def run(text: str) -> None:
        statements = re.findall(r"(?:(?:run|policy\)): |; )?((?:ALTER|CREATE|GRANT|REVOKE|NOTIFY) [^;]+;)", text)
        assert statements, text
        owner(*statements)

    return run


def login_role(owner: Callable[..., None], name: str) -> None:
    try:
        owner(f"CREATE ROLE {name} LOGIN PASSWORD 'geheim'")
    except psycopg2.errors.DuplicateObject:
        owner(f"DROP OWNED BY {name} CASCADE")
