"""Pagination, written once: the pages of a connection to its end, and pages read ahead of whoever converts them.

Keep out: what is asked (`query`), and what a list proves (`snapshot`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import InvalidResponse
from gazelle_sync.gazelle.page_size import PageSize

T = TypeVar("T")

# A server may leave out a page's records for reasons of its own, but not for ever.
EMPTY_PAGES = 20

# How many records, at least, are converted at once.
BLOCK = 1000

Node = Any  # as json decodes it: nothing about it is certain


class WentAway(InvalidResponse):
    """The record whose list is being read does not exist any more."""


class Page(NamedTuple):
    """A page of a connection. `nodes` is as long as the server pleased."""

    nodes: Sequence[Node]
    total: int
    more: bool
    cursor: str | None


def read_pages(
    client: Client, table: str, text: str, variables: Mapping[str, object], at: Sequence[str], size: PageSize
) -> Iterator[Page]:
    """The pages of one connection, to its end; `at` is where it stands in the answer to the query `text`.

    `size` may change between two pages: a cursor goes on whatever is asked for after it.

    Raises `GazelleError`; `InvalidResponse` for a cursor that was followed before: the list would never end.
    """
    where = ".".join(at)
    cursors = {variables.get("after")}

    def fetch(after: object) -> Page:
        what = f"{table} ({where} after {after})" if after else f"{table} ({where})"
        asked, began = size.first, time.monotonic()
        found: Any = client.execute(what, text, {**variables, "after": after}, size)
        for name in at:
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            raise WentAway(f"Gazelle answered {what} with null: the record went away while it was read.")
        page = parse_page(found, where)
        if page.more:
            size.note(asked, len(page.nodes), time.monotonic() - began)
        return page

    page = fetch(variables.get("after"))
    empty = 0
    while page.more:
        empty = 0 if page.nodes else empty + 1
        if empty == EMPTY_PAGES:
            raise InvalidResponse(f"{where}: {empty} empty pages in a row, and still more are announced.")
        if page.cursor is None or page.cursor in cursors:
            raise InvalidResponse(
                f"{where}: the cursor {page.cursor!r} does not move, though there is said to be more. "
                "The list can't be read to its end; nothing was changed for this table."
            )
        cursors.add(page.cursor)
        yield page
        page = fetch(page.cursor)
    yield page


def parse_page(connection: Any, where: str) -> Page:
    """Raises `InvalidResponse` unless the connection has all that was asked of it."""
    try:
        info = connection["pageInfo"]
        page = Page(connection["nodes"], connection["totalCount"], info["hasNextPage"], info["endCursor"])
    except (KeyError, TypeError):
        page = None
    if (
        page is None
        or not isinstance(page.nodes, list)
        or type(page.total) is not int
        or type(page.more) is not bool
        or not isinstance(page.cursor, (str, type(None)))
    ):
        raise InvalidResponse(f"Gazelle answered {where} with something that is not a connection's page.")
    return page


def prefetch(pages: Iterator[Sequence[Node]], name: str) -> Iterator[list[Node]]:
    """Pages put together to blocks; the next block is being read while the caller works on this one.

    Most of what a DataFrame costs does not depend on how long it is, and to hand a page from one thread to another
    takes as long as to convert it. A read that is abandoned ends with the request that is on its way.
    """
    abandoned = threading.Event()

    def block() -> list[Node] | None:
        found: list[Node] = []
        for page in pages:
            found.extend(page)
            if len(found) >= BLOCK or abandoned.is_set():
                return found
        return found or None

    following = start_in_thread(block, name)
    try:
        while (found := following.result()) is not None:
            following = start_in_thread(block, name)
            yield found
    finally:
        abandoned.set()


def start_in_thread(work: Callable[[], T], name: str) -> Future[T]:
    """What `work` will give, in a thread that keeps no process from ending: an executor's would."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
