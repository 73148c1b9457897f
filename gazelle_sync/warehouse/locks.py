"""Who writes when: advisory locks, held to the end of a transaction, so that a pooler can't leak them.

Keep out: anything but locks.
"""

import zlib

# The first half of every lock's number, so that ours meet nobody else's.
NAMESPACE = 0x67617A


# Waits until this transaction is the only one that loads the table, and no migration runs.
LOCK_TABLE = "SELECT pg_advisory_xact_lock_shared(%(ours)s, 0); SELECT pg_advisory_xact_lock(%(ours)s, %(table)s)"


def lock_parameters(table: str) -> dict[str, object]:
    """What `LOCK_TABLE` is executed with."""
    return {"ours": NAMESPACE, "table": lock_number(table)}


def lock_number(table: str) -> int:
    """A number that every host works out alike, and that is not the migrations' 0."""
    return zlib.crc32(table.encode()) >> 1 or 1


# For migrations, which run over SQLAlchemy.
MIGRATION = f"SELECT pg_advisory_xact_lock({NAMESPACE}, 0)"
