"""Makes the views, and makes one anew when a version changes it; one that people made or altered is left to them.

A view of ours says so in its comment, with a digest of its declaration and of what PostgreSQL made of it. Keep out:
what the views are (`views`), and tables (`migrations`).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

import psycopg2
import psycopg2.errors
import sqlalchemy as sa

from gazelle_sync.translations import say
from gazelle_sync.warehouse.column_types import is_as_good, name_type, take_base
from gazelle_sync.warehouse.protection import read_roles, restrict
from gazelle_sync.warehouse.schema import SCHEMA, metadata
from gazelle_sync.warehouse.views import VIEWS, View, in_zone

logger = logging.getLogger(__name__)

# Definitions are compared as one version of PostgreSQL writes them, with every name in full.
LOOK = """
SELECT set_config('search_path', '', true), relname, relkind::text, obj_description(oid, 'pg_class'),
       CASE relkind WHEN 'v' THEN md5(pg_get_viewdef(oid)) END, current_setting('server_version_num')::int / 10000,
       pg_has_role(relowner, 'USAGE')
FROM pg_class WHERE relnamespace = to_regnamespace('gazelle') AND relname = ANY (:names)
"""

# The columns that a view reads, with their types.
READ = """
SELECT DISTINCT relname, attname, format_type(atttypid, atttypmod)
FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid AND classid = 'pg_rewrite'::regclass
JOIN pg_class ON pg_class.oid = refobjid AND refclassid = 'pg_class'::regclass
JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
WHERE ev_class = to_regclass(:view) AND refobjid <> ev_class
"""

# What people granted on a view, and on columns of it.
GRANTED = """
SELECT format('GRANT %s%s ON %s TO %s%s', privilege_type, named, view, coalesce(quote_ident(rolname), 'PUBLIC'),
              CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM (
    SELECT oid::regclass AS view, '' AS named, relowner AS owner, acl.*
    FROM pg_class CROSS JOIN aclexplode(relacl) AS acl WHERE oid = to_regclass(:view)
    UNION ALL
    SELECT oid::regclass, format(' (%I)', attname), relowner, acl.*
    FROM pg_class JOIN pg_attribute ON attrelid = oid CROSS JOIN aclexplode(attacl) AS acl
    WHERE oid = to_regclass(:view)
) AS granted LEFT JOIN pg_roles ON pg_roles.oid = grantee
WHERE grantee <> owner
"""

OURS = re.compile(r"(?:^|\n)gazelle-sync (?P<digest>.*?)(?: (?P<version>\d+):(?P<definition>\w+))?$")


class Found(NamedTuple):
    """What stands under a view's name: the digest of its comment, None where it is not ours, or not a view. Only who
    acts for its owner may replace it."""

    digest: str | None
    is_altered: bool
    is_owned: bool = True


def replace_views(
    connection: sa.Connection,
    zone: ZoneInfo | None,
    views: Mapping[str, View] = VIEWS,
    level: int = logging.WARNING,
) -> list[str]:
    """Makes the views that are missing or of another version. What was made, in words; what was not, is logged, at
    `level` where it can't be made.

    Nothing without a zone: dates would be told in another one than before.
    """
    if zone is None:
        return []
    found = dict(look(connection, views))
    roles = read_roles(connection) if any(is_due(view, zone, found.get(name)) for name, view in views.items()) else ()
    done: list[str] = []
    for name, view in views.items():
        there = found.get(name)
        if there and (there.digest is None or (there.is_altered and is_due(view, zone, there))):
            logger.warning("%s", say("view_is_theirs", view=f"{SCHEMA}.{name}"))
        elif there and not there.is_owned and is_due(view, zone, there):
            logger.log(level, "%s", say("view_left_out", view=f"{SCHEMA}.{name}", why=say("view_of_another_role")))
        elif is_due(view, zone, there):
            done += make_view(connection, view, zone, roles, level, is_new=there is None)
    return done


def list_lacking_views(
    connection: sa.Connection, zone: ZoneInfo | None, views: Mapping[str, View] = VIEWS
) -> list[str]:
    """What `replace_views` would make, in words."""
    if zone is None:
        return []
    found = dict(look(connection, views))
    return [
        say("view_named", what=name)
        for name, view in views.items()
        if is_due(view, zone, there := found.get(name)) and not (there and (there.digest is None or there.is_altered))
    ]


def list_views_to_replace(connection: sa.Connection, zone: ZoneInfo | None) -> set[str]:
    """The views that are there and ours, and that `replace_views` would make anew, which only their owner may."""
    if zone is None:
        return set()
    return {
        name
        for name, there in look(connection, VIEWS)
        if there.digest is not None and not there.is_altered and is_due(VIEWS[name], zone, there)
    }


def look(connection: sa.Connection, names: Iterable[str]) -> Iterable[tuple[str, Found]]:
    for _, name, kind, comment, definition, version, is_owned in connection.execute(sa.text(LOOK), {"names": [*names]}):
        ours = OURS.search(comment or "") if kind == "v" else None
        if ours is None:
            yield name, Found(None, False, is_owned)
        else:
            comparable = ours["version"] == str(version)
            yield name, Found(ours["digest"], comparable and ours["definition"] != definition, is_owned)


def is_due(view: View, zone: ZoneInfo, there: Found | None) -> bool:
    return there is None or there.digest != digest_of(view, zone)


def digest_of(view: View, zone: ZoneInfo) -> str:
    told = "\n".join([in_zone(view.query, zone), view.comment, *(f"{c.name}: {c.comment}" for c in view.columns)])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def make_view(
    connection: sa.Connection, view: View, zone: ZoneInfo, roles: Iterable[str], level: int, *, is_new: bool
) -> list[str]:
    """Makes one, or leaves it out where the tables don't have what it reads, as declared, or where people's views are
    made of an older shape of it. Grants on it stay."""
    name = f"{SCHEMA}.{view.name}"
    granted: list[str] = [] if is_new else list(connection.scalars(sa.text(GRANTED), {"view": name}))
    try:
        with connection.begin_nested():
            if not try_to_replace(connection, view, zone):
                connection.execute(sa.text(f"DROP VIEW {name}"))
                create(connection, view, zone)
                is_new = True
            check_what_it_reads(connection, view)
            if is_new:
                # Later, what people granted is theirs.
                restrict(connection, name, roles)
                for statement in granted:
                    connection.execute(sa.text(statement))
            describe(connection, view, zone)
    except NotAsDeclared as error:
        why: object = error
    except (sa.exc.ProgrammingError, sa.exc.InternalError, sa.exc.NotSupportedError) as error:
        why = error.orig.diag.message_primary if isinstance(error.orig, psycopg2.Error) else error.orig
    else:
        return [say("view_named", what=view.name)]
    logger.log(level, "%s", say("view_left_out", view=name, why=why))
    return []


class NotAsDeclared(Exception):
    """A column that a view reads has another type than its declaration: `check` says how to mend it, and a view on it
    would stand in the way of that."""


def try_to_replace(connection: sa.Connection, view: View, zone: ZoneInfo) -> bool:
    """Whether the view could be made without dropping an older one, which has other columns or types."""
    try:
        with connection.begin_nested():
            create(connection, view, zone)
    except sa.exc.ProgrammingError as error:
        if isinstance(error.orig, psycopg2.errors.InvalidTableDefinition):
            return False
        raise
    return True


def create(connection: sa.Connection, view: View, zone: ZoneInfo) -> None:
    # A colon would be taken for a parameter.
    query = in_zone(view.query, zone).replace(":", "\\:")
    connection.execute(
        sa.text(f"CREATE OR REPLACE VIEW {SCHEMA}.{view.name} WITH (security_invoker = true) AS {query}")
    )


def check_what_it_reads(connection: sa.Connection, view: View) -> None:
    """Raises `NotAsDeclared`."""
    shape = {table.name: table for table in metadata().tables.values()}
    for table, column, there in connection.execute(sa.text(READ), {"view": f"{SCHEMA}.{view.name}"}):
        if table in shape and column in shape[table].columns:
            meant = name_type(shape[table].columns[column])
            if not is_as_good(take_base(there), meant):
                raise NotAsDeclared(say("column_is_otherwise", column=f"{table}.{column}", there=there, meant=meant))


def describe(connection: sa.Connection, view: View, zone: ZoneInfo) -> None:
    """What the view and each column of it mean, and what tells later that it is ours and as it was made."""
    name = f"{SCHEMA}.{view.name}"
    [(_, _, _, _, definition, version, _)] = connection.execute(sa.text(LOOK), {"names": [view.name]})
    told = {f"VIEW {name}": f"{view.comment}\n\ngazelle-sync {digest_of(view, zone)} {version}:{definition}"}
    told |= {f"COLUMN {name}.{column.name}": column.comment for column in view.columns}
    statements = [f"COMMENT ON {what} IS {literal(text)}" for what, text in told.items()]
    connection.execute(sa.text("; ".join(statements).replace(":", "\\:")))


def literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
