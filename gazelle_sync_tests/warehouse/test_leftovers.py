"""What a declaration no longer says, and the database still asks for: told before anything is read, and mended."""

from __future__ import annotations

import dataclasses
import re

import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.columns import text
from gazelle_sync.warehouse import WarehouseError
from gazelle_sync_tests.warehouse.canned import Canned, clients, shown

# What may be left over, in which table, and what is said of it.
LEFTOVERS = {
    "a column that was renamed": (
        "ALTER TABLE gazelle.clients ADD old_name text NOT NULL DEFAULT 'x'; "
        "ALTER TABLE gazelle.clients ALTER old_name DROP DEFAULT",
        "the column clients.old_name may not be null, and no declaration fills it",
    ),
    "a column with an odd name": (
        """ALTER TABLE gazelle.clients ADD "Old ""Name" integer NOT NULL""",
        """the column clients.Old "Name may not be null""",
    ),
    "a column of the log": (
        "ALTER TABLE gazelle.sync_log ADD host text NOT NULL",
        "the column sync_log.host may not be null",
    ),
    "a table that was declared once": (
        "CREATE TABLE gazelle.regions (id bigint PRIMARY KEY, external_id text UNIQUE); ALTER TABLE gazelle.clients "
        "ADD CONSTRAINT clients_region_fkey FOREIGN KEY (region) REFERENCES gazelle.regions (external_id)",
        "the foreign key clients_region_fkey lets clients.region refer only to what is in regions",
    ),
    "a reference that was declared once": (
        "ALTER TABLE gazelle.clients ADD CONSTRAINT theirs FOREIGN KEY (referred_by) "
        "REFERENCES gazelle.clients (external_id)",
        "the foreign key theirs lets clients.referred_by refer only to what is in clients",
    ),
}
ROW = clients([1], region="Estrie", referred_by="A friend")


def statements(error):
    """The statements that an error ends with."""
    return re.search(r"run: (.*;)$", str(error))[1]


@pytest.mark.parametrize(("left", "said"), LEFTOVERS.values(), ids=LEFTOVERS)
def test_check_names_it_with_the_statement_that_mends_it_and_then_a_sync_succeeds(engine, run, rows, left, said):
    run(left)
    with pytest.raises(WarehouseError) as caught:
        warehouse.check_leftovers(engine)
    assert said in str(caught.value)
    run(statements(caught.value))
    warehouse.check_leftovers(engine)
    assert warehouse.load(engine, Canned(TABLES["clients"], ROW), run_id="test").inserted == 1


@pytest.mark.parametrize(("left", "said"), LEFTOVERS.values(), ids=LEFTOVERS)
def test_a_sync_says_it_before_it_reads(engine, run, rows, last_log, left, said):
    run(left)
    source = Canned(TABLES["clients"], ROW)
    with pytest.raises(WarehouseError) as caught:
        warehouse.load(engine, source, run_id="test")
    assert source.reads == 0
    assert said in str(caught.value)
    assert statements(caught.value)
    if "sync_log" not in left:
        assert last_log("clients")["error"] == f"WarehouseError: {caught.value}"


def test_other_tables_are_loaded_all_the_same(engine, run):
    run(LEFTOVERS["a column that was renamed"][0])
    assert warehouse.load(engine, Canned(TABLES["users"], [{"external_id": "usr_1"}]), run_id="test").inserted == 1


def test_a_table_that_is_no_longer_declared_stops_who_refers_to_it_until_its_key_is_dropped(engine, run, client):
    without = {name: table for name, table in TABLES.items() if name != "users"}
    referring = Canned(TABLES["clients"], clients([1], preferred_technician_external_id="usr_1"))
    with pytest.raises(WarehouseError, match="refer only to what is in users") as caught:
        warehouse.load(engine, referring, run_id="test", tables=without)
    run(statements(caught.value))
    assert warehouse.load(engine, referring, run_id="test", tables=without).inserted == 1


def test_all_of_it_is_said_at_once(engine, run):
    for left, _ in LEFTOVERS.values():
        run(left)
    with pytest.raises(WarehouseError) as caught:
        warehouse.check_leftovers(engine)
    for _, said in LEFTOVERS.values():
        assert said in str(caught.value)
    run(statements(caught.value))
    warehouse.check_leftovers(engine)


def test_a_unique_constraint_that_no_declaration_has_is_named_and_stops_nothing_before_it_has_to(engine, run):
    run("ALTER TABLE gazelle.clients ADD UNIQUE (reference_id)")
    with pytest.raises(WarehouseError, match="clients_reference_id_key refuses two rows of clients") as caught:
        warehouse.check_leftovers(engine)
    assert warehouse.load(engine, shown([1, 2]), run_id="test").inserted == 2
    alike = Canned(TABLES["clients"], clients([1, 2], reference_id="42"))
    with pytest.raises(WarehouseError, match="`gazelle-sync check` says whether something that no declaration has"):
        warehouse.load(engine, alike, run_id="test")
    run(statements(caught.value))
    assert warehouse.load(engine, alike, run_id="test").updated == 2


def test_the_key_of_a_table_that_got_an_id_of_its_own_is_named(engine, run, rows):
    """As when a list of pairs becomes a list of records: a pair may then come twice."""
    pairs = TABLES["appointment_pianos"]
    with_id = dataclasses.replace(pairs, key=("external_id",), columns=pairs.columns)
    tables = {**TABLES, pairs.name: with_id}
    warehouse.migrate(engine, tables)
    with pytest.raises(WarehouseError, match="appointment_external_id, piano_external_id") as caught:
        warehouse.check_leftovers(engine, tables)
    run(statements(caught.value))
    pair = {"appointment_external_id": "evt_1", "piano_external_id": "ins_1", "is_tuning": True}
    twice = Canned(with_id, [{**pair, "external_id": "a"}, {**pair, "external_id": "b"}])
    assert warehouse.load(engine, twice, run_id="test", tables=tables).inserted == 2


HARMLESS = {
    "a column of theirs": "ALTER TABLE gazelle.clients ADD crm_id integer, ADD crm_since timestamptz DEFAULT now()",
    "one that fills itself": "ALTER TABLE gazelle.clients ADD a integer NOT NULL DEFAULT 7, "
    "ADD b bigint GENERATED ALWAYS AS IDENTITY, ADD c text NOT NULL GENERATED ALWAYS AS (lower(external_id)) STORED",
    "a foreign key of a column of theirs": "CREATE TABLE gazelle.theirs (external_id text PRIMARY KEY); "
    "ALTER TABLE gazelle.clients ADD their_id text REFERENCES gazelle.theirs (external_id)",
    "a foreign key to a list of theirs": "CREATE TABLE gazelle.statuses (name text PRIMARY KEY); "
    "ALTER TABLE gazelle.clients ADD FOREIGN KEY (status) REFERENCES gazelle.statuses (name)",
    "a table of theirs that refers to ours": "CREATE TABLE gazelle.calls (id integer PRIMARY KEY, why text NOT NULL, "
    "client text NOT NULL REFERENCES gazelle.clients (external_id))",
    "a unique column of theirs": "ALTER TABLE gazelle.clients ADD crm_id integer UNIQUE",
    "a unique constraint under a name of theirs": "ALTER TABLE gazelle.clients ADD CONSTRAINT one_card "
    "UNIQUE (reference_id)",
    "a column that was declared once": "ALTER TABLE gazelle.clients ADD nick text",
}


@pytest.mark.parametrize("theirs", HARMLESS.values(), ids=HARMLESS)
def test_what_people_added_and_what_lets_every_row_in_is_not_named(engine, run, theirs):
    run(theirs)
    warehouse.check_leftovers(engine)
    assert warehouse.load(engine, shown([1, 2]), run_id="test").inserted == 2
    assert warehouse.migrate(engine) == []


def test_a_renamed_column_that_must_have_a_value_is_told_and_mended(empty_engine, ask):
    """As it happens: the declaration of yesterday, and that of today."""

    def with_name(name):
        column = dataclasses.replace(text(name, "name", "Its name."), nullable=False)
        table = dataclasses.replace(TABLES["users"], name="shops", columns=(column,))
        return table, {**TABLES, "shops": table}

    table, tables = with_name("title")
    warehouse.migrate(empty_engine, tables)
    warehouse.load(empty_engine, Canned(table, [{"external_id": "s_1", "title": "A"}]), run_id="test", tables=tables)
    table, tables = with_name("name")
    warehouse.migrate(empty_engine, tables)
    source = Canned(table, [{"external_id": "s_1", "name": "A"}, {"external_id": "s_2", "name": "B"}])
    with pytest.raises(WarehouseError, match=r"shops\.title may not be null") as caught:
        warehouse.load(empty_engine, source, run_id="test", tables=tables)
    ask(statements(caught.value))
    assert warehouse.load(empty_engine, source, run_id="test", tables=tables).inserted == 1
    assert ask("SELECT external_id, name, title FROM gazelle.shops ORDER BY 1") == [
        {"external_id": "s_1", "name": "A", "title": "A"},
        {"external_id": "s_2", "name": "B", "title": None},
    ]
