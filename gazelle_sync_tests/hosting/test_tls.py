"""Over TLS, with the server's certificate verified."""

from __future__ import annotations

from pathlib import Path

from gazelle_sync import warehouse
from gazelle_sync_tests.conftest import query_rows
from gazelle_sync_tests.hosting.servers import Server, certificate
from gazelle_sync_tests.project import Project

HINT = "sslrootcert has to be the file with Supabase's CA"


def test_a_sync_over_tls_with_a_verified_certificate_mirrors_the_account(
    tmp_path: Path, emptied: Server, gazelle: dict[str, str]
) -> None:
    project = Project(tmp_path / "project", SUPABASE_DB_URL=emptied.url(host="localhost"), **gazelle)
    done = project.run("sync", "--table", "pianos")
    assert done.code == 0, done.text
    engine = warehouse.connect(emptied.url())
    assert query_rows(engine, "SELECT count(*) FROM gazelle.pianos") == [{"count": 85}]
    assert query_rows(engine, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [{"ssl": True}]


def test_a_certificate_of_another_authority_is_refused_and_the_message_says_what_to_do(
    tmp_path: Path, emptied: Server, gazelle: dict[str, str]
) -> None:
    other = certificate(tmp_path, "other")
    project = Project(tmp_path / "project", SUPABASE_DB_URL=emptied.url(sslrootcert=str(other)), **gazelle)
    done = project.run("check", "--quick")
    assert done.code == 1
    assert "certificate verify failed" in done.text
    assert HINT in done.text


def test_a_certificate_for_another_host_is_refused(tmp_path: Path, emptied: Server, gazelle: dict[str, str]) -> None:
    # The name that is asked for is the one that the certificate has to have, wherever it leads.
    url = emptied.url(host="db.example.com", hostaddr="127.0.0.1")
    done = Project(tmp_path / "project", SUPABASE_DB_URL=url, **gazelle).run("check", "--quick")
    assert done.code == 1
    assert 'does not match host name "db.example.com"' in done.text
    assert HINT in done.text


def test_a_missing_file_of_the_authority_is_named(tmp_path: Path, emptied: Server, gazelle: dict[str, str]) -> None:
    url = emptied.url(sslrootcert="/nowhere/prod-ca.crt")
    done = Project(tmp_path / "project", SUPABASE_DB_URL=url, **gazelle).run("check", "--quick")
    assert done.code == 1
    assert '"/nowhere/prod-ca.crt" does not exist' in done.text
    assert HINT in done.text
