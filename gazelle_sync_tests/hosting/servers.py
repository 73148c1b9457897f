"""What stands between the sync and Supabase's database, as real processes: a server with TLS and passwords, and a
pooler in front of it. Debian's packages; a test that needs one that is not there is skipped, and says which.

Keep out: the embedded PostgreSQL (`conftest`), which has neither.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from gazelle_sync_tests.conftest import folder_for_postgres
from gazelle_sync_tests.daemon.instance import free_port

PASSWORD = "correct horse: battery@staple"
QUOTED = "correct%20horse%3A%20battery%40staple"
# Who runs the servers, which refuse to run as root.
ACCOUNT = "postgres" if os.geteuid() == 0 else None


@dataclass(frozen=True)
class Server:
    """Where a server or a pooler listens, on both of this machine's names, with TLS by `certificate`."""

    port: int
    folder: Path
    certificate: Path

    def url(self, user: str = "postgres", password: str = QUOTED, *, host: str = "127.0.0.1", **options: str) -> str:
        asked = {"sslmode": "verify-full", "sslrootcert": str(self.certificate), **options}
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        return f"postgresql://{user}:{password}@{host}:{self.port}/postgres?{query}"

    def run(self, *statements: str) -> None:
        """As the superuser, each statement on its own."""
        with contextlib.closing(psycopg2.connect(self.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)


def binary(name: str, package: str) -> str:
    """The path of a program of a Debian package; the test is skipped where it is not installed."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin")), Path("/usr/sbin"), Path("/usr/bin")]
    found = shutil.which(name, path=os.pathsep.join(map(str, places)))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package {package}).")
    return found


def certificate(folder: Path, name: str = "server") -> Path:
    """A certificate for this machine, which is its own authority; its key lies beside it."""
    made = folder / f"{name}.crt"
    subprocess.run(
        [
            *(binary("openssl", "openssl"), "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=gazelle-sync test"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", made.with_suffix(".key"), "-out", made),
        ],
        check=True,
        capture_output=True,
    )
    return made


def given_away(folder: Path) -> None:
    if ACCOUNT:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, ACCOUNT, ACCOUNT)


@contextlib.contextmanager
def daemon(log: Path, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if ACCOUNT else {}
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/", **account)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # fast for PostgreSQL, and the end for pgbouncer
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def answering(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    """A server of its own that asks for passwords, and lets nobody in from the network without TLS."""
    initdb, program = binary("initdb", "postgresql-15"), binary("postgres", "postgresql-15")
    folder = folder_for_postgres()
    server = Server(free_port(), folder, certificate(folder))
    (folder / "password").write_text(PASSWORD)
    given_away(folder)
    account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if ACCOUNT else {}
    subprocess.run(
        [
            *(initdb, "--pgdata", folder / "data", "--username=postgres", "--pwfile", folder / "password", "--no-sync"),
            *("--auth-host=scram-sha-256", "--auth-local=trust", "--encoding=UTF8", "--locale=C"),
        ],
        check=True,
        capture_output=True,
        cwd="/",
        **account,
    )
    (folder / "data/pg_hba.conf").write_text("local all all trust\nhostssl all all all scram-sha-256\n")
    settings = {
        "ssl": "on",
        "ssl_cert_file": server.certificate,
        "ssl_key_file": server.certificate.with_suffix(".key"),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "fsync": "off",
    }
    log = folder / "log"
    options = [f"--{name}={value}" for name, value in settings.items()]
    with daemon(log, program, "-D", folder / "data", "-p", str(server.port), *options) as process:
        answering(process, server.url(), log)
        yield server


@contextlib.contextmanager
def pooler(behind: Server, mode: str) -> Iterator[Server]:
    """pgbouncer before a server, in mode `transaction` or `session`, with few places as small projects have."""
    program = binary("pgbouncer", "pgbouncer")
    folder = folder_for_postgres()
    server = Server(free_port(), folder, behind.certificate)
    log = folder / "log"
    (folder / "users.txt").write_text(f'"postgres" "{PASSWORD}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"""
        [databases]
        * = host={behind.folder} port={behind.port}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {server.port}
        unix_socket_dir =
        auth_type = scram-sha-256
        auth_file = {folder}/users.txt
        pool_mode = {mode}
        default_pool_size = 5
        client_tls_sslmode = require
        client_tls_cert_file = {behind.certificate}
        client_tls_key_file = {behind.certificate.with_suffix(".key")}
        """
    )
    given_away(folder)
    with daemon(log, program, folder / "pgbouncer.ini") as process:
        answering(process, server.url(), log)
        yield server


# -- for the conftest.py of who needs them ----------------------------------------------------------------------------


@pytest.fixture(scope="package")
def secure_server() -> Iterator[Server]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="package")
def transaction_pooler(secure_server: Server) -> Iterator[Server]:
    with pooler(secure_server, "transaction") as server:
        yield server


@pytest.fixture(scope="package")
def session_pooler(secure_server: Server) -> Iterator[Server]:
    with pooler(secure_server, "session") as server:
        yield server


@pytest.fixture
def emptied(secure_server: Server) -> Server:
    """The server, with a database that has no schema of ours."""
    secure_server.run("DROP SCHEMA IF EXISTS gazelle CASCADE")
    return secure_server
