"""Who is measured, each run in a process of its own that says how long its work took, without its start.

    python -m benchmarks.contenders NAME DATABASE_URL BASE_URL

Keep out: how they are compared (`measure`), and dlt, which has an environment of its own (`dlt_peer`).
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time

import psycopg2
import requests
from psycopg2 import sql
from psycopg2.extras import Json

from benchmarks import plain
from benchmarks.account import SCOPES, lists
from gazelle_sync import warehouse
from gazelle_sync.gazelle import ApiKey, Client, Snapshot
from gazelle_sync.gazelle.rows import RowReader
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync.tables import TABLES, Scope, Table, Type

ALL_HISTORY = SCOPES["all"]
# Nobody to be polite to.
RATE = 1e6


def project(
    database: str,
    base_url: str,
    scope: Scope = ALL_HISTORY,
    names: tuple[str, ...] = tuple(TABLES),
    concurrent: int = 4,
    rate: float = RATE,
) -> int:
    """The load path: what `gazelle-sync sync` does, without Dagster."""
    engine = warehouse.connect(database, keep_open=True)
    client = Client(Transport(base_url, requests_per_second=rate, concurrent=concurrent), ApiKey("-"))
    reports = [warehouse.load(engine, Snapshot(client, TABLES[name], scope), run_id="bench") for name in names]
    assert all(report.status == "success" for report in reports), reports
    return sum(report.fetched for report in reports)


def parents(database: str, base_url: str) -> int:
    return project(database, base_url, names=tuple(name for name in TABLES if name != "timeline_entries"))


def timeline(database: str, base_url: str) -> int:
    return project(database, base_url, names=("timeline_entries",))


def timeline_one_by_one(database: str, base_url: str) -> int:
    return project(database, base_url, names=("timeline_entries",), concurrent=1)


def polite(database: str, base_url: str) -> int:
    """With the limits that are set where nothing is said."""
    return project(database, base_url, names=("timeline_entries",), rate=5)


def polite_one_by_one(database: str, base_url: str) -> int:
    return project(database, base_url, names=("timeline_entries",), concurrent=1, rate=5)


def nightly(database: str, base_url: str) -> int:
    return project(database, base_url, SCOPES["nightly"])


def floor(database: str, base_url: str) -> int:
    """The least that anybody can do: read the bytes, parse them, and COPY the JSON text as it came."""
    session = requests.Session()
    rows = 0
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS raw (body text); TRUNCATE raw")
        for asked in lists(ALL_HISTORY):
            with tempfile.TemporaryFile() as file:
                for body, found in plain.answers(session, base_url, asked):
                    rows += len(plain.records(asked, found))
                    file.write(body.replace(b"\\", b"\\\\") + b"\n")
                file.seek(0)
                cursor.copy_expert("COPY raw FROM STDIN", file)
    return rows


def row_by_row(database: str, base_url: str) -> int:
    """The old way: a page, then an upsert for each of its rows, each committed."""
    session = requests.Session()
    connection = psycopg2.connect(database)
    connection.autocommit = True
    rows = 0
    with connection.cursor() as cursor:
        for asked in lists(ALL_HISTORY):
            table = TABLES[asked.table]
            reader = RowReader(table, ALL_HISTORY.zone)
            statement = upsert(table).as_string(cursor)
            for _, found in plain.answers(session, base_url, asked):
                for node in plain.records(asked, found):
                    row = reader.row(node) or []
                    values = zip(row, table.all_columns, strict=True)
                    cursor.execute(statement, [Json(value) if column.type is Type.JSON else value
                                               for value, column in values])  # fmt: skip
                    rows += 1
    return rows


def upsert(table: Table) -> sql.Composed:
    columns = [column.name for column in table.all_columns]
    return sql.SQL(
        "INSERT INTO gazelle.{} ({}, synced_at) VALUES ({}, now()) ON CONFLICT ({}) DO UPDATE SET {}"
    ).format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        sql.SQL(", ").join(map(sql.Identifier, table.key)),
        sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in (*columns, "synced_at")
        ),
    )


def main() -> None:
    name, database, base_url = sys.argv[1:]
    everybody = (project, parents, timeline, timeline_one_by_one, polite, polite_one_by_one, nightly, floor, row_by_row)
    contender = {each.__name__: each for each in everybody}[name]
    # As `gazelle-sync sync` does: what is imported need not be looked through for garbage.
    gc.freeze()
    began = time.perf_counter()
    rows = contender(database, base_url)
    plain.done(time.perf_counter() - began, rows)


if __name__ == "__main__":
    main()
