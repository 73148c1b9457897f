"""From a declaration to GraphQL text: every query that is sent is made here, and asks for columns only.

Keep out: sending (`client`), reading pages (`snapshot`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from gazelle_sync.gazelle import parts
from gazelle_sync.gazelle.page_size import PageSize
from gazelle_sync.tables.declaration import Bound, ById, ByParent, Connection, Nested, PlainList, Scope, Sizes, Table

# What the first page ever is asked for, and the greatest that is tried: 1,000 pianos and 500 timeline entries have been
# served, the limit is not published. The fewer requests, the sooner and the more polite; but a page whose records bring
# a list each is large enough with half of them.
PAGE, LARGEST_PAGE = 200, 1000
PAGE_OF_LISTS = 100
# How many records one request asks for by id.
BATCH = 25

NEXT_PAGE = "first: $first, after: $after"
PAGE_FIELDS = "totalCount pageInfo { hasNextPage endCursor }"
# Of a list that goes on, a page overlaps the one before: that takes the cursor of the record before the last.
CURSORS = "edges { cursor }"


def selection(table: Table, *, without: str = "") -> str:
    """The fields of a node that fill the table's columns; `without` leaves out one that is known anyway."""
    tree: dict[str, Any] = {}
    for column in table.all_columns:
        for path in column.paths:
            names = path.split(".")
            if without and names[0] == without:
                continue
            branch = tree
            for name in names:
                branch = branch.setdefault(name, {})
            if column.fields:
                # No field has this name: it is GraphQL text.
                branch[column.fields] = {}

    def render(branch: Mapping[str, Any]) -> str:
        return " ".join(f"{name} {{ {render(below)} }}" if below else name for name, below in branch.items())

    return render(tree)


def page_size(table: Table, known: Sizes | None = None) -> PageSize:
    """The size of the pages of `whole_lists`: as it was `known` to work last, else as a first guess."""
    if isinstance(table.read, Nested):
        outermost = table.read.levels[0]
        return PageSize(known or Sizes(PAGE_OF_LISTS, outermost.first if outermost.paged else 0), PAGE_OF_LISTS)
    return PageSize(known or Sizes(PAGE), LARGEST_PAGE)


def page_size_of_part() -> PageSize:
    """The size of the pages of what is read beside it: `nested_of_one`, `nested_counts`, `narrowed`."""
    return PageSize(Sizes(PAGE), LARGEST_PAGE)


def whole_lists(table: Table, scope: Scope, narrowed_to: Sequence[Mapping[str, str]] = ()) -> list[str]:
    """The queries that read a table, a page at a time (`$after`), with the variables of `page_size`.

    One for each list that the table is made of; or one for each of the parts that it is `narrowed_to`, by arguments.
    """
    read = table.read
    if isinstance(read, PlainList):
        arguments = f"({read.arguments})" if read.arguments else ""
        return [f"query {table.name} {{ {read.field}{arguments} {{ {selection(table)} }} }}"]
    if isinstance(read, Connection):
        connection, node, variables = read, selection(table), "$first: Int, $after: String"
    else:
        connection, node, variables = read.root, f"id {below(table, read.levels[0])}", "$first: Int, $after: String"
        if read.levels[0].paged:
            variables = f"$nested: Int, {variables}"
    lists = [
        page(connection.field, node, NEXT_PAGE, connection.arguments, window(connection, scope, each))
        for each in narrowed_to or connection.each
    ]
    return [f"query {table.name}({variables}) {{ {nodes} }}" for nodes in lists]


def part_counts(table: Table, connection: Connection, scope: Scope, some: Sequence[Mapping[str, str]]) -> str:
    """The query that counts a connection (`all0` …, one for each list) and its parts (`p0` …), at one moment."""

    def count(name: str, narrow: Mapping[str, str]) -> str:
        arguments = ", ".join(filter(None, (connection.arguments, window(connection, scope, narrow))))
        return f"{name}: {connection.field}{f'({arguments})' if arguments else ''} {{ totalCount }}"

    whole = (count(f"all{number}", each) for number, each in enumerate(connection.each))
    parts_ = (count(f"p{number}", each) for number, each in enumerate(some))
    return f"query {table.name} {{ {' '.join((*whole, *parts_))} }}"


def below(table: Table, level: Nested, *, first: str = "") -> str:
    """A nested list with all that is read inside of its records. `first` says how many; else the declaration does.

    The list inside the root's records has the variable `$nested`, which `page_size` fills.
    """
    read = table.read
    assert isinstance(read, Nested)
    if level == read:
        node = selection(table, without=read.parent_field)
    else:
        node = f"id {below(table, read.levels[len(level.levels)])}"
    if not level.paged:
        arguments = f"({level.arguments})" if level.arguments else ""
        return f"{level.field}{arguments} {{ {node} }}"
    usual = "first: $nested" if level == read.levels[0] else f"first: {level.first}"
    return page(level.field, node, first or usual, level.arguments)


def nested_of_one(table: Table, level: Nested) -> str:
    """The query that reads one parent's nested list, a page at a time (`$id`, `$first`, `$after`)."""
    assert level.record is not None
    record = f"{level.record.field}({level.record.argument}: $id)"
    list_ = below(table, level, first=NEXT_PAGE)
    return f"query {table.name}($id: String!, $first: Int, $after: String) {{ {record} {{ id {list_} }} }}"


def nested_counts(table: Table, read: Nested, scope: Scope) -> list[str]:
    """The queries that read how long each parent's nested list is, a page of parents at a time (`$first`, `$after`)."""
    # Without `first`, a server may take its default for what is asked for, and refuse that.
    given = ", ".join(filter(None, ("first: 1" if read.paged else "", read.arguments)))
    arguments = f"({given})" if given else ""
    node, root = f"id {read.field}{arguments} {{ {'totalCount' if read.paged else 'id'} }}", read.root
    lists = [page(root.field, node, NEXT_PAGE, root.arguments, window(root, scope, each)) for each in root.each]
    return [f"query {table.name}($first: Int, $after: String) {{ {nodes} }}" for nodes in lists]


def narrowed(table: Table, read: Connection, argument: str) -> str:
    """The query that reads what the table's connection has where `argument` is one id (`$id`, `$first`, `$after`)."""
    narrowed = page(read.field, selection(table), NEXT_PAGE, read.arguments, f"{argument}: $id")
    return f"query {table.name}($id: String!, $first: Int, $after: String) {{ {narrowed} }}"


def by_ids(table: Table, record: ById, count: int) -> str:
    """The query that asks for `count` records by id (`$id0` …), under the names `r0` …"""
    variables = ", ".join(f"$id{n}: String!" for n in range(count))
    node = selection(table)
    records = " ".join(f"r{n}: {record.field}({record.argument}: $id{n}) {{ {node} }}" for n in range(count))
    return f"query {table.name}({variables}) {{ {records} }}"


def page(field: str, node: str, *arguments: str) -> str:
    cursors = f"{CURSORS} " if NEXT_PAGE in arguments else ""
    return f"{field}({', '.join(filter(None, arguments))}) {{ {PAGE_FIELDS} {cursors}nodes {{ {node} }} }}"


def window(connection: Connection, scope: Scope, narrow: Mapping[str, str]) -> str:
    """The arguments that limit a connection to a scope, and to a part of it: `filters: {dateGet: "2026-11-01"}`.

    Where both say something, the part does: it lies within the scope.
    """
    arguments: dict[str, Any] = {}
    for path, bound in {**connection.window, **narrow}.items():
        if bound is Bound.LAST_DAY and scope.end is None:
            continue
        *parents, name = path.split(".")
        branch = arguments
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = json.dumps(bound_value(bound, scope)) if isinstance(bound, Bound) else bound
    return ", ".join(f"{name}: {literal(value)}" for name, value in arguments.items())


def bound_value(bound: Bound, scope: Scope) -> str:
    if bound is Bound.FIRST_DAY:
        return scope.start.isoformat()
    if bound is Bound.START:
        return scope.start_of(scope.start).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert scope.end is not None, "window() leaves out the last day of a scope that has no end"
    return (scope.end - timedelta(days=1)).isoformat()


def literal(value: str | dict[str, Any]) -> str:
    """A value as GraphQL text; what is a string is that already."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(below)}" for name, below in value.items()) + "}"
    return value


def all_queries(table: Table, scope: Scope) -> Iterable[str]:
    """Every query that reading this table can send; of those for its parts, one.

    What stands inside of a list is cut by the arguments of that list, which has a table of its own.
    """
    read, evidence = table.read, table.deletion_proved_by
    yield from whole_lists(table, scope)
    if isinstance(read, Nested):
        yield from (nested_of_one(table, level) for level in read.levels if level.paged)
        if len(read.levels) == 1:
            yield from nested_counts(table, read, scope)
    if isinstance(read, Connection) and read.parts:
        pieces = parts.find_pieces(read, scope)
        yield from whole_lists(table, scope, [parts.narrow(read, pieces[:2])])
        yield part_counts(table, read, scope, [parts.narrow(read, [piece]) for piece in pieces])
    if isinstance(evidence, ById):
        yield by_ids(table, evidence, 2)
    if isinstance(evidence, ByParent) and isinstance(read, Connection):
        yield from (narrowed(table, read, argument) for argument in evidence.arguments.values())
