"""Whose account is mirrored, and who may see less of it: another company's key writes nothing, a lesser one deletes
nothing, and each is said wherever anybody looks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.conftest import NIGHTLY, NOW

Stored = Callable[..., list[dict[str, Any]]]
Command = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("definitions")

OTHER = {"id": "com_other", "name": "Pianos d’Ailleurs"}


@pytest.fixture(autouse=True)
def healthy(live: Sandbox) -> Iterator[None]:
    yield
    live.faults.clear()


@pytest.fixture
def other_company(live: Sandbox) -> None:
    """The key is of another account."""
    live.faults.add(Fault("other_company", company=OTHER))


@pytest.fixture
def everything(stored: Stored) -> Callable[[], dict[str, list[dict[str, Any]]]]:
    """All that there is in the schema, shape included."""

    def everything() -> dict[str, list[dict[str, Any]]]:
        names = [row["tablename"] for row in stored("SELECT tablename FROM pg_tables WHERE schemaname = 'gazelle'")]
        return {name: stored(f'SELECT * FROM gazelle."{name}" ORDER BY 1') for name in sorted(names)} | {
            "columns": stored("SELECT attrelid::text, attname FROM pg_attribute ORDER BY 1, attnum")
        }

    return everything


def only(*tables: str) -> list[str]:
    return [word for name in tables for word in ("--table", name)]


# -- one account -----------------------------------------------------------------------------------------------------


def test_the_first_sync_remembers_whose_account_it_is(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    assert command("sync", **variables).exit_code == 0
    (kept,) = stored("SELECT company_external_id, company_name, access_level, saw_all_at FROM gazelle.account")
    company = live.account.company
    assert (kept["company_external_id"], kept["company_name"]) == (company["id"], company["name"])
    assert kept["access_level"] == "ADMIN"
    assert kept["saw_all_at"] is not None


def test_a_sync_asks_for_it_once(command: Command, variables: dict[str, str], live: Sandbox) -> None:
    before = len(live.requests)
    assert command("sync", *only("users", "taxes", "company"), **variables).exit_code == 0
    asked = [request for request in live.requests[before:] if request.query.startswith("query account ")]
    assert len(asked) == 1


def test_check_status_and_the_page_say_its_name(
    command: Command, variables: dict[str, str], live: Sandbox, tmp_path: Path
) -> None:
    name, key = live.account.company["name"], live.account.company["id"]
    assert f"✓ account: {name} ({key}), ADMIN" in said(command("check", "--quick", **variables))
    assert f"The account of {name} ({key})" in said(command("status", **variables))
    page = tmp_path / "status.html"
    assert command("status", "--html", str(page), **variables).exit_code == 0
    assert f"<h1>gazelle-sync: Accords &amp; Désaccords inc. ({key})</h1>" in page.read_text()


# -- another account -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("other_company")
@pytest.mark.parametrize(
    "arguments",
    [
        ("sync",),
        ("sync", "--full", "--allow-mass-delete"),
        ("sync", "--table", "users"),
        ("sync", "--table", "appointments", "--from", str(NOW), "--to", str(NOW)),
        ("migrate",),
    ],
    ids=" ".join,
)
def test_another_account_is_refused_before_anything_is_written(
    command: Command,
    variables: dict[str, str],
    live: Sandbox,
    stored: Stored,
    everything: Callable[[], Any],
    arguments: tuple[str, ...],
) -> None:
    # What a sync would bring, and a migration add.
    live.account.users[next(iter(live.account.users))]["firstName"] = "Ailleurs"
    stored("ALTER TABLE gazelle.pianos DROP COLUMN IF EXISTS potential_performance_level")
    before = everything()
    result = command(*arguments, **variables)
    assert result.exit_code == 2
    assert everything() == before
    assert said(result).count("com_other") == 1
    assert "These credentials are for Pianos d’Ailleurs (com_other), and the database mirrors Accords" in said(result)
    assert "DELETE FROM gazelle.account;" in said(result)
    assert "--allow-mass-delete" not in said(result)
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("other_company")
def test_check_finds_that_it_is_another_account(
    command: Command, variables: dict[str, str], everything: Callable[[], Any]
) -> None:
    before = everything()
    result = command("check", "--quick", **variables)
    assert result.exit_code == 1
    assert "✗ account: These credentials are for Pianos d’Ailleurs (com_other)" in said(result)
    assert everything() == before


@pytest.mark.usefixtures("other_company")
def test_it_is_said_in_french_too(command: Command, variables: dict[str, str]) -> None:
    result = command("sync", **{**variables, "GAZELLE_SYNC_LANG": "fr"})
    assert result.exit_code == 2
    assert "Ces identifiants sont ceux de Pianos d’Ailleurs (com_other), alors que" in said(result)


def test_an_account_that_gazelle_no_longer_names_is_refused(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    live.faults.add(Fault("other_company", company={"id": ""}))
    (before,) = stored("SELECT max(synced_at) AS at FROM gazelle.users")
    result = command("sync", "--table", "users", **variables)
    assert result.exit_code == 1
    assert "users: InvalidResponse: Gazelle named no company, and the database mirrors" in said(result)
    assert stored("SELECT max(synced_at) AS at FROM gazelle.users") == [before]


@pytest.mark.usefixtures("other_company")
def test_where_it_is_meant_the_account_is_forgotten_and_the_next_sync_takes_its_own(
    command: Command, variables: dict[str, str], stored: Stored
) -> None:
    stored("DELETE FROM gazelle.account")
    assert command("sync", "--table", "users", **variables).exit_code == 0
    assert stored("SELECT company_external_id FROM gazelle.account") == [{"company_external_id": "com_other"}]


def test_a_database_of_an_earlier_version_is_adopted_with_its_data(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    stored("DROP TABLE gazelle.account")
    assert command("status", **variables).exit_code == 0
    assert command("sync", "--table", "users", **variables).exit_code == 0
    kept = stored("SELECT company_external_id FROM gazelle.account")
    assert kept == [{"company_external_id": live.account.company["id"]}]


# -- who may see less ------------------------------------------------------------------------------------------------


LIVE = " UNION ALL ".join(
    f"SELECT '{name}' AS name, count(*) AS n FROM gazelle.{name} WHERE deleted_at IS NULL AND synced_at IS NOT NULL"
    for name in TABLES
)


@pytest.mark.parametrize(
    ("options", "read"),
    [([], NIGHTLY), (["--allow-mass-delete", *only("users", "clients", "contacts")], ["users", "clients", "contacts"])],
    ids=["", "also when many may go"],
)
def test_a_technicians_key_deletes_nothing_and_every_table_says_why(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored, options: list[str], read: list[str]
) -> None:
    assert command("sync", "--table", "users", **variables).exit_code == 0
    before = stored(LIVE)
    live.faults.add(Fault("technician"))
    result = command("sync", *options, **variables)
    assert result.exit_code == 0
    assert re.search(r"Done in .* s, with warnings\.$", said(result))
    assert stored(LIVE) == before
    log = stored(
        "SELECT * FROM gazelle.sync_log WHERE run_id = (SELECT run_id FROM gazelle.sync_log ORDER BY id DESC LIMIT 1)"
    )
    assert {line["table_name"] for line in log} == {*read}
    for line in log:
        assert (line["status"], line["deleted"], line["proved"]) == ("warning", 0, False)
        assert re.search(
            r"the access shrank: on \d{4}-\d\d-\d\d \d\d:\d\d UTC the key still showed everything, and now it belongs "
            r"to somebody who may not see everything \(TECHNICIAN, with limited access\)",
            line["error"],
        )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"accessLevel": "ASSISTANT"}, "ASSISTANT"),
        ({"hasLimitedAccess": True}, "ADMIN, with limited access"),
        ({"accessLevel": None}, "access level unknown"),
        ({"accessLevel": "OWNER"}, "OWNER"),
    ],
)
def test_whoever_is_not_an_administrator_with_full_access_may_see_less(given: dict[str, Any], told: str) -> None:
    from gazelle_sync.gazelle import read_account

    class Answer:
        def execute(self, what: str, query: str, variables: Any) -> dict[str, Any]:
            user = {"accessLevel": "ADMIN", "hasLimitedAccess": False, **given}
            return {"company": {"id": "com_1", "name": " "}, "user": user}

    account = read_account(Answer())  # type: ignore[arg-type]
    assert account is not None
    assert (account.sees_all, account.access, account.company_name) == (False, told, "com_1")


def test_check_is_red_for_a_technicians_key(command: Command, variables: dict[str, str], live: Sandbox) -> None:
    live.faults.add(Fault("technician"))
    result = command("check", "--quick", **variables)
    assert result.exit_code == 1
    assert "✗ account: the access shrank:" in said(result)


def test_a_key_that_never_showed_everything_is_not_said_to_have_shrunk(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    stored("DELETE FROM gazelle.account")
    live.faults.add(Fault("technician"))
    result = command("sync", "--table", "users", **variables)
    assert result.exit_code == 0
    assert "the key belongs to somebody who may not see everything (TECHNICIAN, with limited access)" in said(result)
    assert "shrank" not in result.output


def test_where_gazelle_no_longer_knows_the_question_all_is_read_and_nothing_deleted(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    live.faults.add(Fault("missing", names=["PrivateUser.hasLimitedAccess"]))
    piano = next(iter(live.account.pianos))
    kept = live.account.pianos.pop(piano)
    try:
        result = command("sync", "--table", "pianos", **variables)
    finally:
        live.account.pianos[piano] = kept
    assert result.exit_code == 0
    assert "pianos: Gazelle did not say whose account this is" in said(result)
    assert stored("SELECT deleted_at FROM gazelle.pianos WHERE external_id = %s", piano) == [{"deleted_at": None}]


def test_access_that_is_whole_again_is_believed_again(command: Command, variables: dict[str, str]) -> None:
    result = command("sync", "--table", "users", **variables)
    assert result.exit_code == 0
    assert re.search(r"Done in [^,]* s\.$", result.output.rstrip())
