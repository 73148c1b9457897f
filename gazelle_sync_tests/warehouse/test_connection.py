"""How the database is reached: with TLS unless it is on this machine, and without ever saying the password."""

from __future__ import annotations

import io

import psycopg2
import pytest

from gazelle_sync import warehouse
from gazelle_sync.warehouse import WarehouseError
from gazelle_sync.warehouse.connection import borrow, describe_error, fetch, is_transient, say_dropped, transaction
from gazelle_sync_tests.conftest import query_rows, wait_until

SUPABASE = "postgresql://postgres.ref:p4ssw0rd@aws-0-ca-central-1.pooler.supabase.com:6543/postgres"


@pytest.mark.parametrize(
    "url",
    [
        SUPABASE,
        SUPABASE.replace("postgresql://", "postgres://"),
        SUPABASE + "?sslmode=require",
        "postgresql://u:p4ssw0rd@10.0.0.7/db",
        "postgresql://u:p4ssw0rd@[2001:db8::1]:5432/db",
        "postgresql://u:p4ssw0rd@/db?host=db.example.com",
        "postgresql://u:p4ssw0rd@localhost/db?host=db.example.com",
        "postgresql://u:p4ssw0rd@localhost/db?hostaddr=203.0.113.7",
        "postgresql://u:p4ssw0rd@localhost.example.com/db",
        "postgresql://u:p4ssw0rd@/db?host=localhost:1&host=db.example.com:2",
    ],
)
def test_a_host_that_is_not_this_machine_gets_tls(url):
    assert warehouse.connect(url).url.query["sslmode"] == "require"


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_mode_that_is_as_good_or_better_is_kept(mode):
    assert warehouse.connect(f"{SUPABASE}?sslmode={mode}").url.query["sslmode"] == mode


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require&sslmode=disable", "nonsense"])
def test_a_mode_that_may_go_without_tls_is_refused_for_such_a_host(mode):
    with pytest.raises(WarehouseError, match="Use sslmode=require, or better verify-full") as caught:
        warehouse.connect(f"{SUPABASE}?sslmode={mode}")
    assert "p4ssw0rd" not in str(caught.value)


def test_a_remote_host_in_the_environment_gets_tls_too(monkeypatch):
    """libpq takes the host from there when the string names none."""
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert warehouse.connect("postgresql://u:p4ssw0rd@/db").url.query["sslmode"] == "require"
    monkeypatch.setenv("PGHOST", "/var/run/postgresql")
    assert "sslmode" not in warehouse.connect("postgresql://u:p4ssw0rd@/db").url.query


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@localhost/db",
        "postgresql://u:p@127.0.0.1:5433/db",
        "postgresql://u:p@[::1]/db",
        "postgresql:///db",
        "postgresql://u@/db?host=/var/run/postgresql",
        "postgresql://u@/db?host=@abstract",
        "postgresql://u:p@localhost/db?sslmode=disable",
    ],
)
def test_this_machine_needs_no_tls(url, monkeypatch):
    monkeypatch.delenv("PGHOST", raising=False)
    assert warehouse.connect(url).url.query.get("sslmode") in (None, "disable")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p4ssw0rd@host:notaport/db",
        "postgresql:/user:p4ssw0rd@host/db",
        "host=db.example.com password=p4ssw0rd",
        "postgresql://user:p4ss@w0rd@db.example.com:5432/db",
        "p4ssw0rd",
        "",
        "://p4ssw0rd",
    ],
)
def test_a_string_that_is_no_connection_string_is_refused_without_quoting_it(url):
    with pytest.raises(WarehouseError) as caught:
        warehouse.connect(url)
    assert str(caught.value) == (
        "SUPABASE_DB_URL is not a connection string. It looks like postgresql://user:password@host:5432/database; "
        "characters such as @ / : # in the password are written %40 %2F %3A %23."
    )
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["mysql://u:p4ssw0rd@host/db", "https://u:p4ssw0rd@example.com", "sqlite:///x"])
def test_another_database_is_refused_by_name(url):
    with pytest.raises(WarehouseError, match="has to be for postgresql") as caught:
        warehouse.connect(url)
    assert "p4ssw0rd" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_every_spelling_of_postgres_connects(database_url, scheme):
    engine = warehouse.connect(database_url.replace("postgresql", scheme, 1))
    assert query_rows(engine, "SELECT 1 AS one") == [{"one": 1}]


def test_an_engine_does_not_show_its_password():
    engine = warehouse.connect(SUPABASE)
    assert "p4ssw0rd" not in repr(engine) + str(engine.url)


def test_a_password_with_escaped_characters_arrives_unescaped():
    assert warehouse.connect("postgresql://u:p%40s%2Fs%3A%23@localhost/db").url.password == "p@s/s:#"


def test_a_connection_says_who_it_is_and_leaves_no_setting_behind(database_url):
    engine = warehouse.connect(database_url)
    [row] = query_rows(
        engine,
        "SELECT current_setting('application_name') AS name, current_setting('timezone') AS zone, "
        "current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock",
    )
    assert row == {"name": "gazelle-sync", "zone": "UTC", "statement": "15min", "lock": "10min"}


# -- a connection that is kept for the next transaction ---------------------------------------------------------------


@pytest.fixture
def kept(database_url):
    engine = warehouse.connect(database_url, keep_open=True)
    yield engine
    engine.dispose()


def process(engine):
    """The server's process that answers, as a query sees it, and then a transaction."""
    asked = fetch(engine, "SELECT pg_backend_pid()", {})[1][0][0]
    [row] = query_rows(engine, "SELECT pg_backend_pid() AS process")
    assert row["process"] == asked
    return asked


def test_one_connection_serves_one_transaction_after_the_other_until_it_is_let_go(kept, database_url):
    first = process(kept)
    assert process(kept) == first
    kept.dispose()
    others = "SELECT count(*) FROM pg_stat_activity WHERE pid = %(process)s"
    watcher = warehouse.connect(database_url)
    wait_until(lambda: fetch(watcher, others, {"process": first})[1] == [(0,)])
    assert process(kept) != first


def test_what_a_transaction_or_a_query_sets_is_not_set_for_the_next_one(kept):
    names = ("TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    def settings():
        with borrow(kept) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
            found = cursor.fetchone()
            connection.rollback()
            return found

    before = settings()
    first = process(kept)
    assert settings() == before
    assert process(kept) == first


def test_a_query_sees_the_same_settings_as_a_transaction(kept):
    shown = "SELECT current_setting('timezone'), current_setting('datestyle'), current_setting('statement_timeout')"
    names, [row] = fetch(kept, shown, {})
    assert (len(names), row) == (3, ("UTC", "ISO, YMD", "15min"))


def test_a_query_that_fails_leaves_a_connection_that_transactions_can_use(kept, database_url):
    with pytest.raises(WarehouseError, match=r"Reading the database failed.*division by zero"):
        fetch(kept, "SELECT 1 / 0", {})
    with pytest.raises(psycopg2.errors.DivisionByZero), transaction(kept) as cursor:
        cursor.execute("CREATE TABLE half (id int); SELECT 1 / 0")
    assert query_rows(kept, "SELECT to_regclass('half') IS NULL AS undone") == [{"undone": True}]
    with transaction(kept) as cursor:
        cursor.execute("CREATE TABLE whole (id int)")
        # Not to be seen before it is committed: the connection is not one where each statement is a transaction.
        assert query_rows(warehouse.connect(database_url), "SELECT to_regclass('whole') AS it") == [{"it": None}]
        cursor.execute("DROP TABLE whole")


def test_what_is_told_is_done_before_what_is_asked_and_what_is_told_last_before_the_commit(kept):
    with transaction(kept) as cursor:
        cursor.tell("CREATE TABLE told (id int, note text)")
        cursor.tell("INSERT INTO told VALUES (%s, %s)", (1, "100 %; it's so"))
        cursor.execute("SELECT note FROM told WHERE id = %(id)s", {"id": 1})
        assert cursor.fetchall() == [("100 %; it's so",)]
        cursor.tell("INSERT INTO told VALUES (2, '100 %')")
        cursor.copy_expert("COPY told FROM STDIN", io.StringIO("3\tcopied\n"))
        cursor.tell("INSERT INTO told VALUES (4, 'last')")
    assert query_rows(kept, "SELECT note FROM told ORDER BY id") == [
        {"note": note} for note in ("100 %; it's so", "100 %", "copied", "last")
    ]
    with pytest.raises(psycopg2.errors.DivisionByZero), transaction(kept) as cursor:
        cursor.tell("DELETE FROM told; SELECT 1 / 0")
    assert query_rows(kept, "SELECT count(*) AS n FROM told") == [{"n": 4}], "what fails last undoes all"
    query_rows(kept, "DROP TABLE told")


def test_a_kept_connection_that_the_server_ended_meanwhile_is_replaced(kept, database_url, caplog):
    first = process(kept)
    query_rows(warehouse.connect(database_url), "SELECT pg_terminate_backend(%s)", first)
    assert fetch(kept, "SELECT 1", {})[1] == [(1,)]
    assert process(kept) != first
    assert "Reading the database: " in caplog.text
    assert "attempt 2 follows" in caplog.text


# -- what poolers say, and what other programs write ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "advice", "passes"),
    [
        (
            "FATAL:  (ENOIDENTIFIER) no tenant identifier provided (external_id or sni_hostname required)",
            "role.project",
            False,
        ),
        ("FATAL:  (ENOTFOUND) tenant/user postgres.abc not found", "copy the string anew", False),
        ("FATAL:  Tenant or user not found", "role.project", False),
        ("FATAL:  (EADDRNOTALLOWED) Address not in tenant allow_list: {1, 2, 3, 4}", "network restrictions", False),
        ("FATAL:  (EAUTHQUERY) Failed to authenticate user", "could not ask the database for this role", False),
        (
            "FATAL:  (EMAXCONNSESSION) max clients reached in session mode - max clients are limited to pool_size: 15",
            "use port 6543",
            True,
        ),
        ('FATAL:  password authentication failed for user "postgres"', "reset it in the database settings", False),
        (
            'FATAL:  password authentication failed for user "postgres.abcdefghijklmnopqrst"',
            "reset it in the database",
            False,
        ),
        ('FATAL:  password authentication failed for user "mirror"', "as postgres, run ALTER ROLE", False),
    ],
)
def test_what_a_pooler_refuses_with_is_advised_on_and_tried_again_only_where_that_helps(text, advice, passes):
    error = psycopg2.OperationalError(f'connection to server at "pooler.example.com", port 6543 failed: {text}')
    assert advice in describe_error(error)
    assert is_transient(error) is passes


@pytest.mark.parametrize(
    "options",
    ["pgbouncer=true&connection_limit=1", "schema=public", "prepareThreshold=0&pool_timeout=3"],
)
def test_options_of_other_programs_are_named_once_and_dropped(database_url, caplog, options):
    say_dropped.cache_clear()
    sign = "&" if "?" in database_url else "?"
    for _ in range(2):
        engine = warehouse.connect(f"{database_url}{sign}{options}")
        assert query_rows(engine, "SELECT 1 AS one") == [{"one": 1}]
    named = [part.partition("=")[0] for part in options.split("&") if "sslmode" not in part]
    [record] = caplog.records
    assert record.getMessage() == (
        f"SUPABASE_DB_URL has options of another program, which are left out: {', '.join(sorted(named))}"
    )
