"""Searching in texts by an index: made when asked for, told what it costs, and in nobody's way."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from gazelle_sync import warehouse
from gazelle_sync.cli import main
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import WarehouseError
from gazelle_sync_tests.warehouse.canned import Canned, clients

SEARCHED = {name: table.searched for name, table in TABLES.items() if table.searched}


@pytest.fixture
def trigrams(rows):
    """Whether this server has the extension."""
    return rows("SELECT count(*) AS n FROM pg_available_extensions WHERE name = 'pg_trgm'")[0]["n"] == 1


@pytest.fixture
def searchable(engine, trigrams, run):
    """An engine on a database with the indexes."""
    if not trigrams:
        pytest.skip("this server has no pg_trgm")
    made = warehouse.add_search(engine)
    assert {each.table: each.columns for each in made} == SEARCHED
    assert all(each.bytes > 0 and each.seconds is not None for each in made)
    yield engine
    run("".join(f"DROP INDEX IF EXISTS gazelle.{each.name};" for each in made) + "DROP EXTENSION pg_trgm CASCADE")


def test_a_server_without_the_extension_is_named_and_all_else_works(engine, trigrams):
    if trigrams:
        pytest.skip("this server has pg_trgm")
    with pytest.raises(WarehouseError, match="This server has no extension pg_trgm"):
        warehouse.add_search(engine)
    assert warehouse.migrate(engine) == []


def test_texts_are_found_by_the_index_through_the_view_too(searchable, rows, run):
    run("""
        INSERT INTO gazelle.clients (external_id, company_name, synced_at) VALUES ('cli_1', 'A', now());
        INSERT INTO gazelle.timeline_entries (external_id, client_external_id, occurred_at, type, comment, synced_at)
        SELECT n, 'cli_1', now(), 'USER_COMMENT', md5(n::text) || CASE n WHEN 77 THEN ' pédale ' ELSE '' END, now()
        FROM generate_series(1, 20000) n;
        """)
    run("ANALYZE gazelle.timeline_entries")
    query = "FROM gazelle.service_history WHERE summary ILIKE '%%pédale%%' OR comment ILIKE '%%pédale%%'"
    assert rows(f"SELECT timeline_entry_external_id AS id {query}") == [{"id": "77"}]
    # The table is so small that reading all of it may seem as good.
    explain = f"SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; EXPLAIN SELECT * {query}"
    plan = "\n".join(row["QUERY PLAN"] for row in rows(explain))
    assert "timeline_entries_search_idx" in plan


def test_a_sync_neither_makes_nor_misses_the_indexes(searchable, rows):
    for place in ("Ici", "Là"):
        warehouse.load(searchable, Canned(TABLES["clients"], clients(range(5), city=place)), run_id="test")
    assert warehouse.migrate(searchable) == []
    assert warehouse.list_missing(searchable) == []
    again = warehouse.add_search(searchable)
    assert [each.seconds for each in again] == [None] * len(SEARCHED)
    found = rows("SELECT indexname FROM pg_indexes WHERE indexname LIKE '%%search_idx'")
    assert len(found) == len(SEARCHED)


def test_the_command_says_what_an_index_costs_and_how_to_be_rid_of_it(searchable, bare, database_url, run, rows):
    bare.setenv("SUPABASE_DB_URL", database_url)
    bare.setenv("GAZELLE_API_KEY", "key")
    run("DROP INDEX gazelle.clients_search_idx")
    said = CliRunner().invoke(main, ["migrate", "--search"]).output
    assert "The index for searching in timeline_entries (summary, comment) is there, and takes" in said
    (mending,) = re.findall(r"It took [\d.]+ s, and takes [\d.]+ MB;.* To be rid of it: (.*;)", said)
    run(mending)
    assert rows("SELECT to_regclass('gazelle.clients_search_idx') AS there") == [{"there": None}]


def test_a_role_that_may_not_make_the_extension_is_given_the_statement(engine, trigrams, database_url, run):
    from sqlalchemy.engine import make_url

    if not trigrams:
        pytest.skip("this server has no pg_trgm")
    run("CREATE ROLE gazelle_test_plain LOGIN PASSWORD 'plain'; GRANT USAGE ON SCHEMA gazelle TO gazelle_test_plain")
    run("DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM PUBLIC', current_database()); END $$")
    try:
        url = make_url(database_url).set(username="gazelle_test_plain", password="plain")
        plain = warehouse.connect(url.render_as_string(hide_password=False))
        with pytest.raises(WarehouseError, match="CREATE EXTENSION pg_trgm;"):
            warehouse.add_search(plain)
    finally:
        run("DROP OWNED BY gazelle_test_plain; DROP ROLE gazelle_test_plain")
