"""What Gazelle refuses of a query, found by its place in the text, and the table that does without it.

A field that is gone costs its columns: they are not asked for, so they are not written and keep their values. Messages
are in the account's language, and decide nothing here. Keep out: what is written (`warehouse`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile
from typing import Any

from graphql import ArgumentNode, DocumentNode, FieldNode, Node, parse, print_ast

from gazelle_sync.gazelle.errors import QueryRefused
from gazelle_sync.gazelle.query import selection
from gazelle_sync.gazelle.rows import response_names
from gazelle_sync.tables.columns import Column, Type
from gazelle_sync.tables.declaration import ByParent, Connection, Gap, Nested, PlainList, Table

# The arguments that a list can do without: it has the same records in any order.
ONLY_FOR_ORDER = {"sortBy"}

Path = tuple[str, ...]


def do_without(table: Table, refusal: QueryRefused) -> tuple[Table, list[Gap]]:
    """The table without all that was refused, and what that is. Raises the refusal where it can't be done without."""
    gaps: list[Gap] = []
    asked = table
    document = parse(refusal.query)
    for error in refusal.errors:
        found = place_of(error, document)
        if found is None:
            raise refusal
        fields, argument = found
        if argument is not None:
            narrowed = without_argument(table, fields[-1].name.value, argument)
            gap = Gap(f"{fields[-1].name.value}({argument})", ())
        else:
            path = path_in_record(asked, refusal.query, fields)
            narrowed = without_field(table, path) if path else None
            gap = Gap(".".join(path), names_of(columns_at(asked, path)))
        if narrowed is None:
            raise refusal
        # One argument may be refused at several places.
        if narrowed != table:
            gaps.append(gap)
        table = narrowed
    if not gaps:
        raise refusal
    return table, gaps


def place_of(error: Mapping[str, Any], document: DocumentNode) -> tuple[list[FieldNode], str | None] | None:
    """The field that an error is about, after those that it is in, and the name of the argument, if it is about one."""
    chain = chain_by_location(error, document) or chain_by_path(error, document)
    fields = [node for node in chain if isinstance(node, FieldNode)]
    if not fields:
        return None
    arguments = [node.name.value for node in chain if isinstance(node, ArgumentNode)]
    extensions = error.get("extensions")
    named = extensions.get("argumentName") if isinstance(extensions, dict) else None
    # graphql-ruby places what is wrong with an argument's value at the field.
    if not arguments and named in [node.name.value for node in fields[-1].arguments]:
        arguments = [str(named)]
    return fields, arguments[0] if arguments else None


def chain_by_location(error: Mapping[str, Any], document: DocumentNode) -> list[Node]:
    """The nodes of the query from its root to the one at the error's first location."""
    assert document.loc is not None
    lines = document.loc.source.body.splitlines(keepends=True)
    try:
        place = error["locations"][0]
        offset = sum(map(len, lines[: place["line"] - 1])) + place["column"] - 1
    except (KeyError, IndexError, TypeError):
        return []
    chain: list[Node] = []
    node: Node | None = document
    while node is not None:
        chain.append(node)
        node = next(
            (child for child in children(node) if child.loc and child.loc.start <= offset < child.loc.end), None
        )
    return chain


def chain_by_path(error: Mapping[str, Any], document: DocumentNode) -> list[Node]:
    """The same, by graphql-ruby's path into the query: `["query clients", "allClients", "nodes", "email"]`."""
    path = error.get("path")
    names = path[1:] if isinstance(path, list) else []
    chain: list[Node] = [document]
    for name in names:
        # What has no name (the document, an operation, a selection set) is passed through.
        below = (node for node in walk(chain[-1]) if isinstance(node, (FieldNode, ArgumentNode)))
        found = next((node for node in below if name in (node.name.value, alias_of(node))), None)
        if found is None:
            return []
        chain.append(found)
    return chain


def alias_of(node: FieldNode | ArgumentNode) -> str | None:
    return node.alias.value if isinstance(node, FieldNode) and node.alias else None


def children(node: Node) -> Iterator[Node]:
    for key in node.keys:
        value = getattr(node, key, None)
        yield from (each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, Node))


def walk(node: Node) -> Iterator[FieldNode | ArgumentNode]:
    """The nearest fields and arguments below a node."""
    for child in children(node):
        if isinstance(child, (FieldNode, ArgumentNode)):
            yield child
        else:
            yield from walk(child)


def path_in_record(table: Table, text: str, fields: Sequence[FieldNode]) -> Path:
    """The path of the last field from the table's own record; empty for what is not a part of the record."""
    whole = {selection(table)}
    if isinstance(table.read, Nested):
        whole.add(selection(table, without=table.read.parent_field))

    def is_record(field: FieldNode) -> bool:
        below = field.selection_set
        return (
            below is not None
            and below.loc is not None
            and text[below.loc.start + 1 : below.loc.end - 1].strip() in whole
        )

    within = list(dropwhile(lambda field: not is_record(field), fields))
    return tuple(field.name.value for field in within[1:])


def is_lost(path: str, refused: Path) -> bool:
    """Whether a column's path leads through a refused field, or the field is a part of what the column holds."""
    return all(name == other for name, other in zip(response_names(path), refused, strict=False))


def columns_at(table: Table, refused: Path) -> list[Column]:
    return [column for column in table.all_columns if any(is_lost(path, refused) for path in column.paths)]


def names_of(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def without_field(table: Table, refused: Path) -> Table | None:
    """The table without the columns of a field, or None when a record would have no key, no parent or no date.

    A derived column could get another value from the fields that are left: rows that are there keep theirs, and only
    new ones are given it.
    """
    lost = columns_at(table, refused)
    if any(is_needed(table, column) for column in lost):
        return None
    narrowed = {column.name: derive_from_rest(column, refused) for column in lost}
    columns = (narrowed.get(column.name, column) for column in table.columns)
    return dataclasses.replace(table, columns=tuple(column for column in columns if column is not None))


def is_needed(table: Table, column: Column) -> bool:
    evidence = table.deletion_proved_by
    return (
        column.name in table.key
        or column.name == table.partitioned_by
        or column.required
        or (isinstance(evidence, ByParent) and column.name == evidence.column)
        # What is never null needs something to stand in new rows.
        or not (column.nullable or column.derive or column.type in (Type.TEXT, Type.TEXT_ARRAY))
    )


def derive_from_rest(column: Column, refused: Path) -> Column | None:
    """The column from the paths that are left, for new rows only; None when it is to be left out."""
    derive = column.derive
    left = tuple(path for path in column.paths if not is_lost(path, refused))
    if derive is None or not left:
        return None
    at = [left.index(path) if path in left else None for path in column.paths]

    def derive_from(*values: object) -> object:
        return derive(*(None if place is None else values[place] for place in at))

    return dataclasses.replace(column, paths=left, derive=derive_from, only_new=True)


def without_argument(table: Table, field: str, argument: str) -> Table | None:
    """The table read without an argument of its connection, or None when that would be another list."""
    read = table.read
    if argument not in ONLY_FOR_ORDER or isinstance(read, PlainList):
        return None
    if isinstance(read, Nested):
        if read.field == field:
            return dataclasses.replace(
                table, read=dataclasses.replace(read, arguments=dropped(read.arguments, argument))
            )
        return dataclasses.replace(table, read=dataclasses.replace(read, within=unordered(read.within, argument)))
    return dataclasses.replace(table, read=unordered(read, argument))


def unordered(read: Connection | Nested, argument: str) -> Connection | Nested:
    """Without the argument of the connection that all is read inside of."""
    if isinstance(read, Nested):
        return dataclasses.replace(read, within=unordered(read.within, argument))
    return dataclasses.replace(read, arguments=dropped(read.arguments, argument))


def dropped(arguments: str, argument: str) -> str:
    """The GraphQL text of some arguments, without one of them."""
    if not arguments:
        return ""
    [operation] = parse(f"{{ field({arguments}) }}").definitions
    [field] = operation.selection_set.selections  # type: ignore[attr-defined]
    return ", ".join(print_ast(node) for node in field.arguments if node.name.value != argument)
