"""Where Dagster keeps its own records: SQLite under var/, or PostgreSQL when `DAGSTER_POSTGRES_URL` is set.

dagster.yaml can name either one, but can't choose by itself. Keep out: the mirror's database (`warehouse`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

# Dagster has no public names for these, only the word `sqlite` in dagster.yaml.
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine, event

from gazelle_sync import warehouse
from gazelle_sync.environment import settings as environment

# A schema of its own, so that it can stand in the mirror's database too.
SCHEMA = "dagster"


class EventLog(SqliteEventLogStorage):
    """Keeps the databases open that were used last; each run has one of its own.

    Dagster opens one for every event, waits until the disk has it, and works its SQL out anew: half of what a nightly
    run takes when nothing has changed. A power cut may cost the last events of a run, which it ends anyway.
    """

    def __init__(self, base_dir: str) -> None:
        super().__init__(base_dir)
        self._engine = lru_cache(maxsize=4)(self._open_database)
        self._tables: set[str] = set()

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
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _open_database(self, shard: str) -> Engine:
        # Waits as long for another process's lock as Dagster does.
        engine = create_engine(self.conn_string_for_shard(shard), connect_args={"timeout": 30})
        # Keeps a database whole that has a write-ahead log, as these do (SQLite manual, PRAGMA synchronous).
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
        return engine


class Storage(DagsterSqliteStorage):
    """What dagster.yaml names; it becomes one or the other."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(str(Path(base_dir, "history", "runs")))

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Raises `WarehouseError` when the database can't be used."""
        environment.load_files()
        # Where dagster.yaml has the log; a run fails before its first step when that is not there, as on a new disk.
        (environment.ROOT / "var" / "logs").mkdir(parents=True, exist_ok=True)
        if url := os.environ["DAGSTER_POSTGRES_URL"]:
            from dagster_postgres import DagsterPostgresStorage  # noqa: PLC0415  a fifth of a second

            return DagsterPostgresStorage(
                warehouse.make_schema(url, SCHEMA, variable="DAGSTER_POSTGRES_URL"), inst_data=inst_data
            )
        return cls.from_local(inst_data=inst_data, **config_value)
