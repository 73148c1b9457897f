"""The OAuth token, kept in the database for hosts whose disk does not last (`GAZELLE_TOKEN_FILE=postgres`).

Keep out: what a token is good for, and how it is renewed (`gazelle.auth`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import Engine

from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import SETTINGS, WarehouseError, borrow, describe_error, transaction
from gazelle_sync.warehouse.migrations import migrate

# Seconds. Whoever holds the row asks Gazelle meanwhile, for two minutes at most.
LOCK_PATIENCE = 150

SAVE = """
INSERT INTO gazelle.oauth_token (id, token) VALUES (1, %s)
ON CONFLICT (id) DO UPDATE SET token = excluded.token, saved_at = now()
"""


class HeldRow:
    """The token's row, locked by this transaction."""

    def __init__(self, connection: Connection, engine: Engine) -> None:
        self._connection = connection
        self._engine = engine

    def read(self) -> dict[str, Any] | None:
        with self._connection.cursor() as cursor:
            if not has_table(cursor):
                return None
            cursor.execute("SELECT token FROM gazelle.oauth_token FOR UPDATE")
            row = cursor.fetchone()
            return None if row is None else row[0]

    def check_writable(self) -> None:
        """Saves nothing, and takes it back: the connection lives, and the role may write. Raises `psycopg2.Error`."""
        with self._connection.cursor() as cursor:
            if not has_table(cursor):
                migrate(self._engine, zone=None)
            cursor.execute("SAVEPOINT rehearsal")
            cursor.execute(SAVE, ("{}",))
            # The row was locked before, and stays so (PostgreSQL manual, "Row-Level Locks").
            cursor.execute("ROLLBACK TO SAVEPOINT rehearsal")

    def write(self, token: dict[str, object]) -> None:
        """Committed at once, before the token is used: a crash afterwards must not lose it.

        On another connection when the server ended this one, as it does with one that is idle. Raises
        `psycopg2.Error`; may be called again.
        """
        if self._connection.closed:
            with transaction(self._engine) as cursor:
                cursor.execute(SAVE, (json.dumps(token),))
            return
        with self._connection.cursor() as cursor:
            try:
                if not has_table(cursor):
                    migrate(self._engine, zone=None)
                cursor.execute(SAVE, (json.dumps(token),))
                self._connection.commit()
            except psycopg2.Error:
                if not self._connection.closed:
                    self._connection.rollback()
                raise


class TokenTable:
    """A token in a table that only its owner can read. Several hosts share it: its row is locked in turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def held(self) -> Iterator[HeldRow]:
        """Raises `WarehouseError`. The table is made when there is something to keep in it."""
        try:
            with borrow(self._engine) as connection:
                with connection.cursor() as cursor:
                    cursor.execute(f"{SETTINGS}; SET LOCAL lock_timeout = '{LOCK_PATIENCE}s'")
                yield HeldRow(connection, self._engine)
        except psycopg2.errors.LockNotAvailable:
            raise WarehouseError(say("token_row_is_kept", seconds=LOCK_PATIENCE)) from None
        except psycopg2.Error as error:
            raise WarehouseError(say("token_table_unusable", why=describe_error(error))) from None


def has_table(cursor: Cursor) -> bool:
    cursor.execute("SELECT to_regclass('gazelle.oauth_token') IS NOT NULL")
    return cursor.fetchone() == (True,)
