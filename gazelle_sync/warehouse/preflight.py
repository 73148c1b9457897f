"""What a database is and allows, for `gazelle-sync check`. Nothing is changed.

A fault is a `WarehouseError` that ends with the statement that mends it. Keep out: what a database should look like
(`schema`), and making it so (`migrations`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2.extensions import connection as Connection
from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse.column_types import (
    Dependent,
    Otherwise,
    find_dependents,
    find_otherwise,
    is_as_good,
    mend,
    take_base,
)
from gazelle_sync.warehouse.connection import WarehouseError, describe_error, fetch, transaction, with_retries
from gazelle_sync.warehouse.migrations import DEFAULT_ZONE, is_compared
from gazelle_sync.warehouse.rights import check_rights
from gazelle_sync.warehouse.schema import OWNER_ONLY, SCHEMA, metadata
from gazelle_sync.warehouse.views import VIEWS


def check_server(engine: Engine) -> str:
    """The server's version. Raises `WarehouseError` when it can't be reached, is too old, or can't hold every text."""
    (version, number, encoding, template), *_ = fetch_once(
        engine,
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, "
        "current_setting('server_encoding'), (SELECT pg_encoding_to_char(encoding) FROM pg_database "
        "WHERE datname = 'template0')",
    )
    if number < 150000:
        raise WarehouseError(say("server_too_old", version=version))
    if encoding != "UTF8":
        # A template's locale goes with its encoding; that of C goes with each.
        locale = "" if template == "UTF8" else " LOCALE 'C'"
        mending = f"CREATE DATABASE gazelle ENCODING 'UTF8'{locale} TEMPLATE template0;"
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


def check_privileges(
    engine: Engine, tables: Mapping[str, Table] = TABLES, *, zone: ZoneInfo | None = DEFAULT_ZONE
) -> str:
    """The role that the sync uses. Raises `WarehouseError` with the rights that it lacks."""
    (role, database, schema, may_create, may_stage), *_ = fetch_once(
        engine,
        """
        SELECT quote_ident(current_user), quote_ident(current_database()), to_regnamespace('gazelle')::text,
               CASE WHEN to_regnamespace('gazelle') IS NULL
                    THEN has_database_privilege(current_database(), 'CREATE')
                    ELSE has_schema_privilege('gazelle', 'USAGE') AND has_schema_privilege('gazelle', 'CREATE') END,
               has_database_privilege(current_database(), 'TEMPORARY')
        """,
    )
    if not may_create:
        # Who owns the database need not be there: Supabase's `postgres` may make schemas, and pass no such right on.
        made = f"GRANT {role} TO CURRENT_USER; CREATE SCHEMA gazelle AUTHORIZATION {role};"
        mending = f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};" if schema else made
        raise WarehouseError(say("may_not_create", role=role, mending=mending))
    if not may_stage:
        mending = f"GRANT TEMPORARY ON DATABASE {database} TO {role};"
        raise WarehouseError(say("may_not_stage", role=role, mending=mending))
    check_rights(engine, role, tables, zone)
    rehearse_writing(engine)
    return say("role_named", role=role)


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


def check_column_types(
    engine: Engine, tables: Mapping[str, Table] = TABLES, *, zone: ZoneInfo | None = DEFAULT_ZONE
) -> dict[str, set[str]]:
    """What stands of another type than the declared one and serves all the same, with what keeps it so, in words; and
    the views that are left out for it.

    Raises `WarehouseError` with the columns that a sync may stumble over, and with what has the name of a table.
    """
    check_names(engine, tables)
    otherwise = find_otherwise(engine, metadata(tables))
    dependents = find_dependents(engine, otherwise)
    made_of: dict[Otherwise, list[Dependent]] = {
        each: [other for other in dependents if (other.table, other.column) == (each.table, each.column)]
        for each in otherwise
    }
    # A sync widens by itself what nothing is made of, when it compares.
    stays = bool(otherwise) and is_compared(engine, tables, zone=zone)
    kept = [each for each in otherwise if each.widened is None or made_of[each] or (stays and each.may_refuse)]
    if wrong := [each for each in kept if each.may_refuse]:
        told = ", ".join(
            say("column_is_otherwise", column=each.named, there=each.there, meant=each.meant) for each in wrong
        )
        mending = mend(wrong, [other for each in wrong for other in made_of[each]])
        raise WarehouseError(say("columns_are_otherwise", columns=told, mending=mending))
    left_out = {each: list_left_out(each) for each in kept}
    return {describe_kept(each, made_of[each], left_out[each]): left_out[each] for each in kept}


def list_left_out(column: Otherwise) -> set[str]:
    """The views of ours that can't be made of a column as it is."""
    if is_as_good(take_base(column.there), column.meant):
        return set()
    return {
        view.name
        for view in VIEWS.values()
        for table, alias in re.findall(r"gazelle\.(\w+) AS (\w+)", view.query)
        if table == column.table and re.search(rf"\b{alias}\.{column.column}\b", view.query)
    }


def describe_kept(column: Otherwise, dependents: Sequence[Dependent], left_out: Collection[str]) -> str:
    text = say(
        "column_is_kept",
        column=column.named,
        there=column.there,
        meant=column.meant,
        dependents=", ".join(dict.fromkeys(each.name for each in dependents)),
    )
    if left_out:
        text += " " + say("views_are_left_out", views=", ".join(sorted(left_out)))
    # What can't be made again by a statement is somebody's decision.
    if all(each.drop for each in dependents):
        text += " " + say("column_to_mend", mending=mend([column], dependents))
    return text


def check_names(engine: Engine, tables: Mapping[str, Table]) -> None:
    """Raises `WarehouseError` with views and the like that have the name of a table of ours."""
    found = fetch_once(
        engine,
        "SELECT format('%%I', relname), CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' "
        "ELSE 'FOREIGN TABLE' END, format('%%I', relname || '_before') FROM pg_class WHERE relnamespace = "
        "to_regnamespace('gazelle') AND relkind IN ('v', 'm', 'f') AND relname = ANY (%(ours)s) ORDER BY relname",
        {"ours": own_tables(tables)},
    )
    if found:
        names = ", ".join(name for name, _, _ in found)
        mending = " ".join(f"ALTER {kind} gazelle.{name} RENAME TO {other};" for name, kind, other in found)
        raise WarehouseError(say("name_is_taken", names=names, mending=mending))


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
          -- The sync itself may be another role than the owner.
          AND rolname IS DISTINCT FROM current_user
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
