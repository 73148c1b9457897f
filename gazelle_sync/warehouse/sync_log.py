"""sync_log: one row per table per attempt, written with the load it tells of, or after it failed.

Keep out: the load itself.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime

import psycopg2
from sqlalchemy import Engine

from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import Cursor, describe_error, transaction
from gazelle_sync.warehouse.report import LoadReport
from gazelle_sync.warehouse.target import Target

logger = logging.getLogger(__name__)

# What no text of PostgreSQL holds, nor a jsonb; an error may quote it from an answer.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

COUNTS = (
    "fetched",
    "inserted",
    "updated",
    "filled",
    "unchanged",
    "deleted",
    "restored",
    "rejected",
    "api_requests",
    "api_retries",
)

# The run that last changed what a load speaks for. Days as text stand in the order of their dates.
VERSION = """
CASE WHEN inserted + updated + filled + deleted + restored > 0 THEN run_id ELSE coalesce((
    SELECT earlier.run_id FROM gazelle.sync_log AS earlier
    WHERE earlier.table_name = sync_log.table_name
      AND earlier.inserted + earlier.updated + earlier.filled + earlier.deleted + earlier.restored > 0
      AND ('all' IN (earlier.scope, sync_log.scope)
           OR split_part(earlier.scope, '..', 1) < split_part(sync_log.scope, '..', 2)
              AND split_part(earlier.scope, '..', 2) > split_part(sync_log.scope, '..', 1))
    ORDER BY earlier.id DESC LIMIT 1), '-') END
"""
RECORD = f"""
INSERT INTO gazelle.sync_log
    (run_id, table_name, scope, status, started_at, finished_at, error, proved, {", ".join(COUNTS)})
VALUES (%s, %s, %s, %s, %s, clock_timestamp(), %s, %s, {", ".join(["%s"] * len(COUNTS))})
RETURNING {VERSION}, (SELECT count(*) FROM {{target}} WHERE deleted_at IS NULL)
"""  # noqa: S608  names of columns, listed above


def record_success(cursor: Cursor, target: Target, run_id: str, report: LoadReport, started: datetime) -> None:
    """Within the load's own transaction: the log never tells of a load that did not happen.

    `started` is when its reading began, by the database's clock. The report gets its version, the run that last changed
    the rows which this load speaks for, maybe this one, `-` where none did; and how many rows live in the table.
    """
    cursor.execute(
        target.compose(RECORD),
        (
            run_id,
            report.table,
            report.scope,
            report.status,
            started,
            escape_unstorable("; ".join(report.warnings)) or None,
            report.proved,
            *(getattr(report, name) for name in COUNTS),
        ),
    )
    [(report.version, report.rows)] = cursor.fetchall()


def record_failure(
    engine: Engine, *, run_id: str, table: str, scope: str, started: datetime | None, error: BaseException
) -> None:
    """The error itself is raised by whoever calls; a database that can't be told is logged, and no more.

    `started` is None when it failed before its reading began.
    """
    # What is no Exception ends the process: a signal, by whatever name it is raised.
    told = f"{type(error).__name__}: {' '.join(str(error).split())}"
    why = escape_unstorable(told) if isinstance(error, Exception) else say("interrupted")
    try:
        with transaction(engine) as cursor:
            cursor.execute(
                """
                INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at, error)
                VALUES (%s, %s, %s, 'error', coalesce(%s, now()), clock_timestamp(), %s)
                """,
                (run_id, table, scope, started, why),
            )
    except psycopg2.Error as refused:
        logger.error("%s", say("log_not_written", table=table, why=describe_error(refused)))  # noqa: TRY400


def escape_unstorable(text: str) -> str:
    """With what can't be stored written as it would be in JSON, such as `\\u0000`."""
    return UNSTORABLE.sub(lambda character: f"\\u{ord(character[0]):04x}", text)


def has_loads(cursor: Cursor, table: str) -> bool:
    """Whether the table was ever loaded."""
    cursor.execute("SELECT EXISTS (SELECT FROM gazelle.sync_log WHERE table_name = %s AND status <> 'error')", (table,))
    row = cursor.fetchone()
    assert row is not None
    return bool(row[0])
