"""What is left of a GraphQL answer once a fault has spoilt it.

When it is spoilt is decided in `faults.py`; what becomes of its bytes is in `bodies.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gazelle_sync.sandbox.faults import Fault


def spoil(answer: dict[str, Any], fault: Fault, after: str | None) -> dict[str, Any]:
    """The GraphQL answer as the fault leaves it; kinds that are not about its content leave it as it was.

    `after` is the cursor that the request asked for. Lists are the outermost connections only: a page of clients
    is spoilt, not the contacts in it.
    """
    error: dict[str, Any] = {"message": fault.message}
    if fault.code is not None:
        error["extensions"] = {"code": fault.code}
    if fault.kind == "graphql_error":
        return {"data": None, "errors": [error]}
    data = answer.get("data")
    if not isinstance(data, dict):
        return answer
    if fault.kind == "partial":
        for path, connection in _connections(data):
            nodes = connection.get("nodes")
            if nodes:
                nodes[-1] = None
                return {**answer, "errors": [{**error, "path": [*path, "nodes", len(nodes) - 1]}]}
        first = next(iter(data))
        return {"data": {**data, first: None}, "errors": [{**error, "path": [first]}]}
    if fault.kind in _SPOILERS:
        for _, connection in _connections(data):
            _SPOILERS[fault.kind](connection, fault, after)
    if fault.kind == "empty":
        data.update({name: [] for name, value in data.items() if isinstance(value, list)})
    return answer


def _connections(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for name, inner in list(value.items()):
        if isinstance(inner, dict):
            if inner.keys() & {"nodes", "edges", "pageInfo", "totalCount"}:
                yield (*path, name), inner
            else:
                yield from _connections(inner, (*path, name))


def _null_node(connection: dict[str, Any], fault: Fault, after: str | None) -> None:
    if connection.get("nodes"):
        connection["nodes"][-1] = None
    if connection.get("edges"):
        connection["edges"][-1]["node"] = None


def _total_count(connection: dict[str, Any], fault: Fault, after: str | None) -> None:
    if "totalCount" in connection:
        connection["totalCount"] += fault.delta


def _stuck_cursor(connection: dict[str, Any], fault: Fault, after: str | None) -> None:
    page_info = connection.get("pageInfo", {})
    if "hasNextPage" in page_info:
        page_info["hasNextPage"] = True
    if "endCursor" in page_info and after is not None:
        page_info["endCursor"] = after


def _empty(connection: dict[str, Any], fault: Fault, after: str | None) -> None:
    blank = {"nodes": [], "edges": [], "totalCount": 0}
    connection.update({name: value for name, value in blank.items() if name in connection})
    page_info = connection.get("pageInfo", {})
    page_info.update({name: False if name.startswith("has") else None for name in page_info})


def _long_id(connection: dict[str, Any], fault: Fault, after: str | None) -> None:
    nodes = connection.get("nodes") or [edge["node"] for edge in connection.get("edges") or []]
    if nodes and "id" in nodes[-1]:
        nodes[-1]["id"] = nodes[-1]["id"].ljust(fault.size or _LONG_ID, "x")


_LONG_ID = 4_000
_SPOILERS: dict[str, Callable[[dict[str, Any], Fault, str | None], None]] = {
    "null_node": _null_node,
    "total_count": _total_count,
    "stuck_cursor": _stuck_cursor,
    "empty": _empty,
    "long_id": _long_id,
}
