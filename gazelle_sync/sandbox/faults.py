"""Faults on demand: what the sandbox does wrong when a test asks for it, and when.

A `Fault` says what and for which requests; `Faults` decides, request by request, which of them strike. What an
answer looks like once spoilt is here too. HTTP itself must stay out: the server carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from random import Random
from threading import Lock
from typing import Any

from gazelle_sync.sandbox.account import Account

KINDS = {
    "status": "an HTTP `status` (with `retry_after` for 429 and 503) in place of handling the request",
    "html": "HTTP 200 with an HTML page in place of the answer",
    "truncated": "half of the answer's JSON",
    "dropped": "the connection closes before as many bytes have come as were announced",
    "delay": "`seconds` pass before the request is handled",
    "graphql_error": "HTTP 200, `data` null and an error with `message`",
    "partial": "the last node (without a list: the first field) is null, and an error stands beside the data",
    "null_node": "the last node of the page is null, without any error",
    "total_count": "`totalCount` is `delta` too great",
    "stuck_cursor": "`hasNextPage` is true, and `endCursor` the cursor that was asked for (where one was)",
    "empty": "an empty list with `totalCount` 0",
    "mutate": "`mutate(account)` is called just before (or, with `when='after'`, just after) the request is handled",
}
"""What each kind of fault does. All but `status` happen to a request that is handled: a refresh token is spent."""

GRAPHQL_PATH = "/graphql/private/"


@dataclass(eq=False)
class Fault:
    """One thing that goes wrong, for the requests that it matches.

    `path` is the endpoint, `match` a substring of the query's text, `with_after` True for next pages only and
    False for first pages only. The first `skip` requests that match pass unharmed, then `times` are struck
    (None: until it is removed), each with `probability` (from its own generator, seeded with `seed`).
    """

    kind: str
    times: int | None = 1
    match: str | None = None
    path: str = GRAPHQL_PATH
    with_after: bool | None = None
    skip: int = 0
    probability: float | None = None
    seed: int = 0
    status: int = 503
    retry_after: int | str | datetime | None = None
    seconds: float = 0.0
    delta: int = 1
    message: str = "Something went wrong in the sandbox"
    mutate: Callable[[Account], object] | None = None
    when: str = "before"
    struck: int = field(default=0, init=False)
    _met: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; there are {', '.join(KINDS)}")
        if self.when not in ("before", "after"):
            raise ValueError("`when` is 'before' or 'after'")
        if (self.kind == "mutate") != callable(self.mutate):
            raise ValueError("A fault of the kind 'mutate', and no other, needs a callable `mutate`")
        self._chance = Random(self.seed)

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After`, as seconds or as an HTTP date, where it was given."""
        if self.retry_after is None:
            return {}
        after = self.retry_after
        return {"Retry-After": format_datetime(after, usegmt=True) if isinstance(after, datetime) else str(after)}

    def strikes(self, path: str, query: str, after: str | None) -> bool:
        """Whether this request is struck; counts it."""
        if path != self.path or (self.match is not None and self.match not in query):
            return False
        if self.with_after is not None and self.with_after != (after is not None):
            return False
        self._met += 1
        if self._met <= self.skip or (self.times is not None and self.struck >= self.times):
            return False
        if self.probability is not None and self._chance.random() >= self.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults that are set. Safe to change from any thread while the sandbox answers."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = Lock()

    def add(self, fault: Fault) -> Fault:
        """Sets a fault; it stays until its `times` are spent, or until it is removed."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Takes back one fault, spent or not."""
        with self._lock:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Takes back all faults."""
        with self._lock:
            self._faults.clear()

    def striking(self, path: str, query: str, after: str | None) -> list[Fault]:
        """The faults that strike this request, in the order they were set."""
        with self._lock:
            return [fault for fault in self._faults if fault.strikes(path, query, after)]


def spoil(answer: dict[str, Any], fault: Fault, after: str | None) -> dict[str, Any]:
    """The GraphQL answer as the fault leaves it; kinds that are not about its content leave it as it was.

    `after` is the cursor that the request asked for. Lists are the outermost connections only: a page of clients
    is spoilt, not the contacts in it.
    """
    error = {"message": fault.message, "extensions": {"code": "sandbox"}}
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


_SPOILERS: dict[str, Callable[[dict[str, Any], Fault, str | None], None]] = {
    "null_node": _null_node,
    "total_count": _total_count,
    "stuck_cursor": _stuck_cursor,
    "empty": _empty,
}
