"""Who writes when: advisory locks, held to the end of a transaction, so that a pooler can't leak them.

Keep out: anything but locks.
"""

import zlib

from psycopg2.extensions import cursor as Cursor

# The first half of every lock's number, so that ours meet nobody else's.
NAMESPACE = 0x67617A


def lock_table(cursor: Cursor, table: str) -> None:
    """Waits until this transaction is the only one that loads the table, and no migration runs."""
    cursor.execute(
        "SELECT pg_advisory_xact_lock_shared(%(ours)s, 0); SELECT pg_advisory_xact_lock(%(ours)s, %(table)s)",
        {"ours": NAMESPACE, "table": lock_number(table)},
    )


def lock_number(table: str) -> int:
    """A number that every host works out alike, and that is not the migrations' 0."""
    return zlib.crc32(table.encode()) >> 1 or 1


# For migrations, which run over SQLAlchemy.
MIGRATION = f"SELECT pg_advisory_xact_lock({NAMESPACE}, 0)"
