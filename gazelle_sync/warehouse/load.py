"""Loads what was read of one table, in one short transaction: all of it, or none.

The rows wait in a file while the API is being read. Then, in one transaction: stage, compare with what is
there, write what differs, mark what is gone, and log. Records that were not shown are first asked for by
id, outside of any transaction. What another load knows better by then is left alone (`overtaking`). What needs no
answer in between is sent together: a database can be far away.
Keep out: HTTP, Dagster, how a value is converted; and SQL, which stands with the steps (`staging`, `comparison`,
`tombstones`, `changes`, `rejects`, `sync_log`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

import pandas
from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.tables.declaration import Gap, Missing, Nested, Sizes
from gazelle_sync.translations import say
from gazelle_sync.warehouse import (
    api_memory,
    candidates,
    changes,
    comparison,
    guards,
    new_columns,
    rejects,
    staging,
    sync_log,
    tombstones,
)
from gazelle_sync.warehouse.comparison import Difference
from gazelle_sync.warehouse.connection import Cursor, transaction, with_retries
from gazelle_sync.warehouse.leftovers import start_reading
from gazelle_sync.warehouse.migrations import with_what_lacks
from gazelle_sync.warehouse.overtaking import Knowledge, LaterLoad, Standing, lock_and_look
from gazelle_sync.warehouse.rejects import RejectLike
from gazelle_sync.warehouse.report import LoadReport
from gazelle_sync.warehouse.scope import describe_scope
from gazelle_sync.warehouse.spool import Spool
from gazelle_sync.warehouse.target import Key, Target
from gazelle_sync.warehouse.tombstones import Unseen

logger = logging.getLogger(__name__)

# A list that shifted while it was read is read again, at most twice.
READS = 3
# How many records are asked for by id before it is looked whether they are too many already.
CHUNK = 250
# Seconds that a connection is held while the API is read: a new one costs six trips to the database or more, and a
# place in a pooler is not to be held for the minutes that a long list takes.
HELD = 5.0


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
    def not_gone(self) -> set[Key]: ...
    @property
    def unproved(self) -> Mapping[str, str]: ...
    @property
    def gaps(self) -> Sequence[Gap]: ...
    @property
    def sizes(self) -> Sizes | None: ...
    @property
    def page_sizes(self) -> Sequence[int]: ...
    @property
    def is_refused(self) -> bool: ...
    @property
    def oldest(self) -> float | None: ...
    @property
    def remarks(self) -> Sequence[str]: ...

    def pages(self) -> Iterator[pandas.DataFrame]: ...
    def look_again(self) -> Iterator[pandas.DataFrame]: ...
    def confirm(self, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]: ...


def load(
    engine: Engine,
    source: Source,
    *,
    run_id: str,
    allow_mass_delete: bool = False,
    blind_spot: str = "",
    tables: Mapping[str, Table] = TABLES,
) -> LoadReport:
    """Reads the source to its end and makes its table agree with it.

    `run_id` goes into the log and the list of changes. With `allow_mass_delete`, any number of records may be marked
    as gone, and any number of values turn empty; with a `blind_spot`, which says what may be hidden from who asks, no
    record is gone. Raises what the source raises and `WarehouseError`; then the table is as it was, and `sync_log` says
    why, if the database can still be told.
    """
    with Spool(source.table) as spool:
        work = Load(engine, source, spool, run_id, allow_mass_delete, blind_spot, tables)
        try:
            return work.run()
        except BaseException as error:
            # An interruption too: whoever ends a run wants to see where it was.
            sync_log.record_failure(
                engine,
                run_id=run_id,
                table=source.table.name,
                scope=scope_of(source),
                started=work.read_from,
                error=error,
            )
            raise


def scope_of(source: Source) -> str:
    """The scope as the log has it: tables without a date are always read whole."""
    return "all" if source.table.partitioned_by is None else str(source.scope)


class Load:
    """One load of one table; see `load`. `attempt` is the list of its transaction's steps."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        spool: Spool,
        run_id: str,
        allow_mass_delete: bool,
        blind_spot: str,
        tables: Mapping[str, Table],
    ) -> None:
        self.engine = engine
        self.source = source
        self.table = source.table
        self.spool = spool
        self.run_id = run_id
        # By the database's clock: since when what was read is known, and what was asked for by id.
        self.read_from: datetime | None = None
        self.asked_at: datetime | None = None
        self.allow_mass_delete = allow_mass_delete
        self.blind_spot = blind_spot
        self.tables = tables
        self.requests = source.client.api_requests
        self.retries = source.client.api_retries
        self.doubts: list[str] = []
        self.asked: set[Key] | None = None
        self.not_gone: set[Key] = set()
        self.target = Target(self.table)

    def run(self) -> LoadReport:
        began = time.monotonic()
        what = say("loading", table=self.table.name)
        self.read_from = start_reading(self.engine, self.table, self.tables, what)
        self.read()
        outcome = self.write(what)
        if isinstance(outcome, Unseen):
            self.ask_for(outcome)
            outcome = self.write(what)
        assert isinstance(outcome, LoadReport)
        outcome.seconds = time.monotonic() - began
        logger.info("%s", outcome)
        return outcome

    def read(self) -> None:
        """Spools what the source has, until it is proved whole, or was read often enough."""
        began = time.monotonic()
        self.let_go(began)
        assert self.read_from is not None
        for _ in range(READS):
            self.spool.clear()
            for frame in self.source.pages():
                self.spool.add(frame)
                self.let_go(began)
            self.doubts = list(self.source.doubts)
            # What is refused once is refused again.
            if not self.doubts or self.source.is_refused:
                break
        if (oldest := self.source.oldest) is not None and oldest < began:
            # A part of it was read by a load that failed.
            self.read_from -= timedelta(seconds=began - oldest)
        # What Gazelle refuses of the table is known by now.
        self.table = self.source.table
        self.target = Target(self.table, self.tables.get(self.table.name))

    def ask_for(self, unseen: Unseen) -> None:
        """Asks Gazelle for records that the read did not show; those that exist are spooled like any other.

        Once more of them are gone than may be marked, there is no need to ask for the rest.
        """
        began = time.monotonic()
        self.let_go(began)
        self.asked = set()
        if unseen.table_is_empty:
            for frame in self.source.look_again():
                self.spool.add(frame)
        waiting = iter(sorted(unseen.missing, key=lambda entry: (entry.parent or "", entry.key)))
        while chunk := list(islice(waiting, CHUNK)):
            for frame in self.source.confirm(chunk):
                self.spool.add(frame)
            self.asked.update(entry.key for entry in chunk)
            self.not_gone |= self.source.not_gone
            self.let_go(began)
            if not self.allow_mass_delete and unseen.count_surprising(self.asked - self.not_gone) > unseen.limit:
                return

    def let_go(self, began: float) -> None:
        """Closes the connection that is kept, once the API is read for longer than it may be held."""
        if time.monotonic() - began >= HELD:
            self.engine.dispose()

    def write(self, what: str) -> LoadReport | Unseen:
        zone = self.source.scope.zone
        return with_what_lacks(self.engine, lambda: with_retries(self.attempt, what), self.tables, zone=zone)

    def attempt(self) -> LoadReport | Unseen:
        """The transaction. It ends early, having written nothing, when there are records to be asked for, or when
        another load, which began to read later, was done first."""
        assert self.read_from is not None
        with transaction(self.engine) as cursor:
            staging.make_room(cursor, self.target)
            standing = lock_and_look(cursor, self.target, self.read_from)
            self.target = Target(self.table, self.tables.get(self.table.name), standing.types)
            report = self.begin_report()
            if overtaken := [load for load in standing.later if load.covers(report.scope)]:
                return self.give_way(cursor, report, overtaken[0])
            staging.stage(cursor, self.target, self.spool)
            knowledge = Knowledge(
                self.table, self.source.scope, self.tables, self.read_from, standing, asked_at=self.asked_at
            )
            unseen = Unseen([], set(), in_scope=0, in_table=0)
            if not self.blind_spot and not self.source.is_refused:
                unseen = tombstones.find_unseen(
                    cursor, self.target, self.source.scope, self.tables, knowledge, list_is_whole=not self.doubts
                )
            if unseen.missing and self.asked is None:
                self.asked_at = standing.at
                return unseen
            ddl = None if standing.has_rows else comparison.lock_empty(cursor, self.target, self.tables, self.engine)
            if ddl is not None and self.asked is None and isinstance(self.table.read, Nested):
                self.asked_at = standing.at
                return replace(unseen, table_is_empty=True)
            staging.insert_placeholders(cursor, self.target, self.tables)
            all_new = ddl is not None and not standing.later
            difference = comparison.compare(cursor, self.target, knowledge, standing.new_columns, all_new=all_new)
            self.hold_back(cursor, difference, report)
            gone = self.choose_gone(cursor, unseen, report)
            known = False
            if difference or gone or ddl:
                tombstones.stage_gone(cursor, self.target, gone)
                if known := sync_log.has_loads(cursor, self.table.name):
                    changes.note_changes(cursor, self.target, self.run_id, standing.new_columns)
                if ddl is not None:
                    comparison.write_into_empty(cursor, self.target, ddl)
                else:
                    comparison.write(cursor, self.target)
                    if self.asked_at is not None:
                        tombstones.mark_gone(cursor, self.target, self.asked_at)
            report.inserted = difference.to_do.get("insert", 0)
            report.updated = difference.to_do.get("update", 0)
            report.filled = difference.to_do.get("fill", 0)
            report.restored = difference.to_do.get("restore", 0)
            report.unchanged = difference.staged - sum(difference.to_do.values())
            report.deleted = len(gone)
            self.note_rejects(cursor, standing, report)
            self.note_gaps(cursor, report)
            if known:
                self.mention_changes(cursor, difference, report)
            sync_log.record_success(cursor, self.target, self.run_id, report, self.read_from)
            return report

    def give_way(self, cursor: Cursor, report: LoadReport, later: LaterLoad) -> LoadReport:
        """Writes nothing but the log, in which it is said."""
        assert self.read_from is not None
        report.warnings.append(say("overtaken", run=later.run_id, at=f"{later.read_from:%Y-%m-%d %H:%M:%S}"))
        sync_log.record_success(cursor, self.target, self.run_id, report, self.read_from)
        return report

    def begin_report(self) -> LoadReport:
        report = LoadReport(
            self.table.name,
            scope_of(self.source),
            fetched=self.source.seen,
            expected=self.source.expected,
            api_requests=self.source.client.api_requests - self.requests,
            api_retries=self.source.client.api_retries - self.retries,
            page_sizes=list(self.source.page_sizes),
            proved=not (self.doubts or self.blind_spot),
            refused=self.source.is_refused,
        )
        report.warnings += self.source.remarks
        if self.blind_spot:
            report.warnings.append(self.blind_spot)
        if self.source.is_refused:
            report.warnings += self.doubts
        elif self.doubts:
            report.warnings.append(
                say(
                    "list_not_proved",
                    reads=READS,
                    seen=self.source.seen,
                    expected=self.source.expected,
                    doubts="; ".join(self.doubts),
                )
            )
        if unproved := self.source.unproved:
            shown = "; ".join(f"{key}{say('colon')}{why}" for key, why in list(unproved.items())[:3])
            report.warnings.append(say("unproved", count=len(unproved), shown=shown))
        return report

    def hold_back(self, cursor: Cursor, difference: Difference, report: LoadReport) -> None:
        """Leaves what is not to be believed as it stands, and says so."""
        if difference.kept:
            report.warnings.append(say("overtaken_in_part", count=difference.kept))
        if self.allow_mass_delete:
            return
        if suspicious := comparison.keep_suspicious(cursor, self.target, difference):
            columns = ", ".join(
                say("emptied_column", column=name, lost=lost, had=had) for name, (lost, had) in suspicious.items()
            )
            report.warnings.append(say("emptied", columns=columns, table=self.table.name))

    def choose_gone(self, cursor: Cursor, unseen: Unseen, report: LoadReport) -> list[Key]:
        """What may be marked: asked for, not there, and not held back. Nothing, if it is suspiciously much."""
        assert self.read_from is not None
        asked = self.asked or set()
        held = candidates.hold_back(
            cursor,
            self.target,
            self.tables,
            [entry.key for entry in unseen.missing if entry.key not in self.not_gone],
            placeholders=unseen.placeholders,
            zone=self.source.scope.zone,
            began=self.read_from,
            report=report,
        )
        kept = self.not_gone | held
        gone = [entry.key for entry in unseen.missing if entry.key in asked and entry.key not in kept]
        if self.allow_mass_delete or unseen.count_surprising(gone) <= unseen.limit:
            return gone
        report.held_back = ["/".join(key) for key in gone]
        report.warnings.append(
            say(
                "too_many_gone",
                table=self.table.name,
                missing=len(unseen.missing),
                in_scope=unseen.in_scope,
                asked=len(asked),
                gone=len(gone),
                limit=int(unseen.limit),
            )
        )
        return []

    def note_gaps(self, cursor: Cursor, report: LoadReport) -> None:
        """Writes down what Gazelle refuses of the table, and warns of it."""
        if not self.source.gaps:
            return
        refused_since = api_memory.note_gaps(cursor, self.table.name, self.source.gaps)
        for gap in self.source.gaps:
            text = "field_refused" if gap.columns else "argument_refused"
            since = refused_since[gap.field]
            report.warnings.append(say(text, field=gap.field, since=since, columns=", ".join(gap.columns)))

    def note_rejects(self, cursor: Cursor, standing: Standing, report: LoadReport) -> None:
        """Writes down what could not be stored, resolves what is sound by now, and forgets what is over."""
        noted = rejects.note_rejects(cursor, self.table.name, self.source.rejects)
        report.rejected = len(noted)
        if noted:
            shown = "; ".join(f"{key}{say('colon')}{reason}" for key, reason in list(noted.items())[:3])
            if len(noted) > 3:
                shown = say("and_more_rejects", shown=shown, more=len(noted) - 3)
            report.warnings.append(say("rejected_records", count=len(noted), shown=shown))
        all_read = self.table.partitioned_by is None or self.source.scope.whole
        filled = {column.name for column in self.table.all_columns} & standing.new_columns.keys()
        if filled and not all_read:
            columns = ", ".join(sorted(filled))
            report.warnings.append(say("filled_in_part", columns=columns, scope=describe_scope(report.scope, say)))
        values = {"table": self.table.name, "rejected": list(noted), "all_seen": report.proved and all_read}
        cursor.tell(self.target.compose(rejects.RESOLVE), values)
        cursor.tell(changes.FORGET, {"table": self.table.name, "changes_kept": changes.CHANGES_KEPT})
        api_memory.remember(cursor, self.table.name, self.source)
        cursor.tell(new_columns.FORGET, values)

    def mention_changes(self, cursor: Cursor, difference: Difference, report: LoadReport) -> None:
        """Says which columns changed in most of the table's rows."""
        if max(difference.changed.values(), default=0) <= guards.ROWS_TO_REFUSE:
            return
        cursor.execute(self.target.compose("SELECT count(*) FROM {target} WHERE deleted_at IS NULL"))
        [(rows,)] = cursor.fetchall()
        many = max(guards.ROWS_TO_REFUSE, guards.SHARE_TO_MENTION * rows)
        if most := {name: count for name, count in difference.changed.items() if count > many}:
            columns = ", ".join(f"{name} ({count})" for name, count in most.items())
            report.warnings.append(say("most_rows_changed", columns=columns, rows=rows))
