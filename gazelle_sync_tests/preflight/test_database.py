"""`check` says what is wrong with rights, readers, row level security, the REST API and types; its own statements mend
it, and it changes nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.warehouse.schema import metadata
from gazelle_sync.warehouse.views import VIEWS
from gazelle_sync_tests.conftest import query_rows
from gazelle_sync_tests.hosting.servers import Server
from gazelle_sync_tests.preflight.conftest import login_role

Check = Callable[..., dict[str, tuple[bool, str]]]
Obeyed = Callable[[str], None]
Owner = Callable[..., None]


def catalog(engine: Engine) -> list[dict[str, Any]]:
    """All that `check` could change: relations with their rights and protection, columns, roles and their settings."""
    queries = (
        "SELECT relname, relkind, relacl::text, relrowsecurity FROM pg_class WHERE relname !~ '^pg_' ORDER BY 1, 2",
        "SELECT attrelid::regclass::text, attname, atttypid::regtype::text FROM pg_attribute ORDER BY 1, 2",
        "SELECT rolname, setconfig::text FROM pg_roles LEFT JOIN pg_db_role_setting ON setrole = oid ORDER BY 1",
        "SELECT polname, polrelid::regclass::text FROM pg_policy ORDER BY 1, 2",
    )
    return [row for query in queries for row in query_rows(engine, query)]


@pytest.fixture
def fault(check: Check, obeyed: Obeyed, migrated: Engine) -> Callable[..., str]:
    """What `check` says of one thing that is wrong, after seeing that it changes nothing, that its own statement
    mends it, and that nothing else was wrong."""

    def found(name: str, url: str | None = None) -> str:
        before = catalog(migrated)
        findings = check(url)
        assert catalog(migrated) == before
        assert [what for what, (good, _) in findings.items() if not good] == [name]
        text = findings[name][1]
        obeyed(text)
        assert all(good for good, _ in check(url).values())
        return text

    return found


def test_with_supabases_roles_and_every_table_all_is_well(check: Check, supabase: None, migrated: Engine) -> None:
    found = check()
    assert found["tables"] == (True, "as declared")
    assert found["row level security"] == (True, f"on, for all {len(metadata().tables)} tables")
    assert found["readers"] == (True, "nobody whom no policy names")
    assert found["REST API"] == (True, "serves the schema gazelle")
    assert all(good for good, _ in found.values())


# -- rights of the sync's role ----------------------------------------------------------------------------------------


@pytest.fixture
def stranger(owner: Owner, emptied: Server) -> str:
    """The connection string of a role that may connect, and nothing else."""
    login_role(owner, "stranger")
    return emptied.url("stranger", "geheim")


def test_a_role_that_may_not_make_the_schema_is_told(check: Check, stranger: str, obeyed: Obeyed) -> None:
    good, text = check(stranger)["privileges"]
    assert not good
    assert text == (
        "The role stranger may not create tables. As the owner, run: GRANT stranger TO CURRENT_USER; "
        "CREATE SCHEMA gazelle AUTHORIZATION stranger;"
    )
    obeyed(text)
    assert check(stranger)["privileges"] == (True, "role stranger")


def test_a_role_that_may_look_at_the_schema_and_make_nothing_in_it_is_told(
    check: Check, stranger: str, obeyed: Obeyed, owner: Owner
) -> None:
    owner("CREATE SCHEMA gazelle", "GRANT USAGE ON SCHEMA gazelle TO stranger")
    good, text = check(stranger)["privileges"]
    assert not good
    assert "GRANT USAGE, CREATE ON SCHEMA gazelle TO stranger;" in text
    obeyed(text)
    assert check(stranger)["privileges"] == (True, "role stranger")


def test_a_role_without_temporary_tables_is_told(check: Check, stranger: str, obeyed: Obeyed, owner: Owner) -> None:
    owner("CREATE SCHEMA gazelle", "GRANT USAGE, CREATE ON SCHEMA gazelle TO stranger")
    owner("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
    try:
        good, text = check(stranger)["privileges"]
        assert not good
        assert "GRANT TEMPORARY ON DATABASE postgres TO stranger;" in text
        obeyed(text)
        assert check(stranger)["privileges"] == (True, "role stranger")
    finally:
        owner("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")


def test_a_role_that_was_given_everything_but_owns_nothing_is_told_that_row_level_security_hides_the_rows(
    check: Check, stranger: str, obeyed: Obeyed, owner: Owner, migrated: Engine
) -> None:
    owner("GRANT USAGE, CREATE ON SCHEMA gazelle TO stranger")
    owner("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gazelle TO stranger")
    good, text = check(stranger)["privileges"]
    assert not good
    assert text.startswith("Row level security hides account, appointment_pianos, appointments, clients,")
    assert "ALTER TABLE gazelle.clients OWNER TO stranger;" in text
    obeyed(text)
    assert check(stranger)["privileges"] == (True, "role stranger")


# -- who can read -----------------------------------------------------------------------------------------------------


def test_row_level_security_that_was_switched_off_is_told(
    fault: Callable[..., str], owner: Owner, supabase: None
) -> None:
    owner("ALTER TABLE gazelle.clients DISABLE ROW LEVEL SECURITY")
    assert fault("row level security").startswith("Row level security is off on clients: a grant shows every row.")


def test_a_table_that_was_taken_over_without_row_level_security_is_told(
    fault: Callable[..., str], owner: Owner, supabase: None, migrated: Engine
) -> None:
    owner("DROP TABLE gazelle.clients CASCADE", "CREATE TABLE gazelle.clients (external_id text UNIQUE, name text)")
    warehouse.migrate(migrated)
    assert fault("row level security").startswith("Row level security is off on clients: a grant shows every row.")


def test_the_publics_key_must_not_read_even_what_a_policy_lets_it(
    fault: Callable[..., str], owner: Owner, supabase: None
) -> None:
    owner("GRANT SELECT ON gazelle.clients TO anon", "CREATE POLICY all_of_it ON gazelle.clients TO anon USING (true)")
    assert fault("readers").startswith("anon holds rights on gazelle.clients,")


def test_a_right_on_one_column_is_one_too_many_as_well(fault: Callable[..., str], owner: Owner, supabase: None) -> None:
    owner("GRANT SELECT (email) ON gazelle.clients TO anon")
    assert "anon holds rights on gazelle.clients" in fault("readers")


def test_what_everybody_may_is_what_the_public_may(fault: Callable[..., str], owner: Owner, supabase: None) -> None:
    owner("GRANT SELECT ON gazelle.pianos TO PUBLIC")
    said = fault("readers")
    assert "anon holds rights on gazelle.pianos" in said
    assert "authenticated holds rights on gazelle.pianos" in said


def test_a_grant_to_who_is_logged_in_is_told_unless_a_policy_says_that_it_is_meant(
    check: Check, fault: Callable[..., str], owner: Owner, supabase: None
) -> None:
    owner("CREATE POLICY staff ON gazelle.pianos FOR SELECT TO authenticated USING (true)")
    owner("GRANT SELECT ON gazelle.pianos, gazelle.upcoming_appointment_changes TO authenticated")
    assert check()["readers"] == (True, "nobody whom no policy names")
    owner("GRANT SELECT ON gazelle.clients TO authenticated")
    assert fault("readers").startswith("authenticated holds rights on gazelle.clients, and no policy says")


def test_a_view_that_reads_with_its_owners_rights_is_told(
    fault: Callable[..., str], owner: Owner, supabase: None
) -> None:
    owner(
        "CREATE VIEW gazelle.everybody AS SELECT email FROM gazelle.clients",
        "GRANT SELECT ON gazelle.everybody TO authenticated",
    )
    assert fault("readers").startswith("authenticated holds rights on gazelle.everybody,")


def test_a_token_that_anybody_but_its_owner_can_read_is_told(
    fault: Callable[..., str], owner: Owner, supabase: None
) -> None:
    owner("GRANT SELECT ON gazelle.oauth_token TO service_role")
    assert fault("readers").startswith("service_role holds rights on gazelle.oauth_token,")


# -- the REST API -----------------------------------------------------------------------------------------------------


def test_a_schema_that_the_rest_api_does_not_serve_is_told(
    fault: Callable[..., str], owner: Owner, supabase: None
) -> None:
    owner("ALTER ROLE authenticator SET pgrst.db_schemas = 'public, graphql_public'")
    assert fault("REST API").startswith(
        "The REST API does not serve the schema gazelle, only public, graphql_public. Add it to the exposed schemas"
    )


def test_where_the_setting_is_not_in_the_database_it_is_said_where_to_look(
    check: Check, owner: Owner, supabase: None
) -> None:
    owner("ALTER ROLE authenticator RESET pgrst.db_schemas")
    assert check()["REST API"] == (True, "can't be seen from here; Supabase's API settings list the exposed schemas")


# -- types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("altered", "told"),
    [
        ("pianos ALTER year TYPE text", "pianos.year is text, declared integer."),
        ("contacts ALTER email TYPE char(20)", "contacts.email is character(20), declared text."),
        ("pianos ALTER tags DROP DEFAULT, ALTER tags TYPE text USING ''", "pianos.tags is text, declared text[]."),
    ],
)
def test_a_column_that_somebody_altered_to_another_type_is_told(
    fault: Callable[..., str], owner: Owner, supabase: None, altered: str, told: str
) -> None:
    owner(f"ALTER TABLE gazelle.{altered}")
    assert fault("tables").startswith(told)


def test_a_type_that_holds_as_much_is_no_fault(check: Check, owner: Owner, migrated: Engine) -> None:
    # PostgreSQL alters no type of a column that a view reads.
    owner(*(f"DROP VIEW IF EXISTS gazelle.{view} CASCADE" for view in VIEWS))
    owner("ALTER TABLE gazelle.pianos ALTER make TYPE varchar, ALTER year TYPE bigint")
    warehouse.migrate(migrated)
    # A sync converts it by itself.
    owner("ALTER TABLE gazelle.sync_log ALTER started_at TYPE timestamp")
    assert check()["tables"] == (True, "as declared")


def test_a_database_that_may_only_be_read_is_told_before_a_sync_fails_in_it(check: Check, owner: Owner) -> None:
    owner("ALTER DATABASE postgres SET default_transaction_read_only = on")
    try:
        good, text = check()["privileges"]
    finally:
        owner("SET default_transaction_read_only = off", "ALTER DATABASE postgres RESET default_transaction_read_only")
    assert not good
    assert "Writing to the database failed after 1 attempt" in text
    assert "The database may only be read: it is a replica" in text
