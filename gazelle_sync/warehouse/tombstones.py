"""The steps that mark what is gone: which stored records were not shown, how many may be marked, and marking them.

Keep out: what proves that a record is gone (`gazelle.deletions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extras import execute_values

from gazelle_sync.tables import Scope, Table
from gazelle_sync.tables.declaration import ByParent, Missing, Settled
from gazelle_sync.warehouse import guards
from gazelle_sync.warehouse.connection import Cursor
from gazelle_sync.warehouse.overtaking import Knowledge
from gazelle_sync.warehouse.schema import SCHEMA
from gazelle_sync.warehouse.scope import condition
from gazelle_sync.warehouse.target import Key, Target, listed


@dataclass(frozen=True)
class Unseen:
    """Stored records that a read did not show. `placeholders` of them were never more than an id.

    `orphans` of them belong to a record that is marked as gone, which is why they are. `in_scope` live records belong
    to what was read, `in_table` to the table.
    `table_is_empty`: no record that a read missed is stored, and so none of them would be asked for.
    """

    missing: list[Missing]
    placeholders: set[Key]
    in_scope: int
    in_table: int
    table_is_empty: bool = False
    orphans: frozenset[Key] = frozenset()

    def count_surprising(self, gone: Iterable[Key]) -> int:
        """How many of these are records whose end has no known reason."""
        return len({*gone} - self.placeholders - self.orphans)

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

    Those that are settled are left to reads of all history; those are left out of which somebody else knows more.
    """
    scope_is, parameters = condition(target.table, scope, tables)
    evidence = target.table.deletion_proved_by
    looked_for = list(evidence.arguments) if isinstance(evidence, ByParent) else []
    asked_for = scope_is if list_is_whole else sql.SQL("false")
    if settled := None if scope.whole else getattr(evidence, "settled", None):
        asked_for = sql.SQL("{} AND NOT {}").format(asked_for, is_settled(target.table, settled, tables))
        parameters = {**parameters, "settled": list(settled.values)}
    cursor.execute(
        target.compose(
            # A row without a key is no record of Gazelle's: people's own, in a table that was taken over.
            "SELECT t.synced_at IS NULL, {is_orphan}, ARRAY[{looked_for}]::text[], {t_key} FROM {target} t "
            "WHERE t.deleted_at IS NULL AND ({t_key}) IS NOT NULL AND (t.synced_at IS NULL OR {asked_for}) "
            "AND NOT {is_unsure} AND NOT EXISTS (SELECT FROM staging s WHERE {same_key})",
            looked_for=listed(looked_for, "t"),
            asked_for=asked_for,
            is_orphan=is_orphan(target.table, tables),
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
        [Missing(tuple(key), next(iter(owners), None), tuple(owners[1:])) for _, _, owners, *key in found],
        placeholders={tuple(key) for is_placeholder, _, _, *key in found if is_placeholder},
        in_scope=in_scope,
        in_table=in_table,
        orphans=frozenset(tuple(key) for _, is_orphan, _, *key in found if is_orphan),
    )


def is_orphan(table: Table, tables: Mapping[str, Table]) -> sql.Composable:
    """Whether row `t` belongs to a record that is marked as gone: one of those that it can't be without."""
    parents = [
        sql.SQL("EXISTS (SELECT FROM {} q WHERE q.external_id = t.{} AND q.deleted_at IS NOT NULL)").format(
            sql.Identifier(SCHEMA, parent), sql.Identifier(name)
        )
        for name, parent in table.references.items()
        if parent in tables and (table.column(name).required or not table.column(name).nullable)
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parents)) if parents else sql.SQL("false")


def is_settled(table: Table, settled: Settled, tables: Mapping[str, Table]) -> sql.Composable:
    """Whether row `t` is in a state in which it may not be listed; the parameter `settled` has its names."""
    *relation, name = settled.column.split(".")
    if not relation:
        return sql.SQL("coalesce({} = ANY (%(settled)s), false)").format(sql.Identifier("t", name))
    owner = tables[table.references[relation[0]]]
    return sql.SQL(
        "EXISTS (SELECT FROM {owner} q WHERE q.external_id = t.{relation} AND q.{name} = ANY (%(settled)s))"
    ).format(owner=sql.Identifier(SCHEMA, owner.name), relation=sql.Identifier(relation[0]), name=sql.Identifier(name))


def stage_gone(cursor: Cursor, target: Target, gone: Sequence[Key]) -> None:
    """Puts the keys of what is gone into a temporary table `gone`."""
    cursor.tell(target.compose("CREATE TEMP TABLE gone ({key_definitions}) ON COMMIT DROP"))
    if gone:
        execute_values(cursor, "INSERT INTO gone VALUES %s", gone)


def mark_gone(cursor: Cursor, target: Target, asked_at: datetime) -> None:
    """Sets `deleted_at` of what `gone` has to `asked_at`, when Gazelle began to be asked: so old is what is known."""
    cursor.tell(
        target.compose("UPDATE {target} t SET deleted_at = %s, synced_at = now() FROM gone WHERE {same_gone}"),
        (asked_at,),
    )
