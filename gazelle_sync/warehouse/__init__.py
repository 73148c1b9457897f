"""Writing to PostgreSQL: schema, load, log. SQL lives here and nowhere else.

Keep out: HTTP, Dagster. What is stored is declared in `tables`.
"""

from sqlalchemy import Engine

from gazelle_sync.warehouse.claims import Claim, claims, rows_in_scope, tested
from gazelle_sync.warehouse.connection import WarehouseError, connect, in_schema
from gazelle_sync.warehouse.inspect import (
    altered,
    clock_ahead,
    exposed,
    pooler,
    privileges,
    server,
    too_open,
    unprotected,
)
from gazelle_sync.warehouse.load import LoadReport, load
from gazelle_sync.warehouse.migrations import lacking, migrate
from gazelle_sync.warehouse.read import (
    OpenReject,
    RunLine,
    TableStatus,
    changes_query,
    covered,
    last_covered,
    open_rejects,
    read,
    recent_runs,
    run_log,
    sample,
    status,
)
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.tokens import TokenTable

__all__ = [
    "SCHEMA",
    "Claim",
    "Engine",
    "LoadReport",
    "OpenReject",
    "RunLine",
    "TableStatus",
    "TokenTable",
    "WarehouseError",
    "altered",
    "changes_query",
    "claims",
    "clock_ahead",
    "connect",
    "covered",
    "exposed",
    "in_schema",
    "lacking",
    "last_covered",
    "load",
    "migrate",
    "open_rejects",
    "pooler",
    "privileges",
    "read",
    "recent_runs",
    "rows_in_scope",
    "run_log",
    "sample",
    "server",
    "status",
    "tested",
    "too_open",
    "unprotected",
]
