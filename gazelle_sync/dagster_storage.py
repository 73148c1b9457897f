"""Where Dagster keeps its own records: SQLite under var/, or PostgreSQL when `DAGSTER_POSTGRES_URL` is set.

dagster.yaml can name either one, but can't choose by itself. Keep out: the mirror's database (`warehouse`).
"""

from __future__ import annotations

import os
from typing import Any

# Dagster has no public name for it, only the word `sqlite` in dagster.yaml.
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster_postgres import DagsterPostgresStorage

from gazelle_sync import environment, warehouse

# A schema of its own, so that it can stand in the mirror's database too.
SCHEMA = "dagster"


class Storage(DagsterSqliteStorage):
    """What dagster.yaml names; it becomes one or the other."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Raises `WarehouseError` when the database can't be used."""
        environment.load()
        # Where dagster.yaml has the log; a run fails before its first step when that is not there, as on a new disk.
        (environment.ROOT / "var" / "logs").mkdir(parents=True, exist_ok=True)
        if url := os.environ["DAGSTER_POSTGRES_URL"]:
            return DagsterPostgresStorage(warehouse.in_schema(url, SCHEMA), inst_data=inst_data)
        return super().from_config_value(inst_data, config_value)
