"""One transaction per table: whatever breaks, and whoever else is at it, a table is as before or as after."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.gazelle import TokenFile
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import WarehouseError
from gazelle_sync.warehouse.connection import ATTEMPTS, is_transient, transaction
from gazelle_sync.warehouse.locks import LOCK_TABLE, lock_parameters
from gazelle_sync_tests.conftest import close_for_all, wait_until
from gazelle_sync_tests.warehouse import loader
from gazelle_sync_tests.warehouse.canned import Canned, clients, shown


@contextmanager
def loading_process(database_url):
    """Says a command to a process of `loader`, and gives its answer."""
    with subprocess.Popen(
        [sys.executable, "-m", "gazelle_sync_tests.warehouse.loader", database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def say(command):
            process.stdin.write(command + "\n")
            process.stdin.flush()

        try:
            yield say, process.stdout.readline
        finally:
            process.stdin.close()
            process.kill()


@pytest.fixture
def state(rows):
    """All that a load writes, apart from its own numbers and times."""
    return lambda: [
        rows("SELECT xmin, * FROM gazelle.clients ORDER BY id"),
        *(rows(f"SELECT * FROM gazelle.{table} ORDER BY id") for table in ("row_changes", "rejected_rows")),
        rows("SELECT * FROM gazelle.sync_log WHERE status <> 'error' ORDER BY id"),
    ]


# -- processes that die -----------------------------------------------------------------------------------------------

# Of what a process may be killed in.
NIGHTS, FIRST_LOADS, RENEWALS, MIGRATIONS = 22, 14, 12, 12


@pytest.fixture
def killed(database_url):
    """Begins something in a process of its own, and kills it: nothing of it is left behind."""
    with loading_process(database_url) as (say, answer):

        def kill(command, moment, query):
            """`moment` is after so many seconds, or once it returns."""
            say(command)
            child = int(answer())
            time.sleep(moment) if isinstance(moment, float) else moment()
            os.kill(child, signal.SIGKILL)
            # Its connections may live until the server notices.
            wait_until(lambda: query(LEFT) == [])

        yield say, answer, kill


# Connections of processes that are gone, what they locked, and what they had for themselves.
LEFT = """
SELECT pid::text AS what FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'gazelle-sync'
UNION ALL SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'
UNION ALL SELECT objid::text FROM pg_locks WHERE locktype = 'advisory'
"""


@pytest.fixture
def whole(rows):
    """Looks whether each table is as one round of `loader` left it, and which: None before its first."""

    def look():
        found = {}
        for table, mark, prefix in (("clients", "personal_notes", "cli"), ("pianos", "notes", "ins")):
            log = rows("SELECT run_id FROM gazelle.sync_log WHERE table_name = %s ORDER BY id DESC LIMIT 2", table)
            at, *before = [int(row["run_id"]) for row in log] or [None]
            live = rows(
                f"SELECT external_id, {mark} AS mark FROM gazelle.{table} "
                "WHERE deleted_at IS NULL AND synced_at IS NOT NULL ORDER BY external_id"
            )
            expected = [] if at is None else [f"{prefix}_{n:04}" for n in range(at * 10, at * 10 + loader.ROWS)]
            assert [(row["external_id"], row["mark"]) for row in live] == [(name, f"round {at}") for name in expected]
            changed = rows(
                "SELECT change, count(*) AS n FROM gazelle.row_changes WHERE table_name = %s AND run_id = %s "
                "GROUP BY change ORDER BY change",
                table,
                str(at),
            )
            # A first load is not listed row by row.
            moved_on = 10 * (at - before[0]) if before else 0
            assert {row["change"]: row["n"] for row in changed} == (
                {"delete": moved_on, "insert": moved_on, "update": loader.ROWS - moved_on} if before else {}
            )
            found[table] = at
        bad = rows("SELECT reason FROM gazelle.rejected_rows WHERE resolved_at IS NULL")
        assert [row["reason"] for row in bad] == [f"round {at}" for at in [found["clients"]] if at is not None]
        return found["clients"], found["pianos"]

    return look


def test_a_process_killed_at_any_moment_leaves_each_table_as_before_or_as_after(engine, killed, whole, rows):
    rng = random.Random(7)
    say, answer, kill = killed
    say("once 0")
    assert not answer().startswith("failed")
    say("once 1")
    began = time.monotonic()
    assert not answer().startswith("failed")
    duration = time.monotonic() - began
    rounds = {whole()}
    for _ in range(NIGHTS):
        number = max(rounds)[0] + 1
        kill(f"forever {number}", rng.uniform(0, 1.5 * duration), rows)
        rounds.add(whole())
    number = max(rounds)[0] + 1
    say(f"once {number}")
    assert f"clients: {loader.ROWS} fetched" in answer()
    assert whole() == (number, number)
    # It was killed in different places, or it proves little.
    assert len(rounds) > NIGHTS / 3


def test_a_first_load_that_is_killed_at_any_moment_left_nothing_or_is_whole(engine, killed, whole, run, rows):
    rng = random.Random(13)
    say, answer, kill = killed
    began = time.monotonic()
    say("once 0")
    assert not answer().startswith("failed")
    duration = time.monotonic() - began
    found = set()
    empty = (
        "TRUNCATE gazelle.clients, gazelle.pianos, gazelle.sync_log, gazelle.row_changes, gazelle.rejected_rows CASCADE"
    )
    for _ in range(FIRST_LOADS):
        run(empty)
        kill("forever 0", rng.uniform(0, 0.4 * duration), rows)
        found.add(whole())
    assert len(found) > 1
    # What was loaded before it was killed is gone on with.
    number = (whole()[0] or 0) + 1
    say(f"once {number}")
    assert "failed" not in answer()
    assert whole() == (number, number)


# A database of the service before, of which each step of a migration finds something to do: null where a value must be,
# a time without a zone, a number that is rounded, and a contact whose client is not there.
OLD = """
    DROP SCHEMA IF EXISTS gazelle CASCADE;
    CREATE SCHEMA gazelle;
    CREATE TABLE gazelle.clients (
        id serial PRIMARY KEY, external_id text UNIQUE, company_name text, tags text[], created_at timestamp,
        theirs text
    );
    CREATE TABLE gazelle.contacts (
        id serial PRIMARY KEY, external_id text, client_external_id text, latitude numeric(10,2)
    );
    CREATE VIEW gazelle.their_view AS SELECT external_id, theirs FROM gazelle.clients;
    INSERT INTO gazelle.clients (external_id, company_name, created_at, theirs)
    SELECT 'cli_' || n, nullif('Client ' || n, 'Client 3'), '2017-01-05 14:30', 'theirs'
    FROM generate_series(1, 50) AS n;
    INSERT INTO gazelle.contacts (external_id, client_external_id, latitude)
    SELECT 'con_' || n, 'cli_' || n, 45.51 FROM generate_series(41, 60) AS n;
"""
# Numbers are given in vain where a transaction does not end, so a sequence counts across them.
STEPS = """
    CREATE SEQUENCE public.steps;
    CREATE TABLE public.stop (at bigint);
    CREATE TABLE public.noted (step bigint, transaction bigint, tag text);
    INSERT INTO public.stop VALUES (0);
    CREATE FUNCTION public.take_step() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.noted VALUES (nextval('public.steps'), txid_current(), tg_tag);
        IF currval('public.steps') = (SELECT at FROM public.stop) THEN PERFORM pg_sleep(60); END IF;
    END $$;
    CREATE EVENT TRIGGER steps ON ddl_command_start EXECUTE FUNCTION public.take_step();
"""
NO_STEPS = """
    DROP EVENT TRIGGER IF EXISTS steps; DROP FUNCTION IF EXISTS public.take_step(); DROP TABLE IF EXISTS public.stop;
    DROP TABLE IF EXISTS public.noted; DROP SEQUENCE IF EXISTS public.steps
"""
# All that a migration makes, apart from the server's own numbers.
MADE = """
    SELECT relname::text AS name, attname::text AS part, format_type(atttypid, atttypmod) AS is, attnotnull::text AS has
    FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
    WHERE relnamespace = 'gazelle'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated::text FROM pg_constraint
    WHERE connamespace = 'gazelle'::regnamespace
    UNION ALL SELECT tablename, indexname, indexdef, NULL FROM pg_indexes WHERE schemaname = 'gazelle'
    UNION ALL SELECT relname, relkind::text, relrowsecurity::text, relacl::text FROM pg_class
    WHERE relnamespace = 'gazelle'::regnamespace
    UNION ALL SELECT polrelid::regclass::text, polname, NULL, NULL FROM pg_policy
    ORDER BY 1, 2, 3
"""


@pytest.fixture
def stepping(empty_engine, ask):
    name = empty_engine.url.database
    ask(f"{NO_STEPS}; {STEPS}")
    # Who waits at a step notices the end of its client.
    ask(f"ALTER DATABASE {name} SET client_connection_check_interval = '50ms'")
    yield
    ask(f"{NO_STEPS}; ALTER DATABASE {name} RESET client_connection_check_interval")


def test_a_migration_that_is_killed_at_any_statement_loses_nothing_and_the_next_one_ends_it(
    empty_engine, stepping, killed, ask
):
    rng = random.Random(23)
    *_, kill = killed

    def begin(stop):
        ask("UPDATE public.stop SET at = 0")
        ask(OLD)
        ask("ALTER SEQUENCE public.steps RESTART; TRUNCATE public.noted; UPDATE public.stop SET at = %s", stop)

    def people_s():
        """What was there before, by its numbers; what a migration fills in aside."""
        return [
            ask(query)
            for query in (
                "SELECT id, external_id, theirs FROM gazelle.their_view "
                "JOIN gazelle.clients USING (external_id, theirs) ORDER BY id",
                "SELECT id, external_id, client_external_id, latitude FROM gazelle.contacts ORDER BY id",
                "SELECT extract(epoch FROM created_at)::int AS at, count(*) AS n FROM gazelle.clients "
                "WHERE theirs IS NOT NULL GROUP BY 1",
                "SELECT count(*) AS n FROM gazelle.clients "
                "WHERE company_name = 'Client ' || split_part(external_id, '_', 2)",
            )
        ]

    def stopped():
        wait_until(lambda: ask("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != [])

    begin(0)
    before = people_s()
    warehouse.migrate(empty_engine, loader.FEW)
    made = ask(MADE)
    assert people_s() == before
    assert ask("SELECT FROM gazelle.clients WHERE tags IS NULL OR company_name IS NULL") == []
    # Each transaction, and each statement in it.
    transactions = {}
    for row in ask("SELECT step, transaction FROM public.noted ORDER BY step"):
        transactions.setdefault(row["transaction"], []).append(row["step"])
    assert len(transactions) > 2
    stops = [rng.choice(steps) for steps in transactions.values()]
    others = sorted({step for steps in transactions.values() for step in steps} - {*stops})
    stops += rng.sample(others, MIGRATIONS - len(stops))

    found = []
    for stop in stops:
        begin(stop)
        kill("migrate", stopped, ask)
        assert people_s() == before
        state = ask(MADE)
        assert state != made
        if state not in found:
            found.append(state)
        ask("UPDATE public.stop SET at = 0")
        warehouse.migrate(empty_engine, loader.FEW)
        assert ask(MADE) == made
        assert people_s() == before
        assert warehouse.migrate(empty_engine, loader.FEW) == []
    # It was killed in different places, or it proves little.
    assert len(found) == len(transactions)


@pytest.mark.parametrize("place", ["a file", "postgres"])
def test_a_renewal_that_is_killed_at_any_moment_leaves_a_whole_token_and_no_lock(
    engine, killed, sandbox, tmp_path, monkeypatch, rows, place
):
    """At worst the token before: what Gazelle answered to a process that was dead by then is nobody's."""
    rng = random.Random(19)
    *_, kill = killed
    path = tmp_path / "token.json"
    store = warehouse.TokenTable(engine) if place == "postgres" else TokenFile(path)
    issued = []

    def log_in():
        reply = sandbox.authorize()
        issued.append(reply["refresh_token"])
        with store.held() as held:
            held.write(reply)

    exchange = sandbox.tokens.exchange

    def note(form):
        reply = exchange(form)
        issued.append(reply["refresh_token"])
        return reply

    monkeypatch.setattr(sandbox.tokens, "exchange", note)
    log_in()
    names = sandbox.url, sandbox.client_id, sandbox.client_secret, "postgres" if place == "postgres" else str(path)
    moments = set()
    for _ in range(RENEWALS // 2):
        kill(f"renew {' '.join(names)}", rng.uniform(0, 0.3), rows)
        # The sandbox may still answer a process that is gone.
        time.sleep(0.05)
        with store.held() as held:
            stored = held.read()["refresh_token"]
        assert stored in issued[-2:]
        moments.add(len(issued))
        if stored != issued[-1]:
            log_in()
    assert len(moments) > 2


# -- several at once --------------------------------------------------------------------------------------------------


def test_two_processes_that_load_the_same_tables_at_once_both_succeed_one_after_the_other(database_url, engine, rows):
    with loading_process(database_url) as (say, answer), loading_process(database_url) as (say_too, answer_too):
        # Until this ends, both wait for the lock of the first table: then they really are there at once.
        with transaction(engine) as cursor:
            cursor.execute(LOCK_TABLE, lock_parameters("clients"))
            say("once 0")
            say_too("once 0")
            wait_until(
                lambda: (
                    rows("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0]["n"] == 2
                )
            )
        said = answer() + answer_too()
    assert "failed" not in said
    log = rows("SELECT table_name, inserted, unchanged, error FROM gazelle.sync_log ORDER BY table_name, id")
    for table in ("clients", "pianos"):
        first, second = (row for row in log if row["table_name"] == table)
        assert first["inserted"] == loader.ROWS
        # Who began to read earlier may come second.
        overtaken = "overtaken" in (second["error"] or "")
        assert (second["inserted"], second["unchanged"]) == (0, 0 if overtaken else loader.ROWS)
    assert rows("SELECT count(*) AS n FROM gazelle.clients WHERE synced_at IS NOT NULL") == [{"n": loader.ROWS}]


def test_different_tables_are_loaded_at_the_same_time(engine):
    with transaction(engine) as cursor:
        cursor.execute(LOCK_TABLE, lock_parameters("users"))
        assert warehouse.load(engine, shown([1]), run_id="test").inserted == 1


def test_loads_of_a_parent_and_of_its_children_at_once_do_not_lose_a_row(engine, rows):
    """Both insert the same clients: one as records, the other as placeholders."""
    numbers = range(400)
    pianos = [{"external_id": f"ins_{n}", "client_external_id": f"cli_{n:04}", "tags": []} for n in reversed(numbers)]
    failures = []

    def run(source):
        try:
            warehouse.load(engine, source, run_id="test")
        except WarehouseError as error:
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=[source])
        for source in (Canned(TABLES["pianos"], pianos), shown(reversed(numbers)), Canned(TABLES["pianos"], pianos))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    warehouse.load(engine, shown(numbers), run_id="test")
    assert rows("SELECT count(*) AS n, count(synced_at) AS filled FROM gazelle.clients") == [{"n": 400, "filled": 400}]
    assert rows("SELECT count(*) AS n FROM gazelle.pianos") == [{"n": 400}]


# -- what is tried again ----------------------------------------------------------------------------------------------

FAILURES_THAT_PASS = {
    "serialization failure": "RAISE EXCEPTION 'again' USING ERRCODE = '40001';",
    "deadlock": "RAISE EXCEPTION 'again' USING ERRCODE = '40P01';",
    "connection failure at a pooler": "RAISE EXCEPTION 'again' USING ERRCODE = '08006';",
    "the server ends the connection": "PERFORM pg_terminate_backend(pg_backend_pid());",
}


@pytest.mark.parametrize("action", FAILURES_THAT_PASS.values(), ids=FAILURES_THAT_PASS)
def test_a_failure_that_passes_is_tried_again_and_the_load_succeeds(
    engine, strike, strikes, rows, last_log, caplog, action
):
    strike("clients", action)
    report = warehouse.load(engine, shown(range(10)), run_id="test")
    assert (report.inserted, report.status) == (10, "success")
    assert strikes() > 1
    # Dagster, where it ran before in this process, lets lines of less weight through too.
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [message.split("; ")[-1] for message in warned] == ["attempt 2 follows"]
    assert rows("SELECT count(*) AS n FROM gazelle.clients") == [{"n": 10}]
    assert rows("SELECT count(*) AS n FROM gazelle.sync_log") == [{"n": 1}]
    assert last_log("clients")["inserted"] == 10


def test_a_connection_that_ends_at_the_commit_is_tried_again(engine, strike, rows):
    strike("sync_log", "PERFORM pg_terminate_backend(pg_backend_pid());", at_commit=True)
    report = warehouse.load(engine, shown(range(10)), run_id="test")
    assert (report.inserted, report.status) == (10, "success")
    assert rows("SELECT count(*) AS n FROM gazelle.clients") == [{"n": 10}]
    assert rows("SELECT count(*) AS n FROM gazelle.sync_log") == [{"n": 1}]


@contextmanager
def a_proxy_that_loses_the_answer_to_a_commit(url, commit):
    """In front of the server: the commit number `commit` is done, and the connection gone before it is confirmed."""
    parsed = make_url(url)
    host = parsed.query.get("host") or parsed.host or "localhost"
    seen = 0

    def serve(front):
        nonlocal seen
        back = socket.socket(socket.AF_UNIX) if str(host).startswith("/") else socket.socket()
        port = parsed.port or 5432
        back.connect(f"{host}/.s.PGSQL.{port}" if str(host).startswith("/") else (host, port))

        def forth():
            with suppress(OSError):
                while data := front.recv(65536):
                    back.sendall(data)
                back.shutdown(socket.SHUT_WR)

        threading.Thread(target=forth, daemon=True).start()
        with closing(front), closing(back):
            while data := back.recv(65536):
                if b"COMMIT\0" in data:
                    seen += 1
                    if seen == commit:
                        front.shutdown(socket.SHUT_RDWR)
                        return
                front.sendall(data)

    listening = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                front, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[front], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port = listening.getsockname()[1]
    try:
        yield parsed.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
    finally:
        close_for_all(listening)


def test_a_commit_whose_confirmation_is_lost_is_not_done_twice(database_url, engine, rows):
    warehouse.load(engine, shown(range(10)), run_id="before")
    with a_proxy_that_loses_the_answer_to_a_commit(database_url, commit=2) as url:
        # The first commit is of the look at what is missing, which writes nothing.
        report = warehouse.load(warehouse.connect(url), shown(range(5, 15)), run_id="lost")
    assert (report.status, report.rows) == ("success", 10)
    assert rows("SELECT change, count(*) AS n FROM gazelle.row_changes GROUP BY change ORDER BY change") == [
        {"change": "delete", "n": 5},
        {"change": "insert", "n": 5},
    ]
    assert rows("SELECT count(*) AS n FROM gazelle.clients WHERE deleted_at IS NULL") == [{"n": 10}]


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("53100", "The database's disk is full: make room, then run the sync again."),
        ("42501", "Give the role of SUPABASE_DB_URL that right"),
        ("23514", "Loading clients failed after 1 attempt: refused here (23514)."),
        ("57014", "look for something that holds a lock"),
        ("XX000", "refused here (XX000)"),
    ],
)
def test_any_other_failure_is_not_tried_again_and_leaves_the_table_as_it_was(
    engine, strike, strikes, state, last_log, sqlstate, message
):
    warehouse.load(engine, shown(range(10)), run_id="before")
    before = state()
    refusal = f"RAISE EXCEPTION 'refused here' USING ERRCODE = '{sqlstate}', DETAIL = 'Row: (secret notes)';"
    strike("clients", refusal, times=9)
    with pytest.raises(WarehouseError) as caught:
        warehouse.load(engine, shown(range(5, 15), doubts=["no asking"]), run_id="failing")
    assert strikes() == 1
    assert message in str(caught.value)
    assert "secret notes" not in str(caught.value)
    assert state() == before
    row = last_log("clients")
    assert (row["run_id"], row["status"], row["error"]) == ("failing", "error", f"WarehouseError: {caught.value}")


def test_a_failure_that_does_not_pass_is_given_up(engine, strike, strikes, rows, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    strike("clients", FAILURES_THAT_PASS["deadlock"], times=99)
    with pytest.raises(WarehouseError, match=r"Loading clients failed after 5 attempts: again \(40P01\)"):
        warehouse.load(engine, shown([1]), run_id="test")
    assert strikes() == ATTEMPTS == 5
    assert rows("SELECT count(*) AS n FROM gazelle.clients") == [{"n": 0}]


def test_everything_of_a_table_commits_together(engine, strike, state):
    """The log row is written last: without it there are no data, tombstones, changes and rejects either."""
    warehouse.load(engine, shown(range(10)), run_id="before")
    before = state()
    strike("sync_log", "IF (SELECT count(*) FROM gazelle.row_changes) > 0 THEN RAISE EXCEPTION 'no log today'; END IF;")
    source = shown(range(5, 15), rejects=next(loader.sources(0)).rejects)
    with pytest.raises(WarehouseError, match="no log today"):
        warehouse.load(engine, source, run_id="failing")
    assert state() == before
    report = warehouse.load(engine, source, run_id="next")
    assert (report.inserted, report.deleted, report.rejected) == (5, 5, 1)


def test_a_database_that_is_gone_is_an_error_without_the_password(engine, monkeypatch, caplog):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    gone = warehouse.connect(f"postgresql://someone:s3cr3t-w0rd@127.0.0.1:{port}/nowhere")
    with pytest.raises(WarehouseError) as caught:
        warehouse.load(gone, shown([1]), run_id="test")
    assert str(caught.value).startswith("Loading clients failed after 12 attempts: connection to server at")
    assert "Connection refused" in str(caught.value)
    assert "s3cr3t" not in str(caught.value) + caplog.text
    assert "sync_log could not be told that clients failed" in caplog.text
    for use in (warehouse.migrate, lambda engine: warehouse.read(engine, TABLES["users"])):
        with pytest.raises(WarehouseError, match="Connection refused") as caught:
            use(gone)
        assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"username": "nobody_here"}, {"database": "nowhere_here"}])
def test_a_database_that_will_not_have_us_is_asked_once_and_the_error_is_without_the_password(database_url, wrong):
    url = make_url(database_url).set(**wrong)
    url = url.set(password=url.password or "s3cr3t-w0rd")
    with pytest.raises(WarehouseError) as caught:
        warehouse.migrate(warehouse.connect(url.render_as_string(hide_password=False)))
    assert str(caught.value).startswith("Preparing the tables failed after 1 attempt: ")
    assert url.password not in str(caught.value)


def test_a_wrong_password_is_not_tried_again():
    """Supabase's pooler locks out an address that insists."""
    refused = psycopg2.OperationalError('FATAL:  password authentication failed for user "postgres"')
    assert not is_transient(refused)
    assert is_transient(psycopg2.OperationalError("FATAL:  the database system is starting up"))
    assert is_transient(psycopg2.OperationalError("FATAL:  sorry, too many clients already"))
    assert is_transient(psycopg2.OperationalError("server closed the connection unexpectedly"))
    assert is_transient(psycopg2.InterfaceError("connection already closed"))
    assert not is_transient(psycopg2.ProgrammingError("can't adapt type"))


def test_a_load_leaves_no_temporary_table_and_no_setting_behind(engine, rows):
    warehouse.load(engine, shown(range(10)), run_id="test")
    warehouse.load(engine, shown(range(5)), run_id="test")
    assert rows("SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'") == []
    assert rows("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'") == [{"n": 0}]


def test_a_role_with_other_settings_stores_the_same(engine, rows, run):
    """A role's time zone, date style and lists of schemas do not change what a value means."""
    [settings] = rows("SELECT current_user AS me, current_setting('datestyle') AS style, current_database() AS db")
    run(f"""
        ALTER DATABASE {settings["db"]} SET timezone = 'Asia/Tokyo';
        ALTER DATABASE {settings["db"]} SET datestyle = 'SQL, DMY';
        ALTER DATABASE {settings["db"]} SET search_path = 'nowhere';
        """)
    try:
        from datetime import date, datetime, timezone

        at = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
        given = clients([1], created_at=at, no_contact_until=date(2026, 2, 3))
        for _ in range(2):
            report = warehouse.load(engine, Canned(TABLES["clients"], given), run_id="test")
        assert report.unchanged == 1
        assert rows("SELECT created_at, no_contact_until FROM gazelle.clients") == [
            {"created_at": at, "no_contact_until": date(2026, 2, 3)}
        ]
        assert warehouse.migrate(engine) == []
    finally:
        run(f"ALTER DATABASE {settings['db']} RESET ALL")
