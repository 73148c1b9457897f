"""Several hosts work on one database at once, each with an installation and a DAGSTER_HOME of its own."""

from __future__ import annotations

from pathlib import Path

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Sandbox
from gazelle_sync.warehouse import TokenTable
from gazelle_sync_tests.conftest import query_rows
from gazelle_sync_tests.hosting.servers import Server
from gazelle_sync_tests.project import PATIENCE, Project

# Two of them have the same table, and three a parent that another one is just reading.
HOSTS = ("clients", "pianos", "contacts", "pianos")


def test_hosts_that_start_at_once_on_an_empty_database_agree_on_tables_rows_and_token(
    tmp_path: Path, emptied: Server, transaction_pooler: Server, app: dict[str, str], live: Sandbox
) -> None:
    engine = warehouse.connect(emptied.url())
    with TokenTable(engine).held() as held:
        held.write(live.authorize())
    emptied.run(
        # The token alone is there; every host finds that the tables are missing.
        "CREATE SCHEMA kept",
        "ALTER TABLE gazelle.oauth_token SET SCHEMA kept",
        "DROP SCHEMA gazelle CASCADE",
        "ALTER SCHEMA kept RENAME TO gazelle",
    )
    live.expire_tokens()
    asked = len(live.requests)
    url = transaction_pooler.url()
    hosts = [Project(tmp_path / f"host{number}", SUPABASE_DB_URL=url, **app) for number in range(len(HOSTS))]
    running = [host.start("sync", "--table", table) for host, table in zip(hosts, HOSTS, strict=True)]
    for process in running:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out + err

    for table, count in {"clients": 150, "pianos": 85, "contacts": len(live.account.contacts)}.items():
        # Whoever came first, no row is there twice, and no placeholder is left.
        assert query_rows(
            engine,
            f"SELECT count(*), count(DISTINCT external_id) AS keys, count(synced_at) AS whole FROM gazelle.{table}",
        ) == [{"count": count, "keys": count, "whole": count}]
    log = query_rows(engine, "SELECT table_name, status, error, run_id, inserted, unchanged FROM gazelle.sync_log")
    assert sorted(line["table_name"] for line in log) == sorted(HOSTS)
    assert len({line["run_id"] for line in log}) == len(HOSTS)
    pianos = [line for line in log if line["table_name"] == "pianos"]
    # Of two that read one table, whoever began later may be done first: then the other writes nothing, and says so.
    overtaken = [line for line in log if line["status"] != "success"]
    assert [
        line for line in overtaken if line not in pianos or "began to read this table later" not in line["error"]
    ] == []
    assert sum(line["inserted"] for line in pianos) == 85
    assert sum(line["unchanged"] for line in pianos) == (0 if overtaken else 85)
    # Refresh tokens rotate: only the first host may have used it, and the others found what it got.
    refreshed = [request for request in live.requests[asked:] if request.variables.get("grant_type") == "refresh_token"]
    assert [request.status for request in refreshed] == [200]
    assert {(host.root / "var/dagster/history/runs.db").exists() for host in hosts} == {True}
