"""A database made by any earlier version arrives at today's shape with its data, and the next sync goes on from there.

For a release, add a dump of a small mirrored account made by it, as the first line of the existing ones says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import LoadReport
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync.warehouse.schema import metadata

DUMPS = sorted(Path(__file__).parent.glob("*.sql"))

Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture(params=DUMPS, ids=lambda dump: dump.stem)
def old(request: pytest.FixtureRequest, empty_engine: Engine) -> Engine:
    """A database as a version left it."""
    with transaction(empty_engine) as cursor:
        cursor.execute(request.param.read_text())
    return empty_engine


@pytest.fixture
def stored(old: Engine) -> Rows:
    def run(query: str) -> list[dict[str, Any]]:
        with transaction(old) as cursor:
            cursor.execute(query)
            return [dict(zip([column.name for column in cursor.description or ()], row, strict=True)) for row in cursor]

    return run


def tables_of(stored: Rows) -> set[str]:
    return {row["tablename"] for row in stored("SELECT tablename FROM pg_tables WHERE schemaname = 'gazelle'")}


def contents(stored: Rows, tables: set[str]) -> dict[str, list[dict[str, Any]]]:
    return {name: stored(f"SELECT * FROM gazelle.{name} ORDER BY id") for name in tables}


def test_there_is_a_dump() -> None:
    assert DUMPS


def test_a_migration_keeps_every_row_and_what_people_added_and_arrives_at_the_declared_shape(
    old: Engine, stored: Rows
) -> None:
    tables = tables_of(stored)
    before = contents(stored, tables)
    assert len(tables & TABLES.keys()) > 5
    assert all(before.values())
    warehouse.migrate(old)
    after = contents(stored, tables)
    for name, rows in before.items():
        # A migration adds columns, and changes nothing that was there.
        assert [{key: row[key] for key in rows[0]} for row in after[name]] == rows, name
    assert warehouse.list_missing(old) == []
    warehouse.check_column_types(old)
    assert warehouse.check_row_security(old) == len(metadata().tables)
    assert stored("SELECT shelf FROM gazelle.shelves WHERE shelf IS NOT NULL") == [{"shelf": "B4"}]
    assert len(stored("SELECT FROM pg_policy WHERE polname = 'theirs'")) == 1


def test_an_entry_of_the_timeline_leads_to_its_invoice_in_a_database_that_was_there_before(
    old: Engine, stored: Rows
) -> None:
    linked = stored("SELECT count(*) AS n FROM gazelle.timeline_entries WHERE invoice_external_id IS NOT NULL")
    assert linked[0]["n"] > 0
    warehouse.migrate(old)
    keys = stored(
        "SELECT attname, confrelid::regclass::text AS parent, convalidated FROM pg_constraint JOIN pg_attribute "
        "ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'f' "
        "AND conrelid = 'gazelle.timeline_entries'::regclass AND attname IN ('invoice_external_id', "
        "'estimate_external_id') ORDER BY 1"
    )
    assert [tuple(key.values()) for key in keys] == [
        ("estimate_external_id", "gazelle.estimates", True),
        ("invoice_external_id", "gazelle.invoices", True),
    ]
    # A record that is not read yet has a row with its id alone.
    assert stored("SELECT DISTINCT synced_at FROM gazelle.invoices") == [{"synced_at": None}]
    assert stored("SELECT FROM pg_constraint WHERE connamespace = 'gazelle'::regnamespace AND NOT convalidated") == []


@pytest.fixture
def engine(old: Engine) -> Engine:
    """What `mirror_all` loads into."""
    warehouse.migrate(old)
    return old


def test_the_next_sync_finds_the_old_rows_again_under_their_ids(
    old: Engine, stored: Rows, mirror_all: Callable[..., dict[str, LoadReport]]
) -> None:
    keyed = [name for name in tables_of(stored) & TABLES.keys() if TABLES[name].key == ("external_id",)]
    before = {name: rows for name in keyed if (rows := stored(f"SELECT id, external_id FROM gazelle.{name}"))}
    assert len(before) > 4
    reports = mirror_all()
    assert {report.status for report in reports.values()} <= {"success", "warning"}
    for name, rows in before.items():
        numbers = ", ".join(str(row["id"]) for row in rows)
        again = stored(f"SELECT id, external_id FROM gazelle.{name} WHERE id IN ({numbers}) AND deleted_at IS NULL")
        assert sorted(again, key=lambda row: row["id"]) == sorted(rows, key=lambda row: row["id"]), name
    # The one that Gazelle has otherwise is as Gazelle has it, and two have another `locale` than was read before.
    assert reports["clients"].updated == 3
    assert stored("SELECT FROM gazelle.clients WHERE company_name = 'Before the upgrade'") == []
    assert stored("SELECT shelf FROM gazelle.pianos WHERE shelf IS NOT NULL") == [{"shelf": "B4"}]
