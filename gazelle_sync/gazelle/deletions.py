"""What proves that a record is gone: asking for it by id, asking for its parent's list, or the whole list once more.

Each proof yields the rows of records that exist after all, and adds to `snapshot.not_gone` the keys of all that must
not be marked as gone: those that exist, and those about which nothing could be proved. Keep out: which records are
asked for, and what is done about those that are gone (`warehouse`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import pandas

from gazelle_sync.gazelle import query
from gazelle_sync.gazelle.errors import InvalidResponse, TooMuch
from gazelle_sync.gazelle.pages import Node, read_pages
from gazelle_sync.gazelle.rows import transpose
from gazelle_sync.tables.declaration import ById, ByParent, Connection, Missing, Nested

if TYPE_CHECKING:
    from gazelle_sync.gazelle.snapshot import Snapshot


def confirm(snapshot: Snapshot, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    """By the evidence that the table declares. Raises `GazelleError`."""
    evidence = snapshot.table.deletion_proved_by
    if isinstance(evidence, ById):
        return confirm_by_id(snapshot, evidence, missing)
    if isinstance(evidence, ByParent):
        return confirm_by_parent(snapshot, evidence, missing)
    return confirm_by_reading_again(snapshot, missing)


def confirm_by_id(snapshot: Snapshot, record: ById, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    waiting = iter(missing)
    while batch := [entry.key[0] for entry in islice(waiting, query.BATCH)]:
        existing = {key: node for key, node in ask_by_ids(snapshot, record, batch).items() if node is not None}
        snapshot.not_gone.update((key,) for key in existing)
        yield snapshot.frame(snapshot.reader.columns(list(existing.values())))


def ask_by_ids(snapshot: Snapshot, record: ById, keys: list[str]) -> dict[str, Node]:
    """The record of each id, or None; in two requests where one asks for more than Gazelle gives at once."""
    text = query.by_ids(snapshot.table, record, len(keys))
    what = f"{snapshot.table.name} by id ({keys[0]} and {len(keys) - 1} more)"
    try:
        data = snapshot.client.execute(what, text, {f"id{n}": key for n, key in enumerate(keys)})
    except TooMuch:
        half = len(keys) // 2
        if half == 0:
            raise
        return ask_by_ids(snapshot, record, keys[:half]) | ask_by_ids(snapshot, record, keys[half:])
    if absent := [f"r{n}" for n in range(len(keys)) if f"r{n}" not in data]:
        raise InvalidResponse(f"Gazelle answered {what} without {', '.join(absent)}.")
    return {key: data[f"r{n}"] for n, key in enumerate(keys)}


def confirm_by_parent(snapshot: Snapshot, evidence: ByParent, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    by_parent: dict[str | None, set[tuple[str, ...]]] = {}
    for entry in missing:
        by_parent.setdefault(entry.parent, set()).add(entry.key)
    for parent, keys in by_parent.items():
        nodes = None if parent is None else read_list_of_parent(snapshot, evidence, parent)
        if nodes is None:
            snapshot.not_gone |= keys
            continue
        rows = []
        for node in nodes:
            row = snapshot.reader.row(node)
            key = snapshot.reader.key(row) if row else None
            if row is None:
                # Set aside, so it exists; its key is in the reject.
                key = snapshot.reader.rejects[-1].key
            if key in keys:
                snapshot.not_gone.add(key)
                if row is not None:
                    rows.append(row)
        yield snapshot.frame(transpose(rows, len(snapshot.columns)))


def read_list_of_parent(snapshot: Snapshot, evidence: ByParent, parent: str) -> list[Node] | None:
    """The parent's own list of this table, or None when it proves nothing."""
    read = snapshot.table.read
    doubts = len(snapshot.doubts)
    nodes: list[Node] = []
    if isinstance(read, Nested):
        text = query.rest_of_nested(snapshot.table, read)
        what, given = f"{snapshot.table.name} of {parent}", {"id": parent, "after": None}
        data = snapshot.client.execute(what, text, given, snapshot.part_size)
        record = data.get(read.record.field)
        if record is None:
            return []
        if not isinstance(record, dict) or record.get(read.field) is None:
            return None
        expected = snapshot.expected
        nodes = snapshot.read_children(read, {**record, "id": parent})
        snapshot.expected = expected
    else:
        assert isinstance(read, Connection)
        text = query.within_parent(snapshot.table, read, evidence)
        total = 0
        at, size = (read.field,), snapshot.part_size
        for page in read_pages(snapshot.client, snapshot.table.name, text, {"id": parent}, at, size):
            nodes.extend(page.nodes)
            total = page.total
        named = [node["id"] for node in nodes if isinstance(node, dict) and isinstance(node.get("id"), str)]
        if not len(nodes) == len(set(named)) == total:
            return None
    return nodes if len(snapshot.doubts) == doubts else None


def confirm_by_reading_again(snapshot: Snapshot, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
    again = type(snapshot)(snapshot.client, snapshot.table, snapshot.scope)
    again.page_size = snapshot.page_size
    for page in again.pages():
        snapshot.not_gone.update(zip(*(page[name] for name in snapshot.table.key), strict=True))
        yield page
    snapshot.not_gone.update(reject.key for reject in again.rejects if reject.key)
    if again.doubts:
        # A list with holes, or an empty one, proves nothing.
        snapshot.not_gone.update(entry.key for entry in missing)
