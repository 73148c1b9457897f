"""A table's first load builds the foreign keys and indexes that `migrate` leaves to it, and nothing else differs."""

from __future__ import annotations

import threading

import psycopg2
import pytest

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Snapshot
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import WarehouseError
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync_tests.conftest import ALL, wait_until
from gazelle_sync_tests.warehouse.canned import Canned, clients

SHAPE = """
    SELECT conrelid::regclass::text AS of, conname AS name, pg_get_constraintdef(oid) AS is
    FROM pg_constraint WHERE connamespace = 'gazelle'::regnamespace
    UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'gazelle' ORDER BY 1, 2, 3
"""


@pytest.fixture
def bare_engine(empty_engine):
    """As a sync finds a new database, right before its first loads."""
    warehouse.migrate(empty_engine, loads_follow=True)
    return empty_engine


def late(ask, table):
    """How many foreign keys and how many further indexes the table has."""
    [found] = ask(
        """
        SELECT (SELECT count(*) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f') AS keys,
               (SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass AND NOT indisunique) AS indexes
        """,
        *[f"gazelle.{table}"] * 2,
    )
    return found["keys"], found["indexes"]


def test_after_its_first_loads_a_database_has_the_same_keys_and_indexes_as_one_that_got_them_at_once(
    bare_engine, client, ask
):
    for name, table in TABLES.items():
        assert late(ask, name) == (0, 0)
        assert warehouse.load(bare_engine, Snapshot(client, table, ALL), run_id="test").status == "success"
    assert warehouse.list_missing(bare_engine) == []
    built = ask(SHAPE)
    ask("DROP SCHEMA gazelle CASCADE")
    warehouse.migrate(bare_engine)
    assert built == ask(SHAPE)
    assert "NOT VALID" not in str(built)


def test_a_first_load_that_fails_builds_nothing_and_the_next_one_does(bare_engine, ask):
    wrong = Canned(TABLES["pianos"], [{"external_id": "ins_1", "client_external_id": "cli_1", "tags": None}])
    with pytest.raises(WarehouseError):
        warehouse.load(bare_engine, wrong, run_id="test")
    assert late(ask, "pianos") == (0, 0)
    right = Canned(TABLES["pianos"], [{"external_id": "ins_1", "client_external_id": "cli_1", "tags": []}])
    warehouse.load(bare_engine, right, run_id="test")
    assert late(ask, "pianos") == (1, 1)


def test_a_table_that_got_rows_otherwise_gets_its_keys_before_the_next_loads(bare_engine, ask):
    """A placeholder, say: its table's own load finds it not empty."""
    warehouse.load(bare_engine, Canned(TABLES["contacts"], [{"external_id": "con_1", "client_external_id": "cli_1"}]),
                   run_id="test")  # fmt: skip
    assert late(ask, "clients") == (0, 0)
    assert set(warehouse.list_missing(bare_engine)) == {
        "foreign key clients.preferred_technician_external_id",
        "index clients_preferred_technician_external_id_idx",
    }
    assert set(warehouse.migrate(bare_engine, loads_follow=True)) == {
        "foreign key clients.preferred_technician_external_id",
        "index clients_preferred_technician_external_id_idx",
    }
    assert warehouse.list_missing(bare_engine) == []


def test_the_keys_that_a_first_load_builds_are_kept_from_then_on(bare_engine, ask):
    piano = {"external_id": "ins_1", "client_external_id": "cli_1", "tags": []}
    warehouse.load(bare_engine, Canned(TABLES["pianos"], [piano]), run_id="test")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        ask("UPDATE gazelle.pianos SET client_external_id = 'cli_of_nobody'")


def test_two_first_loads_that_refer_to_the_same_table_both_succeed(bare_engine, ask):
    """Both would insert the client as a placeholder, and then lock its table to refer to it."""
    sources = [
        Canned(TABLES["contacts"], [{"external_id": "con_1", "client_external_id": "cli_1"}]),
        Canned(TABLES["pianos"], [{"external_id": "ins_1", "client_external_id": "cli_1", "tags": []}]),
    ]
    reports = []

    def load(source):
        reports.append(warehouse.load(bare_engine, source, run_id="test"))

    threads = [threading.Thread(target=load, args=[source]) for source in sources]
    # Until this ends, both wait for the table that they refer to: then they really are there at once.
    with transaction(bare_engine) as cursor:
        cursor.execute("LOCK TABLE gazelle.clients IN SHARE ROW EXCLUSIVE MODE")
        for thread in threads:
            thread.start()
        wait_until(lambda: ask("SELECT count(*) AS n FROM pg_locks WHERE NOT granted") == [{"n": 2}])
    for thread in threads:
        thread.join(20)
    assert [report.inserted for report in reports] == [1, 1]
    assert (late(ask, "contacts"), late(ask, "pianos")) == ((1, 1), (1, 1))
    assert ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [{"deadlocks": 0}]


def test_a_first_load_waits_for_a_placeholder_that_is_being_made_and_fills_it(bare_engine, ask):
    piano = {"external_id": "ins_1", "client_external_id": "cli_1", "tags": ["A"]}
    reports = []
    thread = threading.Thread(
        target=lambda: reports.append(warehouse.load(bare_engine, Canned(TABLES["pianos"], [piano]), run_id="test"))
    )
    with transaction(bare_engine) as cursor:
        cursor.execute("INSERT INTO gazelle.pianos (external_id, tags) VALUES ('ins_1', '{}')")
        thread.start()
        wait_until(lambda: ask("SELECT count(*) AS n FROM pg_locks WHERE NOT granted") == [{"n": 1}])
    thread.join(20)
    assert [(report.inserted, report.rows) for report in reports] == [(1, 1)]
    assert ask("SELECT external_id, client_external_id, tags FROM gazelle.pianos") == [piano]


def test_a_table_of_the_old_service_gets_its_keys_and_indexes_before_anything_is_loaded(empty_engine, ask):
    ask("CREATE SCHEMA gazelle; CREATE TABLE gazelle.clients (id serial PRIMARY KEY, external_id text UNIQUE)")
    ask("INSERT INTO gazelle.clients (external_id) VALUES ('cli_1')")
    warehouse.migrate(empty_engine, loads_follow=True)
    assert late(ask, "clients") == (1, 1)
    assert warehouse.load(empty_engine, Canned(TABLES["clients"], clients([1])), run_id="test").inserted == 1
