"""Brings a database to the declared shape by adding what is missing: alembic compares, and additions run.

What people added is theirs, so nothing is dropped, renamed or retyped. The comparison takes the place of
revision files: a new declaration needs none, and a database of any earlier state arrives at the same shape.
Whoever waits for a table to alter it holds up all who come to read it afterwards (PostgreSQL manual, "Explicit
Locking"). So an addition waits for a moment only, lets go of all it has, and tries again after a pause.
Keep out: the shape itself (`schema`), views (`view_migrations`), who may read (`protection`), and rows (`load`).
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import psycopg2
import psycopg2.errors
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse import new_columns
from gazelle_sync.warehouse.column_types import COLUMNS, WITH_ZONE, list_otherwise
from gazelle_sync.warehouse.connection import NotThere, WarehouseError, fetch, transaction, with_retries
from gazelle_sync.warehouse.exposure import refuse_to_publish
from gazelle_sync.warehouse.locks import MIGRATION
from gazelle_sync.warehouse.protection import protect, read_roles
from gazelle_sync.warehouse.schema import SCHEMA, built_late, metadata
from gazelle_sync.warehouse.view_migrations import list_lacking_views, list_views_to_replace, replace_views
from gazelle_sync.warehouse.views import VIEWS

logger = logging.getLogger(__name__)
T = TypeVar("T")

# How the comments begin that we make on what may be somebody else's.
SIGNATURE = "gazelle-sync "

# What decides how declarations become a database.
CODE = ("schema.py", "migrations.py", "protection.py", "view_migrations.py", "column_types.py")

# The default of GAZELLE_TIMEZONE.
DEFAULT_ZONE = ZoneInfo("America/Toronto")

# How long an addition waits for a table, how long it then lets others in, and after how many seconds it gives up.
LOCK_TIMEOUT = "1s"
PAUSE = 5.0
PATIENCE = 300.0

# Who holds what a statement waits for: those that it names. An index or a foreign key only waits for who writes.
HOLDERS = """
SELECT DISTINCT relname, coalesce(nullif(application_name, ''), '?'), coalesce(usename, '?'), activity.pid,
       coalesce(to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '?'),
       coalesce(to_char(query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '?')
FROM pg_locks AS held JOIN pg_class ON pg_class.oid = relation JOIN pg_stat_activity AS activity USING (pid)
WHERE granted AND relnamespace = to_regnamespace('gazelle') AND held.pid <> pg_backend_pid()
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND :statement ~ ('\\m' || relname || '\\M')
  AND (mode <> 'AccessShareLock' OR :statement !~ 'CREATE (UNIQUE )?INDEX|FOREIGN KEY')
ORDER BY 1, 4
"""

# Foreign keys of one column that are NOT VALID: PostgreSQL has not checked them for the rows that were there before.
UNPROVED = """
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid JOIN pg_attribute ON attrelid = conrelid
    AND attnum = conkey[1]
WHERE connamespace = to_regnamespace('gazelle') AND contype = 'f' AND NOT convalidated AND cardinality(conkey) = 1
"""
UNPROVED_KEYS, UNPROVED_NAME = f"SELECT relname, attname {UNPROVED}", f"SELECT conname {UNPROVED}"

ADDITIONS = (ops.CreateTableOp, ops.AddColumnOp, ops.CreateIndexOp, ops.AddConstraintOp)


class TableIsHeld(Exception):
    """Somebody held a table for longer than an addition waits. `statement` is what waited."""

    def __init__(self, statement: str) -> None:
        super().__init__(statement)
        self.statement = statement


def migrate(
    engine: sa.Engine,
    tables: Mapping[str, Table] = TABLES,
    *,
    loads_follow: bool = False,
    zone: ZoneInfo | None = DEFAULT_ZONE,
    accept_readers: bool = False,
) -> list[str]:
    """Adds what the database lacks, under the migrations' lock. What was added, in words.

    When `loads_follow`, foreign keys and indexes of tables without rows are left to their first load. Views tell dates
    in `zone`; without one they stay as they are. Raises
    `WarehouseError`, also when the server is older than PostgreSQL 15, and with the name of who holds a table that has
    to be altered, when it does so for longer than `PATIENCE`; and before personal columns are added to a table that the
    public may read, unless `accept_readers`.
    """
    shape = metadata(tables)
    done: list[str] = []

    def work() -> None:
        try:
            with start(engine) as connection:
                added = add_missing(shape, connection, loads_follow, {} if accept_readers else tables)
                fits = list(find_fits(shape, connection))
                keys = list(find_unproved_keys(shape, connection))
                # What can't be made or altered is said when a database is brought to the declared shape, and not every
                # night.
                level = logging.WARNING if added else logging.INFO
                if not fits:
                    added += replace_views(connection, zone, level=level)
            done.extend(added)
            if fits:
                # Rows are filled in a transaction that holds up no reader, and before one that does for a moment.
                with start(engine) as connection:
                    fill_rows(connection, fits)
                with start(engine) as connection:
                    fitted = [*alter_columns(connection, fits, level), *replace_views(connection, zone, level=level)]
                done.extend(fitted)
            if keys:
                with start(engine) as connection:
                    proved = [line for key in keys for line in prove(connection, key, added)]
                done.extend(proved)
        except DBAPIError as error:
            if isinstance(error.orig, psycopg2.errors.LockNotAvailable):
                raise TableIsHeld(str(error.statement)) from None
            if isinstance(error.orig, psycopg2.Error):
                raise error.orig from None
            raise

    deadline = time.monotonic() + PATIENCE
    told = ""
    while True:
        try:
            with_retries(work, say("preparing_the_tables"))
        except TableIsHeld as held:
            holders = describe_holders(engine, held.statement)
            if time.monotonic() + PAUSE > deadline:
                raise WarehouseError(say("table_is_held", holders=holders, minutes=round(PATIENCE / 60))) from None
            if holders != told:
                logger.warning("%s", say("waiting_for_table", holders=holders))
                told = holders
            time.sleep(PAUSE)
        else:
            break
    for line in done:
        logger.info("%s", say("added", what=line))
    return done


def prepare(
    engine: sa.Engine,
    tables: Mapping[str, Table] = TABLES,
    *,
    compare: bool = False,
    zone: ZoneInfo | None = DEFAULT_ZONE,
) -> None:
    """Makes the database ready for loads, as `migrate` does.

    The comparison is some thirty messages. Unless it is asked for, it is left out where an earlier one, with the same
    declarations, found nothing to add: the schema's comment says so. Raises `WarehouseError`.
    """
    fingerprint = take_fingerprint(tables, zone)
    noted = read_fingerprint(engine)
    if noted == fingerprint and not compare:
        return
    added = migrate(engine, tables, loads_follow=True, zone=zone)
    # What was added now is looked at the next time; a view that can't be made costs no comparison every night: `check`
    # lists it, and the command `migrate` makes it. A comment that somebody else made is theirs.
    if not added and noted != fingerprint and (noted is None or noted.startswith(SIGNATURE)):
        with_retries(lambda: note_fingerprint(engine, fingerprint), say("preparing_the_tables"))


def is_compared(
    engine: sa.Engine, tables: Mapping[str, Table] = TABLES, *, zone: ZoneInfo | None = DEFAULT_ZONE
) -> bool:
    """Whether a sync would not look for what is missing, as an earlier one found nothing to add."""
    return read_fingerprint(engine) == take_fingerprint(tables, zone)


def read_fingerprint(engine: sa.Engine) -> str | None:
    """What the schema's comment tells of the last comparison. Raises `WarehouseError`."""
    ((noted,),) = fetch(engine, "SELECT obj_description(to_regnamespace('gazelle'), 'pg_namespace')", {})[1]
    return None if noted is None else str(noted)


def take_fingerprint(tables: Mapping[str, Table], zone: ZoneInfo | None) -> str:
    """A digest of all that a database is compared with: the declarations, our own tables, the views, and this file.

    To make the shape itself, and its DDL, takes a quarter of a second.
    """
    # A function is shown with its address.
    declared = re.sub(" at 0x[0-9a-f]+", "", f"{list(tables.values())} {list(VIEWS.values())} {zone}")
    code = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in CODE]
    return SIGNATURE + hashlib.sha256("\n".join([declared, *code]).encode()).hexdigest()[:12]


def note_fingerprint(engine: sa.Engine, fingerprint: str) -> None:
    try:
        with transaction(engine) as cursor:
            cursor.execute(f"COMMENT ON SCHEMA {SCHEMA} IS %s", (fingerprint,))
    except psycopg2.errors.InsufficientPrivilege:
        # Somebody else's schema, in which we may make tables: it is compared each time.
        logger.debug("The schema %s is another role's: it is compared with the declarations in each run.", SCHEMA)


def with_what_lacks(
    engine: sa.Engine,
    work: Callable[[], T],
    tables: Mapping[str, Table] = TABLES,
    *,
    zone: ZoneInfo | None = DEFAULT_ZONE,
) -> T:
    """What `work` gives. Where it fails because something is not there, that is added, and it is done once more.

    Somebody may have dropped it since the comparison that the schema's comment tells of. Raises what `work` raises.
    """
    try:
        return work()
    except NotThere as error:
        logger.warning("%s", say("compared_again", why=error))
        prepare(engine, tables, compare=True, zone=zone)
        return work()


def describe_holders(engine: sa.Engine, statement: str) -> str:
    """Who holds what the statement waits for, without what they ask: that may be personal."""
    # What a view is made of is not held up by it.
    named = statement.partition(" AS ")[0]
    with engine.connect() as connection:
        held = connection.execute(sa.text(HOLDERS), {"statement": named}).all()
    said = [
        say("holder", table=table, application=application, user=user, pid=pid, since=since, query_since=query_since)
        for table, application, user, pid, since, query_since in held
    ]
    return "; ".join(said) or say("holder_is_gone", statement=named)


@contextmanager
def start(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction under the migrations' lock."""
    with engine.begin() as connection:
        # A load holds up no reader, so it is waited for as long as it takes; a table is not.
        connection.execute(
            sa.text(
                f"SET LOCAL timezone = 'UTC'; SET LOCAL statement_timeout = '15min'; SET LOCAL lock_timeout = 0; "
                f"{MIGRATION}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"
            )
        )
        yield connection


def add_missing(
    shape: sa.MetaData, connection: sa.Connection, loads_follow: bool, guarded: Mapping[str, Table]
) -> list[str]:
    """Personal columns of `guarded` tables are not added where the public would read them."""
    version: int = connection.scalar(sa.text("SELECT current_setting('server_version_num')::int")) or 0
    if version < 150000:
        raise WarehouseError(say("server_too_old", version=version // 10000))
    roles = read_roles(connection)
    done: list[str] = []
    if SCHEMA not in sa.inspect(connection).get_schema_names():
        connection.execute(sa.schema.CreateSchema(SCHEMA))
        done.append(say("schema_named", what=SCHEMA))
    context = make_context(connection)
    operations = Operations(context)
    missing = find_missing(shape, context, loads_follow)
    columns = [(each.table_name, each.column.name) for each in missing if isinstance(each, ops.AddColumnOp)]
    refuse_to_publish(connection, columns, guarded)
    for addition in missing:
        with fit_for_old_rows(addition):
            operations.invoke(addition)
        done.append(describe_addition(addition))
        if isinstance(addition, ops.AddColumnOp) and is_mirrored(shape, addition.table_name):
            connection.execute(
                sa.text(new_columns.NOTE), {"table": addition.table_name, "column": addition.column.name}
            )
        if is_synced_at(addition):
            connection.execute(sa.text(f'ALTER TABLE {SCHEMA}."{addition.table_name}" ALTER synced_at DROP DEFAULT'))
        if isinstance(addition, ops.CreateTableOp):
            protect(connection, addition.table_name, roles)
    return done


def is_mirrored(shape: sa.MetaData, table: str) -> bool:
    return bool(shape.tables[f"{SCHEMA}.{table}"].info)


def is_synced_at(addition: Any) -> bool:
    return isinstance(addition, ops.AddColumnOp) and addition.column.name == "synced_at"


def list_missing(
    engine: sa.Engine, tables: Mapping[str, Table] = TABLES, *, zone: ZoneInfo | None = DEFAULT_ZONE
) -> list[str]:
    """What a sync would add of tables, columns, indexes, constraints and views before it loads. Changes nothing."""
    with engine.connect() as connection:
        added = find_missing(metadata(tables), make_context(connection), True)
        return [*map(describe_addition, added), *list_lacking_views(connection, zone)]


def list_altered(
    engine: sa.Engine, tables: Mapping[str, Table] = TABLES, *, zone: ZoneInfo | None = DEFAULT_ZONE
) -> tuple[set[str], set[str]]:
    """The tables and views that are there and that a sync would alter, also with first rows, which only their owner
    may; and the tables that it would let others refer to, which takes a right."""
    shape = metadata(tables)
    with engine.connect() as connection:
        missing = find_missing(shape, make_context(connection), False)
        fitted = {fit.table for fit in find_fits(shape, connection)}
        unproved = {table for table, _ in connection.execute(sa.text(UNPROVED_KEYS))}
        views = list_views_to_replace(connection, zone)
    made = {each.table_name for each in missing if isinstance(each, ops.CreateTableOp)}
    altered = {each.source_table if isinstance(each, ops.CreateForeignKeyOp) else each.table_name for each in missing}
    referred = {each.referent_table for each in missing if isinstance(each, ops.CreateForeignKeyOp)}
    for name in made:
        referred.update(key.referred_table.name for key in shape.tables[f"{SCHEMA}.{name}"].foreign_key_constraints)
    return {*altered, *fitted, *unproved, *views} - made, referred - made


def make_context(connection: sa.Connection) -> MigrationContext:
    options = {"include_schemas": True, "include_name": is_ours, "compare_type": False}
    return MigrationContext.configure(connection, opts=options)


def find_missing(shape: sa.MetaData, context: MigrationContext, loads_follow: bool) -> list[Any]:
    """The operations that would add what the database lacks."""
    connection = context.connection
    assert connection is not None
    with warnings.catch_warnings():
        # Indexes on expressions, and types of extensions, that people added: reflected with a warning.
        warnings.simplefilter("ignore", sa.exc.SAWarning)
        found = produce_migrations(context, shape).upgrade_ops
    lacking = [addition for addition in find_additions(found) if not is_already_there(connection, addition)]
    if loads_follow:
        lacking = [addition for addition in lacking if not is_for_later(connection, shape, addition)]
    return list(put_in_order(lacking))


def put_in_order(lacking: Sequence[Any]) -> Iterator[Any]:
    """What others need goes first: a table can refer to another only once that one's key is unique, and new columns are
    noted in a table. A column that is unique by itself brings its constraint along."""
    added = {(each.table_name, each.column.name) for each in lacking if isinstance(each, ops.AddColumnOp)}
    unique = {
        each: {(each.table_name, str(column)) for column in each.columns}
        for each in lacking
        if isinstance(each, ops.CreateUniqueConstraintOp)
    }
    tables = [each for each in lacking if isinstance(each, ops.CreateTableOp)]
    yield from (each for each, columns in unique.items() if not columns & added)
    yield from tables
    yield from (each for each in lacking if each not in unique and each not in tables)
    yield from (each for each, columns in unique.items() if columns & added and len(columns) > 1)


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Only this schema is compared: what else is in the database is not our business."""
    return name == SCHEMA if kind == "schema" else True


def find_additions(found: ops.OpContainer | None) -> Iterator[Any]:
    """The operations that add; those that would drop or change something are left out."""
    for operation in found.ops if found else []:
        if isinstance(operation, ops.OpContainer):
            yield from find_additions(operation)
        elif isinstance(operation, ADDITIONS):
            yield operation


def is_already_there(connection: sa.Connection, addition: Any) -> bool:
    """Whether a constraint exists under a name of somebody else's choice, or an index was made anew by somebody."""
    inspector = sa.inspect(connection)
    if isinstance(addition, ops.CreateIndexOp):
        old = inspector.has_table(addition.table_name, schema=SCHEMA)
        indexes = inspector.get_indexes(addition.table_name, schema=SCHEMA) if old else []
        return addition.index_name in [index["name"] for index in indexes]
    if isinstance(addition, ops.CreateUniqueConstraintOp):
        indexes = inspector.get_indexes(addition.table_name, schema=SCHEMA)
        constraints = inspector.get_unique_constraints(addition.table_name, schema=SCHEMA)
        unique: list[list[str | None]] = [index["column_names"] for index in indexes if index["unique"]]
        unique.extend(list(constraint["column_names"]) for constraint in constraints)
        return [str(column) for column in addition.columns] in unique
    if isinstance(addition, ops.CreateForeignKeyOp):
        keys = inspector.get_foreign_keys(addition.source_table, schema=SCHEMA)
        return any(
            key["constrained_columns"] == list(addition.local_cols) and key["referred_table"] == addition.referent_table
            for key in keys
        )
    return False


def is_for_later(connection: sa.Connection, shape: sa.MetaData, addition: Any) -> bool:
    """Whether this is a foreign key or an index that the table's first load will build, see `schema.built_late`.

    Takes the foreign keys out of a table that is to be made.
    """
    if isinstance(addition, ops.CreateTableOp):
        if built_late(shape.tables[f"{SCHEMA}.{addition.table_name}"]):
            addition.columns = [part for part in addition.columns if not isinstance(part, sa.ForeignKeyConstraint)]
        return False
    name = addition.index_name if isinstance(addition, ops.CreateIndexOp) else getattr(addition, "constraint_name", "")
    table = next((table for table in shape.tables.values() if name in built_late(table)), None)
    return table is not None and (
        not sa.inspect(connection).has_table(table.name, schema=SCHEMA)
        or not connection.scalar(sa.select(sa.exists(sa.select(table.c.id))))
    )


@contextmanager
def fit_for_old_rows(addition: Any) -> Iterator[None]:
    """Makes an addition possible on a table that has rows: `alter_columns` tightens it once they are filled."""
    if isinstance(addition, ops.CreateForeignKeyOp):
        # Rows of the old service may point at parents that were never mirrored; new rows are checked.
        addition.kw["postgresql_not_valid"] = True
    if is_synced_at(addition):
        # Rows of the old service are records, not placeholders. A default that is there when a column is added fills
        # old rows without writing them (PostgreSQL manual, ALTER TABLE, Notes).
        addition.column.server_default = sa.DefaultClause(sa.text("now()"))
        try:
            yield
        finally:
            # The column is the declared shape's, of which other tables are made.
            addition.column.server_default = None
    elif isinstance(addition, ops.AddColumnOp) and addition.column.server_default is None:
        declared, addition.column.nullable = addition.column.nullable, True
        try:
            yield
        finally:
            addition.column.nullable = declared
    else:
        yield


def find_unproved_keys(shape: sa.MetaData, connection: sa.Connection) -> Iterator[sa.ForeignKeyConstraint]:
    """The declared foreign keys that were added to a table with rows, and were not checked for those yet."""
    unproved = {(table, column) for table, column in connection.execute(sa.text(UNPROVED_KEYS))}
    for table in shape.sorted_tables:
        for key in table.foreign_key_constraints:
            if (table.name, key.column_keys[0]) in unproved:
                yield key


def prove(connection: sa.Connection, key: sa.ForeignKeyConstraint, added: Sequence[str]) -> list[str]:
    """Gives old rows the parents that they refer to, as a load would, and has PostgreSQL check the key for all rows.

    Holds up no reader (PostgreSQL manual, ALTER TABLE, "VALIDATE CONSTRAINT"). What was done, in words; nothing beside
    a key that was just `added`.
    """
    child, parent, column = key.table, key.referred_table, key.column_keys[0]
    named = {"table": child.name, "column": column}
    constraint = connection.scalar(sa.text(f"{UNPROVED_NAME} AND relname = :table AND attname = :column"), named)
    needed = {each.name: filler for each in parent.columns if (filler := each.info.get("placeholder"))}
    quote = connection.dialect.identifier_preparer.quote
    fill = (
        f'INSERT INTO {SCHEMA}."{parent.name}" ({", ".join(map(quote, ["external_id", *needed]))}) '  # noqa: S608
        f"SELECT {', '.join(['external_id', *needed.values()])} FROM (SELECT DISTINCT {quote(column)} AS external_id "
        f'FROM {SCHEMA}."{child.name}" WHERE {quote(column)} IS NOT NULL) AS s ORDER BY 1 '
        "ON CONFLICT (external_id) DO NOTHING"
    )
    validate = f'ALTER TABLE {SCHEMA}."{child.name}" VALIDATE CONSTRAINT {quote(str(constraint))}'
    of = f"{child.name}.{column}"
    done = if_nothing_depends(connection, f"{fill}; {validate}", say("proof_of", what=of))
    return [] if say("foreign_key_named", what=of) in added else done


@dataclass(frozen=True)
class Fit:
    """What makes a column of a table that existed before into what `load` relies on: rows to fill, then statements
    that alter it, and what was done then, in words."""

    table: str
    fill: str | None
    alter: list[str]
    text: str


def find_fits(shape: sa.MetaData, connection: sa.Connection) -> Iterator[Fit]:
    """All that is to be fitted, of tables with their rows, ids and foreign columns."""
    found = sa.inspect(connection).get_multi_columns(schema=SCHEMA)
    otherwise = list_otherwise(connection.execute(sa.text(COLUMNS)), shape)
    widened = {(each.table, each.column): each.widened for each in otherwise}
    preparer = connection.dialect.identifier_preparer
    for table in sorted(shape.tables.values(), key=lambda table: table.name):
        there = {column["name"]: column for column in found.get((SCHEMA, table.name), ())}
        quoted = preparer.format_table(table)
        for column in table.columns:
            old = there.get(column.name)
            if old is None:
                continue
            name = preparer.quote(column.name)
            of = f"{table.name}.{column.name}"
            if type_ := widened.get((table.name, column.name)):
                # Where the session's time zone is UTC, no row is written (PostgreSQL 12, release notes).
                text = say("time_zone_of", what=of) if type_ == WITH_ZONE else say("type_of", type=type_, what=of)
                yield Fit(table.name, None, [f"ALTER TABLE {quoted} ALTER {name} TYPE {type_}"], text)
            if not column.nullable and old["nullable"]:
                filler = column.info.get("placeholder")
                default = [f"ALTER TABLE {quoted} ALTER {name} SET DEFAULT {filler}"] if column.server_default else []
                yield Fit(
                    table.name,
                    f"UPDATE {quoted} SET {name} = {filler} WHERE {name} IS NULL" if filler else None,  # noqa: S608
                    [*default, f"ALTER TABLE {quoted} ALTER {name} SET NOT NULL"],
                    say("not_null_of", what=of),
                )


def fill_rows(connection: sa.Connection, fits: Iterable[Fit]) -> None:
    for fit in fits:
        if fit.fill:
            connection.execute(sa.text(fit.fill))


def alter_columns(connection: sa.Connection, fits: Iterable[Fit], level: int) -> Iterator[str]:
    for fit in fits:
        *defaults, last = fit.alter
        for statement in defaults:
            connection.execute(sa.text(statement))
        yield from if_nothing_depends(connection, last, fit.text, level)


def if_nothing_depends(connection: sa.Connection, statement: str, what: str, level: int = logging.WARNING) -> list[str]:
    """Runs a statement that people's views, indexes or rows may forbid; theirs stand, and the sync does without."""
    try:
        with connection.begin_nested():
            connection.execute(sa.text(statement))
    except (sa.exc.NotSupportedError, sa.exc.IntegrityError, sa.exc.ProgrammingError) as error:
        if isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
            raise
        # Which view it is stands in the detail; of a row that forbids it, that would be its values.
        depends = error.orig if isinstance(error.orig, psycopg2.errors.FeatureNotSupported) else None
        detail = depends.diag.message_detail if depends else None
        logger.log(level, "%s", say("left_as_it_is", what=what, why=detail or type(error.orig).__name__))
        return []
    return [what]


def describe_addition(addition: Any) -> str:
    if isinstance(addition, ops.CreateTableOp):
        return say("table_named", what=addition.table_name)
    if isinstance(addition, ops.AddColumnOp):
        return say("column_named", what=f"{addition.table_name}.{addition.column.name}")
    if isinstance(addition, ops.CreateForeignKeyOp):
        return say("foreign_key_named", what=f"{addition.source_table}.{', '.join(addition.local_cols)}")
    if isinstance(addition, ops.CreateIndexOp):
        return say("index_named", what=addition.index_name)
    return say("constraint_named", what=addition.constraint_name)
