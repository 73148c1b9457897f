"""How the database is reached: one connection at a time, short transactions, few messages, what is tried again.

A database can be far away: every message costs a trip there and back, and a new connection several.

Keep out: what is stored (`schema`) and how (`load`).
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, QueuePool

from gazelle_sync.hosts import is_local

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Serialization failure, deadlock, and a server or pooler that goes away or is not there yet
# (PostgreSQL manual, appendix A). Class 08 is every kind of connection exception.
TRANSIENT_STATES = {"40001", "40P01", "57P01", "57P02", "57P03"}
# A server that answers, and won't have us: psycopg2 gives no state for that. Hosts lock out who insists.
UNWELCOME = re.compile('authentication failed|no pg_hba.conf entry|(role|database) "[^"]*" does not exist')
ATTEMPTS = 5
# What a role or a pooler may have set is set here again, for one transaction only: a session setting would leak to
# others through a pooler in transaction mode.
SETTINGS = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL statement_timeout = '15min'; "
    "SET LOCAL lock_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '15min'"
)
# What libpq says of a connection that it could not make, and what helps. The first that fits is said.
ADVICE = [
    (
        "Tenant or user not found|no such user",
        "Through Supabase's poolers the user is role.project, such as postgres.abcdefghijklmnopqrst.",
    ),
    (
        "authentication failed",
        "The user or the password in SUPABASE_DB_URL is wrong. Supabase shows a password once: reset it in the "
        "database settings. Characters such as @ / : # in it are written %40 %2F %3A %23.",
    ),
    (
        "no pg_hba.conf entry",
        "The server wants TLS, or does not let this address in: look at its network restrictions.",
    ),
    (
        "certificate verify failed|root certificate file|server certificate for",
        "The server's certificate could not be verified: sslrootcert has to be the file with Supabase's CA, which the "
        "database settings offer, and the host the one that the certificate names.",
    ),
    (
        'database "[^"]*" does not exist',
        "The name after the last / of SUPABASE_DB_URL is the database; Supabase's is postgres.",
    ),
    (
        # An address of IPv6 that no packet reaches, or a name that has none of IPv4.
        r'[("][0-9a-f]*:[0-9a-f:.]*[)"].*(unreachable|timeout|timed out|[Nn]o route|assign requested|not supported)'
        "|could not translate host name",
        "Supabase's direct address is IPv6 only, and many hosts have none: take the string of the session pooler "
        "(…pooler.supabase.com, port 5432). Otherwise the host's name is misspelt, or the project is paused.",
    ),
    (
        "Connection refused",
        "Nothing answers on that port: 5432 is the direct address and the session pooler, 6543 the transaction pooler.",
    ),
]


class WarehouseError(Exception):
    """The database refused, or can't be reached. The message says what to do, and holds no password."""


def connect(url: str, *, keep_open: bool = False) -> Engine:
    """An engine for a connection string of any dialect name; nothing is opened yet.

    A connection is opened for each transaction and closed after it. With `keep_open` one is kept for the next
    transaction, until `Engine.dispose` lets it go: poolers have few places.

    Raises `WarehouseError` for a string that is none, or that asks for a remote host without TLS.
    """
    try:
        parsed = make_url(url)
        if "@" in (parsed.host or ""):
            raise ValueError("a part of the password was taken for the host")  # noqa: TRY301
    except (ArgumentError, ValueError):
        # The original message holds the string, and so the password.
        raise WarehouseError(
            "SUPABASE_DB_URL is not a connection string. It looks like postgresql://user:password@host:5432/database; "
            "characters such as @ / : # in the password are written %40 %2F %3A %23."
        ) from None
    if not parsed.drivername.startswith("postgres"):
        raise WarehouseError(f"SUPABASE_DB_URL is for {parsed.drivername}, and has to be for postgresql.")
    return create_engine(
        with_tls(parsed.set(drivername="postgresql+psycopg2")),
        **({"poolclass": QueuePool, "pool_size": 1, "max_overflow": -1} if keep_open else {"poolclass": NullPool}),
        # Nothing here is of that type, and to look for it is a message.
        use_native_hstore=False,
        # Values are people's data: they stay out of error messages.
        hide_parameters=True,
        connect_args={"connect_timeout": 15, "application_name": "gazelle-sync"},
    )


def make_schema(url: str, schema: str) -> str:
    """The connection string of the same database with names meant in `schema`, which is made if need be.

    Not through a pooler: it refuses `options`. Raises `WarehouseError`.
    """
    engine = connect(url)

    def work() -> None:
        with transaction(engine) as cursor:
            # Asked first: to make one takes a right on the database, even when there is nothing to make.
            cursor.execute("SELECT to_regnamespace(%s)", (schema,))
            if cursor.fetchone() == (None,):
                cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))

    with_retries(work, f"Making the schema {schema}")
    named = engine.url.update_query_dict({"options": f"-c search_path={schema}"})
    return named.render_as_string(hide_password=False)


def with_tls(url: URL) -> URL:
    """The URL with TLS required, unless the database is on this machine."""
    # As libpq looks for them; what is in the environment counts where the string says nothing.
    hosts = [url.host, url.query.get("host"), url.query.get("hostaddr")]
    if not any(hosts):
        hosts = [os.environ.get("PGHOST"), os.environ.get("PGHOSTADDR")]
    if all(is_local(str(host)) for host in hosts if host):
        return url
    mode = url.query.get("sslmode", "require")
    if mode not in ("require", "verify-ca", "verify-full"):
        raise WarehouseError(
            f"SUPABASE_DB_URL has sslmode={mode} for a host that is not this machine: the password and all data "
            "would travel in the clear. Use sslmode=require, or better verify-full."
        )
    return url.update_query_dict({"sslmode": str(mode)})


@contextmanager
def transaction(engine: Engine) -> Iterator[Cursor]:
    """A cursor in a transaction of its own: committed at the end, rolled back by an exception."""
    with borrow(engine) as connection, connection.cursor() as cursor:
        cursor.execute(SETTINGS)
        yield cursor
        connection.commit()


def fetch(
    engine: Engine, query: str | sql.Composable, parameters: Mapping[str, object]
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of a query's columns, and its rows: one message. Raises `WarehouseError`."""
    # Statements of one message are one transaction (PostgreSQL manual, "Multiple Statements in a Simple Query").
    message = sql.SQL(f"{SETTINGS}; ") + (query if isinstance(query, sql.Composable) else sql.SQL(query))

    def work() -> tuple[list[str], list[tuple[Any, ...]]]:
        with borrow(engine) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(message, parameters)
            connection.autocommit = False
            return [column.name for column in cursor.description or ()], cursor.fetchall()

    return with_retries(work, "Reading the database")


@contextmanager
def borrow(engine: Engine) -> Iterator[Connection]:
    """A connection, given back at the end. An exception closes it, which ends what was begun on it."""
    pooled: Any = engine.raw_connection()
    try:
        yield pooled.dbapi_connection
    except BaseException:
        pooled.invalidate()
        raise
    finally:
        pooled.close()


def is_transient(error: psycopg2.Error) -> bool:
    """Whether the same transaction may well succeed if it is run again.

    A connection that breaks or can't be made gives an error without a state.
    """
    if error.pgcode is None:
        lost = isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
        return lost and not UNWELCOME.search(str(error))
    return error.pgcode in TRANSIENT_STATES or error.pgcode.startswith("08")


def with_retries(work: Callable[[], T], what: str, attempts: int = ATTEMPTS) -> T:
    """Runs a whole transaction, again if it failed for a reason that passes. Raises `WarehouseError`."""
    for attempt in range(1, attempts + 1):
        try:
            return work()
        except psycopg2.Error as error:
            if not is_transient(error) or attempt == attempts:
                raise WarehouseError(f"{what} failed after {attempt} attempts: {describe_error(error)}") from None
            logger.warning("%s: %s; attempt %d follows", what, describe_error(error), attempt + 1)
            time.sleep(0.5 * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def describe_error(error: psycopg2.Error) -> str:
    """The error without the row that caused it, which psycopg2 appends as DETAIL and CONTEXT."""
    primary = error.diag.message_primary if error.pgcode else " ".join(str(error).split())
    hint = {
        "42501": " Give the role of SUPABASE_DB_URL that right, or use the owner's (`gazelle-sync check` says which).",
        "53100": " The database's disk is full: make room, then run the sync again.",
        "57014": " It took longer than the timeout: look for something that holds a lock (pg_stat_activity).",
    }.get(error.pgcode or "", "")
    if not error.pgcode:
        hint = next((f" {advice}" for pattern, advice in ADVICE if re.search(pattern, str(primary))), "")
    return f"{primary} ({error.pgcode or 'no connection'}).{hint}"
