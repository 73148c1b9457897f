"""Faults on demand: what the sandbox does wrong when a test asks for it, and when.

A `Fault` says what and for which requests; `Faults` decides, request by request, which of them strike. How an answer
looks once spoilt is in `spoiling.py` and `bodies.py`; HTTP itself is carried out by the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from random import Random
from threading import Lock
from typing import Any

from gazelle_sync.sandbox.account import Account, Record
from gazelle_sync.sandbox.conditions import Conditions
from gazelle_sync.sandbox.schema import query_fields, schema

MISHAPS = {
    "status": "an HTTP `status` (with `retry_after` for 429 and 503, and `headers`) in place of handling the request",
    "html": "HTTP 200 with an HTML page in place of the answer",
    "truncated": "half of the answer's JSON",
    "dropped": "the connection closes before as many bytes have come as were announced",
    "delay": "`seconds` pass before the request is handled",
    "dripping": "the answer comes a byte at a time, one every `seconds`",
    "endless_body": "the answer's JSON begins and never ends (or ends, unfinished, after `size` bytes)",
    "gzip_bomb": "the answer comes as gzip, in a few megabytes that unpack to `size` bytes (4 GiB) of valid JSON",
    "graphql_error": "HTTP 200, `data` null and an error with `message` and `code` (None: without)",
    "partial": "the last node (without a list: the first field) is null, and an error stands beside the data",
    "null_node": "the last node of the page is null, without any error",
    "total_count": "`totalCount` is `delta` too great",
    "stuck_cursor": "`hasNextPage` is true, and `endCursor` the cursor that was asked for (where one was)",
    "empty": "an empty list with `totalCount` 0",
    "long_id": "the id of the last node is made `size` (4,000) characters long",
    "mutate": "`mutate(account)` is called just before (or, with `when='after'`, just after) the request is handled",
    "edit": "as `mutate`, with `edits` for those who ask over HTTP; see `apply`",
}
"""Each strikes once where nothing is said. All but `status` happen to a request that is handled: a refresh token
is spent."""

CONDITIONS = {
    "missing": "the schema has not got `names`: `Type.field`, `Input.field`, `Enum.VALUE`, `Type.field(argument)`",
    "capped": "a `first` above `limit` is cut to it without a word",
    "max_first": "a `first` above `limit` is refused",
    "max_complexity": "a query is refused whose complexity, as graphql-ruby counts it, is above `limit`",
    "max_depth": "a query is refused that is deeper than `limit`",
    "max_nodes": "a query is refused whose lists, `first` times nested `first`, may bring more than `limit` nodes",
    "no_introspection": "`__schema` and `__type` are fields that do not exist",
    "french": "messages of errors are in French; codes and paths are as they were",
    "canceled_hidden": "cancelled events are in no list; each is there by its id",
    "technician": "the key is that of `user_id` (None: the first technician), who sees the clients that prefer that "
    "person or nobody, and what hangs on them",
    "forbidden": "the key has no rights for `names`, fields of the query (`allInvoices`…): null, with an error whose "
    "path says where",
    "other_company": "the company is another: its fields are those of `company`",
    "failing_id": "asking for the record `record_id` by its id is an error: null, with an error whose path says where",
    "other_record": "asking for the record `record_id` by its id gives the record `instead`",
    "endless_list": "a list begins anew after its end, for ever; with `new_ids` its records have other ids each time",
    "unknown_cursor": "no cursor is known: asking for a next page is an error",
}
"""How a request is executed as long as they last: until they are removed, where nothing is said."""

KINDS = {**MISHAPS, **CONDITIONS}

RATE_LIMITS: dict[str, dict[str, Any]] = {
    "429": {"kind": "status", "status": 429, "retry_after": 1},
    "429 without a word": {"kind": "status", "status": 429},
    "503": {"kind": "status", "status": 503, "retry_after": 1},
    "403": {
        "kind": "status",
        "status": 403,
        "headers": {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"},
    },
    "200 with a code": {"kind": "graphql_error", "message": "Too many requests", "code": "THROTTLED"},
    "200 without a code": {"kind": "graphql_error", "message": "Trop de requêtes, réessayez plus tard", "code": None},
}
"""The guises in which servers say that one asks too much: what to make a `Fault` of."""

GRAPHQL_PATH = "/graphql/private/"
AS_USUAL = -1


@dataclass(eq=False)
class Fault:
    """One thing that goes wrong, for the requests that it matches.

    `path` is the endpoint, `match` a substring of the query's text, `with_after` True for next pages only and
    False for first pages only, `above` the page (`first` of the outermost list) that must be exceeded. The first
    `skip` requests that match pass unharmed, then `times` are struck (None: until it is removed; `AS_USUAL`: once,
    or None for conditions), each with `probability` (from its own generator, seeded with `seed`).
    """

    kind: str
    times: int | None = AS_USUAL
    match: str | None = None
    path: str = GRAPHQL_PATH
    with_after: bool | None = None
    above: int | None = None
    skip: int = 0
    probability: float | None = None
    seed: int = 0
    status: int = 503
    retry_after: int | str | datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    delta: int = 1
    size: int | None = None
    message: str = "Something went wrong in the sandbox"
    code: str | None = "sandbox"
    mutate: Callable[[Account], object] | None = None
    edits: Iterable[Mapping[str, Any]] = ()
    when: str = "before"
    names: Iterable[str] = ()
    limit: int | None = None
    user_id: str | None = None
    company: Mapping[str, Any] = field(default_factory=lambda: {"id": "com_other", "name": "Another company"})
    record_id: str | None = None
    instead: str | None = None
    new_ids: bool = False
    struck: int = field(default=0, init=False)
    _met: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; there are {', '.join(KINDS)}")
        if self.when not in ("before", "after"):
            raise ValueError("`when` is 'before' or 'after'")
        if (self.kind == "mutate") != callable(self.mutate):
            raise ValueError("A fault of the kind 'mutate', and no other, needs a callable `mutate`")
        for needed in _NEEDED.get(self.kind, ()):
            if not getattr(self, needed):
                raise ValueError(f"A fault of the kind {self.kind!r} needs `{needed}`")
        if self.kind == "missing":
            schema(frozenset(self.names))  # ValueError: no such part
        if self.kind == "forbidden" and (unknown := set(self.names) - query_fields()):
            raise ValueError(f"The query has no {', '.join(sorted(unknown))}")
        if self.times == AS_USUAL:
            self.times = None if self.kind in CONDITIONS else 1
        self._chance = Random(self.seed)

    @property
    def response_headers(self) -> dict[str, str]:
        """`headers`, and `Retry-After`, as seconds or as an HTTP date, where it was given."""
        if self.retry_after is None:
            return dict(self.headers)
        after = self.retry_after
        text = format_datetime(after, usegmt=True) if isinstance(after, datetime) else str(after)
        return {**self.headers, "Retry-After": text}

    def strikes(self, path: str, query: str, after: str | None, first: int | None = None) -> bool:
        """Whether this request is struck; counts it."""
        if path != self.path or (self.match is not None and self.match not in query):
            return False
        if self.with_after is not None and self.with_after != (after is not None):
            return False
        if self.above is not None and (first is None or first <= self.above):
            return False
        self._met += 1
        if self._met <= self.skip or (self.times is not None and self.struck >= self.times):
            return False
        if self.probability is not None and self._chance.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def apply(self, account: Account) -> None:
        """What a fault of the kind `mutate` or `edit` does to the account.

        An edit names a `kind` of record, and: `add` (a record), or `id` with `delete`, with `set` (the fields'
        new values), or with `move` (`list`, `child`, `to`: what belongs to one record only goes to another).
        """
        if self.mutate is not None:
            self.mutate(account)
        for edit in self.edits:
            _edit(account, edit)


_NEEDED = {
    "edit": ("edits",),
    "missing": ("names",),
    "forbidden": ("names",),
    "failing_id": ("record_id",),
    "other_record": ("record_id", "instead"),
    **dict.fromkeys(("capped", "max_first", "max_complexity", "max_depth", "max_nodes"), ("limit",)),
}


def _edit(account: Account, edit: Mapping[str, Any]) -> None:
    kind = edit["kind"]
    if "add" in edit:
        account.add(kind, dict(edit["add"]))
        return
    records = account.records(kind)
    if edit.get("delete"):
        del records[edit["id"]]
    if "set" in edit:
        records[edit["id"]].update(edit["set"])
    if "move" in edit:
        move, owner = edit["move"], records[edit["id"]]
        child = next(each for each in owner[move["list"]] if each["id"] == move["child"])
        owner[move["list"]].remove(child)
        records[move["to"]][move["list"]].append(child)


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

    def striking(self, path: str, query: str, after: str | None, first: int | None = None) -> list[Fault]:
        """The faults that strike this request, in the order they were set."""
        with self._lock:
            return [fault for fault in self._faults if fault.strikes(path, query, after, first)]


def conditions_of(faults: Iterable[Fault], account: Account) -> Conditions:
    """The conditions that these faults make, all of them together; where two say the same, the later counts."""
    given: dict[str, Any] = {}
    for fault in faults:
        if fault.kind in ("missing", "forbidden"):
            given[fault.kind] = given.get(fault.kind, frozenset()) | frozenset(fault.names)
        elif fault.kind == "failing_id":
            given["failing_ids"] = given.get("failing_ids", frozenset()) | {fault.record_id}
        elif fault.kind == "other_record":
            given["exchanged_ids"] = {**given.get("exchanged_ids", {}), fault.record_id: fault.instead}
        elif fault.kind in CONDITIONS:
            name, value = _CONDITION[fault.kind](fault, account)
            given[name] = value
    return Conditions(**given)


def _first_technician(account: Account) -> str | None:
    return next((user["id"] for user in account.users.values() if user.get("accessLevel") == "TECHNICIAN"), None)


def _same(row: Record, turn: int) -> Record:
    return row


def _renamed(row: Record, turn: int) -> Record:
    return {**row, "id": f"{row['id']}_{turn}"} if turn else row


_CONDITION: dict[str, Callable[[Fault, Account], tuple[str, Any]]] = {
    "capped": lambda fault, account: ("page_cap", fault.limit),
    "max_first": lambda fault, account: ("max_first", fault.limit),
    "max_complexity": lambda fault, account: ("max_complexity", fault.limit),
    "max_depth": lambda fault, account: ("max_depth", fault.limit),
    "max_nodes": lambda fault, account: ("max_nodes", fault.limit),
    "no_introspection": lambda fault, account: ("has_introspection", False),
    "french": lambda fault, account: ("french", True),
    "canceled_hidden": lambda fault, account: ("has_canceled_events", False),
    "technician": lambda fault, account: ("technician_id", fault.user_id or _first_technician(account)),
    "other_company": lambda fault, account: ("company", fault.company),
    "endless_list": lambda fault, account: ("again", _renamed if fault.new_ids else _same),
    "unknown_cursor": lambda fault, account: ("knows_cursors", False),
}
