"""What must be true of a table after a load: each claim is a name and the query of the rows that break it.

Keep out: when claims are tested and who is told (`checks`), what is refused before it gets in (`load`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from psycopg2 import sql
from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.warehouse.connection import fetched
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.scope import condition


@dataclass(frozen=True)
class Claim:
    """`breaking` selects the keys of the rows that break it. What is `vital` has to hold before others build on it."""

    name: str
    description: str
    breaking: sql.Composable
    parameters: Mapping[str, object] = field(default_factory=dict)
    vital: bool = False


@dataclass(frozen=True)
class Verdict:
    """How many rows break a claim, and the keys of the first few."""

    broken: int
    examples: list[str]


# What matters in one table in particular: name → what it says, and the condition that breaks it.
OF_ONE_TABLE: dict[str, dict[str, tuple[str, str]]] = {
    "users": {},
    "clients": {"have_a_name": ("Every client has a name to be called by.", "btrim(t.company_name) = ''")},
    "contacts": {"have_a_client": ("Every contact belongs to a client.", "t.client_external_id IS NULL")},
    "pianos": {"have_a_client": ("Every piano belongs to a client.", "t.client_external_id IS NULL")},
    "appointments": {
        "end_after_they_start": ("Every appointment takes some time.", "t.duration_minutes <= 0"),
        "fall_on_their_local_date": (
            "The date and time are those of the start, in the company's time zone.",
            "(t.appointment_date, t.appointment_time) IS DISTINCT FROM "
            "((t.starts_at AT TIME ZONE %(zone)s)::date, (t.starts_at AT TIME ZONE %(zone)s)::time)",
        ),
    },
    "appointment_pianos": {},
    "timeline_entries": {"have_a_client": ("Every entry belongs to a client.", "t.client_external_id IS NULL")},
}


def claims(table: Table, zone: ZoneInfo, tables: Mapping[str, Table] = TABLES) -> Iterator[Claim]:
    """Those of every table, then those of this one. Live rows are meant, placeholders aside."""
    target = sql.Identifier(SCHEMA, table.name)
    key = sql.SQL(" || '/' || ").join(sql.Identifier("t", name) for name in table.key)
    live = sql.SQL("SELECT {} FROM {} t WHERE t.deleted_at IS NULL AND t.synced_at IS NOT NULL AND ").format(
        key, target
    )
    yield Claim(
        "ids_are_unique_and_present",
        "Every row has Gazelle's id, and no two rows have the same.",
        sql.SQL("SELECT min({key}) FROM {target} t GROUP BY {key} HAVING {key} IS NULL OR count(*) > 1").format(
            key=key, target=target
        ),
        vital=True,
    )
    yield Claim(
        "every_parent_is_known",
        "No row has waited for more than a day for a record that it refers to.",
        sql.SQL(" UNION ").join(
            [live + sql.SQL("false")]
            + [
                live
                + sql.SQL(
                    "t.synced_at < now() - interval '1 day' AND EXISTS "
                    "(SELECT FROM {} p WHERE p.external_id = t.{} AND p.synced_at IS NULL)"
                ).format(sql.Identifier(SCHEMA, parent), sql.Identifier(column))
                for column, parent in table.references.items()
                if parent in tables
            ]
        ),
    )
    yield Claim(
        "no_row_is_set_aside",
        "Every record could be stored as Gazelle sent it.",
        sql.SQL("SELECT external_id FROM gazelle.rejected_rows WHERE table_name = %(table)s AND resolved_at IS NULL"),
        {"table": table.name},
    )
    yield Claim(
        "few_rows_vanished",
        "The last load marked no more than a tenth of the table as deleted, or no more than 25 rows.",
        sql.SQL(
            "SELECT {key} FROM {target} t, (SELECT * FROM gazelle.sync_log WHERE table_name = %(table)s "
            "AND status <> 'error' ORDER BY finished_at DESC, id DESC LIMIT 1) log "
            # All that one load marks has the same moment, by the server's own clock.
            "WHERE t.deleted_at = (SELECT max(deleted_at) FROM {target}) "
            "AND log.deleted > greatest(25, 0.1 * (SELECT count(*) FROM {target}))"
        ).format(key=key, target=target),
        {"table": table.name},
    )
    for name, (description, breaking) in OF_ONE_TABLE.get(table.name, {}).items():
        yield Claim(name, description, live + sql.SQL(breaking), {"zone": zone.key} if "%(zone)s" in breaking else {})


def tested(engine: Engine, claims: Sequence[Claim]) -> dict[str, Verdict]:
    """A verdict on each of one table's claims, by its name. Raises `WarehouseError`."""
    found = {claim.name: Verdict(0, []) for claim in claims}
    if not found:
        return found
    queries = [
        sql.SQL("(SELECT {}, count(*) OVER (), breaking.* FROM ({}) AS breaking LIMIT 5)").format(
            sql.Literal(claim.name), claim.breaking
        )
        for claim in claims
    ]
    parameters = {name: value for claim in claims for name, value in claim.parameters.items()}
    for name, broken, key in fetched(engine, sql.SQL(" UNION ALL ").join(queries), parameters)[1]:
        found[name] = Verdict(broken, [*found[name].examples, str(key)])
    return found


def rows_in_scope(engine: Engine, table: Table, scope: Scope, tables: Mapping[str, Table] = TABLES) -> int:
    """How many live records of the scope there are, those included that the last load could not store at all."""
    within, parameters = condition(table, scope, tables)
    key = sql.SQL(" || '/' || ").join(sql.Identifier("t", name) for name in table.key)
    query = sql.SQL(
        "SELECT (SELECT count(*) FROM {target} t WHERE t.deleted_at IS NULL AND t.synced_at IS NOT NULL AND {within})"
        " + "
        "(SELECT count(*) FROM gazelle.rejected_rows r WHERE r.table_name = %(table)s AND r.resolved_at IS NULL "
        # A record without a row has no date either: those are meant that were met after the last load but one.
        "AND r.last_seen_at > coalesce((SELECT finished_at FROM gazelle.sync_log WHERE table_name = %(table)s "
        "AND status <> 'error' ORDER BY finished_at DESC OFFSET 1 LIMIT 1), '-infinity') "
        "AND NOT EXISTS (SELECT FROM {target} t WHERE {key} = r.external_id))"
    ).format(target=sql.Identifier(SCHEMA, table.name), within=within, key=key)
    return int(fetched(engine, query, {**parameters, "table": table.name})[1][0][0])
