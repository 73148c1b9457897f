"""A column that a declaration gains fills, and no record is said to have changed for that."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime, time

import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.columns import tags, text
from gazelle_sync_tests.conftest import TODAY, TORONTO
from gazelle_sync_tests.warehouse.canned import Canned, clients

MARCH = Scope(TORONTO, TODAY.replace(day=1), TODAY.replace(month=4, day=1))


def gaining(name, *columns):
    """The tables of tomorrow: one of them has more columns."""
    return {**TABLES, name: dataclasses.replace(TABLES[name], columns=(*TABLES[name].columns, *columns))}


NICK = text("nick", "nick", "Nickname.")


@pytest.fixture
def engine(empty_engine):
    warehouse.migrate(empty_engine)
    return empty_engine


@pytest.fixture
def load(engine):
    def load(rows, tables=TABLES, table="clients", run_id="test", **options):
        return warehouse.load(engine, Canned(tables[table], rows, **options), run_id=run_id, tables=tables)

    return load


def test_rows_that_only_get_the_new_columns_values_are_filled_and_not_listed(engine, load, ask):
    load(clients(range(3)))
    tables = gaining("clients", NICK)
    warehouse.migrate(engine, tables)
    given = [*clients([0, 1], nick="Jo"), *clients([2])]
    report = load(given, tables, run_id="filling")
    assert (report.filled, report.updated, report.unchanged, report.status) == (2, 0, 1, "success")
    assert ask("SELECT nick FROM gazelle.clients ORDER BY external_id") == [
        {"nick": "Jo"}, {"nick": "Jo"}, {"nick": None}
    ]  # fmt: skip
    assert ask("SELECT * FROM gazelle.row_changes") == []
    assert ask("SELECT filled, updated FROM gazelle.sync_log WHERE run_id = 'filling'") == [{"filled": 2, "updated": 0}]
    assert "2 filled" in str(report)
    assert load(given, tables).unchanged == 3


def test_a_record_that_changed_as_well_is_updated_and_listed_without_the_new_column(engine, load, ask):
    load(clients(range(2), status="OLD"))
    tables = gaining("clients", NICK)
    warehouse.migrate(engine, tables)
    report = load([*clients([0], status="NEW", nick="Jo"), *clients([1], status="OLD", nick="Jo")], tables)
    assert (report.filled, report.updated) == (1, 1)
    assert ask("SELECT external_id, change, changed FROM gazelle.row_changes") == [
        {"external_id": "cli_0000", "change": "update", "changed": {"status": ["OLD", "NEW"]}}
    ]


def test_once_it_is_filled_a_change_of_it_is_a_change(engine, load, ask):
    load(clients(range(2)))
    tables = gaining("clients", NICK)
    warehouse.migrate(engine, tables)
    load(clients(range(2)), tables)
    report = load(clients(range(2), nick="Jo"), tables)
    assert (report.filled, report.updated) == (0, 2)
    assert ask("SELECT DISTINCT changed FROM gazelle.row_changes") == [{"changed": {"nick": [None, "Jo"]}}]


def test_a_column_that_may_not_be_null_is_filled_in_place_of_what_stood_in_for_it(engine, load, ask):
    load([{"external_id": "usr_1"}, {"external_id": "usr_2"}], table="users")
    tables = gaining("users", tags("tags", "Labels."), dataclasses.replace(NICK, nullable=False))
    warehouse.migrate(engine, tables)
    report = load([{"external_id": f"usr_{n}", "tags": ["a"], "nick": "Jo"} for n in (1, 2)], tables, table="users")
    assert (report.filled, report.updated) == (2, 0)
    assert ask("SELECT * FROM gazelle.row_changes") == []


def test_of_a_dated_table_what_a_part_leaves_unfilled_is_said_and_all_history_fills_it(engine, load, ask):
    def visits(**values):
        days = {"evt_1": date(2026, 3, 10), "evt_2": date(2026, 5, 10)}
        return [{"external_id": key, "appointment_date": day, **values} for key, day in days.items()]

    load(visits(), table="appointments")
    tables = gaining("appointments", NICK)
    warehouse.migrate(engine, tables)
    assert warehouse.read_unfilled(engine, tables) == {"appointments": ["nick"]}
    part = load(visits(nick="Jo")[:1], tables, table="appointments", scope=MARCH)
    assert part.filled == 1
    assert part.warnings == [
        "new columns (nick) are filled for March 2026 only; the next run that reads all history fills the rest"
    ]
    assert warehouse.read_unfilled(engine, tables) == {"appointments": ["nick"]}
    doubtful = load(visits(nick="Jo"), tables, table="appointments", doubts=["it shifted"])
    assert (doubtful.filled, warehouse.read_unfilled(engine, tables)) == (1, {"appointments": ["nick"]})
    whole = load(visits(nick="Jo"), tables, table="appointments")
    assert (whole.filled, whole.updated, whole.status) == (0, 0, "success")
    assert warehouse.read_unfilled(engine, tables) == {}


def test_a_table_has_to_be_read_whole_before_its_column_is_there_already(engine):
    """The months of a run are chosen before the run adds the column."""
    assert warehouse.read_unfilled(engine) == {}
    assert warehouse.read_unfilled(engine, gaining("appointments", NICK)) == {"appointments": ["nick"]}


def test_a_new_database_and_a_new_table_have_nothing_to_fill(empty_engine):
    more = {**TABLES, "shops": dataclasses.replace(TABLES["users"], name="shops")}
    assert warehouse.read_unfilled(empty_engine, more) == {}
    warehouse.migrate(empty_engine, more)
    assert warehouse.read_unfilled(empty_engine, more) == {}


def test_the_nightly_run_reads_a_dated_table_whole_when_it_gained_a_column(engine, load, monkeypatch):
    from gazelle_sync import schedules
    from gazelle_sync.partitions import months, whole_range

    all_months = months(date(2017, 1, 1), TORONTO)
    load([], table="appointments")
    load([], table="timeline_entries")

    class Postgres:
        def engine(self):
            return engine

    def ranges():
        dated = {name: TABLES[name] for name in ("appointments", "timeline_entries")}
        at = datetime.combine(TODAY, time(2), TORONTO)
        return schedules.read_due(Postgres(), all_months, dated, at).months

    whole = whole_range(all_months)
    monkeypatch.setattr("gazelle_sync.warehouse.read_unfilled", lambda _: {})
    assert whole not in ranges().values()
    monkeypatch.setattr("gazelle_sync.warehouse.read_unfilled", lambda _: {"appointments": ["nick"]})
    assert {name for name, each in ranges().items() if each == whole} == {"appointments"}
