"""Who may read: nobody but the owner, and of Supabase's roles the service."""

from __future__ import annotations

import re

import psycopg2
import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import VIEWS
from gazelle_sync.warehouse.connection import WarehouseError, transaction
from gazelle_sync.warehouse.schema import metadata
from gazelle_sync_tests.warehouse.canned import shown

BESIDE = ["sync_log", "rejected_rows", "row_changes", "deletion_candidates", "account", "new_columns"]
RELATIONS = [*TABLES, *BESIDE, *VIEWS]


@pytest.fixture
def supabase(empty_engine, ask):
    """Supabase's roles, with what Supabase gives them by default: everything on every new table."""
    names = ("anon", "authenticated", "service_role")
    missing = [name for name in names if not ask("SELECT 1 AS there FROM pg_roles WHERE rolname = %s", name)]
    for name in missing:
        ask(f"CREATE ROLE {name}")
    ask(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {', '.join(names)}")
    yield
    ask("DROP SCHEMA IF EXISTS gazelle CASCADE")
    ask(f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {', '.join(names)}")
    for name in missing:
        ask(f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_role(engine, role, query):
    with transaction(engine) as cursor:
        cursor.execute(f"SET LOCAL ROLE {role}")
        cursor.execute(query)
        return cursor.fetchall()


def test_row_level_security_is_on_for_every_table_from_its_creation(engine, rows):
    found = rows("""
        SELECT relname, relrowsecurity FROM pg_class
        WHERE relnamespace = 'gazelle'::regnamespace AND relkind IN ('r', 'p')
        """)
    assert {row["relname"] for row in found} == {table.name for table in metadata().tables.values()}
    assert all(row["relrowsecurity"] for row in found)


def test_a_role_that_was_granted_a_table_by_mistake_still_sees_no_row(engine, rows, run):
    warehouse.load(engine, shown(range(3)), run_id="test")
    run(
        "CREATE ROLE gazelle_test_curious; GRANT USAGE ON SCHEMA gazelle TO gazelle_test_curious; "
        "GRANT SELECT ON ALL TABLES IN SCHEMA gazelle TO gazelle_test_curious"
    )
    try:
        assert as_role(engine, "gazelle_test_curious", "SELECT * FROM gazelle.clients") == []
    finally:
        run("DROP OWNED BY gazelle_test_curious; DROP ROLE gazelle_test_curious")


def test_the_oauth_token_is_for_the_owners_eyes_only(supabase, empty_engine, ask):
    warehouse.migrate(empty_engine)
    ask("GRANT USAGE ON SCHEMA gazelle TO anon, authenticated, service_role")
    for role in ("anon", "authenticated", "service_role"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for table oauth_token"):
            as_role(empty_engine, role, "SELECT 1 FROM gazelle.oauth_token")


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_the_roles_of_the_public_get_nothing(supabase, empty_engine, role):
    warehouse.migrate(empty_engine)
    for relation in RELATIONS:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_role(empty_engine, role, f"SELECT 1 FROM gazelle.{relation}")


def test_they_get_nothing_when_somebody_lets_them_into_the_schema(supabase, empty_engine, ask):
    warehouse.migrate(empty_engine)
    ask("GRANT USAGE ON SCHEMA gazelle TO anon, authenticated")
    for relation in RELATIONS:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match=r"permission denied for (table|view)"):
            as_role(empty_engine, "anon", f"SELECT 1 FROM gazelle.{relation}")


@pytest.mark.parametrize("existing", [False, True], ids=["a new schema", "a schema that was there"])
def test_the_service_may_read_everything_and_write_nothing(supabase, empty_engine, ask, existing):
    if existing:
        ask("CREATE SCHEMA gazelle")
    warehouse.migrate(empty_engine)
    warehouse.load(empty_engine, shown(range(3)), run_id="test")
    for relation in RELATIONS:
        as_role(empty_engine, "service_role", f"SELECT * FROM gazelle.{relation}")
    assert as_role(empty_engine, "service_role", "SELECT count(*) FROM gazelle.clients") == [(3,)]
    for statement in (
        "DELETE FROM gazelle.clients",
        "UPDATE gazelle.clients SET status = 'x'",
        "TRUNCATE gazelle.users",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_role(empty_engine, "service_role", f"{statement}; SELECT 1")


def test_views_run_with_the_rights_of_whoever_asks(supabase, empty_engine, ask):
    warehouse.migrate(empty_engine)
    found = ask(
        "SELECT relname, reloptions FROM pg_class WHERE relkind = 'v' AND relnamespace = 'gazelle'::regnamespace"
    )
    assert {row["relname"] for row in found} == {*VIEWS}
    assert all(row["reloptions"] == ["security_invoker=true"] for row in found)
    ask("GRANT USAGE ON SCHEMA gazelle TO anon; GRANT SELECT ON gazelle.upcoming_appointment_changes TO anon")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for table"):
        as_role(empty_engine, "anon", "SELECT * FROM gazelle.upcoming_appointment_changes")


def test_a_table_that_comes_later_is_protected_like_the_first(supabase, empty_engine):
    first = {name: TABLES[name] for name in ("users", "clients", "appointments")}
    # Views that read what is not there yet come with it.
    assert [line for line in warehouse.migrate(empty_engine, first) if line.startswith("view ")] == [
        "view upcoming_appointment_changes"
    ]
    assert len([line for line in warehouse.migrate(empty_engine) if line.startswith("view ")]) == len(VIEWS) - 1
    for relation in RELATIONS:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_role(empty_engine, "authenticated", f"SELECT 1 FROM gazelle.{relation}")
        as_role(empty_engine, "service_role", f"SELECT 1 FROM gazelle.{relation}")


def test_a_grant_on_a_view_survives_a_new_version_of_the_view(supabase, empty_engine, ask):
    warehouse.migrate(empty_engine)
    ask("""
        GRANT SELECT ON gazelle.upcoming_appointment_changes TO authenticated;
        COMMENT ON VIEW gazelle.upcoming_appointment_changes IS 'gazelle-sync of another version';
        """)
    assert warehouse.migrate(empty_engine) == ["view upcoming_appointment_changes"]
    assert ask(
        "SELECT has_table_privilege('authenticated', 'gazelle.upcoming_appointment_changes', 'SELECT') AS may"
    ) == [{"may": True}]


def test_what_people_grant_is_not_taken_back(supabase, empty_engine, ask):
    warehouse.migrate(empty_engine)
    ask("""
        GRANT USAGE ON SCHEMA gazelle TO authenticated;
        GRANT SELECT ON gazelle.clients TO authenticated;
        CREATE POLICY theirs ON gazelle.clients FOR SELECT TO authenticated USING (true);
        """)
    warehouse.load(empty_engine, shown(range(3)), run_id="test")
    assert warehouse.migrate(empty_engine) == []
    assert as_role(empty_engine, "authenticated", "SELECT count(*) FROM gazelle.clients") == [(3,)]


# -- what was there before --------------------------------------------------------------------------------------------

OLD = (
    "CREATE SCHEMA gazelle; CREATE TABLE gazelle.clients (id serial PRIMARY KEY, external_id text UNIQUE, status text)"
)
# As Supabase's guide to custom schemas has it.
CUSTOM_SCHEMAS = """
    GRANT USAGE ON SCHEMA gazelle TO anon, authenticated, service_role;
    GRANT ALL ON ALL TABLES IN SCHEMA gazelle TO anon, authenticated, service_role;
    GRANT ALL ON ALL SEQUENCES IN SCHEMA gazelle TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA gazelle GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
"""


def columns_of(ask, table):
    named = ask(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        f"gazelle.{table}",
    )
    return {row["attname"] for row in named}


def test_nothing_personal_is_added_to_a_table_that_the_public_may_read(supabase, empty_engine, ask):
    ask(OLD + "; " + CUSTOM_SCHEMAS)
    with pytest.raises(WarehouseError) as refused:
        warehouse.migrate(empty_engine)
    text = str(refused.value)
    assert "anon may SELECT, INSERT, UPDATE on gazelle.clients; authenticated may SELECT" in text
    assert "clients.street1" in text
    assert "gazelle-sync migrate --accept-readers" in text
    assert columns_of(ask, "clients") == {"id", "external_id", "status"}
    # Word for word.
    for statement in re.findall(r"(?:ALTER|REVOKE) [^;]+;", text):
        ask(statement)
    warehouse.migrate(empty_engine)
    assert "street1" in columns_of(ask, "clients")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        as_role(empty_engine, "anon", "SELECT street1 FROM gazelle.clients")


@pytest.mark.parametrize(
    "meant",
    [
        "ALTER TABLE gazelle.clients ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE gazelle.clients ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY theirs ON gazelle.clients FOR SELECT TO authenticated USING (true)",
        "REVOKE ALL ON gazelle.clients FROM anon, authenticated",
    ],
    ids=["nobody sees a row", "a policy that somebody made", "no right"],
)
def test_what_shows_nobody_a_row_or_is_meant_is_taken_over_as_it_is(supabase, empty_engine, ask, meant):
    ask(f"{OLD}; {CUSTOM_SCHEMAS} {meant}")
    warehouse.migrate(empty_engine)
    assert "street1" in columns_of(ask, "clients")


def test_who_accepts_the_readers_gets_the_columns(supabase, empty_engine, ask):
    ask(OLD + "; " + CUSTOM_SCHEMAS)
    warehouse.migrate(empty_engine, accept_readers=True)
    assert "street1" in columns_of(ask, "clients")
    # What is there is not asked for again.
    warehouse.migrate(empty_engine)


def test_sequences_of_new_tables_are_nobody_s_and_those_of_old_ones_are_named(supabase, empty_engine, ask):
    ask(OLD + "; " + CUSTOM_SCHEMAS + "ALTER TABLE gazelle.clients ENABLE ROW LEVEL SECURITY")
    warehouse.migrate(empty_engine)
    with pytest.raises(WarehouseError) as found:
        warehouse.check_bystanders(empty_engine)
    text = str(found.value)
    assert 'anon holds rights on gazelle."clients_id_seq"; authenticated' in text
    assert "users_id_seq" not in text
    for statement in re.findall(r"REVOKE [^;]+;", text):
        ask(statement)
    warehouse.check_bystanders(empty_engine)


def test_views_anywhere_that_show_the_public_every_row_are_named(supabase, empty_engine, ask):
    warehouse.migrate(empty_engine)
    ask("""
        CREATE VIEW public.their_clients AS SELECT external_id, company_name FROM gazelle.clients;
        CREATE VIEW public.well_made WITH (security_invoker = on) AS SELECT external_id FROM gazelle.clients;
        CREATE VIEW public.nobody_s AS SELECT external_id FROM gazelle.pianos;
        CREATE MATERIALIZED VIEW public.kept AS SELECT external_id FROM gazelle.users;
        GRANT SELECT ON public.their_clients, public.well_made, public.kept TO anon;
        REVOKE ALL ON public.nobody_s FROM anon, authenticated;
        """)
    try:
        with pytest.raises(WarehouseError) as found:
            warehouse.check_bystanders(empty_engine)
        text = str(found.value)
        assert "through the view public.their_clients" in text
        assert "through the view public.kept" in text
        assert "well_made" not in text
        assert "nobody_s" not in text
        for statement in re.findall(r"(?:ALTER|REVOKE) [^;]+;", text):
            ask(statement)
        warehouse.check_bystanders(empty_engine)
    finally:
        ask("DROP VIEW public.their_clients, public.well_made, public.nobody_s; DROP MATERIALIZED VIEW public.kept")
