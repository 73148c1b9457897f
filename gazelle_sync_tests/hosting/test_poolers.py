"""Through a pooler in transaction mode, as Supabase's on port 6543: everything works, and nothing leaks to others."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import TokenTable
from gazelle_sync_tests.conftest import NIGHTLY, query_rows
from gazelle_sync_tests.hosting.servers import Server
from gazelle_sync_tests.project import Project


@pytest.fixture
def project(tmp_path: Path, app: dict[str, str], emptied: Server, transaction_pooler: Server) -> Project:
    """An installation that knows the database by its pooler only, over TLS, and keeps its token there."""
    return Project(tmp_path / "project", SUPABASE_DB_URL=transaction_pooler.url(), **app)


def test_migrating_and_two_syncs_with_a_token_in_the_database_work_through_a_transaction_pooler(
    project: Project, live: Sandbox, secure_server: Server, transaction_pooler: Server
) -> None:
    migrated = project.run("migrate")
    assert (migrated.code, migrated.err) == (0, "")
    assert "added: table timeline_entries" in migrated.out

    # As `gazelle-sync login` does; a token that is out of date is renewed by the sync.
    with TokenTable(warehouse.connect(transaction_pooler.url())).held() as held:
        held.write(live.authorize())
    live.expire_tokens()
    first = project.run("sync")
    assert first.code == 0, first.text
    engine = warehouse.connect(secure_server.url())
    for name in TABLES:
        (stored,) = query_rows(engine, f"SELECT count(*) FROM gazelle.{name} WHERE deleted_at IS NULL")
        assert stored["count"] > 0, name
    assert query_rows(engine, "SELECT count(*) FROM gazelle.clients") == [{"count": 150}]
    assert {line["status"] for line in query_rows(engine, "SELECT status FROM gazelle.sync_log")} == {"success"}

    second = project.run("sync")
    assert second.code == 0, second.text
    lines = query_rows(
        engine,
        "SELECT updated, deleted, unchanged FROM gazelle.sync_log "
        "WHERE run_id = (SELECT run_id FROM gazelle.sync_log ORDER BY id DESC LIMIT 1)",
    )
    assert len(lines) == len(NIGHTLY)
    assert all(line["unchanged"] and not line["updated"] and not line["deleted"] for line in lines)


def test_what_a_sync_sets_for_itself_is_not_set_for_the_next_user_of_the_connection(
    project: Project, live: Sandbox, transaction_pooler: Server
) -> None:
    fresh = warehouse.connect(transaction_pooler.url())
    names = ("TimeZone", "DateStyle", "statement_timeout", "lock_timeout", "search_path")

    def settings() -> list[str]:
        connection = fresh.raw_connection()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
                row = cursor.fetchone()
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                return [*row, cursor.fetchone()]
        finally:
            connection.close()

    before = settings()
    done = project.run("sync", "--table", "users", GAZELLE_API_KEY=live.api_key)
    assert done.code == 0, done.text
    assert settings() == before
    assert before[-1] == (0,)
