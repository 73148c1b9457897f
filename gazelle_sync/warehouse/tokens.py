"""The OAuth token, kept in the database for hosts whose disk does not last (`GAZELLE_TOKEN_FILE=postgres`).

Keep out: what a token is good for, and how it is renewed (`gazelle.auth`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import Engine

from gazelle_sync.warehouse.connection import WarehouseError, describe_error, transaction
from gazelle_sync.warehouse.migrations import migrate


class HeldRow:
    """The token's row, locked by this transaction."""

    def __init__(self, cursor: Cursor, engine: Engine) -> None:
        self._cursor = cursor
        self._engine = engine

    def read(self) -> dict[str, Any] | None:
        if not self._has_table():
            return None
        self._cursor.execute("SELECT token FROM gazelle.oauth_token FOR UPDATE")
        row = self._cursor.fetchone()
        return None if row is None else row[0]

    def write(self, token: dict[str, object]) -> None:
        """Committed at once, before the token is used: a crash afterwards must not lose it."""
        if not self._has_table():
            migrate(self._engine)
        self._cursor.execute(
            "INSERT INTO gazelle.oauth_token (id, token) VALUES (1, %s) "
            "ON CONFLICT (id) DO UPDATE SET token = excluded.token, saved_at = now()",
            (json.dumps(token),),
        )
        self._cursor.connection.commit()

    def _has_table(self) -> bool:
        self._cursor.execute("SELECT to_regclass('gazelle.oauth_token') IS NOT NULL")
        return self._cursor.fetchone() == (True,)


class TokenTable:
    """A token in a table that only its owner can read. Several hosts share it: its row is locked in turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def held(self) -> Iterator[HeldRow]:
        """Raises `WarehouseError`. The table is made when there is something to keep in it."""
        try:
            with transaction(self._engine) as cursor:
                yield HeldRow(cursor, self._engine)
        except psycopg2.Error as error:
            raise WarehouseError(f"The OAuth token could not be read or saved: {describe_error(error)}") from None
