"""Where Dagster keeps its own records: SQLite under var/, or PostgreSQL when `DAGSTER_POSTGRES_URL` is set.

dagster.yaml can name either one, but can't choose by itself. Keep out: the mirror's database (`warehouse`).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

# Dagster has no public names for these, only the word `sqlite` in dagster.yaml.
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine, event

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


class EventLog(SqliteEventLogStorage):
    """Keeps the databases open that were used last; each run has one of its own.

    Dagster opens one for every event, waits until the disk has it, and works its SQL out anew: half of what a nightly
    run takes when nothing has changed. A power cut may cost the last events of a run, which it ends anyway.
    """

    def __init__(self, base_dir: str) -> None:
        super().__init__(base_dir)
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        self._has_deleted = False

    def has_table(self, table_name: str) -> bool:
        # Dagster asks for each event, and opens a database for that as well. Not through `_connect`: it asks while it
        # holds that one's lock, too.
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        if shard not in self._initialized_dbs:
            with super()._connect(shard) as connection:
                yield connection
            return
        with self._db_lock, self._engine_of(shard).begin() as connection:
            yield connection

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
        """Closes what is open: the last connection takes the write-ahead log away, 4 MB for each run.

        Then gives back the room of rows that were deleted through this object, which SQLite keeps otherwise.
        """
        with self._db_lock:
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
        with self._db_lock:
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
        if url := os.environ["DAGSTER_POSTGRES_URL"]:
            from dagster_postgres import DagsterPostgresStorage  # noqa: PLC0415  a fifth of a second

            return DagsterPostgresStorage(
                warehouse.make_schema(url, SCHEMA, variable="DAGSTER_POSTGRES_URL"), inst_data=inst_data
            )
        return cls.from_local(inst_data=inst_data, **config_value)
