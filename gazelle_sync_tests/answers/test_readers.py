"""docs/readers.md does what it says: its statements make a role that reads what was chosen and writes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from gazelle_sync.environment.settings import ROOT
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import VIEWS

ENGLISH, FRENCH = ((ROOT / "docs" / name).read_text() for name in ("readers.md", "readers.fr.md"))
STATEMENTS = re.findall(r"```sql\n(.*?)```", ENGLISH, re.DOTALL)
THE_ROLE, THE_VIEWS, THE_TABLES, THE_END, THE_SCHEMA, THE_TOKEN = STATEMENTS
(FOR_USERS,) = (
    block
    for block in re.findall(r"```sql\n(.*?)```", (ROOT / "docs/setup.md").read_text(), re.DOTALL)
    if "TO authenticated" in block
)
NAMES = ("anon", "authenticated", "service_role", "authenticator")

# A role that owns what the sync made, as `postgres` does in Supabase: it may make roles, and is no superuser.
KEEPER = """
CREATE ROLE gazelle_keeper LOGIN CREATEROLE PASSWORD 'keeper';
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'gazelle'::regnamespace AND relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER TABLE gazelle.%I OWNER TO gazelle_keeper', name);
    END LOOP;
END $$;
ALTER SCHEMA gazelle OWNER TO gazelle_keeper;
"""
GIVE_BACK = "REASSIGN OWNED BY gazelle_keeper TO CURRENT_USER; DROP OWNED BY gazelle_keeper; DROP ROLE gazelle_keeper"

Run = Callable[..., list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def prepared(mirrored_url: str) -> Iterator[str]:
    """The mirrored account in a database with Supabase's roles, owned by no superuser, and the role of the page."""
    connection = psycopg2.connect(mirrored_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", (list(NAMES),))
        missing = [name for name in NAMES if name not in {row[0] for row in cursor.fetchall()}]
        cursor.execute("".join(f"CREATE ROLE {name} NOINHERIT;" for name in missing) + KEEPER)
        # PostgreSQL 16 asks for the option of a role before it is changed or granted.
        cursor.execute("GRANT authenticator TO gazelle_keeper WITH ADMIN OPTION")
        try:
            run_as(mirrored_url, "gazelle_keeper", "keeper", THE_ROLE)
            run_as(mirrored_url, "gazelle_keeper", "keeper", THE_VIEWS)
            yield mirrored_url
            run_as(mirrored_url, "gazelle_keeper", "keeper", THE_END)
        finally:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'gazelle_reader'")
            cursor.execute(
                "DROP OWNED BY gazelle_reader; DROP ROLE gazelle_reader" if cursor.fetchone() else "SELECT 1"
            )
            cursor.execute(GIVE_BACK)
            cursor.execute("".join(f"DROP OWNED BY {name}; DROP ROLE {name};" for name in missing) or "SELECT 1")
    connection.close()


def run_as(url: str, user: str, password: str, *statements: str) -> list[tuple[object, ...]]:
    """The rows of the last statement, each in a transaction of its own."""
    login = make_url(url).set(username=user, password=password).render_as_string(hide_password=False)
    connection = psycopg2.connect(login)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@pytest.fixture
def read(prepared: str) -> Run:
    """Logs in as the page's role, and gives the rows of the last statement."""
    return lambda *statements: run_as(prepared, "gazelle_reader", "choose-a-long-one", *statements)


@pytest.mark.parametrize("name", VIEWS)
def test_the_role_sees_in_a_view_what_its_owner_sees(prepared: str, read: Run, name: str) -> None:
    count = f"SELECT count(*) FROM gazelle.{name}"
    assert read(count) == run_as(prepared, "gazelle_keeper", "keeper", count)


CLOSED = ["clients.personal_notes", "invoices.notes", "contacts.email", "row_changes.run_id", "sync_log.error"]


@pytest.mark.parametrize("column", [*CLOSED, "oauth_token.token"])
def test_the_role_reads_no_column_that_no_view_of_it_has(read: Run, column: str) -> None:
    table, name = column.split(".")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        read(f"SELECT {name} FROM gazelle.{table}")


WRITES = {
    "insert": "INSERT INTO gazelle.users (external_id) VALUES ('usr_x')",
    "update": "UPDATE gazelle.pianos SET make = 'x'",
    "update through a view": "UPDATE gazelle.unpaid_invoices SET status = 'PAID'",
    "delete": "DELETE FROM gazelle.appointments",
    "truncate": "TRUNCATE gazelle.timeline_entries",
    "make a table": "CREATE TABLE gazelle.mine (n integer)",
    "make a table elsewhere": "CREATE TABLE public.mine (n integer)",
    "drop": "DROP VIEW gazelle.agenda",
    "alter": "ALTER TABLE gazelle.clients DISABLE ROW LEVEL SECURITY",
    "a policy": "CREATE POLICY mine ON gazelle.oauth_token USING (true)",
    "a grant": "GRANT SELECT ON gazelle.clients TO PUBLIC",
    "another role": "SET ROLE gazelle_keeper",
    "a program": "COPY gazelle.users TO PROGRAM 'cat'",
    "a file": "COPY (SELECT 1) TO '/tmp/mine'",
}


# The last is a view's over several tables, which nobody can write to.
REFUSALS = (
    psycopg2.errors.ReadOnlySqlTransaction,
    psycopg2.errors.InsufficientPrivilege,
    psycopg2.errors.ObjectNotInPrerequisiteState,
)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_role_writes_nothing_not_even_when_it_lets_itself_write(read: Run, write: str) -> None:
    for statements in ((write,), ("SET default_transaction_read_only = off", write)):
        with pytest.raises(REFUSALS):
            read(*statements)


def test_a_query_that_takes_too_long_is_ended_and_what_is_forgotten_too(read: Run) -> None:
    assert read("SHOW statement_timeout") == [("15s",)]
    assert read("SHOW idle_in_transaction_session_timeout") == [("30s",)]
    assert read("SHOW default_transaction_read_only") == [("on",)]
    with pytest.raises(psycopg2.errors.QueryCanceled):
        read("SET statement_timeout = '50ms'", "SELECT pg_sleep(5)")


def test_the_page_s_other_statements_run_and_may_run_again(prepared: str, read: Run) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        read("SELECT notes FROM gazelle.pianos")
    for _ in range(2):
        run_as(prepared, "gazelle_keeper", "keeper", THE_VIEWS)
        run_as(prepared, "gazelle_keeper", "keeper", THE_TABLES)
    assert read("SELECT count(notes) > 0 FROM gazelle.pianos") == [(True,)]
    # Through REST: PostgREST becomes the role that the token names.
    run_as(prepared, "gazelle_keeper", "keeper", THE_TOKEN)
    assert run_as(
        prepared, "gazelle_keeper", "keeper", "SELECT pg_has_role('authenticator', 'gazelle_reader', 'SET')"
        if server_version(prepared) >= 160000 else "SELECT pg_has_role('authenticator', 'gazelle_reader', 'MEMBER')"
    ) == [(True,)]  # fmt: skip


@pytest.mark.parametrize(
    "statements",
    [THE_VIEWS, THE_TABLES, THE_END, FOR_USERS],
    ids=["views", "whole tables", "the end", "Supabase's users"],
)
def test_statements_that_are_sent_at_once_do_not_lock_out_an_analysis_that_waits_for_them(
    prepared: str, statements: str
) -> None:
    """Autovacuum holds a table while it waits for whoever changed the table's rights, who may not wait for it."""
    run_as(prepared, "gazelle_keeper", "keeper", THE_TABLES)
    keeper = psycopg2.connect(
        make_url(prepared).set(username="gazelle_keeper", password="keeper").render_as_string(False)
    )
    analysis = psycopg2.connect(prepared)

    def is_waiting() -> bool:
        with analysis.cursor() as cursor:
            cursor.execute("SELECT pg_blocking_pids(%s)", (keeper.info.backend_pid,))
            return cursor.fetchall() == [([analysis.info.backend_pid],)]

    try:
        with ThreadPoolExecutor(1) as side, analysis.cursor() as cursor:
            cursor.execute("LOCK TABLE gazelle.pianos IN SHARE UPDATE EXCLUSIVE MODE")
            # As an SQL editor sends them: one message, and so one transaction.
            sent = side.submit(keeper.cursor().execute, statements)
            while not is_waiting():
                assert not sent.done(), "it locks the table, or this shows nothing"
                time.sleep(0.01)
            cursor.execute("ANALYZE gazelle.pianos")
            analysis.rollback()
            sent.result()
    finally:
        analysis.close()
        keeper.close()


def server_version(url: str) -> int:
    connection = psycopg2.connect(url)
    try:
        return connection.server_version
    finally:
        connection.close()


def test_the_schema_is_served_by_a_setting_that_the_owner_of_the_role_can_make(prepared: str) -> None:
    connection = psycopg2.connect(prepared)
    try:
        with connection.cursor() as cursor:
            # In Supabase, `postgres` may: a setting of a name that PostgreSQL does not know is its superuser's here.
            cursor.execute(THE_SCHEMA)
            cursor.execute("SELECT setconfig FROM pg_db_role_setting WHERE setrole = 'authenticator'::regrole")
            assert cursor.fetchall() == [(["pgrst.db_schemas=public, gazelle"],)]
    finally:
        connection.rollback()
        connection.close()


def test_both_languages_have_the_same_statements_and_headings() -> None:
    blocks = re.compile(r"```\w+\n.*?```", re.DOTALL)
    assert blocks.findall(ENGLISH) == blocks.findall(FRENCH)
    levels = re.compile(r"^#+(?= )", re.MULTILINE)
    assert levels.findall(blocks.sub("", ENGLISH)) == levels.findall(blocks.sub("", FRENCH))


# -- REST -------------------------------------------------------------------------------------------------------------

# What PostgREST follows: foreign keys, and the columns of a view that are a foreign key's of its table.
FOLLOWED = """
SELECT child.relname AS child, attname AS column, parent.relname AS parent
FROM pg_constraint JOIN pg_class AS child ON child.oid = conrelid JOIN pg_class AS parent ON parent.oid = confrelid
JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
WHERE contype = 'f' AND cardinality(conkey) = 1 AND connamespace = 'gazelle'::regnamespace
UNION ALL
SELECT shown.relname, shown_column.attname, parent.relname
FROM pg_class AS shown JOIN pg_rewrite ON ev_class = shown.oid
CROSS JOIN LATERAL regexp_matches(
    ev_action::text, ':resno (\\d+) [^}]*?:resorigtbl (\\d+) :resorigcol (\\d+) ', 'g') AS taken
JOIN pg_attribute AS shown_column ON shown_column.attrelid = shown.oid AND shown_column.attnum = taken[1]::int
JOIN pg_constraint ON contype = 'f' AND conrelid = taken[2]::oid AND conkey = ARRAY[taken[3]::smallint]
JOIN pg_class AS parent ON parent.oid = confrelid
WHERE shown.relkind = 'v' AND shown.relnamespace = 'gazelle'::regnamespace AND taken[2] <> '0'
"""
# What it joins many to many at once: over a table whose primary key has the columns of two foreign keys.
AT_ONCE = """
SELECT conrelid::regclass::text FROM pg_constraint AS key
WHERE contype = 'p' AND connamespace = 'gazelle'::regnamespace AND 2 <= (
    SELECT count(*) FROM pg_constraint AS reference
    WHERE reference.contype = 'f' AND reference.conrelid = key.conrelid AND reference.conkey <@ key.conkey)
"""


def followed(url: str) -> set[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(FOLLOWED)
            return {*cursor.fetchall()}
    finally:
        connection.close()


def test_rest_can_follow_every_relation_of_a_table_and_of_a_view(mirrored_url: str) -> None:
    found = followed(mirrored_url)
    declared = {(t.name, column, parent) for t in TABLES.values() for column, parent in t.references.items()}
    assert {each for each in declared if each[2] in TABLES} <= found
    shown = {(v.name, c.name, c.references) for v in VIEWS.values() for c in v.columns if c.of and c.references}
    # An id of its own is followed from those that refer to it.
    own = {(v.name, c.name, c.references) for v in VIEWS.values() for c in v.columns if c.of.endswith(".external_id")}
    assert shown - own <= found
    assert ("agenda", "technician_external_id", "users") in found


def test_a_relation_that_the_page_names_is_there_and_one_that_is_named_by_its_column_needs_it(
    mirrored_url: str,
) -> None:
    found = followed(mirrored_url)
    for parent, column in set(re.findall(r"(\w+)!(\w+)\(", ENGLISH)):
        assert {child for child, name, to in found if (name, to) == (column, parent)} >= {"appointments"}
    to_users = {name for child, name, to in found if (child, to) == ("appointments", "users")}
    assert to_users == {"technician_external_id", "created_by_external_id"}
    assert ("appointment_pianos", "piano_external_id", "pianos") in found
    assert ("appointment_pianos", "appointment_external_id", "appointments") in found


def test_the_detour_over_appointment_pianos_is_needed(mirrored_url: str) -> None:
    connection = psycopg2.connect(mirrored_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(AT_ONCE)
            assert cursor.fetchall() == []
    finally:
        connection.close()
