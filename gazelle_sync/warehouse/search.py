"""Indexes for texts: what was written is found by any part of it, without reading every row (PostgreSQL manual, F.35).

They are made when somebody asks for them, as they cost time and disk; a sync neither makes nor misses them. Which texts
are searched is declared with their table. Keep out: the indexes that every database has (`schema`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg2
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import WarehouseError, with_retries
from gazelle_sync.warehouse.migrations import start
from gazelle_sync.warehouse.schema import SCHEMA

EXTENSION = "pg_trgm"
INSTALLED = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'"
AVAILABLE = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')"
# Where Supabase has its extensions.
OF_EXTENSIONS = "SELECT nspname FROM pg_namespace WHERE nspname = 'extensions'"


@dataclass(frozen=True)
class SearchIndex:
    """An index for texts, and what it costs. It took no `seconds` when it was there already."""

    name: str
    table: str
    columns: tuple[str, ...]
    bytes: int
    seconds: float | None


def add_search(engine: sa.Engine, tables: Mapping[str, Table] = TABLES) -> list[SearchIndex]:
    """Makes the indexes that are missing, under the migrations' lock: readers go on, and loads wait.

    Raises `WarehouseError` where the database lacks the extension, with the statement that mends it.
    """

    def work() -> list[SearchIndex]:
        try:
            with start(engine) as connection:
                operators = install(connection)
                searched = [table for table in tables.values() if table.searched]
                return [make_index(connection, table, operators) for table in searched]
        except DBAPIError as error:
            if isinstance(error.orig, psycopg2.Error):
                raise error.orig from None
            raise

    return with_retries(work, say("making_search"))


def install(connection: sa.Connection) -> str:
    """The schema that the extension is in; it is made where the role may."""
    if found := connection.scalar(sa.text(INSTALLED)):
        return str(found)
    if not connection.scalar(sa.text(AVAILABLE)):
        raise WarehouseError(say("no_trigrams"))
    where = connection.scalar(sa.text(OF_EXTENSIONS))
    statement = f"CREATE EXTENSION {EXTENSION}{f' SCHEMA {where}' if where else ''}"
    try:
        with connection.begin_nested():
            connection.execute(sa.text(statement))
    except sa.exc.ProgrammingError:
        raise WarehouseError(say("trigrams_not_allowed", mending=f"{statement};")) from None
    return str(connection.scalar(sa.text(INSTALLED)))


def make_index(connection: sa.Connection, table: Table, operators: str) -> SearchIndex:
    name = f"{table.name}_search_idx"
    quote = connection.dialect.identifier_preparer.quote
    size = sa.text("SELECT pg_relation_size(to_regclass(:index))")
    index = {"index": f"{SCHEMA}.{name}"}
    seconds = None
    if connection.scalar(size, index) is None:
        texts = ", ".join(f"{quote(column)} {operators}.gin_trgm_ops" for column in table.searched)
        began = time.monotonic()
        connection.execute(sa.text(f"CREATE INDEX {name} ON {SCHEMA}.{quote(table.name)} USING gin ({texts})"))
        seconds = time.monotonic() - began
    return SearchIndex(name, table.name, table.searched, int(connection.scalar(size, index) or 0), seconds)
