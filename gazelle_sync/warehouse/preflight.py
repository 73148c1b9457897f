"""What a database is and allows, for `gazelle-sync check`. Nothing is changed.

A fault is a `WarehouseError` that ends with the statement that mends it. Keep out: what a database should look like
(`schema`), and making it so (`migrations`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection
from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql as pg

from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import WarehouseError, describe_error, fetch, transaction, with_retries
from gazelle_sync.warehouse.migrations import list_altered
from gazelle_sync.warehouse.schema import AS_GOOD, OWNER_ONLY, SCHEMA, metadata

# A sync converts these by itself, and reads them as UTC where a view keeps it from that.
CONVERTED = {"timestamp with time zone": {"timestamp without time zone"}}


def check_server(engine: Engine) -> str:
    """The server's version. Raises `WarehouseError` when it can't be reached, is too old, or can't hold every text."""
    (version, number, encoding), *_ = fetch_once(
        engine,
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, "
        "current_setting('server_encoding')",
    )
    if number < 150000:
        raise WarehouseError(say("server_too_old", version=version))
    if encoding != "UTF8":
        mending = "CREATE DATABASE gazelle ENCODING 'UTF8' TEMPLATE template0;"
        raise WarehouseError(say("database_not_utf8", encoding=encoding, mending=mending))
    return f"PostgreSQL {version}"


def measure_clock(engine: Engine) -> float:
    """How many seconds the database's clock is ahead of this machine's. Raises `WarehouseError`."""

    def work() -> float:
        with transaction(engine) as cursor:
            before = time.time()
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            (theirs,) = cursor.fetchone() or (before,)
            return float(theirs) - (before + time.time()) / 2

    return with_retries(work, say("reading_the_clock"), attempts=1)


def detect_pooler(engine: Engine) -> str | None:
    """`transaction` or `session`, the mode of the pooler that answers; None when the server itself does.

    A pooler gives its clients a number of its own for their connection, and the server knows another. In session
    mode two open connections have a server process each; in transaction mode the idle one lends its own.
    """
    try:
        with closing(open_autocommit(engine)) as first, closing(open_autocommit(engine)) as second:
            if read_process_id(first) == first.info.backend_pid:
                return None
            # Somebody else may get the process that was just given back, so it is tried more than once.
            return (
                "transaction" if any(read_process_id(first) == read_process_id(second) for _ in range(5)) else "session"
            )
    except psycopg2.Error as error:
        raise WarehouseError(say("pooler_not_seen", why=describe_error(error))) from None


def open_autocommit(engine: Engine) -> Connection:
    """A connection where each statement is a transaction."""
    pooled: Any = engine.raw_connection()
    pooled.detach()
    connection: Connection = pooled.dbapi_connection
    connection.autocommit = True
    return connection


def read_process_id(connection: Connection) -> int:
    """The number of the server's process that answers now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int((cursor.fetchone() or (0,))[0])


def check_privileges(engine: Engine) -> str:
    """The role that the sync uses. Raises `WarehouseError` with the rights that it lacks."""
    (role, database, schema, may_create, may_stage, closed, hidden), *_ = fetch_once(
        engine,
        """
        SELECT quote_ident(current_user), quote_ident(current_database()), to_regnamespace('gazelle')::text,
               CASE WHEN to_regnamespace('gazelle') IS NULL
                    THEN has_database_privilege(current_database(), 'CREATE')
                    ELSE has_schema_privilege('gazelle', 'USAGE') AND has_schema_privilege('gazelle', 'CREATE') END,
               has_database_privilege(current_database(), 'TEMPORARY'),
               ARRAY(SELECT format('%%I', relname) FROM pg_class
                     WHERE relnamespace = to_regnamespace('gazelle') AND relkind = 'r' AND relname = ANY (%(ours)s)
                       AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                                AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
                     ORDER BY 1),
               ARRAY(SELECT format('%%I', relname) FROM pg_class
                     WHERE relnamespace = to_regnamespace('gazelle') AND relkind = 'r' AND relname = ANY (%(ours)s)
                       AND NOT pg_has_role(relowner, 'USAGE') AND relrowsecurity
                       AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user)
                     ORDER BY 1)
        """,
        {"ours": own_tables(TABLES)},
    )
    if not may_create:
        what = f"USAGE, CREATE ON SCHEMA {schema}" if schema else f"CREATE ON DATABASE {database}"
        raise WarehouseError(say("may_not_create", role=role, mending=f"GRANT {what} TO {role};"))
    if not may_stage:
        mending = f"GRANT TEMPORARY ON DATABASE {database} TO {role};"
        raise WarehouseError(say("may_not_stage", role=role, mending=mending))
    if closed:
        mending = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gazelle TO {role};"
        raise WarehouseError(say("may_not_write", role=role, tables=", ".join(closed), mending=mending))
    if hidden:
        mending = repeat_statement("ALTER TABLE gazelle.{} OWNER TO " + role, hidden)
        raise WarehouseError(say("rows_hidden", role=role, tables=", ".join(hidden), mending=mending))
    check_owner(engine, role)
    rehearse_writing(engine)
    return say("role_named", role=role)


def check_owner(engine: Engine, role: str, tables: Mapping[str, Table] = TABLES) -> None:
    """Raises `WarehouseError` with the tables that the next sync has to alter, and that are another role's.

    `role` is quoted. Who is not the owner may be granted everything but that (PostgreSQL manual, "Privileges").
    """
    found = fetch_once(
        engine,
        "SELECT format('%%I', relname) FROM pg_class WHERE relnamespace = to_regnamespace('gazelle') "
        "AND relkind = 'r' AND relname = ANY (%(ours)s) AND NOT pg_has_role(relowner, 'USAGE') ORDER BY relname",
        {"ours": own_tables(tables)},
    )
    altered = list_altered(engine, tables) if found else []
    if names := [name for (name,) in found if name.strip('"') in altered]:
        mending = repeat_statement("ALTER TABLE gazelle.{} OWNER TO " + role, names)
        raise WarehouseError(say("not_the_owner", role=role, tables=", ".join(names), mending=mending))


def check_schema_rights(engine: Engine, schema: str, *, variable: str) -> None:
    """Raises `WarehouseError` when the role of `variable` may not make tables in a schema, nor make that."""
    (role, database, exists, may), *_ = fetch_once(
        engine,
        """
        SELECT quote_ident(current_user), quote_ident(current_database()), to_regnamespace(%(schema)s) IS NOT NULL,
               CASE WHEN to_regnamespace(%(schema)s) IS NULL
                    THEN has_database_privilege(current_database(), 'CREATE')
                    ELSE has_schema_privilege(%(schema)s, 'USAGE') AND has_schema_privilege(%(schema)s, 'CREATE') END
        """,
        {"schema": schema},
    )
    if not may:
        mending = (
            f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};"
            if exists
            else f"CREATE SCHEMA {schema} AUTHORIZATION {role};"
        )
        raise WarehouseError(
            say("may_not_make_schema", role=role, database=database, schema=schema, variable=variable, mending=mending)
        )


def rehearse_writing(engine: Engine) -> None:
    """Writes a megabyte where rows are staged, and drops it: a server can be read-only, or its disk full.

    Raises `WarehouseError`.
    """

    def work() -> None:
        with transaction(engine) as cursor:
            cursor.execute(
                "CREATE TEMP TABLE rehearsal ON COMMIT DROP AS "
                "SELECT repeat(md5(number::text), 32) FROM generate_series(1, 1000) AS number"
            )

    with_retries(work, say("rehearsing"), attempts=1)


def check_column_types(engine: Engine, tables: Mapping[str, Table] = TABLES) -> None:
    """Raises `WarehouseError` with the columns that have another type than the declared one.

    `id` is the database's own affair: a table that was taken over keeps the ids that it had.
    """
    found = fetch_once(
        engine,
        """
        SELECT relname, attname, format_type(atttypid, atttypmod)
        FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
        WHERE relnamespace = to_regnamespace('gazelle') AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
        ORDER BY relname, attnum
        """,
    )
    declared = {
        (table.name, column.name): column.type.compile(dialect=pg.dialect()).lower()  # type: ignore[no-untyped-call]
        for table in metadata(tables).tables.values()
        for column in table.columns
        if column.name != "id"
    }
    wrong = [
        (table, column, there, declared[table, column])
        for table, column, there in found
        if (meant := declared.get((table, column), there)) != there
        and there not in {*AS_GOOD.get(meant, ()), *CONVERTED.get(meant, ())}
    ]
    if wrong:
        told = ", ".join(
            say("column_is_otherwise", column=f"{table}.{column}", there=there, meant=meant)
            for table, column, there, meant in wrong
        )
        mending = " ".join(
            f'ALTER TABLE gazelle."{table}" ALTER "{column}" TYPE {meant} USING "{column}"{conversion(there, meant)};'
            for table, column, there, meant in wrong
        )
        raise WarehouseError(say("columns_are_otherwise", columns=told, mending=mending))


def conversion(there: str, meant: str) -> str:
    """Times without a zone are in UTC, as `migrate` takes them to be."""
    return " AT TIME ZONE 'UTC'" if "with time zone" in meant and "without" in there else f"::{meant}"


def check_row_security(engine: Engine, tables: Mapping[str, Table] = TABLES) -> int:
    """How many of our tables there are. Raises `WarehouseError` with those that have row level security off."""
    found = fetch_once(
        engine,
        "SELECT relname, relrowsecurity FROM pg_class WHERE relnamespace = to_regnamespace('gazelle') "
        "AND relkind IN ('r', 'p') AND relname = ANY (%(ours)s) ORDER BY relname",
        {"ours": own_tables(tables)},
    )
    if off := [name for name, protected in found if not protected]:
        mending = repeat_statement("ALTER TABLE gazelle.{} ENABLE ROW LEVEL SECURITY", off)
        raise WarehouseError(say("row_security_off", tables=", ".join(off), mending=mending))
    return len(found)


def check_grants(engine: Engine) -> None:
    """Raises `WarehouseError` with what the public's roles may touch that nobody meant them to.

    `anon` is everybody who has the project's public key, so nothing here is for it. A grant to `authenticated` is
    meant where a policy for it stands beside it. Nobody but its owner gets the token.
    """
    # pg_class.reloptions holds a boolean as it was written.
    found = fetch_once(
        engine,
        """
        SELECT relname, rolname FROM pg_class AS relation CROSS JOIN pg_roles AS role
        WHERE relnamespace = to_regnamespace('gazelle') AND relkind IN ('r', 'p', 'v', 'm')
          AND rolname IN ('anon', 'authenticated')
          AND (has_any_column_privilege(role.oid, relation.oid, 'SELECT, INSERT, UPDATE')
               OR has_table_privilege(role.oid, relation.oid, 'DELETE, TRUNCATE'))
          AND (rolname = 'anon' OR relname = %(token)s OR CASE relkind
               WHEN 'm' THEN true
               WHEN 'v' THEN NOT coalesce((SELECT option_value::boolean FROM pg_options_to_table(reloptions)
                                           WHERE option_name = 'security_invoker'), false)
               ELSE NOT relrowsecurity OR has_table_privilege(role.oid, relation.oid, 'TRUNCATE')
                    OR NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = relation.oid
                                   AND (0 = ANY (polroles) OR role.oid = ANY (polroles))) END)
        UNION
        SELECT relname, coalesce(rolname, 'PUBLIC')
        FROM pg_class AS relation CROSS JOIN aclexplode(relacl) LEFT JOIN pg_roles AS role ON role.oid = grantee
        WHERE relnamespace = to_regnamespace('gazelle') AND relname = %(token)s AND grantee <> relowner
        ORDER BY rolname, relname
        """,
        {"token": OWNER_ONLY},
    )
    if found:
        by_role: dict[str, list[str]] = {}
        for relation, role in found:
            by_role.setdefault(role, []).append(f'{SCHEMA}."{relation}"' if '"' in relation else f"{SCHEMA}.{relation}")
        told = "; ".join(say("holds_rights", role=role, on=", ".join(names)) for role, names in by_role.items())
        mending = " ".join(
            # What everybody may, they may too.
            f"REVOKE ALL ON {', '.join(names)} FROM {role if role == 'PUBLIC' else f'PUBLIC, {role}'};"
            for role, names in by_role.items()
        )
        raise WarehouseError(say("too_open", what=told, mending=mending))


def check_rest_api(engine: Engine) -> bool | None:
    """Whether the REST API serves schema `gazelle`; None where that can't be seen: no PostgREST, or its settings are
    not in the database. Raises `WarehouseError` when they are, and do not name it."""
    schemas = fetch_once(
        engine,
        """
        SELECT split_part(item, '=', 2) FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole,
               unnest(setconfig) AS item
        WHERE rolname = 'authenticator' AND item LIKE 'pgrst.db\\_schemas=%%'
          AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        ORDER BY setdatabase DESC
        """,
    )
    if not schemas:
        return None
    listed = [name.strip(' "') for name in schemas[0][0].split(",") if name.strip()]
    if SCHEMA not in listed:
        schemas_meant = ", ".join([*listed, SCHEMA])
        mending = f"ALTER ROLE authenticator SET pgrst.db_schemas = '{schemas_meant}'; NOTIFY pgrst, 'reload config';"
        raise WarehouseError(say("rest_not_served", schema=SCHEMA, others=", ".join(listed), mending=mending))
    return True


def own_tables(tables: Mapping[str, Table]) -> list[str]:
    return [table.name for table in metadata(tables).tables.values()]


def repeat_statement(pattern: str, names: list[str]) -> str:
    return " ".join(f"{pattern.format(name)};" for name in names)


def fetch_once(engine: Engine, query: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
    """Asked once: whoever asks for a check waits in front of it."""
    return fetch(engine, query, parameters or {}, attempts=1)[1]
