"""Pagination, written once: a walk over a connection to its end, and pages read ahead of whoever converts them.

Keep out: what is asked (`query`), and what a list says about its table (`snapshot`).
"""

from __future__ import annotations

import json
import threading
import time
from array import array
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import compress, pairwise
from typing import Any, NamedTuple, TypeVar

import numpy

from gazelle_sync.gazelle import query
from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import InvalidResponse
from gazelle_sync.gazelle.page_size import PageSize
from gazelle_sync.tables.declaration import Connection, Nested, Table
from gazelle_sync.translations import say

T = TypeVar("T")

# A server may leave out a page's records for reasons of its own, but not for ever.
PAGES_WITHOUT_NEWS = 20
# To go back so often, and find nothing new, means that the list has no order that lasts.
TIMES_BACK = 3
# Records may come while a list is read. Many more than announced are no list that ends.
MORE_THAN_ANNOUNCED = 100

# How many records, at least, are converted at once.
BLOCK = 1000

Node = Any  # as json decodes it: nothing about it is certain


class WentAway(InvalidResponse):
    """The record whose list is being read does not exist any more."""


class OtherRecord(InvalidResponse):
    """What was asked for by id came back with another id."""


class Page(NamedTuple):
    """A page of a connection. `nodes` is as long as the server pleased.

    `cursor` is its end's; `overlap` is that of the record before the last one that is not null, None where the page
    does not tell.
    """

    nodes: Sequence[Node]
    total: int
    more: bool
    cursor: str | None
    overlap: str | None


class Walk:
    """One pass over a connection. `pages` gives its records, `find_doubt` what speaks against their being all.

    `fetch` asks for the page after a cursor. A cursor may be no more than a row's offset (graphql-ruby's are), so a
    record that goes or comes shifts all that follow it. Therefore each page is asked for with the cursor of the
    record *before* the last one: it has to begin with that last one. Where it does not, the list shifted: what is new
    in the page is taken if any record in it is known, and else the page before is asked for again, and so on back to
    the start. So every record that was there all along is read, if it stayed in its place among the others. One that
    did not stay is missing from the count. See docs/proofs.md.
    """

    def __init__(self, fetch: Callable[[str | None], Page], where: str) -> None:
        self.where = where
        self.total = 0
        self.nulls = 0
        self._fetch = fetch
        self._totals: list[int] = []
        # A number per record, not its id: a million ids would cost a hundred megabytes.
        self._seen = array("q")
        self._distinct = 0
        self._last = 0
        # The cursor that each page was asked for with, and its first record.
        self._trail: list[tuple[str | None, int]] = []
        self._ends: set[str] = set()
        self._without_news = 0
        # How many records that were read are known to have gone since.
        self._gone = 0
        # Whether anything came, went or moved while the list was read.
        self._has_shifted = False
        self._has_overlaps = True
        self._has_order = True

    def pages(self) -> Iterator[list[Node]]:
        """The records, each once, those that came as null left out.

        Raises `GazelleError`; `InvalidResponse` for a list that would never end.
        """
        page = self._ask(None)
        yield self._take(page, None, identify(page.nodes))
        while page.more:
            self._check_end(page)
            page, nodes = self._follow(page)
            yield nodes
        self._distinct = count_distinct(self._seen)
        if self._distinct < self.total + self._gone:
            yield from self._read_head()

    def find_doubt(self) -> str | None:
        """Why the records that were read may not be all; None when they are."""
        announced = self._totals
        drops = sum(max(0, before - after) for before, after in pairwise(announced))
        least, most = self.total + self._gone, self.total + max(drops, self._gone)
        if not self._has_overlaps:
            is_whole = min(announced) == max(announced) == self._distinct
        else:
            is_whole = least <= self._distinct <= most
        if is_whole and self._has_order:
            return None
        return say("list_shifted", where=self.where, seen=self._distinct, start=announced[0], end=self.total)

    def _ask(self, after: str | None) -> Page:
        page = self._fetch(after)
        self._totals.append(page.total)
        self.total = page.total
        return page

    def _follow(self, page: Page) -> tuple[Page, list[Node]]:
        """The next page, and what is new in it."""
        if page.overlap is None:
            # The page has one record, or none: only the count is left as a proof.
            self._has_overlaps = False
            following = self._ask(page.cursor)
            return following, self._take(following, page.cursor, identify(following.nodes))
        after: str | None = page.overlap
        following = self._ask(after)
        marks = identify(following.nodes)
        if marks and marks[0] == self._last:
            return following, self._take(following, after, marks, skip=1)
        self._has_shifted = True
        self._ends.clear()
        known = numpy.isin(marks, self._seen)
        went_back = False
        if not known.any() and self._without_news >= TIMES_BACK:
            self._has_order = False
            return following, self._take(following, after, marks)
        while not known.any() and after is not None:
            (after, first), went_back = self._trail.pop(), True
            following = self._ask(after)
            marks = identify(following.nodes)
            known = numpy.isin(marks, self._seen)
        if went_back and known.any():
            self._gone += self._count_gone(marks, int(known.nonzero()[0][-1]), first)
        return following, self._take(following, after, marks, unknown=~known)

    def _count_gone(self, marks: Sequence[int], anchor: int, first: int) -> int:
        """How many records before the last known one of a page went since it was read; it began with `first` then."""
        seen = numpy.frombuffer(self._seen, dtype=numpy.int64)
        beyond = anchor < len(marks) - 1
        start = (seen == first).nonzero()[0]
        last = len(seen) - 1 if beyond else int((seen == marks[anchor]).nonzero()[0][-1])
        return max(0, last - int(start[-1]) - anchor) if len(start) else 0

    def _take(
        self, page: Page, after: str | None, marks: Sequence[int], *, skip: int = 0, unknown: Any = None
    ) -> list[Node]:
        """Counts a page's new records, and returns them."""
        nodes = list(page.nodes[skip:] if unknown is None else compress(page.nodes, unknown))
        new = marks[skip:] if unknown is None else list(compress(marks, unknown))
        if None in nodes:
            self.nulls += nodes.count(None)
            new = [mark for mark, node in zip(new, nodes, strict=True) if node is not None]
            nodes = [node for node in nodes if node is not None]
        self._seen.extend(new)
        self._without_news = 0 if new else self._without_news + 1
        if marks:
            self._last = next((mark for mark, node in zip(marks[::-1], page.nodes[::-1], strict=True) if node), 0)
            self._trail.append((after, marks[0]))
        return nodes

    def _read_head(self) -> Iterator[list[Node]]:
        """What came to the start of the list while the rest of it was read; or anywhere else, if it is known to shift.

        What came is near the start as a rule, so this ends as soon as there are as many as are announced.
        """
        self._ends.clear()
        after: str | None = None
        looked_at, most = 0, self.total + self.total // 10 + MORE_THAN_ANNOUNCED
        while True:
            page = self._ask(after)
            marks = identify(page.nodes)
            known = numpy.isin(marks, self._seen)
            before, looked_at = len(self._seen), looked_at + len(marks)
            yield self._take(page, after, marks, unknown=~known)
            self._distinct += len(set(self._seen[before:]))
            is_lacking = self._distinct < self.total + self._gone
            if not (page.more and is_lacking and looked_at < most) or (known.any() and not self._has_shifted):
                break
            self._without_news = 0
            self._check_end(page)
            after = page.cursor
        self._distinct = count_distinct(self._seen)

    def _check_end(self, page: Page) -> None:
        """Raises `InvalidResponse` for a page whose end leads nowhere, or after which the list should have ended."""
        after = self._trail[-1][0] if self._trail else None
        if page.cursor is None or page.cursor == after or page.cursor in self._ends:
            raise InvalidResponse(say("cursor_does_not_move", where=self.where, cursor=page.cursor))
        self._ends.add(page.cursor)
        if self._without_news == PAGES_WITHOUT_NEWS:
            raise InvalidResponse(say("pages_without_news", where=self.where, count=PAGES_WITHOUT_NEWS))
        most = max(self._totals)
        if len(self._seen) + self.nulls > most + most // 10 + MORE_THAN_ANNOUNCED:
            raise InvalidResponse(say("list_does_not_end", where=self.where, seen=len(self._seen), announced=most))


def walk_connection(
    client: Client,
    table: Table,
    text: str,
    connection: Connection,
    size: PageSize,
    variables: Mapping[str, object] | None = None,
    keep: Callable[[bytes], object] | None = None,
) -> Walk:
    """Over a connection at the root of the API, which the query `text` asks for.

    `size` may change between two pages: a cursor goes on whatever is asked for after it. `keep` is given each answer.
    """

    def fetch(after: str | None) -> Page:
        what = name_request(table, connection.field, after)
        asked, began = size.first, time.monotonic()
        data = client.execute(what, text, {**(variables or {}), "after": after}, size, keep)
        page = parse_page(data.get(connection.field), what)
        if page.more:
            size.note(asked, len(page.nodes), time.monotonic() - began)
        return page

    return Walk(fetch, connection.field)


def walk_again(table: Table, connection: Connection, answers: Iterator[Mapping[str, Any]]) -> Walk:
    """The walk that got these answers, once more: it asks for the same, and comes to the same."""

    def fetch(after: str | None) -> Page:
        return parse_page(next(answers, {}).get(connection.field), name_request(table, connection.field, after))

    return Walk(fetch, connection.field)


def walk_of_parent(client: Client, table: Table, read: Nested, parent: str, size: PageSize) -> Walk:
    """Over the nested connection of one parent. Fetching raises `WentAway` and `OtherRecord` too."""
    text, source = query.nested_of_one(table, read), read.record
    assert source is not None
    field = f"{source.field}.{read.field}"

    def fetch(after: str | None) -> Page:
        what = name_request(table, field, after)
        record = client.execute(what, text, {"id": parent, "after": after}, size).get(source.field)
        if record is None:
            raise WentAway(say("went_away"))
        if not isinstance(record, dict) or record.get("id") != parent:
            raise OtherRecord(say("other_record"))
        page = parse_page(record.get(read.field), what)
        return page._replace(nodes=adopt(page.nodes, read, parent))

    return Walk(fetch, say("list_of", where=f"{read.within.field}.{read.field}", parent=parent))


def adopt(nodes: Sequence[Node], read: Nested, parent: str) -> list[Node]:
    """The nodes of a parent's nested list, with the parent that they were not asked for."""
    if not read.parent_field:
        return list(nodes)
    owner = {"id": parent}
    return [{**node, read.parent_field: owner} if isinstance(node, dict) else node for node in nodes]


def name_request(table: Table, field: str, after: str | None) -> str:
    """What a request for a page is called in errors."""
    return say("page_after", table=table.name, field=field, cursor=after) if after else f"{table.name} ({field})"


def identify(nodes: Sequence[Node]) -> list[int]:
    """A number for each record: its id's, or where it has none, that of all it holds."""
    try:
        return [hash(node["id"]) for node in nodes]
    except (KeyError, TypeError):
        return [hash(identity(node)) for node in nodes]


def identity(node: Node) -> str:
    own = node.get("id") if isinstance(node, dict) else None
    return own if isinstance(own, str) else json.dumps(node, sort_keys=True)


def parse_page(connection: Any, where: str) -> Page:
    """Raises `InvalidResponse` unless the connection has all that was asked of it."""
    try:
        info = connection["pageInfo"]
        nodes, total = connection["nodes"], connection["totalCount"]
        page = Page(nodes, total, info["hasNextPage"], info["endCursor"], find_overlap(connection.get("edges"), nodes))
    except (AttributeError, KeyError, TypeError):
        page = None
    if (
        page is None
        or not isinstance(page.nodes, list)
        or type(page.total) is not int
        or type(page.more) is not bool
        or not isinstance(page.cursor, (str, type(None)))
        or not isinstance(page.overlap, (str, type(None)))
    ):
        raise InvalidResponse(say("no_page", where=where))
    return page


def find_overlap(edges: Any, nodes: Any) -> Any:
    """`Page.overlap`: the schema allows `edges` to be null."""
    if not isinstance(edges, list) or len(edges) != len(nodes):
        return None
    last = next((place for place in reversed(range(len(nodes))) if nodes[place] is not None), 0)
    before = edges[last - 1] if last else None
    return before.get("cursor") if isinstance(before, dict) else None


def count_distinct(numbers: array[int]) -> int:
    """How many different numbers there are. Sorts them where they are: a copy, or a set, would be memory that grows."""
    if not numbers:
        return 0
    values = numpy.frombuffer(numbers, dtype=numpy.int64)
    values.sort()
    return 1 + int(numpy.count_nonzero(values[1:] != values[:-1]))


def prefetch(pages: Generator[Sequence[Node], None, None], name: str) -> Iterator[list[Node]]:
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
        # In the thread that reads, if one does: what reads for it in turn is told to end as well.
        following.add_done_callback(lambda _: pages.close())


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
