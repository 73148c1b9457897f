"""Runs a program and says what it took: seconds, peak memory, WAL, dead tuples.

Keep out: which programs are run, in which order (`__main__`), and what is made of the figures (`report`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg2

from gazelle_sync import warehouse
from gazelle_sync.environment import embedded
from gazelle_sync.tables import TABLES

ROOT = Path(__file__).resolve().parent.parent
MIRRORED = tuple(TABLES)


@dataclass(frozen=True)
class Run:
    """What one run of a contender took. `wal` is all that the server wrote meanwhile, in bytes."""

    seconds: float
    rows: int
    peak_mb: float
    wal: int


@dataclass(frozen=True)
class TableWal:
    """Bytes of WAL about the mirrored tables and their indexes, without and with images of whole pages."""

    records: int
    with_pages: int


class Database:
    """A PostgreSQL server of its own, and one database in it that is emptied at will."""

    def __init__(self, folder: Path) -> None:
        self.url = embedded.start_postgres(folder)
        self.folder = folder / "postgres"
        # Both would come in the middle of a measurement; `settle` does what autovacuum does until the next night.
        for statement in ("autovacuum = off", "checkpoint_timeout = '1h'", "max_wal_size = '8GB'"):
            self.execute(f"ALTER SYSTEM SET {statement}")
        self.execute("SELECT pg_reload_conf()")

    @property
    def version(self) -> str:
        return str(self.one("SELECT split_part(version(), ' on ', 1)"))

    @property
    def url_with_host(self) -> str:
        """dlt takes no address without a host and a password; the socket, which asks for none, stands behind it."""
        return self.url.replace("postgres@/", "postgres:-@localhost/")

    def execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def one(self, statement: str, *parameters: object) -> Any:
        return self.execute(statement, *parameters)[0][0]

    def empty(self) -> None:
        """As a first run finds it, with the tables made."""
        for schema in ("gazelle", "dlt", "dlt_staging"):
            self.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        self.execute("CHECKPOINT")
        warehouse.migrate(warehouse.connect(self.url), loads_follow=True)

    def settle(self) -> None:
        self.execute("VACUUM (ANALYZE)")
        self.execute("CHECKPOINT")

    def position(self) -> str:
        return str(self.one("SELECT pg_current_wal_insert_lsn()"))

    def written_since(self, position: str) -> int:
        return int(self.one("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", position))

    def table_wal_since(self, position: str) -> TableWal:
        """Read from the log itself, as the server's own counters do not tell tables apart."""
        files = {
            str(number)
            for (number,) in self.execute(
                """
                WITH mirrored AS (SELECT oid, reltoastrelid FROM pg_class
                                  WHERE relnamespace = 'gazelle'::regnamespace AND relname = ANY (%s)),
                     heaps AS (SELECT oid FROM mirrored UNION SELECT reltoastrelid FROM mirrored)
                SELECT pg_relation_filenode(oid) FROM heaps WHERE oid <> 0
                UNION SELECT pg_relation_filenode(indexrelid) FROM pg_index JOIN heaps ON oid = indrelid
                """,
                list(MIRRORED),
            )
        }
        end = self.one("SELECT pg_current_wal_flush_lsn()")
        # The one beside the server's own program: another version's can't read this log.
        server = (self.folder / "postmaster.opts").read_text().split()[0].strip('"')
        told = subprocess.run(
            [Path(server).with_name("pg_waldump"), "-p", self.folder / "pg_wal", "-s", position, "-e", end],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        records = with_pages = 0
        for line in told.splitlines():
            about = re.search(r"blkref #0: rel \d+/\d+/(\d+)", line)
            if about and about[1] in files:
                own, whole = re.search(r"len \(rec/tot\): +(\d+)/ +(\d+)", line).groups()  # type: ignore[union-attr]
                records += int(own)
                with_pages += int(whole)
        return TableWal(records, with_pages)

    def dead(self, schema: str) -> int:
        """Dead tuples in all tables of a schema that are for good."""
        self.execute("SELECT pg_stat_force_next_flush()")
        return int(
            self.one("SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables WHERE schemaname = %s AND relname "
                     "NOT LIKE '\\_%%' AND relname NOT IN ('sync_log', 'row_changes', 'rejected_rows')", schema)
        )  # fmt: skip

    def versions(self) -> list[str]:
        """A digest of every mirrored table's row versions: where each row is, and which transaction wrote it."""
        return [
            self.one(f"SELECT md5(string_agg(ctid::text || xmin::text, ' ' ORDER BY id)) FROM gazelle.{table}")
            for table in MIRRORED
        ]

    def changed_bytes(self, since: object) -> int:
        return sum(
            self.one(f"SELECT coalesce(sum(pg_column_size(t)), 0) FROM gazelle.{table} t WHERE synced_at > %s", since)
            for table in MIRRORED
        )

    def measured(self, argv: list[str | Path]) -> Run:
        """Runs a contender, which says its own seconds and peak."""
        position = self.position()
        told = subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        said = json.loads(told.splitlines()[-1])
        return Run(said["seconds"], said["rows"], said["peak_mb"], self.written_since(position))


def timed(argv: list[str | Path], environment: Mapping[str, str]) -> float:
    """A whole process, from its start to its end."""
    began = time.perf_counter()
    done = subprocess.run(argv, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{argv} failed:\n{done.stdout}\n{done.stderr}")
    return seconds


class Distant:
    """The database as it is seen over a connection that takes so many milliseconds there and back, inside `with`."""

    def __init__(self, database: Database, milliseconds: float) -> None:
        (socket,) = (path for path in database.folder.glob(".s.PGSQL.*") if path.suffix != ".lock")
        self._argv = [sys.executable, "-m", "benchmarks.distance", socket, "--milliseconds", str(milliseconds)]
        # How many were opened; known at the end.
        self.connections = 0

    def __enter__(self) -> Distant:
        self._proxy = subprocess.Popen(self._argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._proxy.stdout is not None
        self.url = f"postgresql://postgres@127.0.0.1:{self._proxy.stdout.readline().strip()}/postgres"
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.terminate()
        self.connections = len(self._proxy.communicate()[0].splitlines())


@contextmanager
def serving(pages: Path, **options: object) -> Iterator[str]:
    """The URL of a server of an account's lists, in a process of its own, with the server's `options`."""
    given = [[f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
             for name, value in options.items()]  # fmt: skip
    argv = [sys.executable, "-m", "benchmarks.server", pages, *(word for each in given for word in each)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def told(url: str) -> dict[str, float]:
    """What a server of `serving` has counted: requests, and the seconds of all its answers together."""
    with urlopen(url) as answer:
        found: dict[str, float] = json.load(answer)
    return found
