"""What the public's roles would see without being meant to: tables that were there before, sequences, other's views.

Supabase's own examples grant whole schemas to `anon`, who is everybody that has a project's public key. Each finding
is a `WarehouseError` that ends with the statements that mend it. Keep out: grants on what the sync made (`preflight`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, text

from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import WarehouseError, fetch
from gazelle_sync.warehouse.schema import SCHEMA

# Who may do what with a table that shows every row to whoever may. A role's rights are those of PUBLIC, too.
OPEN = """
SELECT relname, rolname,
       concat_ws(', ', CASE WHEN has_any_column_privilege(role.oid, relation.oid, 'SELECT') THEN 'SELECT' END,
                 CASE WHEN has_any_column_privilege(role.oid, relation.oid, 'INSERT') THEN 'INSERT' END,
                 CASE WHEN has_any_column_privilege(role.oid, relation.oid, 'UPDATE') THEN 'UPDATE' END)
FROM pg_class AS relation CROSS JOIN pg_roles AS role
WHERE relnamespace = to_regnamespace('gazelle') AND relkind IN ('r', 'p') AND relname = ANY (:names)
  AND NOT relrowsecurity AND rolname IN ('anon', 'authenticated')
  AND has_any_column_privilege(role.oid, relation.oid, 'SELECT, INSERT, UPDATE')
ORDER BY relname, rolname
"""
SEQUENCES = """
SELECT relname, rolname FROM pg_class AS relation CROSS JOIN pg_roles AS role
WHERE relnamespace = to_regnamespace('gazelle') AND relkind = 'S' AND rolname IN ('anon', 'authenticated')
  AND has_sequence_privilege(role.oid, relation.oid, 'USAGE, SELECT, UPDATE')
  AND EXISTS (SELECT FROM pg_depend JOIN pg_class AS owner ON owner.oid = refobjid
              WHERE classid = 'pg_class'::regclass AND objid = relation.oid AND deptype IN ('a', 'i')
                AND owner.relname = ANY (%(names)s))
ORDER BY rolname, relname
"""
# Views outside the schema that read its tables with the rights of who made them: every row, for whoever may ask them.
VIEWS = """
SELECT DISTINCT format('%%I.%%I', space.nspname, relation.relname), rolname, relation.relkind
FROM pg_rewrite JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
     JOIN pg_class AS source ON source.oid = refobjid AND source.relnamespace = to_regnamespace('gazelle')
     JOIN pg_class AS relation ON relation.oid = ev_class
     JOIN pg_namespace AS space ON space.oid = relation.relnamespace CROSS JOIN pg_roles AS role
WHERE refclassid = 'pg_class'::regclass AND space.nspname <> 'gazelle' AND relation.relkind IN ('v', 'm')
  AND source.relname = ANY (%(names)s) AND rolname IN ('anon', 'authenticated')
  AND has_schema_privilege(role.oid, space.oid, 'USAGE')
  AND has_any_column_privilege(role.oid, relation.oid, 'SELECT')
  AND NOT coalesce((SELECT option_value::boolean FROM pg_options_to_table(relation.reloptions)
                    WHERE option_name = 'security_invoker'), false)
ORDER BY 1, 2
"""


def refuse_to_publish(connection: Connection, columns: Iterable[tuple[str, str]], tables: Mapping[str, Table]) -> None:
    """Raises `WarehouseError` when personal columns would be added to a table that the public may read or write.

    `columns` are those that a migration is about to add: table and name.
    """
    personal: dict[str, list[str]] = {}
    for table, name in columns:
        if any(
            column.name == name and column.personal for column in (tables[table].columns if table in tables else ())
        ):
            personal.setdefault(table, []).append(name)
    if not personal:
        return
    found = connection.execute(text(OPEN), {"names": list(personal)}).all()
    if found:
        open_tables = list(dict.fromkeys(table for table, _, _ in found))
        raise WarehouseError(
            say(
                "would_publish",
                who="; ".join(
                    say("may_do", role=role, what=what, on=f"{SCHEMA}.{table}") for table, role, what in found
                ),
                columns=", ".join(f"{table}.{name}" for table in open_tables for name in personal[table]),
                mending=" ".join(
                    f'ALTER TABLE {SCHEMA}."{table}" ENABLE ROW LEVEL SECURITY; '
                    f'REVOKE ALL ON {SCHEMA}."{table}" FROM PUBLIC, {", ".join(roles_of(found, table))};'
                    for table in open_tables
                ),
            )
        )


def roles_of(found: Iterable[Any], table: str) -> list[str]:
    return [role for name, role, _ in found if name == table]


def check_bystanders(engine: Engine, tables: Mapping[str, Table] = TABLES) -> None:
    """Raises `WarehouseError` with the sequences of our tables, and the views on them, that the public may use."""
    names = {"names": list(tables)}
    told: list[str] = []
    mending: list[str] = []
    by_role: dict[str, list[str]] = {}
    for sequence, role in fetch(engine, SEQUENCES, names, attempts=1)[1]:
        by_role.setdefault(role, []).append(f'{SCHEMA}."{sequence}"')
    for role, sequences in by_role.items():
        told.append(say("holds_rights", role=role, on=", ".join(sequences)))
        mending.append(f"REVOKE ALL ON SEQUENCE {', '.join(sequences)} FROM PUBLIC, {role};")
    views: dict[str, tuple[str, list[str]]] = {}
    for view, role, kind in fetch(engine, VIEWS, names, attempts=1)[1]:
        views.setdefault(view, (kind, []))[1].append(role)
    for view, (kind, roles) in views.items():
        told.append(say("reads_through", roles=", ".join(roles), view=view))
        # A materialized view has no such option: it holds the rows.
        mending.append(
            f"ALTER VIEW {view} SET (security_invoker = true);"
            if kind == "v"
            else f"REVOKE ALL ON {view} FROM PUBLIC, {', '.join(roles)};"
        )
    if told:
        raise WarehouseError(say("too_open", what="; ".join(told), mending=" ".join(mending)))
