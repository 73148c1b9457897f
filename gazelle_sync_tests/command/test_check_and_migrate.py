"""`check` finds what a sync would stumble over, and changes nothing; `migrate` adds what is missing, once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from click.testing import Result
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.conftest import query_rows

Command = Callable[..., Result]


@pytest.fixture
def configuration(database_url: str, empty_engine: Engine, live: Sandbox) -> dict[str, str]:
    """A whole configuration, on a database without our schema."""
    return {
        "SUPABASE_DB_URL": database_url,
        "GAZELLE_BASE_URL": live.url,
        "GAZELLE_API_KEY": live.api_key,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
    }


@pytest.fixture
def stranger(database_url: str, empty_engine: Engine) -> Iterator[str]:
    """A connection string of a role that may connect, and nothing else."""
    admin = psycopg2.connect(database_url)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS gazelle_stranger")
        cursor.execute("CREATE ROLE gazelle_stranger LOGIN PASSWORD 'geheim'")
        yield (
            make_url(database_url)
            .set(username="gazelle_stranger", password="geheim")
            .render_as_string(hide_password=False)
        )
        cursor.execute("DROP SCHEMA IF EXISTS gazelle CASCADE")
        cursor.execute("DROP ROLE gazelle_stranger")
    admin.close()


def findings(result: Result) -> dict[str, tuple[bool, str]]:
    """What was looked at → whether it is well, and what is said of it."""
    text = " ".join(result.output.split())
    parts = re.split(r"([✓✗?]) ([\w ]+): ", text)[1:]
    marks, names, texts = parts[::3], parts[1::3], parts[2::3]
    return {name: (mark != "✗", text.strip()) for mark, name, text in zip(marks, names, texts, strict=True)}


def everything(database_url: str) -> list[dict[str, Any]]:
    """All objects of the database that are not the system's own."""
    return query_rows(
        warehouse.connect(database_url),
        "SELECT relname, relkind FROM pg_class WHERE relnamespace NOT IN "
        "('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace) ORDER BY 1",
    )


# -- check ------------------------------------------------------------------------------------------------------------


def test_check_of_an_empty_database_is_well_and_tells_what_a_sync_will_add(
    command: Command, configuration: dict[str, str], database_url: str, live: Sandbox
) -> None:
    before = everything(database_url)
    result = command("check", "--quick", **configuration)
    assert result.exit_code == 0
    found = findings(result)
    expected = ("configuration", "Gazelle", "database", "privileges", "tables")
    assert [name for name in found if name in expected] == list(expected)
    assert found["configuration"] == (True, "America/Toronto, 2017-01-01")
    assert found["Gazelle"] == (True, live.url)
    assert re.fullmatch(r"PostgreSQL \d+\.\d+.*", found["database"][1])
    assert found["privileges"][1].startswith("role ")
    assert re.fullmatch(r"the next sync adds \d\d: .*table .*…", found["tables"][1])
    assert all(good for good, _ in found.values())
    assert everything(database_url) == before


def test_check_of_a_migrated_database_finds_the_tables_as_declared(
    command: Command, configuration: dict[str, str], engine: Engine
) -> None:
    result = command("check", "--quick", **configuration)
    assert result.exit_code == 0
    assert findings(result)["tables"] == (True, "as declared")


def test_check_tells_of_a_wrong_key_and_goes_on(command: Command, configuration: dict[str, str]) -> None:
    result = command("check", "--quick", **{**configuration, "GAZELLE_API_KEY": "sesame-open"})
    assert result.exit_code == 1
    found = findings(result)
    assert not found["Gazelle"][0]
    assert "Gazelle refused the credentials for a first question (HTTP 401). Check GAZELLE_API_KEY" in said(result)
    assert found["database"][0]
    assert "sesame-open" not in result.output


def test_check_tells_of_a_missing_token(command: Command, configuration: dict[str, str]) -> None:
    app = {"GAZELLE_API_KEY": "", "GAZELLE_CLIENT_ID": "id", "GAZELLE_CLIENT_SECRET": "secret"}
    result = command("check", "--quick", **{**configuration, **app})
    assert result.exit_code == 1
    assert findings(result)["Gazelle"] == (False, "There is no OAuth token yet. Run `gazelle-sync login`.")


def test_check_tells_what_a_role_lacks_and_the_statement_that_gives_it(
    command: Command, configuration: dict[str, str], stranger: str
) -> None:
    result = command("check", "--quick", **{**configuration, "SUPABASE_DB_URL": stranger})
    assert result.exit_code == 1
    good, text = findings(result)["privileges"]
    assert not good
    assert re.search(
        r"The role gazelle_stranger may not create tables. .* CREATE SCHEMA gazelle AUTHORIZATION gazelle_stranger;",
        text,
    )
    assert "geheim" not in result.output


def test_check_tells_which_tables_a_role_may_not_write(
    command: Command, configuration: dict[str, str], stranger: str, engine: Engine
) -> None:
    query_rows(engine, "GRANT USAGE, CREATE ON SCHEMA gazelle TO gazelle_stranger")
    query_rows(engine, "GRANT SELECT ON ALL TABLES IN SCHEMA gazelle TO gazelle_stranger")
    result = command("check", "--quick", **{**configuration, "SUPABASE_DB_URL": stranger})
    assert result.exit_code == 1
    assert "The role gazelle_stranger may not read and write" in said(result)
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON gazelle.account, gazelle.appointment_pianos, " in said(result)


# -- migrate ----------------------------------------------------------------------------------------------------------


def test_migrate_says_what_it_adds_and_then_that_there_is_nothing_to_add(
    command: Command, configuration: dict[str, str], database_url: str
) -> None:
    first = command("migrate", **configuration)
    assert first.exit_code == 0
    assert first.output.splitlines()[0] == "added: schema gazelle"
    for name in TABLES:
        assert f"added: table {name}\n" in first.output
    there = everything(database_url)
    assert {row["relname"] for row in there} >= {*TABLES, "sync_log", "rejected_rows", "row_changes"}
    second = command("migrate", **configuration)
    assert second.exit_code == 0
    assert second.output == "Nothing to add: every table is as declared.\n"
    assert everything(database_url) == there


def test_migrate_by_a_role_that_may_not_says_so_in_one_sentence(
    command: Command, configuration: dict[str, str], stranger: str
) -> None:
    result = command("migrate", **{**configuration, "SUPABASE_DB_URL": stranger})
    assert result.exit_code == 1
    assert re.match(r"gazelle-sync: .*permission denied", result.output)
    assert "Traceback" not in result.output


def test_status_of_a_database_that_was_never_migrated_lists_the_tables_without_rows(
    command: Command, configuration: dict[str, str]
) -> None:
    result = command("status", **configuration)
    assert result.exit_code == 0
    for name in TABLES:
        assert re.search(rf"^{name} .*never synced", result.output, re.MULTILINE)
