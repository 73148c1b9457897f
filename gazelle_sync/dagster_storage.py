"""Where Dagster keeps its own records: SQLite under var/, or PostgreSQL when `DAGSTER_POSTGRES_URL` is set.

dagster.yaml can name either one, but can't choose by itself. Keep out: the mirror's database (`warehouse`).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from dagster import DagsterEventType, EventLogEntry

# Dagster has no public names for these, only the word `sqlite` in dagster.yaml.
from dagster._core.event_api import EventHandlerFn
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorageWatchdog
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

# Dagster's own dependency, by which it watches files.
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

from gazelle_sync import warehouse
from gazelle_sync.environment import settings as environment

logger = logging.getLogger(__name__)

# A schema of its own, so that it can stand in the mirror's database too.
SCHEMA = "dagster"


# How many event databases stay open: the index, the run's own, and room for two more.
KEPT_OPEN = 4
# A database is compacted when more than this share of it is empty pages.
SHARE_TO_COMPACT = 0.25
# Seconds between two looks for backfills.
BACKFILLS_EVERY = 5
PAGES = ("page_count", "freelist_count")
# How many events Dagster may hand over together, of those that it knows together: what a run intends, and the months
# that one step has read. It reads this name in the environment.
BATCH = ("DAGSTER_EVENT_BATCH_SIZE", "500")
# What may wait for the next other event of its step. That comes within milliseconds; after the output of a load's step,
# when the load is done.
MAY_WAIT = {
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.HANDLED_OUTPUT,
    DagsterEventType.ASSET_CHECK_EVALUATION,
}
# What is looked for across runs stands in the index as well.
IN_THE_INDEX = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS}
INSERT = SqlEventLogStorageTable.insert()


class Watchdog(SqliteEventLogStorageWatchdog):
    """Looks at the write-ahead log too: a database that is kept open is seldom written to itself."""

    @property
    def patterns(self) -> list[str]:
        return [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        self._process_log()


class EventLog(SqliteEventLogStorage):
    """Keeps the databases open that were used last; each run has one of its own. Writes together what comes together.

    Dagster opens one for every event, waits until the disk has it, and works its SQL out anew: half of what a nightly
    run takes when nothing has changed. A power cut, or a process that is killed, may cost the last events of a run,
    which it ends anyway.
    """

    # None until something is watched, which is all that Dagster's own says of it.
    _obs: Any

    def __init__(self, base_dir: str) -> None:
        # Who holds it asks for a connection again, in the middle of a transaction.
        self._lock = threading.RLock()
        self._engines: dict[str, Engine] = {}
        self._waiting: list[EventLogEntry] = []
        # Each database's connection, while several events are written together, and what ends their transactions.
        self._together: dict[str, Connection] | None = None
        self._transactions = ExitStack()
        self._tables: set[str] = set()
        self._has_columns = False
        self._has_deleted = False
        super().__init__(base_dir)

    def store_event(self, event: EventLogEntry) -> None:
        with self._lock:
            # What belongs to no run, as when somebody reports a check from elsewhere, is followed by nothing.
            if event.run_id and event.dagster_event and event.dagster_event.event_type in MAY_WAIT:
                self._waiting.append(event)
            else:
                self._store([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        with self._lock:
            self._store(events)

    def _store(self, more: Sequence[EventLogEntry] = ()) -> None:
        """What waits, and these. Raises what the database says; then none of `more` is stored.

        What waited goes on waiting where the database could not write at all, or a signal came: whoever gave it was
        told that it is kept.
        """
        waiting, self._waiting = self._waiting, []
        try:
            self._store_together([*waiting, *more])
        except Exception as error:
            if isinstance(error, (OperationalError, sqlite3.OperationalError)):
                self._waiting = waiting
            if self._waiting or not waiting:
                raise
            # One of them is to blame, and the others are not to go with it.
            self._store_each(waiting)
            self._store_together(more)
        except BaseException:
            self._waiting = waiting
            raise

    def _store_each(self, events: Sequence[EventLogEntry]) -> None:
        """All that can be stored. Raises the first error of the others, of each of which the log tells.

        What the database could not write just now goes on waiting, and so does all that a signal came before.
        """
        errors: list[Exception] = []
        for number, each in enumerate(events):
            try:
                self._store_together([each])
            except (OperationalError, sqlite3.OperationalError) as error:
                self._waiting.append(each)
                errors.append(error)
            except Exception as error:
                assert each.dagster_event
                kind = each.dagster_event.event_type_value
                logger.exception("An event of Dagster's was not stored: %s, of run %s", kind, each.run_id)
                errors.append(error)
            except BaseException:
                self._waiting += events[number:]
                raise
        if errors:
            raise errors[0]

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        """What Dagster's own `store_event` does of each, with each serialized once and a run's inserted together.

        A run's own database comes first, and the index ends last: what the one refuses is not in the other either. When
        the index refuses what the run's own has, whoever stores it again has it there twice.
        """
        rows = [self._event_to_row(each) for each in events]
        self._together = {}
        try:
            with ExitStack() as self._transactions:
                if any(each.dagster_event and each.dagster_event.event_type in IN_THE_INDEX for each in events):
                    # What is begun first is ended last.
                    with self.index_connection():
                        pass
                for run_id in dict.fromkeys(each.run_id for each in events):
                    with self.run_connection(run_id) as own:
                        own.execute(INSERT, [row for row in rows if row["run_id"] == run_id])
                for each, row in zip(events, rows, strict=True):
                    if each.dagster_event and each.dagster_event.event_type in IN_THE_INDEX:
                        self._store_in_index(each, each.dagster_event.event_type, row)
        finally:
            self._together = None

    def _store_in_index(self, entry: EventLogEntry, kind: DagsterEventType, row: dict[str, Any]) -> None:
        with self.index_connection() as index:
            key = index.execute(INSERT, row).inserted_primary_key
            assert key is not None
            number = int(key[0])
            if kind in ASSET_EVENTS:
                self._store_asset_event_tags(index, [entry], [number])
                self._store_asset_event(index, entry, number)
        if kind in ASSET_CHECK_EVENTS:
            self.store_asset_check_event(entry, number)

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = Watchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = watchdog, self._obs.schedule(watchdog, self._base_dir, recursive=True)

    def has_table(self, table_name: str) -> bool:
        # Dagster asks for each event, and opens a database for that as well. Not through `_connect`: it asks while it
        # holds that one's lock, too.
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        # Dagster asks for each event. Every database that this version makes has them.
        if not self._has_columns:
            self._has_columns = super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_columns

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._lock:
            if self._together is not None:
                if shard not in self._together:
                    self._together[shard] = self._transactions.enter_context(self._begin(shard))
                yield self._together[shard]
                return
            if self._waiting:
                # Nobody is told of less than there is.
                self._store()
            with self._begin(shard) as connection:
                yield connection

    def _begin(self, shard: str) -> AbstractContextManager[Connection]:
        if shard not in self._initialized_dbs:
            # Makes its tables.
            with super()._connect(shard):
                pass
        return self._engine_of(shard).begin()

    def _engine_of(self, shard: str) -> Engine:
        """The one used last stands last; the one not used for longest is closed."""
        engine = self._engines.pop(shard, None) or self._open_database(shard)
        self._engines[shard] = engine
        while len(self._engines) > KEPT_OPEN:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine

    def _open_database(self, shard: str) -> Engine:
        # Waits as long for another process's lock as Dagster does.
        engine = create_engine(self.conn_string_for_shard(shard), connect_args={"timeout": 30})
        # Keeps a database whole that has a write-ahead log, as these do (SQLite manual, PRAGMA synchronous).
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
        return engine

    def dispose(self) -> None:
        """Stores what waits, and closes what is open: the last connection takes the write-ahead log away, 4 MB a run.

        Then gives back the room of rows that were deleted through this object, which SQLite keeps otherwise.
        """
        with self._lock:
            if self._waiting:
                try:
                    self._store()
                except Exception as error:  # a run that is over has been told of, and is not to end in another way
                    logger.error(  # noqa: TRY400
                        "Dagster's events were not all stored, and %d of them still waited: %s",
                        len(self._waiting),
                        error,
                    )
            while self._engines:
                self._engines.popitem()[1].dispose()
            if self._has_deleted:
                self._has_deleted = False
                self._compact()
        super().dispose()

    def _compact(self) -> None:
        runs = Path(self._base_dir)
        for file in (runs / f"{INDEX_SHARD_NAME}.db", runs.parent / "runs.db"):
            try:
                with closing(sqlite3.connect(file, timeout=5, isolation_level=None)) as database:
                    (pages,), (empty,) = (database.execute(f"PRAGMA {name}").fetchone() for name in PAGES)
                    if empty > SHARE_TO_COMPACT * pages:
                        database.execute("VACUUM")
            except sqlite3.OperationalError as error:
                # Another process writes just now: the next time will do.
                logger.info("%s was not compacted: %s", file, error)

    def delete_events(self, run_id: str) -> None:
        """A run's own database goes with its rows in the index: Dagster would empty it, and keep the file."""
        with self._lock:
            self._waiting = [each for each in self._waiting if each.run_id != run_id]
            if engine := self._engines.pop(run_id, None):
                engine.dispose()
            self._initialized_dbs.discard(run_id)
            for file in Path(self._base_dir).glob(f"{run_id}.db*"):
                file.unlink(missing_ok=True)
            self._has_deleted = True
        with self.index_connection() as connection:
            self.delete_events_for_run(connection, run_id)
        self.free_concurrency_slots_for_run(run_id)


def hasten_backfills() -> None:
    """In the daemon, which has loaded its controller by now: has it look for backfills more often than twice a minute.

    One of a few records would wait longest for being noticed, first as launched and then as done. Dagster has no
    setting for it.
    """
    controller = sys.modules.get("dagster._daemon.controller")
    name = "DEFAULT_DAEMON_INTERVAL_SECONDS"
    if usual := getattr(controller, name, None):
        setattr(controller, name, min(usual, BACKFILLS_EVERY))


class Storage(DagsterSqliteStorage):
    """What dagster.yaml names; it becomes one or the other."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(str(Path(base_dir, "history", "runs")))

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Raises `WarehouseError` when the database can't be used."""
        hasten_backfills()
        environment.load_files()
        # Where dagster.yaml has the log; a run fails before its first step when that is not there, as on a new disk.
        (environment.ROOT / "var" / "logs").mkdir(parents=True, exist_ok=True)
        os.environ.setdefault(*BATCH)
        if url := os.environ["DAGSTER_POSTGRES_URL"]:
            from dagster_postgres import DagsterPostgresStorage  # noqa: PLC0415  a fifth of a second

            return DagsterPostgresStorage(
                warehouse.make_schema(url, SCHEMA, variable="DAGSTER_POSTGRES_URL"), inst_data=inst_data
            )
        return cls.from_local(inst_data=inst_data, **config_value)
