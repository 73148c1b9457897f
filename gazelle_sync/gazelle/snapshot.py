"""One table as Gazelle has it now: its rows, page by page, and whether they are all of them.

Keep out: pagination (`pages`), what proves a deletion (`deletions`), how rows are stored (`warehouse`).
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress

import numpy
import pandas

from gazelle_sync.gazelle import deletions, parts, query
from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import CursorLost, InvalidResponse, QueryRefused, TooMuch, Unanswered
from gazelle_sync.gazelle.gaps import do_without
from gazelle_sync.gazelle.pages import (
    Node,
    OtherRecord,
    Page,
    Walk,
    WentAway,
    adopt,
    count_distinct,
    parse_page,
    prefetch,
    walk_again,
    walk_connection,
    walk_of_parent,
)
from gazelle_sync.gazelle.parts import Cut, Part, Reading
from gazelle_sync.gazelle.rows import DEFAULT_LOCALE, Columns, Reject, RowReader
from gazelle_sync.tables.declaration import Bound, Connection, Gap, Missing, Nested, PlainList, Scope, Sizes, Table
from gazelle_sync.translations import say

# At level DEBUG: a line per page is for who watches, and Dagster would store each as an event.
progress = logging.getLogger("gazelle_sync.progress")

# How often parts are read in one read of a list: those that grew since are read again, unless they never stop.
ROUNDS = 3


class Snapshot:
    """A table's rows within a scope, as DataFrames with the columns of `table.all_columns`.

    Each call of `pages` reads all of it anew, several pages to a frame; afterwards `doubts` says what speaks
    against the list being whole (nothing, as a rule), `rejects` which records did not convert, `seen` and
    `expected` how many records there were and should have been.

    What Gazelle refuses of the table, before the first frame, is in `gaps` from then on, and `table` is without it.

    Of a list that is read in parts, those that are proved are not read again: `cut` has them, and may be that of a
    snapshot that failed. `oldest` is when the oldest of them that was handed on was asked for, by `time.monotonic`.
    `remarks` says what is worth knowing, and no doubt.
    """

    def __init__(
        self, client: Client, table: Table, scope: Scope, locale: str = DEFAULT_LOCALE, cut: Cut | None = None
    ) -> None:
        self.scope = scope
        self.cut = cut or Cut()
        self.client = client
        self.gaps: list[Gap] = [*self.cut.gaps]
        self.oldest: float | None = None
        self.page_size = query.page_size(table)
        self.part_size = query.page_size_of_part()
        self.doubts: list[str] = []
        # By id, or by the id of whose list was asked for.
        self.unproved: dict[str, str] = {}
        self.unanswered = 0
        self.seen = 0
        self.expected = 0
        # How many records of the connection at the root were read, and how many there are.
        self._listed = (0, 0)
        self.not_gone: set[tuple[str, ...]] = set()
        # Whether Gazelle does not let us read the table at all, which an `optional` one may be.
        self.is_refused = False
        self.locale = locale
        # Of a nested list: a number for each parent, how many records it had, and how many were announced.
        self._parents, self._counts, self._announced = array("q"), array("q"), array("q")
        self._read_as(self.cut.table or table)

    def _read_as(self, table: Table) -> None:
        self.table = table
        self.columns = [column.name for column in table.all_columns]
        self._names = pandas.Index(self.columns)
        self.reader = RowReader(table, self.scope.zone, self.locale)
        self._own_date = self._date_column()

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

    def prefer(self, locale: str) -> None:
        """From now on, what is written in several languages is read in this one first (`fr_CA`)."""
        self.locale = locale
        self.reader = RowReader(self.table, self.scope.zone, locale)

    @property
    def remarks(self) -> list[str]:
        return [self.cut.refusal] if self.cut.refusal else []

    @property
    def rejects(self) -> list[Reject]:
        return self.reader.rejects

    @property
    def is_of_all(self) -> bool:
        """Whether the scope is all that the table has: tables without a date are always read whole."""
        return self.scope.whole or self.table.partitioned_by is None

    def pages(self) -> Iterator[pandas.DataFrame]:
        """Raises `GazelleError`; what was read until then proves nothing."""
        while True:
            frames = self._read_frames()
            try:
                first = next(frames, None)
            except QueryRefused as refusal:
                # Before anything was read: from now on, this table is read without what was refused.
                table, gaps = do_without(self.table, refusal)
                self.cut.forget()
                self._read_as(table)
                self.gaps += gaps
                self.cut.table, self.cut.gaps = table, [*self.gaps]
            else:
                break
        if first is not None:
            yield first
            yield from frames

    def _read_frames(self) -> Iterator[pandas.DataFrame]:
        self.doubts, self.unproved, self.is_refused = [], {}, False
        self.seen = self.expected = self.unanswered = 0
        self._listed, self.oldest = (0, 0), None
        self._parents, self._counts, self._announced = array("q"), array("q"), array("q")
        self.reader.rejects.clear()
        read = self.table.read
        if isinstance(read, PlainList):
            nodes = self._read_plain_list(read)
        elif isinstance(read, Connection):
            nodes = self._read_connection(read)
        else:
            nodes = self._read_nested(read)
        beyond = array("q")
        self._note_progress()
        for block in self._until_cursor_is_lost(prefetch(self._let_refuse(nodes), self.table.name)):
            columns = self.reader.columns(block)
            within = self._drop_beyond_scope(columns, beyond)
            yield self.frame(within)
            self._note_progress()
        # Of a list without an upper bound, only what lies within the scope is spoken for. What is beyond counts once:
        # its part may have been read again.
        count = count_distinct(beyond)
        self.seen -= count
        self.expected -= count

    def _note_progress(self) -> None:
        """How far the read is: of a nested list by the records that it is read inside of, whose number is known."""
        done, of = (self.seen, self.expected) if isinstance(self.table.read, PlainList) else self._listed
        told = {"table": self.table.name, "seen": self.seen, "expected": self.expected, "done": done, "of": of}
        progress.debug("%(table)s: %(seen)d of %(expected)d read", told, extra=told)

    def _until_cursor_is_lost(self, blocks: Iterator[list[Node]]) -> Iterator[list[Node]]:
        """The blocks; a list whose cursor the server no longer knows is in doubt, and so will be read anew."""
        try:
            yield from blocks
        except CursorLost as lost:
            self.doubts.append(str(lost))

    def look_again(self) -> Iterator[pandas.DataFrame]:
        """Of a nested list, the records of each parent whose list is not as long as it was when it was read.

        A record that moves to a parent whose list was read before is in neither list. Where the record is stored, it
        is asked for; before a table's first load nothing is. Raises `GazelleError`.
        """
        read = self.table.read
        if not isinstance(read, Nested) or len(read.levels) > 1 or self.is_refused:
            return
        counted = dict(zip(self._parents, self._counts, strict=True))
        for text in query.nested_counts(self.table, read, self.scope):
            for parents in walk_connection(self.client, self.table, text, read.root, self.part_size).pages():
                for parent in parents:
                    count = count_of(parent, read)
                    if count is not None and counted.get(hash(parent["id"])) != count:
                        yield from self._read_once_more(read, parent["id"])

    def _read_once_more(self, read: Nested, parent: str) -> Iterator[pandas.DataFrame]:
        if not read.paged:
            # It can't be read alone; what is not sure is said, and the next night finds it.
            self.doubts.append(say("list_changed", where=f"{read.root.field}.{read.field}", parent=parent))
            return
        if found := self._read_whole_nested(read, parent):
            yield self.frame(self.reader.columns(found[0]))

    def confirm(self, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
        """Asks for records that a read did not show: the rows of those that exist after all.

        Afterwards `not_gone` has the keys of all that must not be marked as gone: those that exist, and those about
        which nothing could be proved; `unproved` says why, where Gazelle's answer was no answer. Raises `GazelleError`.
        """
        self.not_gone = set()
        return deletions.confirm(self, missing)

    # Reading lists

    def _let_refuse(self, pages: Iterator[Sequence[Node]]) -> Generator[Sequence[Node], None, None]:
        """The pages; none, with a doubt, where Gazelle answers for an optional table with an error only."""
        try:
            yield from pages
        except Unanswered as error:
            if not self.table.optional or self.seen:
                raise
            self.is_refused = True
            self.doubts.append(say("table_refused", why=error))

    def _read_plain_list(self, read: PlainList) -> Iterator[Sequence[Node]]:
        (text,) = query.whole_lists(self.table, self.scope)
        data = self.client.execute(self.table.name, text, {})
        nodes = [data.get(read.field)] if read.single else data.get(read.field)
        if not isinstance(nodes, list):
            raise InvalidResponse(say("list_missing", what=self.table.name, field=read.field))
        self._note_nulls(nodes.count(None))
        self.seen = self.expected = len(nodes)
        yield [node for node in nodes if node is not None]

    def _read_connection(self, read: Connection) -> Iterator[Sequence[Node]]:
        for nodes in self._read_list(read):
            self.seen, self.expected = self._listed
            yield nodes
        # The start may have been looked at once more, and have been counted anew.
        self.seen, self.expected = self._listed

    def _read_list(self, read: Connection) -> Iterator[Sequence[Node]]:
        """A connection at the root, page by page: in parts, if the first page says that it is long, and it can be."""
        walks = [self._walk(text, read) for text in query.whole_lists(self.table, self.scope)]
        chains: list[Iterator[list[Node]]] = [walk.pages() for walk in walks]
        if read.parts and self.client.concurrent > 1 and not self.cut.refusal:
            if not self.cut.parts:
                first = next(chains[0])
                if walks[0].total >= parts.LEAST_TO_CUT * self.page_size.most:
                    self._divide(read)
                chains[0] = chain([first], chains[0])
            if self.cut.parts:
                yield from self._read_parts(read)
                return
        before = 0
        for walk, pages in zip(walks, chains, strict=True):
            for nodes in pages:
                self._listed = (self._listed[0] + len(nodes), before + walk.total)
                yield nodes
            before += walk.total
            self._listed = (self._listed[0], before)
            self._note_walk(walk)

    # Reading in parts

    def _divide(self, read: Connection) -> None:
        """Cuts the list, if all of it is in its parts."""
        pieces = parts.find_pieces(read, self.scope)
        try:
            total, counts = self._count(read, [parts.narrow(read, [piece]) for piece in pieces])
            if lack := self._find_lack(total, counts):
                self._cut_no_more(lack)
                return
            counted = dict(zip(pieces, counts, strict=True))
            for _ in range(parts.SPLITS):
                large = {piece: parts.split(piece) for piece, count in counted.items() if count > total // parts.LARGE}
                smaller = [each for some in large.values() for each in some]
                if not smaller:
                    break
                _, counts = self._count(read, [parts.narrow(read, [piece]) for piece in smaller])
                counted.update(zip(smaller, counts, strict=True))
                counted = {each: counted[each] for piece in counted for each in large.get(piece) or [piece]}
        except (TooMuch, QueryRefused, Unanswered) as refusal:
            self._cut_no_more(say("not_counted", why=refusal))
        else:
            found = parts.divide(read, counted, self.page_size.most)
            self.cut.parts = found if len(found) > 1 else None

    def _cut_no_more(self, why: str) -> None:
        """From now on the list is read in one piece, which takes longer: it is said why."""
        self.cut.forget()
        self.cut.refusal = say("not_cut", table=self.table.name, why=why)

    @staticmethod
    def _find_lack(total: int, counts: Sequence[int]) -> str | None:
        """That some record is in none of the parts; None when all are in one."""
        inside = sum(counts)
        return None if total == inside else say("outside_of_parts", total=total, inside=inside)

    def _count(self, read: Connection, some: Sequence[Mapping[str, str]]) -> tuple[int, list[int]]:
        """How many records there are, and how many with each of these arguments. Raises `GazelleError`."""
        what = say("counting", table=self.table.name)
        data = self.client.execute(what, query.part_counts(self.table, read, self.scope, some), {})
        names = [f"all{number}" for number in range(len(read.each))], [f"p{number}" for number in range(len(some))]
        try:
            whole, counts = ([data[name]["totalCount"] for name in each] for each in names)
        except (KeyError, TypeError):
            raise InvalidResponse(say("no_page", where=what)) from None
        if any(type(count) is not int for count in (*whole, *counts)):
            raise InvalidResponse(say("no_page", where=what))
        return sum(whole), counts

    def _read_parts(self, read: Connection) -> Iterator[Sequence[Node]]:
        """All parts, and those that grew since once more. Then the list is proved, or in doubt."""
        assert self.cut.parts
        # What is kept comes first: of a record that moved to another part since, the later row stands.
        yield from self._read_at_once(read, [part for part in self.cut.parts if part.is_proved])
        waiting, total = [part for part in self.cut.parts if not part.is_proved], 0
        for _ in range(ROUNDS):
            yield from self._read_at_once(read, waiting)
            # A part that is in doubt is read again, and the whole counted then.
            if self.doubts:
                return
            total, counts = self._count(read, [part.arguments for part in self.cut.parts])
            if lack := self._find_lack(total, counts):
                self.doubts.append(lack)
                self._cut_no_more(lack)
                return
            # Those to which something came, or moved, when they were read already.
            waiting = [part for part, count in zip(self.cut.parts, counts, strict=True) if count > part.count]
            if not waiting:
                return
            for part in waiting:
                part.is_proved = False
        seen, expected = self._listed
        self.doubts.append(say("list_shifted", where=read.field, seen=seen, start=expected, end=total))

    def _read_at_once(self, read: Connection, some: Sequence[Part]) -> Iterator[Sequence[Node]]:
        """These parts, several at once; those that are proved, from what was kept of them."""
        assert self.cut.parts
        walks = [(part, *self._walk_part(read, part)) for part in some]

        def read_part(part: Part, reading: Reading, walk: Walk) -> Iterator[Sequence[Node]]:
            for nodes in walk.pages():
                reading.seen += len(nodes)
                yield nodes
            part.finish(reading, walk.total, proved=not (walk.nulls or walk.find_doubt()))

        for nodes in parts.read_at_once((read_part(*each) for each in walks), self.client.concurrent, self.table.name):
            self._note_listed()
            yield nodes
        self._note_listed()
        for _, _, walk in walks:
            self._note_walk(walk)

    def _note_listed(self) -> None:
        of = self.cut.parts or ()
        self._listed = sum(part.seen for part in of), sum(part.count for part in of)

    def _walk_part(self, read: Connection, part: Part) -> tuple[Reading, Walk]:
        if part.is_proved:
            reading = part.repeat()
            self.oldest = reading.began if self.oldest is None else min(self.oldest, reading.began)
            return reading, walk_again(self.table, read, reading.answers())
        reading = part.begin()
        [text] = query.whole_lists(self.table, self.scope, [part.arguments])
        return reading, walk_connection(self.client, self.table, text, read, self.page_size, keep=reading.keep)

    def _read_nested(self, read: Nested) -> Iterator[Sequence[Node]]:
        for nodes in self._read_list(read.root):
            for level in read.levels:
                nodes = [child for parent in nodes for child in self._read_children(level, parent)]  # noqa: PLW2901
            self.seen += len(nodes)
            yield nodes
        # A record whose part was read again counts once.
        self.seen, self.expected = (
            sum(dict(zip(self._parents, of, strict=True)).values()) for of in (self._counts, self._announced)
        )
        if self.doubts:
            # What a list inside a record is in doubt for may be what was kept of that record.
            self.cut.doubt()

    def _read_children(self, read: Nested, parent: Node) -> Sequence[Node]:
        """Every node of the parent's nested list, each with its parent in the field `parent_field`."""
        where = f"{read.within.field}.{read.field}"
        if not isinstance(parent, dict) or not isinstance(parent.get("id"), str):
            self.doubts.append(say("parent_without_id", where=read.within.field, field=read.field))
            return []
        found = parent.get(read.field)
        if found is None:
            # The schema allows null here; nothing is concluded from it: what is stored is asked for again.
            return []
        page = parse_page(found, where) if read.paged else as_page(found, where)
        nodes: Sequence[Node] = page.nodes
        total = page.total
        if page.more:
            # Read anew from its start, so that it is one list, and what shifts in it is noticed.
            nodes, total = self._read_whole_nested(read, parent["id"]) or ((), 0)
        else:
            self._note_nulls(page.nodes.count(None))
            if len(page.nodes) != page.total:
                seen, at = len(page.nodes), say("list_of", where=where, parent=parent["id"])
                self.doubts.append(say("list_shifted", where=at, seen=seen, start=page.total, end=page.total))
            nodes = [node for node in adopt(page.nodes, read, parent["id"]) if node is not None]
        # Only the records of the table itself are counted, and not those that they are read inside of.
        if read == self.table.read:
            self._parents.append(hash(parent["id"]))
            self._counts.append(len(nodes))
            self._announced.append(total)
            self.expected += total
        return nodes

    def _read_whole_nested(self, read: Nested, parent: str) -> tuple[list[Node], int] | None:
        """All that one parent has, and how many were announced; None, with a doubt, if that can't be told."""
        walk = walk_of_parent(self.client, self.table, read, parent, self.part_size)
        try:
            nodes = [node for page in walk.pages() for node in page]
        except (WentAway, OtherRecord, Unanswered) as error:
            self.doubts.append(f"{walk.where}{say('colon')}{error}")
            return None
        self._note_walk(walk)
        return nodes, walk.total

    def _walk(self, text: str, connection: Connection) -> Walk:
        return walk_connection(self.client, self.table, text, connection, self.page_size)

    def _note_walk(self, walk: Walk) -> None:
        self._note_nulls(walk.nulls)
        if doubt := walk.find_doubt():
            self.doubts.append(doubt)

    def _note_nulls(self, count: int) -> None:
        if count:
            self.doubts.append(say("null_records", count=count))

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

    def _drop_beyond_scope(self, columns: Columns, dropped: array[int]) -> Columns:
        """Without the rows that lie beyond the scope's end, which a connection with a lower bound only gives too.

        `dropped` gets a number for each of those.
        """
        if self._own_date is None or self.scope.end is None:
            return columns
        end = self.scope.start_of(self.scope.end)
        within = [at is None or at < end for at in columns[self._own_date]]
        if all(within):
            return columns
        keys = zip(*(columns[self.columns.index(name)] for name in self.table.key), strict=True)
        dropped.extend(hash(key) for key, is_within in zip(keys, within, strict=True) if not is_within)
        return [list(compress(column, within)) for column in columns]


def count_of(parent: Node, read: Nested) -> int | None:
    """How long a parent's nested list is; None where the answer does not say."""
    if not isinstance(parent, dict) or not isinstance(parent.get("id"), str):
        return None
    below = parent.get(read.field)
    if not read.paged:
        return len(below) if isinstance(below, list) else None
    count = below.get("totalCount") if isinstance(below, dict) else None
    return count if type(count) is int else None


def as_page(nodes: Node, where: str) -> Page:
    """A list that was given whole, as its only page. Raises `InvalidResponse` for what is no list."""
    if not isinstance(nodes, list):
        raise InvalidResponse(say("no_page", where=where))
    return Page(nodes, len(nodes), more=False, cursor=None, overlap=None)
