"""Writing to PostgreSQL: schema, load, log. SQL lives here and nowhere else.

Keep out: HTTP, Dagster. What is stored is declared in `tables`.
"""

from sqlalchemy import Engine

from gazelle_sync.warehouse.account import MirroredAccount, read_mirrored_account, remember_account
from gazelle_sync.warehouse.api_memory import RefusedField, has_table, read_page_sizes, read_refused_fields
from gazelle_sync.warehouse.connection import UnusableAddress, WarehouseError, connect, make_schema
from gazelle_sync.warehouse.coverage import DAYS_UNTIL_SETTLED, Coverage, Reading, read_coverage
from gazelle_sync.warehouse.exposure import check_bystanders
from gazelle_sync.warehouse.history import (
    Change,
    OpenReject,
    RunLine,
    TableStatus,
    changes_query,
    count_changes,
    read_changes,
    read_open_rejects,
    read_recent_runs,
    read_run_log,
    read_status,
)
from gazelle_sync.warehouse.leftovers import check_leftovers
from gazelle_sync.warehouse.load import load, scope_of
from gazelle_sync.warehouse.migrations import is_compared, list_missing, migrate, prepare, with_what_lacks
from gazelle_sync.warehouse.new_columns import read_unfilled
from gazelle_sync.warehouse.preflight import (
    check_column_types,
    check_grants,
    check_privileges,
    check_rest_api,
    check_row_security,
    check_schema_rights,
    check_server,
    detect_pooler,
    measure_clock,
)
from gazelle_sync.warehouse.read import read, read_last_day, read_sample
from gazelle_sync.warehouse.report import LoadReport
from gazelle_sync.warehouse.row_checks import RowCheck, RowCheckResult, count_rows_in_scope, row_checks, run_checks
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.scope import describe_scope
from gazelle_sync.warehouse.search import SearchIndex, add_search
from gazelle_sync.warehouse.sync_log import record_failure
from gazelle_sync.warehouse.tokens import TokenTable
from gazelle_sync.warehouse.view_checks import count_view_rows, view_checks
from gazelle_sync.warehouse.views import VIEWS, View

__all__ = [
    "DAYS_UNTIL_SETTLED",
    "SCHEMA",
    "VIEWS",
    "Change",
    "Coverage",
    "Engine",
    "LoadReport",
    "MirroredAccount",
    "OpenReject",
    "Reading",
    "RefusedField",
    "RowCheck",
    "RowCheckResult",
    "RunLine",
    "SearchIndex",
    "TableStatus",
    "TokenTable",
    "UnusableAddress",
    "View",
    "WarehouseError",
    "add_search",
    "changes_query",
    "check_bystanders",
    "check_column_types",
    "check_grants",
    "check_leftovers",
    "check_privileges",
    "check_rest_api",
    "check_row_security",
    "check_schema_rights",
    "check_server",
    "connect",
    "count_changes",
    "count_rows_in_scope",
    "count_view_rows",
    "describe_scope",
    "detect_pooler",
    "has_table",
    "is_compared",
    "list_missing",
    "load",
    "make_schema",
    "measure_clock",
    "migrate",
    "prepare",
    "read",
    "read_changes",
    "read_coverage",
    "read_last_day",
    "read_mirrored_account",
    "read_open_rejects",
    "read_page_sizes",
    "read_recent_runs",
    "read_refused_fields",
    "read_run_log",
    "read_sample",
    "read_status",
    "read_unfilled",
    "record_failure",
    "remember_account",
    "row_checks",
    "run_checks",
    "scope_of",
    "view_checks",
    "with_what_lacks",
]
