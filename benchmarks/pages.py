"""Renders the pages of an account, once, to a file that the server of canned pages answers from.

    python -m benchmarks.pages FILE --clients 4000 --timeline 27436

The sandbox executes the very queries that the project sends; each list is executed whole and then cut into pages.
Keep out: serving them (`server`), and what is measured.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.account import SCOPES, TODAY
from gazelle_sync.gazelle import query
from gazelle_sync.sandbox import Account
from gazelle_sync.sandbox.graphql_api import GraphQLApi
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.declaration import Connection, Nested, PlainList

# One field of each list whose change is a plain update of one row.
CHANGED = {
    "clients": "personalNotes",
    "pianos": "notes",
    "appointments": "notes",
    "timeline_entries": "comment",
}

# The query and the cursor → the body of the answer.
Pages = dict[tuple[str, str | None], bytes]


def rendered(account: Account, scope: Scope, *, copies: int = 1, changed: float = 0.0) -> Pages:
    """Every page of every table. The timeline is repeated `copies` times, under new ids.

    `changed` is the share of the records of the lists in `CHANGED` that got a new text since.
    """
    api = GraphQLApi(account, page_cap=10**9)
    pages: Pages = {}
    for table in TABLES.values():
        text = query.whole_list(table, scope)
        # Executed page by page, a list would be sorted anew for each of its pages.
        answer = api.execute(re.sub(r"first: \d+", f"first: {10**9}", text, count=1), {})
        assert "errors" not in answer, answer
        if isinstance(table.read, PlainList):
            pages[text, None] = body(answer["data"])
            continue
        connection = table.read.within if isinstance(table.read, Nested) else table.read
        nodes = answer["data"][connection.field]["nodes"]
        if changed and (name := CHANGED.get(table.name)):
            for node in nodes[:: round(1 / changed)]:
                node[name] = f"{node[name] or ''} Accordé au diapason 442.".strip()
        if table.name == "timeline_entries":
            nodes = list(repeated(nodes, copies))
        size = query.PAGE_OF_LISTS if isinstance(table.read, Nested) else query.PAGE
        for start, part in cut(nodes, size):
            pages[text, api.cursor(start) if start else None] = page(connection, api, part, start, len(nodes))
    return pages


def repeated(nodes: list[dict[str, Any]], copies: int) -> Iterator[dict[str, Any]]:
    yield from nodes
    for copy in range(1, copies):
        for node in nodes:
            yield {**node, "id": f"{node['id']}{copy}"}


def cut(nodes: list[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    """Pages as they are asked for: each begins with the last record of the one before."""
    for start in range(0, max(len(nodes) - 1, 1), size - 1):
        yield start, nodes[start : start + size]


def page(connection: Connection, api: GraphQLApi, nodes: list[Any], start: int, total: int) -> bytes:
    end = start + len(nodes)
    info = {"hasNextPage": end < total, "endCursor": api.cursor(end) if nodes else None}
    edges = [{"cursor": api.cursor(start + place)} for place in range(1, len(nodes) + 1)]
    return body({connection.field: {"totalCount": total, "pageInfo": info, "edges": edges, "nodes": nodes}})


def body(data: object) -> bytes:
    # As Gazelle writes it: UTF-8, without blanks.
    return json.dumps({"data": data}, ensure_ascii=False, separators=(",", ":")).encode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--timeline", type=int, required=True)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--changed", type=float, default=0.0)
    parser.add_argument("--scope", choices=SCOPES, default="all")
    given = parser.parse_args()
    account = Account.generated(clients=given.clients, timeline=given.timeline, today=TODAY)
    pages = rendered(account, SCOPES[given.scope], copies=given.copies, changed=given.changed)
    half = given.file.with_suffix(".part")
    half.write_bytes(pickle.dumps(pages))
    half.rename(given.file)


if __name__ == "__main__":
    main()
