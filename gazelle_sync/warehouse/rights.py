"""What the sync's role may do with tables and views that are another role's, and the statements that give it the rest.

Keep out: what the role may do in the database (`preflight`), and who else may read (`exposure`, `protection`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from gazelle_sync.tables import Table
from gazelle_sync.translations import say
from gazelle_sync.warehouse.connection import WarehouseError, fetch
from gazelle_sync.warehouse.migrations import list_altered
from gazelle_sync.warehouse.schema import metadata
from gazelle_sync.warehouse.views import VIEWS

# Of our tables and views that are there: whose they are, what the role may do, and whether rows are hidden from it.
RELATIONS = """
SELECT relname, format('gazelle.%%I', relname), relkind IN ('r', 'p'), pg_has_role(relowner, 'USAGE'),
       has_table_privilege(oid, 'SELECT'),
       has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'),
       has_table_privilege(oid, 'REFERENCES'),
       relrowsecurity AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user)
FROM pg_class WHERE relnamespace = to_regnamespace('gazelle')
AND (relkind IN ('r', 'p') AND relname = ANY (%(tables)s) OR relkind IN ('v', 'm') AND relname = ANY (%(views)s))
ORDER BY relname
"""
# Sequences that number the rows of our tables, and that the role may not use. An identity asks for no right.
NUMBERING = """
SELECT DISTINCT format('%%I.%%I', nspname, sequence.relname)
FROM pg_attrdef JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
JOIN pg_class AS sequence ON refclassid = 'pg_class'::regclass AND refobjid = sequence.oid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE adrelid IN (SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace('gazelle') AND relname = ANY (%(ours)s))
  -- In whatever order conditions are looked at.
  AND NOT CASE relkind WHEN 'S' THEN has_sequence_privilege(sequence.oid, 'USAGE') END
ORDER BY 1
"""
# The owners who could not give what is theirs to the role: whoever gives something away has to be a member.
STRANGERS = """
SELECT DISTINCT quote_ident(rolname) FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner
WHERE relnamespace = to_regnamespace('gazelle') AND relname = ANY (%(names)s) AND NOT rolsuper
  AND NOT pg_has_role(relowner, (SELECT oid FROM pg_roles WHERE rolname = current_user), 'MEMBER')
"""


class Relation(NamedTuple):
    name: str
    quoted: str
    is_table: bool
    is_owned: bool
    may_read: bool
    may_write: bool
    may_refer: bool
    hides_rows: bool


def check_rights(engine: Engine, role: str, tables: Mapping[str, Table], zone: ZoneInfo | None) -> None:
    """Raises `WarehouseError` with what is another role's, and not this one's to read, write or alter.

    `role` is quoted. Who is not the owner may be granted everything but altering (PostgreSQL manual, "Privileges").
    """
    asked = {"tables": [table.name for table in metadata(tables).tables.values()], "views": list(VIEWS)}
    others = [each for each in map(Relation._make, fetch(engine, RELATIONS, asked, attempts=1)[1]) if not each.is_owned]
    altered, referred = list_altered(engine, tables, zone=zone) if others else (set(), set())
    to_be_given = [each for each in others if each.name in altered]
    others = [each for each in others if each not in to_be_given]
    closed = [each for each in others if not (each.may_read and (each.may_write or not each.is_table))]
    unreferable = [each for each in others if each.name in referred and not each.may_refer]
    hidden = [each for each in others if each.is_table and each.hides_rows]
    sequences = [name for (name,) in fetch(engine, NUMBERING, {"ours": asked["tables"]}, attempts=1)[1]]
    if to_be_given:
        raise WarehouseError(
            say("not_the_owner", role=role, tables=named(to_be_given), mending=give(engine, role, to_be_given))
        )
    if closed or unreferable or sequences:
        wanted = {
            "SELECT, INSERT, UPDATE, DELETE": [each.quoted for each in closed if each.is_table],
            "SELECT": [each.quoted for each in closed if not each.is_table],
            "REFERENCES": [each.quoted for each in unreferable],
            "USAGE ON SEQUENCE": sequences,
        }
        mending = " ".join(
            f"GRANT {what if ' ON ' in what else f'{what} ON'} {', '.join(names)} TO {role};"
            for what, names in wanted.items()
            if names
        )
        told = ", ".join(dict.fromkeys([*(each.name for each in (*closed, *unreferable)), *sequences]))
        raise WarehouseError(say("may_not_write", role=role, tables=told, mending=mending))
    if hidden:
        mending = give(engine, role, hidden)
        raise WarehouseError(say("rows_hidden", role=role, tables=named(hidden), mending=mending))


def named(relations: Sequence[Relation]) -> str:
    return ", ".join(each.name for each in relations)


def give(engine: Engine, role: str, relations: Sequence[Relation]) -> str:
    """The statements with which owners give what is theirs to the role."""
    strangers = fetch(engine, STRANGERS, {"names": [each.name for each in relations]}, attempts=1)[1]
    return " ".join(
        [
            *(f"GRANT {role} TO {owner};" for (owner,) in strangers),
            *(f"ALTER {'TABLE' if each.is_table else 'VIEW'} {each.quoted} OWNER TO {role};" for each in relations),
        ]
    )
