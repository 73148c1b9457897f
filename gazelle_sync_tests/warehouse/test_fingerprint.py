"""The comparison with the declared shape is left out where it found nothing to add, and made where something lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.columns import text
from gazelle_sync.warehouse import LoadReport
from gazelle_sync.warehouse.views import VIEWS

Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def prepared(engine: Engine, rows: Rows) -> Iterator[Engine]:
    """A database that was compared, and had everything."""
    warehouse.prepare(engine)
    yield engine
    rows("COMMENT ON SCHEMA gazelle IS NULL")


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """The comparisons that are made meanwhile."""
    from gazelle_sync.warehouse import migrations

    made: list[object] = []
    compare = migrations.find_missing
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "find_missing", lambda *given: [made.append(given), compare(*given)][1])
        yield made


def test_a_database_that_has_everything_is_compared_once(
    engine: Engine, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch) as made:
        for _ in range(3):
            warehouse.prepare(engine)
    assert len(made) == 1
    rows("COMMENT ON SCHEMA gazelle IS NULL")


@pytest.mark.parametrize("column", ["pianos.make", "clients.company_name", "users.first_name"])
def test_views_that_cannot_be_made_are_told_by_check_and_cost_no_comparison_every_night(
    engine: Engine, rows: Rows, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    table, _, name = column.partition(".")
    rows("; ".join(f"DROP VIEW IF EXISTS gazelle.{view} CASCADE" for view in VIEWS))
    rows(f"ALTER TABLE gazelle.{table} ALTER {name} TYPE char(250)")
    warehouse.prepare(engine)
    with counted(monkeypatch) as made:
        for _ in range(3):
            warehouse.prepare(engine)
    assert len(made) == 1
    assert "view agenda" in warehouse.list_missing(engine)
    rows(f"ALTER TABLE gazelle.{table} ALTER {name} TYPE text; COMMENT ON SCHEMA gazelle IS NULL")
    assert "view agenda" in warehouse.migrate(engine)
    assert warehouse.list_missing(engine) == []


def test_it_is_compared_where_that_is_asked_for(prepared: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as made:
        assert (warehouse.migrate(prepared), warehouse.list_missing(prepared)) == ([], [])
    assert len(made) == 2


@pytest.mark.parametrize("name", ["users", "pianos", "taxes"])
def test_another_declaration_is_compared_and_added(prepared: Engine, rows: Rows, name: str) -> None:
    columns = (*TABLES[name].columns, text("nick", "nick", "Nickname."))
    warehouse.prepare(prepared, {**TABLES, name: dataclasses.replace(TABLES[name], columns=columns)})
    assert rows(f"SELECT count(nick) AS n FROM gazelle.{name}") == [{"n": 0}]
    rows(f"ALTER TABLE gazelle.{name} DROP COLUMN nick; DELETE FROM gazelle.new_columns")


@pytest.mark.parametrize(
    ("dropped", "table"),
    [
        ("TABLE gazelle.row_changes CASCADE", "users"),
        ("TABLE gazelle.users CASCADE", "users"),
        ("COLUMN city CASCADE", "clients"),
        # What the placeholders for a client's technicians are told apart by.
        ("CONSTRAINT users_external_id_key CASCADE", "clients"),
    ],
)
def test_what_somebody_dropped_since_is_added_by_the_load_that_needs_it(
    prepared: Engine, rows: Rows, mirror: Callable[..., LoadReport], dropped: str, table: str
) -> None:
    owner = "users" if "users" in dropped else table
    rows(f"DROP {dropped}" if dropped.startswith("TABLE") else f"ALTER TABLE gazelle.{owner} DROP {dropped}")
    warehouse.prepare(prepared)
    report = mirror(table)
    assert report.status == "success"
    assert report.inserted == report.fetched > 0
    assert warehouse.list_missing(prepared) == []


def test_the_comment_that_somebody_made_stays(engine: Engine, rows: Rows) -> None:
    rows("COMMENT ON SCHEMA gazelle IS 'Theirs.'")
    warehouse.prepare(engine)
    assert rows("SELECT obj_description('gazelle'::regnamespace) AS told") == [{"told": "Theirs."}]
    rows("COMMENT ON SCHEMA gazelle IS NULL")
