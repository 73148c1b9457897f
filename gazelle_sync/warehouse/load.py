"""Loads what was read of one table, in one short transaction: all of it, or none.

The rows wait in a file while the API is being read. Then, in one transaction: stage, compare with what is
there, write what differs, mark what is gone, and log. Records that were not shown are first asked for by
id, outside of any transaction. What needs no answer in between is sent together: a database can be far away.
Keep out: HTTP, Dagster, how a value is converted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import Protocol

import pandas
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values
from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.tables.declaration import Missing
from gazelle_sync.warehouse import log
from gazelle_sync.warehouse.connection import persistently, transaction
from gazelle_sync.warehouse.locks import alone
from gazelle_sync.warehouse.schema import SCHEMA, built_late, metadata, placeholder
from gazelle_sync.warehouse.scope import condition
from gazelle_sync.warehouse.spool import Spool

logger = logging.getLogger(__name__)

# A list that shifted while it was read is read again, at most twice.
READS = 3
# More than this share of a scope, and more than so many rows, are not marked as gone without being told to.
SHARE_TO_REFUSE = 0.10
ROWS_TO_REFUSE = 25
# How many records are asked for by id before it is looked whether they are too many already.
CHUNK = 250
CHANGES_KEPT = "90 days"


class RejectLike(Protocol):
    """A record that did not convert, see `gazelle.rows.Reject`."""

    @property
    def key(self) -> tuple[str, ...] | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def payload(self) -> object: ...
    @property
    def loaded(self) -> bool: ...


class ClientLike(Protocol):
    @property
    def api_requests(self) -> int: ...
    @property
    def api_retries(self) -> int: ...


class Source(Protocol):
    """What is loaded, see `gazelle.snapshot.Snapshot`."""

    @property
    def table(self) -> Table: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def client(self) -> ClientLike: ...
    @property
    def doubts(self) -> list[str]: ...
    @property
    def rejects(self) -> Sequence[RejectLike]: ...
    @property
    def seen(self) -> int: ...
    @property
    def expected(self) -> int: ...
    @property
    def kept_by_gazelle(self) -> set[tuple[str, ...]]: ...

    def pages(self) -> Iterator[pandas.DataFrame]: ...
    def confirm(self, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]: ...


@dataclass
class LoadReport:
    """What a load did. `rows` is how many live rows the table has now; `seconds` includes reading."""

    table: str
    scope: str
    fetched: int = 0
    expected: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    restored: int = 0
    rejected: int = 0
    api_requests: int = 0
    api_retries: int = 0
    rows: int = 0
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "warning" if self.warnings else "success"

    def __str__(self) -> str:
        return (
            f"{self.table}: {self.fetched} fetched, {self.inserted} inserted, {self.updated} updated, "
            f"{self.unchanged} unchanged, {self.deleted} deleted, {self.restored} restored, {self.rejected} rejected, "
            f"{self.api_requests} requests, {self.seconds:.1f} s"
        )


def load(
    engine: Engine,
    source: Source,
    *,
    run_id: str,
    allow_mass_delete: bool = False,
    tables: Mapping[str, Table] = TABLES,
) -> LoadReport:
    """Reads the source to its end and makes its table agree with it.

    `run_id` goes into the log and the list of changes. With `allow_mass_delete`, any number of records
    may be marked as gone. Raises what the source raises and `WarehouseError`; then the table is as it was,
    and `sync_log` says why, if the database can still be told.
    """
    started = datetime.now(timezone.utc)
    try:
        with Spool(source.table) as spool:
            return Load(engine, source, spool, run_id, started, allow_mass_delete, tables).run()
    except BaseException as error:
        # An interruption too: whoever ends a run wants to see where it was.
        scope = "all" if source.table.dated_by is None else str(source.scope)
        log.failed(engine, run_id=run_id, table=source.table.name, scope=scope, started=started, error=error)
        raise


class Load:
    """One load of one table; see `load`. Every method below `attempt` is a step of its transaction."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        spool: Spool,
        run_id: str,
        started: datetime,
        allow_mass_delete: bool,
        tables: Mapping[str, Table],
    ) -> None:
        self.engine = engine
        self.source = source
        self.table = source.table
        self.spool = spool
        self.run_id = run_id
        self.started = started
        self.allow_mass_delete = allow_mass_delete
        self.tables = tables
        self.requests = source.client.api_requests
        self.retries = source.client.api_retries
        self.doubts: list[str] = []
        self.asked: set[Key] | None = None
        self.kept: set[Key] = set()
        self.sql = Statements(self.table)

    def run(self) -> LoadReport:
        began = time.monotonic()
        self.read()
        what = f"Loading {self.table.name}"
        outcome = persistently(self.attempt, what)
        if isinstance(outcome, Doubtful):
            self.ask_for(outcome)
            outcome = persistently(self.attempt, what)
        assert isinstance(outcome, LoadReport)
        outcome.seconds = time.monotonic() - began
        logger.info("%s", outcome)
        return outcome

    def read(self) -> None:
        # No connection is held while the API is being read, which takes minutes.
        self.engine.dispose()
        for _ in range(READS):
            self.spool.clear()
            for frame in self.source.pages():
                self.spool.add(frame)
            self.doubts = list(self.source.doubts)
            if not self.doubts:
                return

    def ask_for(self, doubtful: Doubtful) -> None:
        """Asks Gazelle for records that the read did not show; those that exist are spooled like any other.

        Once more of them are gone than may be marked, there is no need to ask for the rest.
        """
        self.engine.dispose()
        self.asked = set()
        waiting = iter(sorted(doubtful.missing, key=lambda entry: (entry.parent or "", entry.key)))
        while chunk := list(islice(waiting, CHUNK)):
            for frame in self.source.confirm(chunk):
                self.spool.add(frame)
            self.asked.update(entry.key for entry in chunk)
            self.kept |= self.source.kept_by_gazelle
            if not self.allow_mass_delete and len(self.asked - self.kept - doubtful.placeholders) > doubtful.limit:
                return

    def attempt(self) -> LoadReport | Doubtful:
        """The transaction. It ends early, having written nothing, when there are records to be asked for."""
        with transaction(self.engine) as cursor:
            alone(cursor, self.table.name)
            staged = self.stage(cursor)
            doubtful = self.unseen(cursor)
            if doubtful.missing and self.asked is None:
                return doubtful
            report = LoadReport(
                self.table.name,
                "all" if self.table.dated_by is None else str(self.source.scope),
                fetched=self.source.seen,
                expected=self.source.expected,
                api_requests=self.source.client.api_requests - self.requests,
                api_retries=self.source.client.api_retries - self.retries,
            )
            if self.doubts:
                report.warnings.append(
                    f"the list could not be proved whole in {READS} reads, so nothing was marked as deleted: "
                    f"{self.source.seen} of {self.source.expected} records seen; " + "; ".join(self.doubts)
                )
            to_build = self.lacking_while_empty(cursor)
            self.insert_missing_parents(cursor)
            different = self.compare(cursor, report, staged, all_new=to_build is not None)
            gone = self.choose_gone(doubtful, report)
            if different or gone or to_build:
                self.stage_gone(cursor, gone)
                if not log.never_loaded(cursor, self.table.name):
                    self.note_changes(cursor)
                self.write(cursor, to_build)
            report.deleted = len(gone)
            report.rows = self.settle(cursor, self.note_rejects(cursor, report))
            log.loaded(cursor, self.run_id, report, self.started)
            return report

    def stage(self, cursor: Cursor) -> int:
        """How many different records are staged. Of one that came twice, the later one stands."""
        cursor.execute(self.sql.create_staging)
        cursor.copy_expert(self.sql.copy.as_string(cursor), self.spool.rewound())
        cursor.execute(self.sql.drop_earlier)
        return self.spool.rows - cursor.rowcount

    def unseen(self, cursor: Cursor) -> Doubtful:
        """Live records of the scope that are not staged (if the list was whole), and all placeholders."""
        scope_is, parameters = condition(self.table, self.source.scope, self.tables)
        cursor.execute(self.sql.unseen(scope_is if not self.doubts else sql.SQL("false")), parameters)
        found = cursor.fetchall()
        if not found:
            return Doubtful([], set(), in_scope=0)
        cursor.execute(self.sql.count_scope(scope_is), parameters)
        return Doubtful(
            [Missing(tuple(row[2:]), row[1]) for row in found],
            placeholders={tuple(row[2:]) for row in found if row[0]},
            in_scope=one(cursor),
        )

    def lacking_while_empty(self, cursor: Cursor) -> list[str] | None:
        """What is to be built after a table's first rows, see `schema.built_late`; None for a table that has rows.

        An empty table is locked against other loads, which could give it a placeholder, and so are its parents.
        """
        cursor.execute(self.sql.names_if_empty)
        if cursor.fetchone() is None:
            return None
        related = {name: table for name, table in self.tables.items() if name in self.table.references.values()}
        related[self.table.name] = self.table
        # One after the other, in the order in which they are named (PostgreSQL manual, LOCK).
        lock = sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(
            sql.SQL(", ").join(sql.Identifier(SCHEMA, name) for name in related)
        )
        cursor.execute(in_one_message(lock, self.sql.names_if_empty))
        found = cursor.fetchone()
        if found is None:
            return None
        wanted = built_late(metadata(related).tables[f"{SCHEMA}.{self.table.name}"])
        return [str(ddl.compile(self.engine)) for name, ddl in wanted.items() if name not in found[0]]

    def insert_missing_parents(self, cursor: Cursor) -> None:
        """A parent that is not mirrored yet gets a row with its id alone, so that no child is lost.

        All loads touch the tables in one order, so that no two wait for each other.
        """
        if statements := [
            self.sql.insert_placeholders(column, parent)
            for name, parent in self.tables.items()
            for column, refers_to in self.table.references.items()
            if refers_to == name
        ]:
            cursor.execute(in_one_message(*statements))

    def compare(self, cursor: Cursor, report: LoadReport, staged: int, *, all_new: bool) -> int:
        """How many of the staged records are not as they stand in the table."""
        cursor.execute(
            in_one_message(
                self.sql.all_is_different if all_new else self.sql.create_difference, self.sql.count_difference
            )
        )
        counts: dict[str, int] = dict(cursor.fetchall())
        report.inserted = counts.get("insert", 0)
        report.updated = counts.get("update", 0)
        report.restored = counts.get("restore", 0)
        report.unchanged = staged - sum(counts.values())
        return sum(counts.values())

    def choose_gone(self, doubtful: Doubtful, report: LoadReport) -> list[Key]:
        """What may be marked: asked for, and not there. Nothing, if it is suspiciously much."""
        asked = self.asked or set()
        gone = [entry.key for entry in doubtful.missing if entry.key in asked and entry.key not in self.kept]
        if self.allow_mass_delete or len(set(gone) - doubtful.placeholders) <= doubtful.limit:
            return gone
        report.warnings.append(
            f"{len(doubtful.missing)} of {doubtful.in_scope} records are no longer listed, and of {len(asked)} of them "
            f"that were asked for by id {len(gone)} are gone: more than {SHARE_TO_REFUSE:.0%}, so none was marked as "
            "deleted. If this is right, run `gazelle-sync sync --allow-mass-delete` once"
        )
        return []

    def stage_gone(self, cursor: Cursor, gone: list[Key]) -> None:
        cursor.execute(self.sql.create_gone)
        if gone:
            execute_values(cursor, "INSERT INTO gone VALUES %s", gone)

    def note_changes(self, cursor: Cursor) -> None:
        cursor.execute(
            in_one_message(self.sql.note_changes, self.sql.note_gone),
            {"run_id": self.run_id, "table": self.table.name},
        )

    def write(self, cursor: Cursor, to_build: list[str] | None) -> None:
        if to_build is not None:
            cursor.execute(in_one_message(self.sql.insert, *map(sql.SQL, to_build)))
            return
        cursor.execute(in_one_message(self.sql.update, self.sql.insert_or_fill, self.sql.mark_gone))

    def note_rejects(self, cursor: Cursor, report: LoadReport) -> list[str]:
        """The keys of the records that could not be stored as they came."""
        rejects = {shown_key(reject): reject for reject in self.source.rejects}
        report.rejected = len(rejects)
        if rejects:
            shown = "; ".join(f"{key}: {reject.reason}" for key, reject in list(rejects.items())[:3])
            more = f"; and {len(rejects) - 3} more, see gazelle.rejected_rows" if len(rejects) > 3 else ""
            report.warnings.append(f"{len(rejects)} records could not be stored as they came: {shown}{more}")
            execute_values(
                cursor,
                """
                INSERT INTO gazelle.rejected_rows AS known (table_name, external_id, reason, payload) VALUES %s
                ON CONFLICT (table_name, external_id) WHERE resolved_at IS NULL
                DO UPDATE SET reason = excluded.reason, payload = excluded.payload, last_seen_at = now()
                """,
                [(self.table.name, key, reject.reason, as_jsonb(reject.payload)) for key, reject in rejects.items()],
            )
        return list(rejects)

    def settle(self, cursor: Cursor, rejected: list[str]) -> int:
        """Resolves what is sound by now, and forgets what changed long ago. How many live rows there are."""
        cursor.execute(
            in_one_message(self.sql.resolve_rejects, self.sql.forget_changes, self.sql.count_rows),
            {
                "kept": CHANGES_KEPT,
                "table": self.table.name,
                "rejected": rejected,
                "all_seen": not self.doubts and (self.table.dated_by is None or self.source.scope.whole),
            },
        )
        return one(cursor)


Key = tuple[str, ...]


@dataclass(frozen=True)
class Doubtful:
    """Stored records that a read did not show. `placeholders` of them were never more than an id."""

    missing: list[Missing]
    placeholders: set[Key]
    in_scope: int

    @property
    def limit(self) -> float:
        """How many records may be marked as gone without being told to."""
        return max(ROWS_TO_REFUSE, SHARE_TO_REFUSE * self.in_scope)


class Statements:
    """The SQL of one table's load. `t` is the table's row, `s` the staged one."""

    def __init__(self, table: Table) -> None:
        columns = [column.name for column in table.all_columns]
        self._key = table.key
        self._parent = getattr(table.gone_when, "column", None)
        self._target = sql.Identifier(SCHEMA, table.name)
        parts = {
            "target": self._target,
            "target_name": sql.Literal(f"{SCHEMA}.{table.name}"),
            "columns": listed(columns),
            "definitions": sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type.sql))
                for column in table.all_columns
            ),
            "key": listed(table.key),
            "key_definitions": sql.SQL(", ").join(
                sql.SQL("{} text").format(sql.Identifier(name)) for name in table.key
            ),
            "same_key": self._same("s", "t"),
            "earlier": self._same("s", "twice"),
            "same_gone": self._same("gone", "t"),
            # A table that was taken over can have varchar where text is declared, or a time without a zone.
            "t_columns": sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Identifier("t", column.name), sql.SQL(column.type.sql))
                for column in table.all_columns
            ),
            "s_columns": listed(columns, "s"),
            "t_key": shown_as_text(table.key, "t"),
            "s_key": shown_as_text(table.key, "s"),
            "set_columns": sql.SQL(", ").join(
                sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in columns if name not in table.key
            ),
            "set_excluded": sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns if name not in table.key
            ),
        }

        def statement(text: str) -> sql.Composed:
            return sql.SQL(text).format(**parts)

        self.create_staging = statement("CREATE TEMP TABLE staging ({definitions}) ON COMMIT DROP")
        self.copy = statement("COPY staging ({columns}) FROM STDIN (ENCODING 'UTF8')")
        # Rows stand in the temporary table in the order in which they were copied.
        self.drop_earlier = statement(
            "DELETE FROM staging s USING (SELECT {key}, max(ctid) AS latest FROM staging GROUP BY {key} "
            "HAVING count(*) > 1) AS twice WHERE {earlier} AND s.ctid < twice.latest"
        )
        # Names with a space are no declared column's.
        self.create_difference = statement(
            """
            CREATE TEMP TABLE difference ON COMMIT DROP AS
            SELECT s.*, t.id AS "target id",
                   CASE WHEN t.deleted_at IS NOT NULL THEN 'restore'
                        WHEN t.synced_at IS NULL THEN 'insert'
                        ELSE 'update' END AS "to do"
            FROM staging s LEFT JOIN {target} t ON {same_key}
            WHERE t.id IS NULL OR t.deleted_at IS NOT NULL OR t.synced_at IS NULL
               OR ({s_columns}) IS DISTINCT FROM ({t_columns})
            """
        )
        self.update = statement(
            """
            UPDATE {target} t SET {set_columns}, synced_at = now(), deleted_at = NULL
            FROM difference s WHERE t.id = s."target id"
            """
        )
        self.count_difference = sql.SQL('SELECT "to do", count(*) FROM difference GROUP BY 1')
        # Gone with the staging table.
        self.all_is_different = statement(
            """
            CREATE TEMP VIEW difference AS SELECT *, NULL::bigint AS "target id", 'insert' AS "to do" FROM staging
            """
        )
        self.insert = statement(
            """
            INSERT INTO {target} ({columns}, synced_at)
            SELECT {columns}, now() FROM difference WHERE "target id" IS NULL
            """
        )
        # Another table's load may have inserted the same record as a placeholder since the comparison.
        self.insert_or_fill = self.insert + statement(
            " ON CONFLICT ({key}) DO UPDATE SET {set_excluded}, synced_at = now(), deleted_at = NULL"
        )
        self.create_gone = statement("CREATE TEMP TABLE gone ({key_definitions}) ON COMMIT DROP")
        self.mark_gone = statement(
            "UPDATE {target} t SET deleted_at = now(), synced_at = now() FROM gone WHERE {same_gone}"
        )
        self.note_changes = statement(
            """
            INSERT INTO gazelle.row_changes (run_id, table_name, external_id, change, changed)
            SELECT %(run_id)s, %(table)s, {s_key}, s."to do", coalesce(
                (SELECT jsonb_object_agg(o.key, jsonb_build_array(o.value, n.value))
                 FROM jsonb_each(to_jsonb(t.*)) o JOIN jsonb_each(to_jsonb(s.*)) n ON n.key = o.key
                 WHERE s."to do" <> 'insert' AND o.value IS DISTINCT FROM n.value), '{{}}')
            FROM difference s LEFT JOIN {target} t ON t.id = s."target id"
            """
        )
        # A placeholder that is gone was never shown to anybody.
        self.note_gone = statement(
            """
            INSERT INTO gazelle.row_changes (run_id, table_name, external_id, change)
            SELECT %(run_id)s, %(table)s, {t_key}, 'delete'
            FROM {target} t JOIN gone ON {same_gone} WHERE t.synced_at IS NOT NULL
            """
        )
        self.resolve_rejects = statement(
            """
            UPDATE gazelle.rejected_rows r SET resolved_at = now()
            WHERE r.table_name = %(table)s AND r.resolved_at IS NULL AND r.external_id <> ALL (%(rejected)s::text[])
              AND (%(all_seen)s OR EXISTS (SELECT FROM staging s WHERE {s_key} = r.external_id))
            """
        )
        self.forget_changes = sql.SQL(
            "DELETE FROM gazelle.row_changes WHERE table_name = %(table)s AND changed_at < now() - %(kept)s::interval"
        )
        self.names_if_empty = statement(
            """
            SELECT ARRAY(SELECT conname FROM pg_constraint WHERE conrelid = empty.oid
                         UNION ALL SELECT relname FROM pg_class JOIN pg_index ON pg_class.oid = indexrelid
                         WHERE indrelid = empty.oid)::text[]
            FROM (SELECT to_regclass({target_name}) AS oid WHERE NOT EXISTS (SELECT FROM {target})) AS empty
            """
        )
        self.count_rows = statement("SELECT count(*) FROM {target} WHERE deleted_at IS NULL")

    def count_scope(self, scope_is: sql.Composable) -> sql.Composed:
        return sql.SQL(
            "SELECT count(*) FROM {} t WHERE t.deleted_at IS NULL AND t.synced_at IS NOT NULL AND {}"
        ).format(self._target, scope_is)

    def unseen(self, scope_is: sql.Composable) -> sql.Composed:
        """Whether it is a placeholder, the parent's id, and the key of each."""
        return sql.SQL(
            # A row without a key is no record of Gazelle's: people's own, in a table that was taken over.
            "SELECT t.synced_at IS NULL, {parent}, {key} FROM {target} t "
            "WHERE t.deleted_at IS NULL AND ({key}) IS NOT NULL AND (t.synced_at IS NULL OR {scope_is}) "
            "AND NOT EXISTS (SELECT FROM staging s WHERE {same})"
        ).format(
            parent=sql.Identifier("t", self._parent) if self._parent else sql.SQL("NULL"),
            key=listed(self._key, "t"),
            target=self._target,
            scope_is=scope_is,
            same=self._same("s", "t"),
        )

    def insert_placeholders(self, column: str, parent: Table) -> sql.Composed:
        needed = {other.name: value for other in parent.all_columns if (value := placeholder(other))}
        return sql.SQL(
            "INSERT INTO {parent} ({columns}) SELECT {values} FROM "
            "(SELECT DISTINCT {column} AS external_id FROM staging WHERE {column} IS NOT NULL) AS s "
            "WHERE NOT EXISTS (SELECT FROM {parent} t WHERE t.external_id = s.external_id) "
            # In one order, so that two loads do not wait for each other.
            "ORDER BY external_id ON CONFLICT (external_id) DO NOTHING"
        ).format(
            parent=sql.Identifier(SCHEMA, parent.name),
            columns=listed(["external_id", *needed]),
            values=sql.SQL(", ").join(map(sql.SQL, ["external_id", *needed.values()])),
            column=sql.Identifier(column),
        )

    def _same(self, left: str, right: str) -> sql.Composed:
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in self._key
        )


def listed(names: Iterable[str], prefix: str = "") -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*([prefix] if prefix else []), name) for name in names)


def in_one_message(*statements: sql.Composable) -> sql.Composed:
    """Sent together, and executed one after the other; the last one's result is the answer."""
    return sql.SQL("; ").join(statements)


def shown_as_text(key: Sequence[str], prefix: str) -> sql.Composed:
    """A key as the log and the rejects name it: the id, or the parts of a pair joined by a slash."""
    return sql.SQL(" || '/' || ").join(sql.Identifier(prefix, name) for name in key)


def shown_key(reject: RejectLike) -> str:
    if reject.key is not None:
        return "/".join(reject.key)
    # Records without an id are told apart by what they hold.
    return "?" + hashlib.sha256(as_jsonb(reject.payload).encode()).hexdigest()[:16]


def as_jsonb(payload: object) -> str:
    """JSON that PostgreSQL takes: what it can't hold is written out as text, such as `\\u0000`."""
    try:
        return json.dumps(storable(payload))
    except RecursionError:
        return json.dumps("nested too deeply to be kept")


def storable(value: object) -> object:
    if isinstance(value, str):
        return log.spelt_out(value)
    if isinstance(value, dict):
        return {storable(name): storable(below) for name, below in value.items()}
    if isinstance(value, list):
        return [storable(below) for below in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def one(cursor: Cursor) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])
