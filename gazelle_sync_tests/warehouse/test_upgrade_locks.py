"""An upgrade holds up nobody who reads: it waits for a moment, lets go, tries again, and gives up with a name."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from contextlib import contextmanager

import psycopg2
import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.columns import text
from gazelle_sync.warehouse import WarehouseError, migrations
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync.warehouse.locks import LOCK_TABLE, lock_parameters
from gazelle_sync_tests.conftest import AT_ONCE, wait_until
from gazelle_sync_tests.warehouse.canned import shown

NICK = text("nick", "nick", "Nickname.")
GAINED = {**TABLES, "clients": dataclasses.replace(TABLES["clients"], columns=(*TABLES["clients"].columns, NICK))}
SECRET = "SELECT * FROM gazelle.clients WHERE last_name = 'Tremblay'"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "200ms")
    monkeypatch.setattr(migrations, "PAUSE", 0.5)


@contextmanager
def session(url, statement, name="a dashboard"):
    """A session that has asked something, and does not end its transaction."""
    connection = psycopg2.connect(url, application_name=name)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            yield connection
    finally:
        connection.close()


def waits(ask):
    return ask("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'relation' AND NOT granted")[0]["n"] > 0


def test_while_somebody_reads_for_long_others_read_on_and_the_upgrade_is_done_afterwards(
    empty_engine, database_url, ask, caplog
):
    warehouse.migrate(empty_engine)
    done = []
    upgrade = threading.Thread(target=lambda: done.append(warehouse.migrate(empty_engine, GAINED)))
    longest = 0.0
    with session(database_url, SECRET):
        upgrade.start()
        wait_until(lambda: waits(ask))
        # Through several attempts.
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            began = time.monotonic()
            ask("SELECT count(*) FROM gazelle.clients")
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.02)
        assert done == []
    upgrade.join(20)
    assert done == [["column clients.nick"]]
    # As long as an attempt waits, and no longer.
    assert longest < AT_ONCE
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "clients is held by a dashboard" in told[0]
    # Nor is it said twice; one that let it go between the attempt and the look is said to have done so.
    assert all("has just let it go" in line for line in told[1:])


HELD = {
    "a column": (SECRET, "ADD COLUMN", lambda run: GAINED),
    "a view": ("SELECT * FROM gazelle.upcoming_appointment_changes", "VIEW",
               lambda run: run("COMMENT ON VIEW gazelle.upcoming_appointment_changes IS 'gazelle-sync of yesterday'")),
    "a not null": (SECRET, "NOT NULL", lambda run: run("ALTER TABLE gazelle.clients ALTER tags DROP NOT NULL")),
    "a foreign key": ("UPDATE gazelle.pianos SET notes = notes", "FOREIGN KEY",
                      lambda run: run("ALTER TABLE gazelle.pianos DROP CONSTRAINT pianos_client_external_id_fkey")),
    "an index": ("UPDATE gazelle.pianos SET notes = notes", "INDEX",
                 lambda run: run("DROP INDEX gazelle.pianos_client_external_id_idx")),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "kind", "change"), HELD.values(), ids=HELD)
def test_after_its_patience_it_gives_up_and_names_who_holds_the_table_but_not_what_they_ask(
    empty_engine, database_url, ask, monkeypatch, statement, kind, change
):
    monkeypatch.setattr(migrations, "PATIENCE", 1.0)
    warehouse.migrate(empty_engine)
    tables = change(ask) or TABLES
    with session(database_url, statement) as holder, session(database_url, "SELECT 1", "a bystander"):
        with pytest.raises(WarehouseError) as caught:
            warehouse.migrate(empty_engine, tables)
        pid, user = holder.info.backend_pid, holder.info.user
    assert f"is held by a dashboard (user {user}, pid {pid}) since 20" in str(caught.value)
    assert "a bystander" not in str(caught.value)
    assert "Tremblay" not in str(caught.value)
    assert warehouse.migrate(empty_engine, tables) != []


def test_who_only_reads_does_not_hold_up_an_index_or_a_foreign_key(empty_engine, database_url, ask):
    warehouse.migrate(empty_engine)
    ask("DROP INDEX gazelle.pianos_client_external_id_idx")
    ask("ALTER TABLE gazelle.pianos DROP CONSTRAINT pianos_client_external_id_fkey")
    with session(database_url, "SELECT * FROM gazelle.pianos, gazelle.clients"):
        assert len(warehouse.migrate(empty_engine)) == 2


def test_when_it_gives_up_nothing_of_it_is_done(empty_engine, database_url, ask, monkeypatch):
    monkeypatch.setattr(migrations, "PATIENCE", 1.0)
    warehouse.migrate(empty_engine)
    more = {**GAINED, "users": dataclasses.replace(TABLES["users"], columns=(*TABLES["users"].columns, NICK))}
    with session(database_url, "SELECT * FROM gazelle.users"), pytest.raises(WarehouseError, match="users is held"):
        warehouse.migrate(empty_engine, more)
    assert ask("SELECT FROM pg_attribute WHERE attname = 'nick' AND NOT attisdropped") == []


def test_a_load_is_waited_for_as_long_as_it_takes(empty_engine):
    warehouse.migrate(empty_engine)
    ended = threading.Event()

    def upgrade():
        warehouse.migrate(empty_engine)
        ended.set()

    thread = threading.Thread(target=upgrade)
    with transaction(empty_engine) as cursor:
        cursor.execute(LOCK_TABLE, lock_parameters("clients"))
        thread.start()
        # Longer than it waits for a table.
        assert not ended.wait(1)
    assert ended.wait(10)
    thread.join()


def test_a_load_goes_on_between_the_attempts(empty_engine, database_url, ask):
    warehouse.migrate(empty_engine)
    done = []
    upgrade = threading.Thread(target=lambda: done.append(warehouse.migrate(empty_engine, GAINED)))
    with session(database_url, SECRET):
        upgrade.start()
        wait_until(lambda: waits(ask))
        assert warehouse.load(empty_engine, shown([1]), run_id="test").inserted == 1
        assert done == []
    upgrade.join(20)
    assert done == [["column clients.nick"]]


def test_while_rows_are_filled_for_a_column_that_may_not_be_null_others_read_on(empty_engine, database_url, ask):
    """Filling takes as long as there are rows; here, as long as somebody keeps one of them."""
    must = dataclasses.replace(NICK, nullable=False)
    tables = {**TABLES, "users": dataclasses.replace(TABLES["users"], columns=(*TABLES["users"].columns, must))}
    warehouse.migrate(empty_engine)
    ask("INSERT INTO gazelle.users (external_id) VALUES ('usr_1')")
    ask("""
        CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN WHILE EXISTS (SELECT FROM public.kept) LOOP PERFORM pg_sleep(0.1); END LOOP; RETURN NEW; END';
        CREATE TABLE public.kept AS SELECT 1 AS one;
        CREATE TRIGGER slowly BEFORE UPDATE ON gazelle.users FOR EACH ROW EXECUTE FUNCTION public.slowly();
        """)
    done = []
    upgrade = threading.Thread(target=lambda: done.append(warehouse.migrate(empty_engine, tables)))
    try:
        upgrade.start()
        filling = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'UPDATE gazelle.users%%'"
        wait_until(lambda: ask(filling) != [])
        assert ask("SELECT external_id, nick FROM gazelle.users") == [{"external_id": "usr_1", "nick": None}]
        assert done == []
        ask("DELETE FROM public.kept")
        upgrade.join(20)
        assert done == [["column users.nick", "not null for users.nick"]]
        assert ask("SELECT nick FROM gazelle.users") == [{"nick": "usr_1"}]
    finally:
        ask("DELETE FROM public.kept")
        upgrade.join(20)
        ask("DROP FUNCTION public.slowly() CASCADE; DROP TABLE public.kept")
