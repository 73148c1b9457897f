"""What proves that a record is gone: asking for it by id, asking for the lists it may be in, or the whole list again.

Each proof yields the rows of records that exist after all, and adds to `snapshot.not_gone` the keys of all that must
not be marked as gone: those that exist, and those about which nothing could be proved. An answer that is an error, or
is about another record, proves nothing: it is noted in `snapshot.unproved`, and the others are asked for all the same.
Keep out: which records are asked for, and what is done about those that are gone (`warehouse`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import pandas

from gazelle_sync.gazelle import query
from gazelle_sync.gazelle.errors import CursorLost, InvalidResponse, TooMuch, Unanswered
from gazelle_sync.gazelle.pages import Node, OtherRecord, WentAway, walk_connection, walk_of_parent
from gazelle_sync.gazelle.rows import Columns, make_getter, transpose
from gazelle_sync.tables.declaration import ById, ByParent, Connection, Missing, Nested
from gazelle_sync.translations import say

if TYPE_CHECKING:
    from gazelle_sync.gazelle.snapshot import Snapshot

Keys = set[tuple[str, ...]]

# After so many questions that were answered with an error each time, no more are asked: all that is left is kept.
# (Where an answer tells which of its records the error is about, it costs one question, and does not count.)
UNANSWERED = 5


def confirm(snapshot: Snapshot, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    """By the evidence that the table declares. Raises `GazelleError`."""
    evidence = snapshot.table.deletion_proved_by
    if isinstance(evidence, ById):
        return confirm_by_id(snapshot, evidence, missing)
    if isinstance(evidence, ByParent):
        return confirm_by_parent(snapshot, evidence, missing)
    return confirm_by_reading_again(snapshot, missing)


# By id


def confirm_by_id(snapshot: Snapshot, record: ById, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    waiting = iter(missing)
    while batch := [entry.key[0] for entry in islice(waiting, query.BATCH)]:
        existing = ask_by_id(snapshot, record, batch)
        yield snapshot.frame(snapshot.reader.columns(existing))


def ask_by_id(snapshot: Snapshot, record: ById, keys: Sequence[str]) -> list[Node]:
    """Those of the records that exist, as nodes.

    An error says as a rule which of them it is about: the others are asked for without it. Else each half is.
    """
    if not keys or snapshot.unanswered == UNANSWERED:
        keep(snapshot, keys, say("not_asked_any_more"))
        return []
    what = say("by_id", table=snapshot.table.name, first=keys[0], count=len(keys), more=len(keys) - 1)
    names = {f"r{number}": key for number, key in enumerate(keys)}
    variables = {f"id{number}": key for number, key in enumerate(keys)}
    try:
        data = snapshot.client.execute(what, query.by_ids(snapshot.table, record, len(keys)), variables)
    except Unanswered as error:
        if doubtful := {names[place] for place in error.places if place in names}:
            keep(snapshot, doubtful, str(error))
            return ask_by_id(snapshot, record, [key for key in keys if key not in doubtful])
        if len(keys) > 1:
            return ask_for_halves(snapshot, record, keys)
        snapshot.unanswered += 1
        keep(snapshot, keys, str(error))
        return []
    except TooMuch:
        if len(keys) == 1:
            raise
        return ask_for_halves(snapshot, record, keys)
    if absent := [name for name in names if name not in data]:
        raise InvalidResponse(say("records_missing", what=what, names=", ".join(absent)))
    existing = []
    for name, key in names.items():
        node = data[name]
        if node is None:
            continue
        snapshot.not_gone.add((key,))
        if isinstance(node, dict) and node.get("id") == key:
            existing.append(node)
        else:
            snapshot.unproved[key] = say("other_record")
    return existing


def ask_for_halves(snapshot: Snapshot, record: ById, keys: Sequence[str]) -> list[Node]:
    half = len(keys) // 2
    return ask_by_id(snapshot, record, keys[:half]) + ask_by_id(snapshot, record, keys[half:])


def keep(snapshot: Snapshot, keys: Iterable[str], why: str) -> None:
    """Proves nothing about these records, and says why."""
    for key in keys:
        snapshot.not_gone.add((key,))
        snapshot.unproved[key] = why


# By the lists that it may be in


def confirm_by_parent(snapshot: Snapshot, evidence: ByParent, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    """Asks the stored parent's list first, and then, for what that has not got, each other list it may be in."""
    entries = list(missing)
    if evidence.column not in snapshot.table.key and not snapshot.is_of_all:
        # It may have moved to a list that nobody knows. One that is read from its start to its end would have it.
        snapshot.not_gone |= {entry.key for entry in entries if not any(entry.elsewhere)}
        entries = [entry for entry in entries if any(entry.elsewhere)]
    snapshot.not_gone |= {entry.key for entry in entries if entry.parent is None}
    for number, column in enumerate(evidence.arguments):
        by_owner: dict[str, Keys] = {}
        for entry in entries:
            owner = (entry.parent, *entry.elsewhere)[number] if number <= len(entry.elsewhere) else None
            if owner is not None and entry.key not in snapshot.not_gone:
                by_owner.setdefault(owner, set()).add(entry.key)
        for owner, keys in by_owner.items():
            nodes = read_list(snapshot, evidence, column, owner)
            if nodes is None:
                snapshot.not_gone |= keys
            else:
                yield snapshot.frame(find_existing(snapshot, nodes, keys))


def find_existing(snapshot: Snapshot, nodes: Iterable[Node], keys: Keys) -> Columns:
    """The rows of those of the keys that a list has. One that is set aside exists as well; its key is in the reject."""
    rows = []
    for node in nodes:
        row = snapshot.reader.row(node)
        key = snapshot.reader.rejects[-1].key if row is None else snapshot.reader.key(row)
        if key in keys:
            snapshot.not_gone.add(key)
            if row is not None:
                rows.append(row)
    return transpose(rows, len(snapshot.columns))


def read_list(snapshot: Snapshot, evidence: ByParent, column: str, owner: str) -> list[Node] | None:
    """All that the API has of this table for one owner, or None when that proves nothing."""
    read = snapshot.table.read
    if snapshot.unanswered == UNANSWERED:
        snapshot.unproved[owner] = say("not_asked_any_more")
        return None
    if isinstance(read, Nested):
        walk = walk_of_parent(snapshot.client, snapshot.table, read, owner, snapshot.part_size)
    else:
        assert isinstance(read, Connection)
        text = query.narrowed(snapshot.table, read, evidence.arguments[column])
        walk = walk_connection(snapshot.client, snapshot.table, text, read, snapshot.part_size, {"id": owner})
    nodes: list[Node] = []
    started = False
    try:
        for page in walk.pages():
            started = True
            nodes.extend(page)
    except WentAway:
        return None if started else []
    except (OtherRecord, Unanswered, CursorLost) as error:
        snapshot.unanswered += isinstance(error, Unanswered)
        snapshot.unproved[owner] = str(error)
        return None
    if walk.nulls or walk.find_doubt():
        return None
    if isinstance(read, Connection) and not all(is_of(node, snapshot, column, owner) for node in nodes):
        snapshot.unproved[owner] = say("other_record")
        return None
    return nodes


def is_of(node: Node, snapshot: Snapshot, column: str, owner: str) -> bool:
    """Whether a node of a list that was narrowed to one owner is that owner's."""
    try:
        return make_getter(snapshot.table.column(column).paths[0])(node) == owner
    except (KeyError, TypeError):
        return False


# By the whole list, once more


def confirm_by_reading_again(snapshot: Snapshot, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    again = type(snapshot)(snapshot.client, snapshot.table, snapshot.scope, snapshot.locale)
    again.page_size = snapshot.page_size
    for page in again.pages():
        snapshot.not_gone.update(zip(*(page[name] for name in snapshot.table.key), strict=True))
        yield page
    snapshot.not_gone.update(reject.key for reject in again.rejects if reject.key)
    if again.doubts or not again.seen:
        # A list with holes, or an empty one, proves nothing.
        snapshot.not_gone.update(entry.key for entry in missing)
    if not again.seen:
        snapshot.unproved[snapshot.table.name] = say("list_is_empty")
