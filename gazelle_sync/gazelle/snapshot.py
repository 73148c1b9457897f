"""One table as Gazelle has it now: its rows, page by page, and whether they are all of them.

Keep out: pagination (`pages`), what proves a deletion (`deletions`), how rows are stored (`warehouse`).
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

import numpy
import pandas

from gazelle_sync.gazelle import deletions, query
from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import CursorLost, InvalidResponse, QueryRefused
from gazelle_sync.gazelle.gaps import do_without
from gazelle_sync.gazelle.pages import Node, WentAway, parse_page, prefetch, read_pages
from gazelle_sync.gazelle.rows import Columns, Reject, RowReader
from gazelle_sync.tables.declaration import (
    Bound,
    Connection,
    Gap,
    Missing,
    Nested,
    PlainList,
    Scope,
    Sizes,
    Table,
)

# At level DEBUG: a line per page is for who watches, and Dagster would store each as an event.
progress = logging.getLogger("gazelle_sync.progress")


class Snapshot:
    """A table's rows within a scope, as DataFrames with the columns of `table.all_columns`.

    Each call of `pages` reads all of it anew, several pages to a frame; afterwards `doubts` says what speaks
    against the list being whole (nothing, as a rule), `rejects` which records did not convert, `seen` and
    `expected` how many records there were and should have been.

    What Gazelle refuses of the table, before the first frame, is in `gaps` from then on, and `table` is without it.
    """

    def __init__(self, client: Client, table: Table, scope: Scope) -> None:
        self.scope = scope
        self.client = client
        self.gaps: list[Gap] = []
        self.page_size = query.page_size(table)
        self.part_size = query.page_size_of_part()
        self.doubts: list[str] = []
        self.seen = 0
        self.expected = 0
        self.not_gone: set[tuple[str, ...]] = set()
        self._read_as(table)

    def recall(self, sizes: Sizes) -> None:
        """Begins with the size of pages that worked last."""
        self.page_size = query.page_size(self.table, sizes)

    @property
    def page_sizes(self) -> list[int]:
        """Every size of a page that was asked for, in its order."""
        return self.page_size.used

    @property
    def sizes(self) -> Sizes | None:
        """The size of pages that the next read may begin with; None for a list without pages."""
        return self.page_size.remembered() if self.page_size.used else None

    def _read_as(self, table: Table) -> None:
        self.table = table
        self.columns = [column.name for column in table.all_columns]
        self._names = pandas.Index(self.columns)
        self.reader = RowReader(table, self.scope.zone)
        self._own_date = self._date_column()

    @property
    def rejects(self) -> list[Reject]:
        return self.reader.rejects

    def pages(self) -> Iterator[pandas.DataFrame]:
        """Raises `GazelleError`; what was read until then proves nothing."""
        while True:
            frames = self._read_frames()
            try:
                first = next(frames, None)
            except QueryRefused as refusal:
                # Before anything was read: from now on, this table is read without what was refused.
                table, gaps = do_without(self.table, refusal)
                self._read_as(table)
                self.gaps += gaps
            else:
                break
        if first is not None:
            yield first
            yield from frames

    def _read_frames(self) -> Iterator[pandas.DataFrame]:
        self.doubts, self.seen, self.expected = [], 0, 0
        self.reader.rejects.clear()
        read = self.table.read
        nodes = self._read_plain_list(read) if isinstance(read, PlainList) else self._read_connection(read)
        beyond = 0
        for block in self._until_cursor_is_lost(prefetch(nodes, self.table.name)):
            columns = self.reader.columns(block)
            within = self._drop_beyond_scope(columns)
            beyond += len(columns[0]) - len(within[0])
            yield self.frame(within)
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

    def _until_cursor_is_lost(self, blocks: Iterator[list[Node]]) -> Iterator[list[Node]]:
        """The blocks; a list whose cursor the server no longer knows is in doubt, and so will be read anew."""
        try:
            yield from blocks
        except CursorLost as lost:
            self.doubts.append(str(lost))

    def confirm(self, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
        """Asks for records that a read did not show, one by one: the rows of those that exist after all.

        Afterwards `not_gone` has the keys of all that must not be marked as gone: those that exist,
        and those about which nothing could be proved. Raises `GazelleError`.
        """
        self.not_gone = set()
        return deletions.confirm(self, missing)

    # Reading lists

    def _read_plain_list(self, read: PlainList) -> Iterator[Sequence[Node]]:
        data = self.client.execute(self.table.name, query.whole_list(self.table, self.scope), {})
        nodes = data.get(read.field)
        if not isinstance(nodes, list):
            raise InvalidResponse(f"Gazelle answered {self.table.name} without the list {read.field}.")
        if not nodes:
            self.doubts.append("the list is empty, and it has no count that would confirm it")
        self._note_null_nodes(nodes)
        self.seen = self.expected = len(nodes)
        yield [node for node in nodes if node is not None]

    def _read_connection(self, read: Connection | Nested) -> Iterator[Sequence[Node]]:
        outer = read.within if isinstance(read, Nested) else read
        text = query.whole_list(self.table, self.scope)
        # A number per record, not its id: a million ids would cost a hundred megabytes.
        ids = array("q")
        nameless = 0
        first_total = last_total = None
        for page in read_pages(self.client, self.table.name, text, {}, (outer.field,), self.page_size):
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
                nodes = [child for node in nodes for child in self.read_children(read, node)]
            else:
                self.expected = page.total
            self.seen += len(nodes)
            yield nodes
        distinct = nameless + count_distinct(ids)
        if not first_total == last_total == distinct:
            self.doubts.append(
                f"{outer.field} shifted while it was read: {distinct} different records were seen, and "
                f"{first_total} announced at the start, {last_total} at the end"
            )

    def read_children(self, read: Nested, parent: Node) -> list[Node]:
        """Every node of the parent's nested connection, each with its parent in the field `back`."""
        where = f"{read.within.field}.{read.field}"
        if not isinstance(parent, dict) or not isinstance(parent.get("id"), str):
            self.doubts.append(f"{read.within.field} has a record without an id, whose {read.field} can't be told")
            return []
        connection = parent.get(read.field)
        if connection is None:
            # The schema allows null here; nothing is concluded from it: what is stored is asked for again.
            return []
        first = parse_page(connection, where)
        nodes = list(first.nodes)
        total = first.total
        if first.more:
            text = query.rest_of_nested(self.table, read)
            at = (read.record.field, read.field)
            try:
                given = {"id": parent["id"], "after": first.cursor}
                for page in read_pages(self.client, self.table.name, text, given, at, self.part_size):
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
        return [
            {**node, read.parent_field: owner} if isinstance(node, dict) else node for node in nodes if node is not None
        ]

    def _note_null_nodes(self, nodes: Sequence[Node]) -> None:
        if empty := sum(node is None for node in nodes):
            self.doubts.append(f"{empty} records came as null")

    # Rows

    def frame(self, columns: Columns) -> pandas.DataFrame:
        # One block of objects, a column after the other: pandas takes much longer for rows, and would turn None into
        # NaN and 1 into 1.0.
        values = numpy.empty((len(columns), len(columns[0])), dtype=object)
        for at, column in enumerate(columns):
            values[at] = column
        frame: pandas.DataFrame = pandas.DataFrame(values.T, columns=self._names, dtype=object, copy=False)
        return frame

    def _date_column(self) -> int | None:
        """Where the row's date is, if the API can't be asked for dates before the scope's end only."""
        name, read = self.table.partitioned_by, self.table.read
        if name is None or not isinstance(read, Connection) or Bound.LAST_DAY in read.window.values():
            return None
        return self.columns.index(name)

    def _drop_beyond_scope(self, columns: Columns) -> Columns:
        """Without the rows that lie beyond the scope's end, which a connection with a lower bound only gives too."""
        if self._own_date is None or self.scope.end is None:
            return columns
        end = self.scope.start_of(self.scope.end)
        within = [at is None or at < end for at in columns[self._own_date]]
        return [list(compress(column, within)) for column in columns]


def count_distinct(numbers: array[int]) -> int:
    """How many different numbers there are. Sorts them where they are: a copy, or a set, would be memory that grows."""
    if not numbers:
        return 0
    values = numpy.frombuffer(numbers, dtype=numpy.int64)
    values.sort()
    return 1 + int(numpy.count_nonzero(values[1:] != values[:-1]))
