"""gazelle.account: whose account this database mirrors, from its first sync on; and who asked last.

Keep out: what Gazelle says of the account (`gazelle.account`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from gazelle_sync.warehouse.connection import fetch


@dataclass(frozen=True)
class MirroredAccount:
    """The company that is mirrored here. `saw_all_at` is when somebody who may see everything last asked.

    `client_locale` is the language that its clients are written to in, as it was last told.
    """

    company_id: str
    company_name: str
    saw_all_at: datetime | None
    client_locale: str | None = None


# As JSON, because the column may not be there yet.
READ = """
SELECT company_external_id, company_name, saw_all_at, to_jsonb(account) ->> 'client_locale' FROM gazelle.account
"""

# Another company's row stays as it is, also when two first syncs begin at once.
REMEMBER = """
INSERT INTO gazelle.account AS known (id, company_external_id, company_name, access_level, saw_all_at, client_locale)
VALUES (1, %(company_id)s, %(company_name)s, %(access_level)s, CASE WHEN %(sees_all)s THEN now() END,
        %(client_locale)s)
ON CONFLICT (id) DO UPDATE SET company_name = excluded.company_name, access_level = excluded.access_level,
    saw_all_at = coalesce(excluded.saw_all_at, known.saw_all_at),
    client_locale = coalesce(excluded.client_locale, known.client_locale)
WHERE known.company_external_id = excluded.company_external_id;
"""


def read_mirrored_account(engine: Engine) -> MirroredAccount | None:
    """None where nothing was synced yet, or by a version that did not remember it. Raises `WarehouseError`."""
    if fetch(engine, "SELECT to_regclass('gazelle.account') IS NOT NULL", {})[1] != [(True,)]:
        return None
    _, rows = fetch(engine, READ, {})
    return MirroredAccount(*rows[0]) if rows else None


def remember_account(
    engine: Engine,
    *,
    company_id: str,
    company_name: str,
    access_level: str | None,
    sees_all: bool,
    client_locale: str | None,
) -> MirroredAccount:
    """What is mirrored here: the given company, unless it is another one already. Raises `WarehouseError`."""
    values = {
        "company_id": company_id,
        "company_name": company_name,
        "access_level": access_level,
        "sees_all": sees_all,
        "client_locale": client_locale,
    }
    return MirroredAccount(*fetch(engine, REMEMBER + READ, values)[1][0])
