"""Columns of another type than the declared one: what a sync widens by itself, what keeps one from that, and the
statements that mend it.

PostgreSQL alters no type of a column that a view, a policy or a trigger is made of. So the statements take these away
and make them again as they were, with their owners and grants. Keep out: how a load compares with such a column
(`target`), and what else a database lacks (`migrations`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from gazelle_sync.warehouse.connection import fetch
from gazelle_sync.warehouse.schema import AS_GOOD, SCHEMA

COLUMNS = """
SELECT relname, attname, format_type(atttypid, atttypmod), atthasdef AND attgenerated = ''
FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
WHERE relnamespace = to_regnamespace('gazelle') AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
ORDER BY relname, attnum
"""

# What is made of columns: of which one, how far from it, how it is called, and how it is taken away and made again;
# without that for what can only be made again by hand. A view that is made anew would have what default privileges
# give, and a comment of ours tells of its definition, which then reads otherwise.
DEPENDENTS = r"""
SET LOCAL search_path = '';
WITH RECURSIVE named AS (
    SELECT relation.oid AS relation, attnum, relname, attname
    FROM unnest(%(tables)s::text[], %(columns)s::text[]) AS asked ("table", "column")
    JOIN pg_class AS relation ON relname = "table" AND relnamespace = to_regnamespace('gazelle')
    JOIN pg_attribute ON attrelid = relation.oid AND attname = "column"
), made_of AS (
    SELECT named.*, classid, objid FROM named JOIN pg_depend
    ON refclassid = 'pg_class'::regclass AND refobjid = relation AND refobjsubid = attnum
), reading (relname, attname, oid, depth) AS (
    SELECT relname, attname, ev_class, 1 FROM made_of JOIN pg_rewrite ON pg_rewrite.oid = objid
    WHERE classid = 'pg_rewrite'::regclass AND ev_class <> relation
    UNION
    SELECT relname, attname, ev_class, depth + 1 FROM reading
    JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = reading.oid
    JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid AND ev_class <> reading.oid
), trigger AS (
    SELECT oid, tgrelid AS relation, tgname AS name, concat_ws(
        ' ', pg_get_triggerdef(oid) || ';',
        'ALTER TABLE ' || tgrelid::regclass
        || CASE tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' WHEN 'A' THEN ' ENABLE ALWAYS' END
        || ' TRIGGER ' || quote_ident(tgname) || ';',
        'COMMENT ON TRIGGER ' || quote_ident(tgname) || ' ON ' || tgrelid::regclass || ' IS '
        || quote_literal(obj_description(oid, 'pg_trigger')) || ';') AS definition
    FROM pg_trigger WHERE NOT tgisinternal
), rule AS (
    SELECT ev_class AS relation, concat_ws(
        ' ', pg_get_ruledef(oid),
        'COMMENT ON RULE ' || quote_ident(rulename) || ' ON ' || ev_class::regclass || ' IS '
        || quote_literal(obj_description(oid, 'pg_rewrite')) || ';') AS definition
    FROM pg_rewrite WHERE rulename <> '_RETURN'
)
SELECT reading.relname, attname, max(depth), format('%%s', view.oid::regclass),
       CASE WHEN relkind IN ('v', 'm') THEN format('DROP %%s %%s;', kind, view.oid::regclass) END,
       CASE WHEN relkind IN ('v', 'm') THEN concat_ws(' ',
           format('CREATE %%s %%s%%s AS%%s', kind, view.oid::regclass,
                  ' WITH (' || array_to_string(reloptions, ', ') || ')', pg_get_viewdef(view.oid)),
           (SELECT string_agg(concat_ws(' ', pg_get_indexdef(indexrelid) || ';',
                                        'COMMENT ON INDEX ' || indexrelid::regclass || ' IS '
                                        || quote_literal(obj_description(indexrelid, 'pg_class')) || ';'), ' ')
            FROM pg_index WHERE indrelid = view.oid),
           (SELECT string_agg(format('ALTER %%s %%s ALTER %%I SET DEFAULT %%s;', kind, view.oid::regclass, attname,
                                     pg_get_expr(adbin, adrelid)), ' ')
            FROM pg_attrdef JOIN pg_attribute AS a ON attrelid = adrelid AND attnum = adnum WHERE adrelid = view.oid),
           (SELECT string_agg(definition, ' ')
            FROM (SELECT relation, definition FROM trigger UNION ALL TABLE rule) AS all_of WHERE relation = view.oid),
           format('ALTER %%s %%s OWNER TO %%I;', kind, view.oid::regclass, pg_get_userbyid(relowner)),
           (SELECT format('REVOKE ALL ON %%s FROM %%s;', view.oid::regclass, string_agg(rolname, ', ' ORDER BY rolname))
            FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role') HAVING count(*) > 0),
           (SELECT string_agg(format('GRANT %%s%%s ON %%s TO %%s%%s;', privilege_type, part, view.oid::regclass,
                                     coalesce(quote_ident(rolname), 'PUBLIC'),
                                     CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ' ')
            FROM (SELECT '' AS part, acl.* FROM aclexplode(relacl) AS acl
                  UNION ALL
                  SELECT format(' (%%I)', a.attname), acl.*
                  FROM pg_attribute AS a CROSS JOIN aclexplode(attacl) AS acl WHERE attrelid = view.oid) AS granted
            LEFT JOIN pg_roles ON pg_roles.oid = grantee WHERE grantee <> relowner),
           format('COMMENT ON %%s %%s IS %%L;', kind, view.oid::regclass,
                  regexp_replace(obj_description(view.oid, 'pg_class'), '((^|\n)gazelle-sync \w+) \d+:\w+$', '\1')),
           (SELECT string_agg(format('COMMENT ON COLUMN %%s.%%I IS %%L;', view.oid::regclass, attname, description),
                              ' ')
            FROM pg_description JOIN pg_attribute AS a ON attrelid = objoid AND attnum = objsubid
            WHERE classoid = 'pg_class'::regclass AND objoid = view.oid AND objsubid > 0)) END
FROM reading JOIN pg_class AS view USING (oid)
CROSS JOIN LATERAL (SELECT CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END AS kind) AS of
GROUP BY reading.relname, attname, view.oid, relkind, kind, reloptions, relowner, relacl
UNION ALL
SELECT relname, attname, 0, pg_describe_object(classid, objid, 0),
       format('DROP POLICY %%I ON %%s;', polname, polrelid::regclass),
       concat_ws(' ',
           format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO %%s%%s%%s;', polname, polrelid::regclass,
                  CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                              WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                  (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END, ', ')
                   FROM unnest(polroles) AS role),
                  ' USING (' || pg_get_expr(polqual, polrelid) || ')',
                  ' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')'),
           'COMMENT ON POLICY ' || quote_ident(polname) || ' ON ' || polrelid::regclass || ' IS '
           || quote_literal(obj_description(pg_policy.oid, 'pg_policy')) || ';')
FROM made_of JOIN pg_policy ON classid = 'pg_policy'::regclass AND objid = pg_policy.oid
UNION
SELECT relname, attname, 0, pg_describe_object(classid, objid, 0),
       format('DROP TRIGGER %%I ON %%s;', name, trigger.relation::regclass), definition
FROM made_of JOIN trigger ON classid = 'pg_trigger'::regclass AND objid = trigger.oid
UNION
SELECT relname, made_of.attname, 0, pg_describe_object(classid, objid, 0), NULL, NULL
FROM made_of LEFT JOIN pg_attrdef ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
LEFT JOIN pg_attribute AS filled ON filled.attrelid = adrelid AND filled.attnum = adnum
LEFT JOIN pg_index ON classid = 'pg_class'::regclass AND indexrelid = objid
WHERE filled.attgenerated <> '' OR indexprs IS NOT NULL OR indpred IS NOT NULL OR classid = 'pg_proc'::regclass
UNION
SELECT reading.relname, attname, depth, pg_describe_object(classid, objid, 0), NULL, NULL
FROM reading JOIN pg_class AS view USING (oid) JOIN pg_depend
ON (refclassid, refobjid) IN (('pg_class'::regclass, view.oid), ('pg_type'::regclass, view.reltype))
WHERE classid IN ('pg_proc'::regclass, 'pg_policy'::regclass)
ORDER BY 3, 4
"""

MODIFIER = re.compile(r"\([\d,-]+\)")
TEXTS = {"text", "character varying", "character"}
WITH_ZONE, WITHOUT_ZONE = "timestamp with time zone", "timestamp without time zone"


class Otherwise(NamedTuple):
    """A column that is there with another type than `meant`, and that does not hold as much."""

    table: str
    column: str
    there: str
    meant: str
    has_default: bool

    @property
    def named(self) -> str:
        return f"{self.table}.{self.column}"

    @property
    def widened(self) -> str | None:
        """The type that does as well and that it can have with every value as it is; None where there is none."""
        base = take_base(self.there)
        if (base, self.meant) == (WITHOUT_ZONE, WITH_ZONE):
            return self.meant
        return base if is_as_good(base, self.meant) else None

    @property
    def may_refuse(self) -> bool:
        """Whether a value of Gazelle's can be refused, and not only be rounded."""
        return self.widened is None or take_base(self.there).startswith("character")

    @property
    def alter(self) -> str:
        name = quote(self.column)
        default = f"ALTER {name} DROP DEFAULT, " if self.has_default and self.widened is None else ""
        using = convert(name, take_base(self.there), self.meant)
        return f"ALTER TABLE {SCHEMA}.{quote(self.table)} {default}ALTER {name} TYPE {self.meant} USING {using};"


@dataclass(frozen=True)
class Dependent:
    """What is made of a column; without `drop` it can't be made again by a statement."""

    table: str
    column: str
    depth: int
    name: str
    drop: str | None
    make: str | None


def take_base(type_: str) -> str:
    """A type without its lengths and precisions."""
    return MODIFIER.sub("", type_)


def is_as_good(there: str, meant: str) -> bool:
    return there == meant or there in AS_GOOD.get(meant, ())


def name_type(column: sa.Column[Any]) -> str:
    """A declared column's type as `format_type` has it."""
    compiled: str = column.type.compile(dialect=pg.dialect())  # type: ignore[no-untyped-call]
    return compiled.lower()


def list_otherwise(found: Iterable[Sequence[Any]], shape: sa.MetaData) -> Iterator[Otherwise]:
    """Of the rows of `COLUMNS`, those of which the type is not as good as the declared one.

    `id` is the database's own affair: a table that was taken over keeps the ids that it had.
    """
    declared = {
        (table.name, column.name): name_type(column)
        for table in shape.tables.values()
        for column in table.columns
        if column.name != "id"
    }
    for table, column, there, has_default in found:
        meant = declared.get((table, column), there)
        if not is_as_good(there, meant):
            yield Otherwise(table, column, there, meant, has_default)


def find_otherwise(engine: sa.Engine, shape: sa.MetaData) -> list[Otherwise]:
    return list(list_otherwise(fetch(engine, COLUMNS, {}, attempts=1)[1], shape))


def find_dependents(engine: sa.Engine, columns: Sequence[Otherwise]) -> list[Dependent]:
    """What keeps these from being altered, nearest first. Raises `WarehouseError`."""
    if not columns:
        return []
    asked = {"tables": [each.table for each in columns], "columns": [each.column for each in columns]}
    return [Dependent(*row) for row in fetch(engine, DEPENDENTS, asked, attempts=1)[1]]


def mend(columns: Sequence[Otherwise], dependents: Sequence[Dependent]) -> str:
    """The statements that give columns their declared types, and let what is made of them be as it was."""
    depths = {each.name: each.depth for each in sorted(dependents, key=lambda each: each.depth)}
    made = {each.name: each for each in dependents}
    nearest = [made[name] for name in sorted(depths, key=lambda name: depths[name])]
    drops = [each.drop for each in reversed(nearest) if each.drop]
    statements = [*drops, *(each.alter for each in columns), *(each.make for each in nearest if each.make)]
    return " ".join(["BEGIN;", *statements, "COMMIT;"] if drops else statements)


def convert(name: str, there: str, meant: str) -> str:
    """What is in a column, as a value of the declared type. Times without a zone are in UTC, as a sync takes them."""
    if (there, meant) == (WITHOUT_ZONE, WITH_ZONE):
        return f"{name} AT TIME ZONE 'UTC'"
    if meant == "text[]" and there in {"json", "jsonb"}:
        return f"translate(nullif({name}::text, 'null'), '[]', '{{}}')::text[]"
    if meant == "text[]" and there in TEXTS:
        return f"string_to_array({name}, ',')"
    if there in TEXTS and meant != "text":
        return f"nullif(btrim({name}), '')::{meant}"
    return f"{name}::{meant}"


def quote(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
