"""One table as Gazelle has it now: its rows, page by page, and whether they are all of them.

Keep out: how rows are stored, and what is done about those that are gone (`warehouse`).
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import compress, islice
from typing import Any, NamedTuple, TypeVar

import numpy
import pandas

from gazelle_sync.gazelle import query
from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import BrokenAnswer
from gazelle_sync.gazelle.rows import Columns, Reject, RowReader, transposed
from gazelle_sync.tables.declaration import (
    Bound,
    ById,
    ByParent,
    Connection,
    Missing,
    Nested,
    PlainList,
    Scope,
    Table,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")
# At level DEBUG: a line per page is for who watches, and Dagster would store each as an event.
progress = logging.getLogger("gazelle_sync.progress")

# A server may leave out a page's records for reasons of its own, but not for ever.
EMPTY_PAGES = 20

# How many records, at least, are converted at once.
BLOCK = 1000

Node = Any  # as json decodes it: nothing about it is certain


class WentAway(BrokenAnswer):
    """The record whose list is being read does not exist any more."""


class Page(NamedTuple):
    """A page of a connection. `nodes` is as long as the server pleased."""

    nodes: Sequence[Node]
    total: int
    more: bool
    cursor: str | None


class Snapshot:
    """A table's rows within a scope, as DataFrames with the columns of `table.all_columns`.

    Each call of `pages` reads all of it anew, several pages to a frame; afterwards `doubts` says what speaks
    against the list being whole (nothing, as a rule), `rejects` which records did not convert, `seen` and
    `expected` how many records there were and should have been.
    """

    def __init__(self, client: Client, table: Table, scope: Scope) -> None:
        self.table = table
        self.scope = scope
        self.client = client
        self.columns = [column.name for column in table.all_columns]
        self._names = pandas.Index(self.columns)
        self.doubts: list[str] = []
        self.seen = 0
        self.expected = 0
        self.kept_by_gazelle: set[tuple[str, ...]] = set()
        self._reader = RowReader(table, scope.zone)
        self._own_date = self._date_column()

    @property
    def rejects(self) -> list[Reject]:
        return self._reader.rejects

    def pages(self) -> Iterator[pandas.DataFrame]:
        """Raises `GazelleError`; what was read until then proves nothing."""
        self.doubts, self.seen, self.expected = [], 0, 0
        self._reader.rejects.clear()
        read = self.table.read
        nodes = self._plain_list(read) if isinstance(read, PlainList) else self._connection(read)
        beyond = 0
        for block in one_ahead(nodes, self.table.name):
            columns = self._reader.columns(block)
            within = self._in_scope(columns)
            beyond += len(columns[0]) - len(within[0])
            yield self._frame(within)
            progress.debug(
                "%s: %d of %d read",
                self.table.name,
                self.seen,
                self.expected,
                extra={"table": self.table.name, "seen": self.seen, "expected": self.expected},
            )
        # Of a list without an upper bound, only what lies within the scope is spoken for.
        self.seen -= beyond
        self.expected -= beyond

    def confirm(self, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
        """Asks for records that a read did not show, one by one: the rows of those that exist after all.

        Afterwards `kept_by_gazelle` has the keys of all that must not be marked as gone: those that exist,
        and those about which nothing could be proved. Raises `GazelleError`.
        """
        self.kept_by_gazelle = set()
        evidence = self.table.gone_when
        if isinstance(evidence, ById):
            return self._confirm_by_id(evidence, missing)
        if isinstance(evidence, ByParent):
            return self._confirm_by_parent(evidence, missing)
        return self._confirm_by_reading_again(missing)

    # Reading lists

    def _plain_list(self, read: PlainList) -> Iterator[Sequence[Node]]:
        data = self.client.execute(self.table.name, query.whole_list(self.table, self.scope), {})
        nodes = data.get(read.field)
        if not isinstance(nodes, list):
            raise BrokenAnswer(f"Gazelle answered {self.table.name} without the list {read.field}.")
        if not nodes:
            self.doubts.append("the list is empty, and it has no count that would confirm it")
        self._note_null_nodes(nodes)
        self.seen = self.expected = len(nodes)
        yield [node for node in nodes if node is not None]

    def _connection(self, read: Connection | Nested) -> Iterator[Sequence[Node]]:
        outer = read.within if isinstance(read, Nested) else read
        text = query.whole_list(self.table, self.scope)
        # A number per record, not its id: a million ids would cost a hundred megabytes.
        ids = array("q")
        nameless = 0
        first_total = last_total = None
        for page in self._pages(text, {}, (outer.field,)):
            last_total = page.total
            first_total = page.total if first_total is None else first_total
            self._note_null_nodes(page.nodes)
            nodes = [node for node in page.nodes if node is not None]
            for node in nodes:
                if isinstance(node, dict) and isinstance(node.get("id"), str):
                    ids.append(hash(node["id"]))
                else:
                    nameless += 1
            if isinstance(read, Nested):
                nodes = [child for node in nodes for child in self._children(read, node)]
            else:
                self.expected = page.total
            self.seen += len(nodes)
            yield nodes
        distinct = nameless + different(ids)
        if not first_total == last_total == distinct:
            self.doubts.append(
                f"{outer.field} shifted while it was read: {distinct} different records were seen, and "
                f"{first_total} announced at the start, {last_total} at the end"
            )

    def _children(self, read: Nested, parent: Node) -> list[Node]:
        """Every node of the parent's nested connection, each with its parent in the field `back`."""
        where = f"{read.within.field}.{read.field}"
        if not isinstance(parent, dict) or not isinstance(parent.get("id"), str):
            self.doubts.append(f"{read.within.field} has a record without an id, whose {read.field} can't be told")
            return []
        connection = parent.get(read.field)
        if connection is None:
            # The schema allows null here; nothing is concluded from it: what is stored is asked for again.
            return []
        first = as_page(connection, where)
        nodes = list(first.nodes)
        total = first.total
        if first.more:
            text = query.rest_of_nested(self.table, read)
            at = (read.record.field, read.field)
            try:
                for page in self._pages(text, {"id": parent["id"], "after": first.cursor}, at):
                    nodes.extend(page.nodes)
                    total = page.total
            except WentAway:
                self.doubts.append(f"{where} of {parent['id']}: the record went away while it was read")
        self.expected += total
        self._note_null_nodes(nodes)
        if not len(nodes) == first.total == total:
            self.doubts.append(
                f"{where} of {parent['id']}: {len(nodes)} records were seen, {first.total} announced at the "
                f"start, {total} at the end"
            )
        owner = {"id": parent["id"]}
        return [{**node, read.back: owner} if isinstance(node, dict) else node for node in nodes if node is not None]

    def _pages(self, text: str, variables: dict[str, object], at: Sequence[str]) -> Iterator[Page]:
        """The pages of one connection, to its end; `at` is where it stands in the answer.

        Raises `BrokenAnswer` for a cursor that was followed before: the list would never end.
        """
        where = ".".join(at)
        cursors = {variables.get("after")}

        def fetch(after: object) -> Page:
            what = f"{self.table.name} ({where} after {after})" if after else f"{self.table.name} ({where})"
            found: Any = self.client.execute(what, text, {**variables, "after": after})
            for name in at:
                found = found.get(name) if isinstance(found, dict) else None
            if found is None:
                raise WentAway(f"Gazelle answered {what} with null: the record went away while it was read.")
            return as_page(found, where)

        page = fetch(variables.get("after"))
        empty = 0
        while page.more:
            empty = 0 if page.nodes else empty + 1
            if empty == EMPTY_PAGES:
                raise BrokenAnswer(f"{where}: {empty} empty pages in a row, and still more are announced.")
            if page.cursor is None or page.cursor in cursors:
                raise BrokenAnswer(
                    f"{where}: the cursor {page.cursor!r} does not move, though there is said to be more. "
                    "The list can't be read to its end; nothing was changed for this table."
                )
            cursors.add(page.cursor)
            yield page
            page = fetch(page.cursor)
        yield page

    def _note_null_nodes(self, nodes: Sequence[Node]) -> None:
        if empty := sum(node is None for node in nodes):
            self.doubts.append(f"{empty} records came as null")

    # Asking for single records

    def _confirm_by_id(self, record: ById, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
        waiting = iter(missing)
        while batch := [entry.key[0] for entry in islice(waiting, query.BATCH)]:
            text = query.by_ids(self.table, record, len(batch))
            what = f"{self.table.name} by id ({batch[0]} and {len(batch) - 1} more)"
            data = self.client.execute(what, text, {f"id{n}": key for n, key in enumerate(batch)})
            if absent := [f"r{n}" for n in range(len(batch)) if f"r{n}" not in data]:
                raise BrokenAnswer(f"Gazelle answered {what} without {', '.join(absent)}.")
            existing = {key: node for n, key in enumerate(batch) if (node := data[f"r{n}"]) is not None}
            self.kept_by_gazelle.update((key,) for key in existing)
            yield self._frame(self._reader.columns(list(existing.values())))

    def _confirm_by_parent(self, evidence: ByParent, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
        by_parent: dict[str | None, set[tuple[str, ...]]] = {}
        for entry in missing:
            by_parent.setdefault(entry.parent, set()).add(entry.key)
        for parent, keys in by_parent.items():
            nodes = None if parent is None else self._list_of_parent(evidence, parent)
            if nodes is None:
                self.kept_by_gazelle |= keys
                continue
            rows = []
            for node in nodes:
                row = self._reader.row(node)
                key = self._reader.key(row) if row else None
                if row is None:
                    # Set aside, so it exists; its key is in the reject.
                    key = self._reader.rejects[-1].key
                if key in keys:
                    self.kept_by_gazelle.add(key)
                    if row is not None:
                        rows.append(row)
            yield self._frame(transposed(rows, len(self.columns)))

    def _list_of_parent(self, evidence: ByParent, parent: str) -> list[Node] | None:
        """The parent's own list of this table, or None when it proves nothing."""
        read = self.table.read
        doubts = len(self.doubts)
        nodes: list[Node] = []
        if isinstance(read, Nested):
            text = query.rest_of_nested(self.table, read)
            data = self.client.execute(f"{self.table.name} of {parent}", text, {"id": parent, "after": None})
            record = data.get(read.record.field)
            if record is None:
                return []
            if not isinstance(record, dict) or record.get(read.field) is None:
                return None
            expected = self.expected
            nodes = self._children(read, {**record, "id": parent})
            self.expected = expected
        else:
            assert isinstance(read, Connection)
            text = query.within_parent(self.table, read, evidence)
            total = 0
            for page in self._pages(text, {"id": parent}, (read.field,)):
                nodes.extend(page.nodes)
                total = page.total
            named = [node["id"] for node in nodes if isinstance(node, dict) and isinstance(node.get("id"), str)]
            if not len(nodes) == len(set(named)) == total:
                return None
        return nodes if len(self.doubts) == doubts else None

    def _confirm_by_reading_again(self, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
        again = Snapshot(self.client, self.table, self.scope)
        for page in again.pages():
            self.kept_by_gazelle.update(zip(*(page[name] for name in self.table.key), strict=True))
            yield page
        self.kept_by_gazelle.update(reject.key for reject in again.rejects if reject.key)
        if again.doubts:
            # A list with holes, or an empty one, proves nothing.
            self.kept_by_gazelle.update(entry.key for entry in missing)

    # Rows

    def _frame(self, columns: Columns) -> pandas.DataFrame:
        # One block of objects, a column after the other: pandas takes much longer for rows, and would turn None into
        # NaN and 1 into 1.0.
        values = numpy.empty((len(columns), len(columns[0])), dtype=object)
        for at, column in enumerate(columns):
            values[at] = column
        frame: pandas.DataFrame = pandas.DataFrame(values.T, columns=self._names, dtype=object, copy=False)
        return frame

    def _date_column(self) -> int | None:
        """Where the row's date is, if the API can't be asked for dates before the scope's end only."""
        name, read = self.table.dated_by, self.table.read
        if name is None or not isinstance(read, Connection) or Bound.LAST_DAY in read.window.values():
            return None
        return self.columns.index(name)

    def _in_scope(self, columns: Columns) -> Columns:
        """Without the rows that lie beyond the scope's end, which a connection with a lower bound only gives too."""
        if self._own_date is None or self.scope.end is None:
            return columns
        end = self.scope.moment(self.scope.end)
        within = [at is None or at < end for at in columns[self._own_date]]
        return [list(compress(column, within)) for column in columns]


def one_ahead(pages: Iterator[Sequence[Node]], name: str) -> Iterator[list[Node]]:
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

    following = begun(block, name)
    try:
        while (found := following.result()) is not None:
            following = begun(block, name)
            yield found
    finally:
        abandoned.set()


def begun(work: Callable[[], T], name: str) -> Future[T]:
    """What `work` will give, in a thread that keeps no process from ending: an executor's would."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def different(numbers: array[int]) -> int:
    """How many different numbers there are. Sorts them where they are: a copy, or a set, would be memory that grows."""
    if not numbers:
        return 0
    values = numpy.frombuffer(numbers, dtype=numpy.int64)
    values.sort()
    return 1 + int(numpy.count_nonzero(values[1:] != values[:-1]))


def as_page(connection: Any, where: str) -> Page:
    """Raises `BrokenAnswer` unless the connection has all that was asked of it."""
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
        raise BrokenAnswer(f"Gazelle answered {where} with something that is not a connection's page.")
    return page
