"""How the database is reached: one connection at a time, short transactions, few messages, what is tried again.

A database can be far away: every message costs a trip there and back, and a new connection several.

Keep out: what is stored (`schema`) and how (`load`).
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, QueuePool

from gazelle_sync.hosts import is_local
from gazelle_sync.redaction import PlainError, find_passwords, hide
from gazelle_sync.translations import say
from gazelle_sync.warehouse import interruption

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Serialization failure, deadlock, and a server or pooler that goes away or is not there yet
# (PostgreSQL manual, appendix A). Class 08 is every kind of connection exception.
AWAY_STATES = {"57P01", "57P02", "57P03"}
TRANSIENT_STATES = {"40001", "40P01", *AWAY_STATES}
# A server that answers, and won't have us: psycopg2 gives no state for that. Hosts lock out who insists.
UNWELCOME = re.compile(
    'authentication failed|no pg_hba.conf entry|(role|database) "[^"]*" does not exist|'
    r"\((ENOIDENTIFIER|EADDRNOTALLOWED|EAUTHQUERY)\)|Tenant or user not found|tenant/user .* not found"
)
ATTEMPTS = 5
# Seconds that a database may be away: one that was there comes back from a restart; one that never answered in this
# process is rather a wrong address.
PATIENCE = 120.0
PATIENCE_AT_FIRST = 30.0
LONGEST_WAIT = 15.0
# What a role or a pooler may have set is set here again, for one transaction only: a session setting would leak to
# others through a pooler in transaction mode.
SETTINGS = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL statement_timeout = '15min'; "
    "SET LOCAL lock_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '15min'"
)
# A connection that dies in silence is noticed within a minute or so, in place of the two hours that Linux takes (libpq
# manual, "Parameter Key Words"; milliseconds the last, seconds the others).
KEPT_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# What libpq says of a connection that it could not make → the text of what helps. The first that fits is said.
ADVICE = {
    "ENOIDENTIFIER": "pooler_user",
    "tenant/user .* not found": "pooler_project",
    "EADDRNOTALLOWED": "pooler_address",
    "EAUTHQUERY": "pooler_login",
    "EMAXCONNSESSION": "pooler_full",
    "Tenant or user not found|no such user": "pooler_user",
    r'authentication failed for user "(?!postgres["\.])': "wrong_password_of_role",
    "authentication failed": "wrong_password",
    "no pg_hba.conf entry": "address_not_let_in",
    "certificate verify failed|root certificate file|server certificate for": "certificate_not_verified",
    'database "[^"]*" does not exist': "no_such_database",
    # An address of IPv6 that no packet reaches, or a name that has none of IPv4.
    r'[("][0-9a-f]*:[0-9a-f:.]*[)"].*(unreachable|timeout|timed out|[Nn]o route|assign requested|not supported)'
    "|could not translate host name": "no_way_to_host",
    "Connection refused": "nothing_answers",
}
# SQLSTATE → the text of what helps (PostgreSQL manual, appendix A).
HINTS = {
    "23502": "look_for_leftovers",
    "23503": "look_for_leftovers",
    "23505": "look_for_leftovers",
    "25006": "only_readable",
    "42501": "right_is_lacking",
    "53100": "disk_is_full",
    "57014": "took_too_long",
}


# A schema, a table, a column, a unique constraint or another object that is not there.
MISSING_STATES = {"3F000", "42P01", "42703", "42P10", "42704"}
# Options that other programs put into a connection string, and libpq refuses.
FOREIGN_OPTIONS = {
    *("pgbouncer", "connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size", "schema"),
    *("prepareThreshold", "prepared_statements", "uselibpqcompat", "pool_size"),
}


class Cursor(cursor):
    """Sends what needs no answer together with what is asked next: one trip in place of many."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._told: list[bytes] = []

    def tell(self, statement: str | bytes | sql.Composable, parameters: Any = None) -> None:
        """Sent with the next `execute` or `copy_expert`, which also raises what the database says against it."""
        self._told.append(self.mogrify(statement, parameters))

    def execute(self, query: str | bytes | sql.Composable, vars: Any = None) -> None:
        self.tell(query, vars)
        self._send()

    def copy_expert(self, sql: str | bytes | sql.Composable, file: Any, size: int = 8192) -> None:
        if self._told:
            self._send()
        super().copy_expert(sql, file, size)

    def _send(self) -> None:
        told, self._told = self._told, []
        super().execute(b";\n".join(told))


class WarehouseError(PlainError):
    """The database refused, or can't be reached. The message says what to do, and holds no password."""


class NotThere(WarehouseError):
    """The database lacks something that was asked of it."""


class UnusableAddress(WarehouseError):
    """A connection string that can't be used, whatever the database is like."""


def connect(url: str, *, keep_open: bool = False, variable: str = "SUPABASE_DB_URL") -> Engine:
    """An engine for a connection string of any dialect name; nothing is opened yet.

    A connection is opened for each transaction and closed after it. With `keep_open` one is kept for the next
    transaction, until `Engine.dispose` lets it go: poolers have few places.

    Raises `UnusableAddress` for a string that is none, that can be understood in two ways, or that asks for a remote
    host without TLS. It names the `variable` and shows no part of the string, which may be one of the password.
    """
    hide(*find_passwords(url))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or has_two_readings(url, parsed):
        # The original message holds the string, and so the password.
        raise UnusableAddress(say("connection_string_not_understood", variable=variable)) from None
    if not parsed.drivername.startswith("postgres"):
        raise UnusableAddress(say("connection_string_for_another", variable=variable))
    parsed = drop_foreign_options(parsed, variable)
    return create_engine(
        with_tls(parsed.set(drivername="postgresql+psycopg2"), variable),
        **({"poolclass": QueuePool, "pool_size": 1, "max_overflow": -1} if keep_open else {"poolclass": NullPool}),
        # Nothing here is of that type, and to look for it is a message.
        use_native_hstore=False,
        # Values are people's data: they stay out of error messages.
        hide_parameters=True,
        connect_args={"connect_timeout": 15, "application_name": "gazelle-sync", **KEPT_ALIVE},
    )


def drop_foreign_options(url: URL, variable: str) -> URL:
    """The URL without what is another program's; each is named once."""
    foreign = tuple(sorted(FOREIGN_OPTIONS & url.query.keys()))
    if foreign:
        say_dropped(variable, foreign)
    return url.difference_update_query(foreign)


@cache
def say_dropped(variable: str, options: tuple[str, ...]) -> None:
    logger.warning("%s", say("options_dropped", variable=variable, options=", ".join(options)))


def has_two_readings(url: str, parsed: URL) -> bool:
    """Whether the string may mean something else: a password with an @ in it moves host and database.

    An @ may stand before the host, and at the beginning of a `host=`, which is then an abstract socket (libpq).
    """
    given = [value for values in parsed.query.values() for value in ([values] if isinstance(values, str) else values)]
    return url.count("@") - sum(value.startswith("@") for value in given) > 1 or "/" in (parsed.database or "")


def make_schema(url: str, schema: str, *, variable: str) -> str:
    """The connection string of the same database with names meant in `schema`, which is made if need be.

    Not through a pooler: it refuses `options`. Raises `WarehouseError`, which names the `variable`.
    """
    engine = connect(url, variable=variable)

    def work() -> None:
        with transaction(engine) as cursor:
            # Asked first: to make one takes a right on the database, even when there is nothing to make.
            cursor.execute("SELECT to_regnamespace(%s)", (schema,))
            if cursor.fetchone() == (None,):
                try:
                    cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
                except psycopg2.errors.InsufficientPrivilege:
                    named = {"role": engine.url.username, "database": engine.url.database, "schema": schema}
                    mending = f'CREATE SCHEMA {schema} AUTHORIZATION "{engine.url.username}";'
                    told = say("may_not_make_schema", **named, variable=variable, mending=mending)
                    raise WarehouseError(told) from None

    with_retries(work, say("making_the_schema", schema=schema))
    named = engine.url.update_query_dict({"options": f"-c search_path={schema}"})
    return named.render_as_string(hide_password=False)


def with_tls(url: URL, variable: str) -> URL:
    """The URL with TLS required, unless the database is on this machine. Raises `WarehouseError`."""
    # As libpq looks for them; what is in the environment counts where the string says nothing.
    hosts = [url.host, url.query.get("host"), url.query.get("hostaddr")]
    if not any(hosts):
        hosts = [os.environ.get("PGHOST"), os.environ.get("PGHOSTADDR")]
    if all(is_local(str(host)) for host in hosts if host):
        return url
    mode = url.query.get("sslmode", "require")
    if mode not in ("require", "verify-ca", "verify-full"):
        raise UnusableAddress(say("connection_without_tls", variable=variable))
    return url.update_query_dict({"sslmode": str(mode)})


@contextmanager
def transaction(engine: Engine) -> Iterator[Cursor]:
    """A cursor in a transaction of its own: committed at the end, rolled back by an exception.

    It is begun by the first statement that is executed in it.
    """
    with borrow(engine) as connection, connection.cursor(cursor_factory=Cursor) as cursor:
        # psycopg2 would send a BEGIN of its own, and wait for the answer.
        connection.autocommit = True
        cursor.tell(f"BEGIN; {SETTINGS}")
        yield cursor
        cursor.execute("COMMIT")
        connection.autocommit = False


def fetch(
    engine: Engine,
    query: str | sql.Composable,
    parameters: Mapping[str, object],
    *,
    what: str = "",
    attempts: int = ATTEMPTS,
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of a query's columns, and its rows: one message. Raises `WarehouseError`, which says `what` failed."""
    # Statements of one message are one transaction (PostgreSQL manual, "Multiple Statements in a Simple Query").
    message = sql.SQL(f"{SETTINGS}; ") + (query if isinstance(query, sql.Composable) else sql.SQL(query))

    def work() -> tuple[list[str], list[tuple[Any, ...]]]:
        with borrow(engine) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(message, parameters)
            connection.autocommit = False
            return [column.name for column in cursor.description or ()], cursor.fetchall()

    return with_retries(work, what or say("reading_the_database"), attempts)


@contextmanager
def borrow(engine: Engine) -> Iterator[Connection]:
    """A connection, given back at the end. An exception closes it, which ends what was begun on it."""
    pooled: Any = engine.raw_connection()
    availability.reached()
    try:
        with interruption.watch.over(pooled.dbapi_connection):
            yield pooled.dbapi_connection
    except BaseException:
        pooled.invalidate()
        raise
    else:
        if pooled.dbapi_connection.closed:
            # The server ended it, and whoever borrowed it could do without.
            pooled.invalidate()
    finally:
        pooled.close()


def is_lost(error: psycopg2.Error) -> bool:
    """Whether the database is not there, or went away: it may come back, whatever was asked of it."""
    if error.pgcode is None:
        return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    return error.pgcode in AWAY_STATES or error.pgcode.startswith("08")


def is_transient(error: psycopg2.Error) -> bool:
    """Whether the same transaction may well succeed if it is run again.

    A connection that breaks or can't be made gives an error without a state.
    """
    if error.pgcode is None:
        return is_lost(error) and not UNWELCOME.search(str(error))
    return error.pgcode in TRANSIENT_STATES or error.pgcode.startswith("08")


class Availability:
    """Whether the database was ever there, and whether this process has given it up.

    One patience is for the whole process: a run of many tables does not wait anew for each of them.
    """

    def __init__(self) -> None:
        self._was_there = False
        self._given_up = False

    def reached(self) -> None:
        self._was_there, self._given_up = True, False

    def give_up(self) -> None:
        self._given_up = True

    def patience(self) -> float:
        if self._given_up:
            return 0.0
        return PATIENCE if self._was_there else PATIENCE_AT_FIRST


availability = Availability()


def with_retries(work: Callable[[], T], what: str, attempts: int = ATTEMPTS) -> T:
    """Runs a whole transaction, again if it failed for a reason that passes. Raises `WarehouseError`.

    A transaction that lost against another one is tried `attempts` times; a database that is away, as long as
    `Availability` is patient. `KeyboardInterrupt` when a signal cancelled it.
    """
    left = availability.patience()
    deadline = time.monotonic() + left
    for attempt in itertools.count(1):
        try:
            return work()
        except psycopg2.Error as error:
            if interruption.watch.interrupted.is_set():
                raise KeyboardInterrupt from None
            wait = min(0.5 * 2 ** (attempt - 1), LONGEST_WAIT)
            is_away = is_lost(error)
            # One attempt is a look, and not an effort.
            left -= wait
            is_patient = attempts > 1 and left >= 0 and time.monotonic() + wait <= deadline
            may_wait = is_patient if is_away else attempt < attempts
            if not is_transient(error) or not may_wait:
                if is_away:
                    availability.give_up()
                kind = NotThere if error.pgcode in MISSING_STATES else WarehouseError
                raise kind(say("failed_after", what=what, attempts=attempt, why=describe_error(error))) from None
            logger.warning("%s", say("tried_again", what=what, why=describe_error(error), attempt=attempt + 1))
            time.sleep(wait)
    raise AssertionError("unreachable")


def describe_error(error: psycopg2.Error) -> str:
    """The error without the row that caused it, which psycopg2 appends as DETAIL and CONTEXT."""
    primary = error.diag.message_primary if error.pgcode else " ".join(str(error).split())
    if error.pgcode:
        advice = HINTS.get(error.pgcode)
    else:
        advice = next((text for pattern, text in ADVICE.items() if re.search(pattern, str(primary))), None)
    hint = f" {say(advice)}" if advice else ""
    return f"{primary} ({error.pgcode or say('no_connection')}).{hint}"
