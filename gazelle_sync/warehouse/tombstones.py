"""The steps that mark what is gone: which stored records were not shown, how many may be marked, and marking them.

Keep out: what proves that a record is gone (`gazelle.deletions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from gazelle_sync.tables import Scope, Table
from gazelle_sync.tables.declaration import Missing
from gazelle_sync.warehouse import guards
from gazelle_sync.warehouse.overtaking import Knowledge
from gazelle_sync.warehouse.scope import condition
from gazelle_sync.warehouse.target import Key, Target

COUNT_LIVE = "SELECT count(*) FROM {target} WHERE deleted_at IS NULL"


@dataclass(frozen=True)
class Unseen:
    """Stored records that a read did not show. `placeholders` of them were never more than an id.

    `in_scope` live records belong to what was read, `in_table` to the table.
    """

    missing: list[Missing]
    placeholders: set[Key]
    in_scope: int
    in_table: int

    @property
    def limit(self) -> float:
        """How many records may be marked as gone without being told to."""
        return guards.limit(self.in_scope, self.in_table)


def find_unseen(
    cursor: Cursor,
    target: Target,
    scope: Scope,
    tables: Mapping[str, Table],
    knowledge: Knowledge,
    *,
    list_is_whole: bool,
) -> Unseen:
    """Live records of the scope that are not staged (if the list was whole), and all placeholders that are not.

    Those are left out of which somebody else knows more by now.
    """
    scope_is, parameters = condition(target.table, scope, tables)
    parent = getattr(target.table.deletion_proved_by, "column", None)
    cursor.execute(
        target.compose(
            # A row without a key is no record of Gazelle's: people's own, in a table that was taken over.
            "SELECT t.synced_at IS NULL, {parent}, {t_key} FROM {target} t "
            "WHERE t.deleted_at IS NULL AND ({t_key}) IS NOT NULL AND (t.synced_at IS NULL OR {scope_is}) "
            "AND NOT {is_unsure} AND NOT EXISTS (SELECT FROM staging s WHERE {same_key})",
            parent=sql.Identifier("t", parent) if parent else sql.SQL("NULL"),
            scope_is=scope_is if list_is_whole else sql.SQL("false"),
            is_unsure=knowledge.is_unsure,
        ),
        {**parameters, **knowledge.parameters},
    )
    found = cursor.fetchall()
    if not found:
        return Unseen([], set(), in_scope=0, in_table=0)
    cursor.execute(
        target.compose(
            "SELECT count(*) FILTER (WHERE {scope_is}), count(*) FROM {target} t "
            "WHERE t.deleted_at IS NULL AND t.synced_at IS NOT NULL",
            scope_is=scope_is,
        ),
        parameters,
    )
    (in_scope, in_table), *_ = cursor.fetchall()
    return Unseen(
        [Missing(tuple(row[2:]), row[1]) for row in found],
        placeholders={tuple(row[2:]) for row in found if row[0]},
        in_scope=in_scope,
        in_table=in_table,
    )


def stage_gone(cursor: Cursor, target: Target, gone: Sequence[Key]) -> None:
    """Puts the keys of what is gone into a temporary table `gone`."""
    cursor.execute(target.compose("CREATE TEMP TABLE gone ({key_definitions}) ON COMMIT DROP"))
    if gone:
        execute_values(cursor, "INSERT INTO gone VALUES %s", gone)


def mark_gone(cursor: Cursor, target: Target, asked_at: datetime) -> None:
    """Sets `deleted_at` of what `gone` has to `asked_at`, when Gazelle began to be asked: so old is what is known."""
    cursor.execute(
        target.compose("UPDATE {target} t SET deleted_at = %s, synced_at = now() FROM gone WHERE {same_gone}"),
        (asked_at,),
    )
