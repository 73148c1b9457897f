"""Who may read what a migration makes: row level security from the first moment, and of Supabase's roles the service.

Keep out: what people granted, which is theirs; and what `check` says of it (`preflight`).
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from gazelle_sync.warehouse.schema import OWNER_ONLY, SCHEMA

SUPABASE_ROLES = {"anon", "authenticated", "service_role"}


def read_roles(connection: sa.Connection) -> set[str]:
    return set(connection.scalars(sa.text("SELECT rolname FROM pg_roles")))


def protect(connection: sa.Connection, name: str, roles: Iterable[str]) -> None:
    """Row level security from the first moment; of Supabase's roles, only the service may read."""
    table = f'{SCHEMA}."{name}"'
    sequences = connection.scalars(
        sa.text(
            "SELECT pg_get_serial_sequence(:table, attname) FROM pg_attribute WHERE attrelid = :table ::regclass "
            "AND attname = 'id'"
        ),
        {"table": table},
    )
    for sequence in filter(None, sequences.all()):
        for role in sorted(SUPABASE_ROLES & set(roles)):
            connection.execute(sa.text(f"REVOKE ALL ON SEQUENCE {sequence} FROM {role}"))
    connection.execute(sa.text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
    if name == OWNER_ONLY:
        connection.execute(sa.text(f"REVOKE ALL ON {table} FROM PUBLIC"))
        for role in SUPABASE_ROLES & set(roles):
            connection.execute(sa.text(f"REVOKE ALL ON {table} FROM {role}"))
        return
    restrict(connection, table, roles)
    if "service_role" in roles:
        connection.execute(sa.text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO service_role"))
        reads = f"CREATE POLICY service_role_reads ON {table} FOR SELECT TO service_role USING (true)"
        connection.execute(sa.text(reads))


def restrict(connection: sa.Connection, relation: str, roles: Iterable[str]) -> None:
    """Takes back what default privileges may have given."""
    for role in SUPABASE_ROLES & set(roles):
        connection.execute(sa.text(f"REVOKE ALL ON {relation} FROM {role}"))
    if "service_role" in roles:
        connection.execute(sa.text(f"GRANT SELECT ON {relation} TO service_role"))
