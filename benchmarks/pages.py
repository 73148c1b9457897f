"""Renders the lists of an account, once, to a file that the server of canned pages answers from.

    python -m benchmarks.pages FILE --clients 4000 --timeline 27436

The sandbox executes the very queries that the project sends; each list is executed whole.
Keep out: serving them (`server`), and what is measured.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.account import SCOPES, TODAY
from benchmarks.plain import NESTED
from gazelle_sync.gazelle import query
from gazelle_sync.gazelle.account import LANGUAGE, WHOSE
from gazelle_sync.sandbox import Account
from gazelle_sync.sandbox.graphql_api import GraphQLApi
from gazelle_sync.sandbox.view import instant
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.declaration import Nested, PlainList

# One field of each list whose change is a plain update of one row.
CHANGED = {
    "clients": "personalNotes",
    "pianos": "notes",
    "appointments": "notes",
    "timeline_entries": "comment",
}

# Of a list that can be cut by days: whose records they are in the sandbox, and where their day is.
DAYS = {
    "allClients": ("clients", "createdAt"),
    "allPianos": ("pianos", "createdAt"),
    "allEventsBatched": ("events", "start"),
    "allInvoices": ("invoices", "createdAt"),
    "allEstimates": ("estimates", "createdAt"),
}

# A query → the body of its answer; or, of a list: where its nodes are, each as JSON, and the type or the day of each,
# if it can be cut by that.
Canned = dict[str, "bytes | tuple[str, list[bytes], list[str]]"]


def rendered(account: Account, scope: Scope, *, copies: int = 1, changed: float = 0.0) -> Canned:
    """Every list of every table. The timeline is repeated `copies` times, under new ids.

    `changed` is the share of the records of the lists in `CHANGED` that got a new text since.
    """
    api = GraphQLApi(account, page_cap=10**9)
    canned: Canned = {}

    def execute(text: str) -> dict[str, Any]:
        answer = api.execute(text, {"first": 10**9, "nested": NESTED} if "$first" in text else {})
        assert "errors" not in answer, answer
        return answer["data"]

    whose = WHOSE.format(settings=LANGUAGE)
    canned[whose] = body(execute(whose))
    for table in TABLES.values():
        counts = (
            query.nested_counts(table, table.read, scope)
            if isinstance(table.read, Nested) and len(table.read.levels) == 1
            else []
        )
        for text in (*query.whole_lists(table, scope), *counts):
            data = execute(text)
            if isinstance(table.read, PlainList):
                canned[text] = body(data)
                continue
            [(field, list_)] = data.items()
            nodes = list_["nodes"]
            if changed and (name := CHANGED.get(table.name)):
                for node in nodes[:: round(1 / changed)]:
                    node[name] = f"{node[name] or ''} Accordé au diapason 442.".strip()
            if table.name == "timeline_entries":
                nodes = list(repeated(nodes, copies))
            kinds = [node["type"] for node in nodes] if table.name == "timeline_entries" else []
            if field in DAYS:
                of, name = DAYS[field]
                days = (instant(getattr(account, of)[node["id"]][name]) for node in nodes)
                kinds = [str(day.astimezone(scope.zone).date()) for day in days if day]
            canned[text] = field, [encoded(node) for node in nodes], kinds
    return canned


def repeated(nodes: list[dict[str, Any]], copies: int) -> Iterator[dict[str, Any]]:
    yield from nodes
    for copy in range(1, copies):
        for node in nodes:
            yield {**node, "id": f"{node['id']}{copy}"}


def body(data: object) -> bytes:
    return encoded({"data": data})


def encoded(found: object) -> bytes:
    # As Gazelle writes it: UTF-8, without blanks.
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


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
