"""What must be true of a table after a load: each check is a name and the query of the rows that break it.

What must hold of one table in particular is declared with it. Keep out: when checks run and who is told (the module
`checks`), what is refused before it gets in (`load`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from psycopg2 import sql
from sqlalchemy import Engine

from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.tables.columns import Rule
from gazelle_sync.translations import say
from gazelle_sync.warehouse import guards
from gazelle_sync.warehouse.connection import fetch
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.scope import condition


@dataclass(frozen=True)
class RowCheck:
    """`breaking` selects the keys of the rows that break it. A `blocking` one must hold before others build on it.

    `reason` and `remedy` name the sentences that say of what is broken why, and what to do; `values` fill them in.
    """

    name: str
    description: str
    breaking: sql.Composable
    parameters: Mapping[str, object] = field(default_factory=dict)
    blocking: bool = False
    reason: str = "broken_claim"
    remedy: str = "remedy_of_data"
    values: Mapping[str, str] = field(default_factory=dict)

    def tell_why(self, result: RowCheckResult) -> str:
        """With how many there are, and the ids of the first few."""
        more = "…" if result.broken > len(result.examples) else ""
        return say(self.reason, count=result.broken, ids=", ".join(result.examples) + more, **self.values)

    def tell_remedy(self) -> str:
        return say(self.remedy, **self.values)


@dataclass(frozen=True)
class RowCheckResult:
    """How many rows break a check, and the keys of the first few."""

    broken: int
    examples: list[str]


# What breaks each rule of a declaration. `{column}` is the checked one; a local value was taken from `{timestamp}`.
RULES: dict[Rule, str] = {
    Rule.NOT_NULL: "{column} IS NULL",
    Rule.NOT_BLANK: "btrim({column}) = ''",
    Rule.POSITIVE: "{column} <= 0",
    Rule.LOCAL: "{column} IS DISTINCT FROM ({timestamp} AT TIME ZONE %(zone)s)::{type}",
}


# What is said of rows that break it, and what to do.
REASONS: dict[Rule, tuple[str, str]] = {
    Rule.NOT_NULL: ("broken_not_null", "remedy_of_data"),
    Rule.NOT_BLANK: ("broken_not_blank", "remedy_of_data"),
    Rule.POSITIVE: ("broken_positive", "remedy_of_data"),
    Rule.LOCAL: ("broken_local", "remedy_local"),
}


def row_checks(table: Table, zone: ZoneInfo, tables: Mapping[str, Table] = TABLES) -> Iterator[RowCheck]:
    """Those of every table, then those of this one. Live rows are meant, placeholders aside."""
    target = sql.Identifier(SCHEMA, table.name)
    key = sql.SQL(" || '/' || ").join(sql.Identifier("t", name) for name in table.key)
    live = sql.SQL(
        "SELECT {} FROM {} t WHERE t.deleted_at IS NULL AND t.synced_at IS NOT NULL AND {} IS NOT NULL AND "
    ).format(key, target, key)
    yield RowCheck(
        "ids_are_unique_and_present",
        "No two rows have the same of Gazelle's ids. A row without one is somebody's own, and left alone.",
        sql.SQL("SELECT min({key}) FROM {target} t WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1").format(
            key=key, target=target
        ),
        blocking=True,
        reason="broken_unique",
        remedy="remedy_ids_are_unique_and_present",
        values={"table": table.name},
    )
    yield RowCheck(
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
        reason="broken_parents",
        remedy="remedy_every_parent_is_known",
    )
    yield RowCheck(
        "no_row_is_set_aside",
        "Every record could be stored as Gazelle sent it.",
        sql.SQL("SELECT external_id FROM gazelle.rejected_rows WHERE table_name = %(table)s AND resolved_at IS NULL"),
        {"table": table.name},
        reason="broken_set_aside",
        remedy="remedy_no_row_is_set_aside",
    )
    yield RowCheck(
        "few_rows_vanished",
        f"The last load marked no more than {guards.SHARE_TO_REFUSE:.0%} of the table as deleted, or "
        f"{guards.ROWS_TO_REFUSE} rows, or half of a small table.",
        sql.SQL(
            "SELECT {key} FROM {target} t, (SELECT * FROM gazelle.sync_log WHERE table_name = %(table)s "
            "AND status <> 'error' ORDER BY finished_at DESC, id DESC LIMIT 1) log "
            # All that one load marks has the same moment, by the server's own clock.
            "WHERE t.deleted_at = (SELECT max(deleted_at) FROM {target}) "
            "AND log.deleted > {limit}"
        ).format(
            key=key,
            target=target,
            limit=sql.SQL(guards.LIMIT).format(rows=sql.SQL("(SELECT count(*) FROM {})").format(target)),
        ),
        {"table": table.name},
        reason="broken_vanished",
        remedy="remedy_few_rows_vanished",
        values={"table": table.name},
    )
    for check in table.all_checks:
        column = table.column(check.column)
        timestamp = table.timestamp_of(column) or column
        breaking = sql.SQL(RULES[check.rule]).format(
            column=sql.Identifier("t", column.name),
            timestamp=sql.Identifier("t", timestamp.name),
            type=sql.SQL(column.type.sql),
        )
        reason, remedy = REASONS[check.rule]
        yield RowCheck(
            check.name,
            check.description,
            live + breaking,
            {"zone": zone.key} if check.rule is Rule.LOCAL else {},
            reason=reason,
            remedy=remedy,
            values={"table": table.name, "column": column.name, "timestamp": timestamp.name, "zone": zone.key},
        )


def run_checks(engine: Engine, checks: Sequence[RowCheck]) -> dict[str, RowCheckResult]:
    """The result of each of one table's checks, by its name. Raises `WarehouseError`."""
    found = {check.name: RowCheckResult(0, []) for check in checks}
    if not found:
        return found
    queries = [
        sql.SQL("(SELECT {}, count(*) OVER (), breaking.* FROM ({}) AS breaking LIMIT 5)").format(
            sql.Literal(check.name), check.breaking
        )
        for check in checks
    ]
    parameters = {name: value for check in checks for name, value in check.parameters.items()}
    for name, broken, key in fetch(engine, sql.SQL(" UNION ALL ").join(queries), parameters)[1]:
        found[name] = RowCheckResult(broken, [*found[name].examples, str(key)])
    return found


def count_rows_in_scope(engine: Engine, table: Table, scope: Scope, tables: Mapping[str, Table] = TABLES) -> int:
    """How many live records of the scope there are, those included that the last load could not store at all.

    Without those of which the next night tells whether they are gone.
    """
    within, parameters = condition(table, scope, tables)
    key = sql.SQL(" || '/' || ").join(sql.Identifier("t", name) for name in table.key)
    query = sql.SQL(
        "SELECT (SELECT count(*) FROM {target} t WHERE t.deleted_at IS NULL AND t.synced_at IS NOT NULL "
        "AND {key} IS NOT NULL AND {within})"
        " + "
        "(SELECT count(*) FROM gazelle.rejected_rows r WHERE r.table_name = %(table)s AND r.resolved_at IS NULL "
        # A record without a row has no date either: those are meant that were met after the last load but one.
        "AND r.last_seen_at > coalesce((SELECT finished_at FROM gazelle.sync_log WHERE table_name = %(table)s "
        "AND status <> 'error' ORDER BY finished_at DESC OFFSET 1 LIMIT 1), '-infinity') "
        "AND NOT EXISTS (SELECT FROM {target} t WHERE {key} = r.external_id))"
        " - "
        "(SELECT count(*) FROM gazelle.deletion_candidates c JOIN {target} t ON {key} = c.external_id "
        "WHERE c.table_name = %(table)s AND t.deleted_at IS NULL AND t.synced_at IS NOT NULL)"
    ).format(target=sql.Identifier(SCHEMA, table.name), within=within, key=key)
    return int(fetch(engine, query, {**parameters, "table": table.name})[1][0][0])
