"""Every query of a table, tried on the account before a sync: what is refused, what there is, and what it will cost.

Each is sent for one record, and the list for one page of the size that a sync begins with. Nothing is kept of what
comes back but counts, times and shapes. Keep out: comparing schemas (`preflight`), and what is said of it (`cli`).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from gazelle_sync.gazelle import parts, query
from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import GazelleError, InvalidResponse, QueryRefused, Refused, Unanswered
from gazelle_sync.gazelle.estimate import Cost, Speed, estimate, estimate_parts, measure
from gazelle_sync.gazelle.gaps import do_without
from gazelle_sync.gazelle.page_size import PageSize
from gazelle_sync.gazelle.pages import Node, parse_page, start_in_thread
from gazelle_sync.gazelle.rows import make_getter
from gazelle_sync.gazelle.shape import describe_answer
from gazelle_sync.gazelle.transport import Exchange
from gazelle_sync.tables.declaration import (
    ById,
    ByParent,
    Cadence,
    Connection,
    Gap,
    Nested,
    PlainList,
    Scope,
    Sizes,
    Table,
)
from gazelle_sync.translations import say

# Where a list is empty, there is no id to ask for: one that nobody has shows as well whether the query is understood.
NOBODY = "unknown"
# A name of the API's, and no more.
NAME = re.compile(r"[A-Za-z_]{1,60}")


class TimeUp(Exception):
    """The time for the whole trial is over: nothing more is sent."""


class Watch:
    """What the transport observes, by thread: `Transport(observe=watch)`."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._last = threading.local()

    def __call__(self, exchange: Exchange) -> None:
        self._last.seconds = exchange.seconds
        self.exchanges.append(exchange)

    @property
    def seconds(self) -> float:
        """How long the last answer of this thread took."""
        return float(self._last.seconds)


class Answered(NamedTuple):
    """A query that was answered, with the size of its page (None for no page) and the shape of its answer."""

    query: str
    first: object
    seconds: float
    shape: Any


@dataclass
class Outcome:
    """What a trial of one table found.

    `gaps` is what Gazelle refuses and the table does without; `error` is why the table can't be read, or a deletion not
    proved. `records` is how many there are (`is_estimate`: by the lists of some of the parents), None where that
    remained unknown. `page` and `seconds` are of the page of the real size. `nightly` is None for a table that no night
    reads. It is not `finished` when the time was over before.
    """

    table: Table
    gaps: list[Gap] = field(default_factory=list)
    error: GazelleError | None = None
    is_refused: bool = False
    is_misleading: bool = False
    is_finished: bool = False
    records: int | None = None
    is_estimate: bool = False
    page: int | None = None
    seconds: float | None = None
    nightly: Cost | None = None
    full: Cost | None = None
    answers: list[Answered] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return self.is_finished and not (self.gaps or self.error or self.is_misleading)


@dataclass(frozen=True)
class Conditions:
    """What all trials have in common. `nightly` is what a night reads of a dated table, `whole` all history.

    After the `deadline` nothing is sent, after the `end` nothing is waited for; both are by `time.monotonic`.
    """

    client: Client
    watch: Watch
    nightly: Scope
    whole: Scope
    per_second: float
    deadline: float
    end: float


def try_tables(tables: Sequence[Table], known: Mapping[str, Sizes], conditions: Conditions) -> list[Outcome]:
    """Tries each table, as many at once as requests may be; `known` are the sizes of pages that worked last.

    What fails is in the outcome. What has not come by the end of the conditions is not waited for.
    """
    trials = [Trial(table, known.get(table.name), conditions) for table in tables]
    waiting: SimpleQueue[Trial] = SimpleQueue()
    for trial in trials:
        waiting.put(trial)

    def work() -> None:
        with suppress(Empty):
            while True:
                waiting.get_nowait().finish()

    for thread in [start_in_thread(work, "trial") for _ in range(conditions.client.concurrent)]:
        with suppress(TimeoutError):
            thread.result(max(conditions.end - time.monotonic(), 0.0))
    return [trial.outcome for trial in trials]


def try_table(table: Table, known: Sizes | None, conditions: Conditions) -> Outcome:
    trial = Trial(table, known, conditions)
    trial.finish()
    return trial.outcome


class Trial:
    """The queries of one table, sent one after the other; `outcome` fills meanwhile."""

    def __init__(self, table: Table, known: Sizes | None, conditions: Conditions) -> None:
        self.table = table
        self.outcome = Outcome(table)
        self._known = known
        self._conditions = conditions

    def finish(self) -> None:
        """Sends them all, without what is refused. What fails is in the outcome."""
        outcome = self.outcome
        try:
            while not outcome.is_finished:
                try:
                    self.run()
                    outcome.is_finished = True
                except QueryRefused as refusal:
                    self.table, gaps = do_without(self.table, refusal)
                    outcome.gaps += gaps
        except TimeUp:
            pass
        except (AttributeError, KeyError, TypeError):
            outcome.error, outcome.is_finished = InvalidResponse(say("no_page", where=self.table.name)), True
        except GazelleError as error:
            outcome.error, outcome.is_finished = error, True
            outcome.is_refused = self.table.optional and isinstance(error, Unanswered) and outcome.records is None

    def run(self) -> None:
        """Raises `GazelleError`, and `TimeUp`."""
        read = self.table.read
        if isinstance(read, PlainList):
            nodes = self._try_plain_list(read)
            levels = [nodes]
        else:
            levels = self._try_lists(read, read.root if isinstance(read, Nested) else read)
            if isinstance(read, Nested):
                self._try_parts(read, levels)
            elif read.parts:
                self._try_cut(read)
        self._try_evidence(levels[-1])

    def _ask(self, text: str, variables: Mapping[str, object], size: PageSize | None = None) -> Any:
        if time.monotonic() > self._conditions.deadline:
            raise TimeUp
        data = self._conditions.client.execute(self.table.name, text, variables, size)
        first = size.first if size else variables.get("first")
        self.outcome.answers.append(Answered(text, first, self._conditions.watch.seconds, describe_answer(text, data)))
        return data

    # Lists

    def _try_plain_list(self, read: PlainList) -> list[Node]:
        (text,) = query.whole_lists(self.table, self._conditions.whole)
        found = self._ask(text, {}).get(read.field)
        nodes = [found] if read.single else found
        nodes = [node for node in nodes if node is not None] if isinstance(nodes, list) else []
        seconds = self._conditions.watch.seconds
        self._note_costs(len(nodes), None, seconds, Cost(1, seconds), Cost(1, seconds))
        return nodes

    def _try_lists(self, read: Connection | Nested, connection: Connection) -> list[list[Node]]:
        """The records of a page, and below them those of the lists inside; at last the table's own."""
        nightly, whole = self._conditions.nightly, self._conditions.whole
        one = {"after": None, "first": 1, **({"nested": 1} if self._has_nested_size(read) else {})}
        totals, times = [], []
        for text in query.whole_lists(self.table, nightly):
            totals.append(parse_page(self._ask(text, one).get(connection.field), self.table.name).total)
            times.append(self._conditions.watch.seconds)
        whole_totals = totals
        if query.whole_lists(self.table, whole) != query.whole_lists(self.table, nightly):
            whole_totals = []
            for text in query.whole_lists(self.table, whole):
                whole_totals.append(parse_page(self._ask(text, one).get(connection.field), self.table.name).total)
        size = query.page_size(self.table, self._known)
        longest = query.whole_lists(self.table, whole)[whole_totals.index(max(whole_totals))]
        page = parse_page(self._ask(longest, {"after": None}, size).get(connection.field), self.table.name)
        seconds = self._conditions.watch.seconds
        speed = measure(min(times), seconds, len(page.nodes), self._conditions.per_second)
        cap = len(page.nodes) if page.more and len(page.nodes) < size.first else None
        levels = [[node for node in page.nodes if node is not None]]
        own, extra = self._descend(read, levels, speed)

        def cost(totals: Sequence[int], scope: Scope) -> Cost:
            # As a sync will begin: with what was found here, and one size for all the lists.
            sizes = query.page_size(self.table, size.remembered())
            share = sum(totals) / max(len(page.nodes), 1)
            within = Cost(round(extra.requests * share), extra.seconds * share)
            if found := self._divide(connection, sum(totals), scope, sizes.most):
                lengths = [part.count for part in found]
                return within + estimate_parts(lengths, sizes, speed, self._conditions.client.concurrent, cap)
            return sum((estimate(total, sizes, speed, cap) for total in totals), within)

        self.outcome.is_estimate = isinstance(read, Nested) and len(page.nodes) < sum(whole_totals)
        records = sum(whole_totals)
        if isinstance(read, Nested):
            records = round(own * records / max(len(page.nodes), 1))
        self._note_costs(records, size.first, seconds, cost(totals, nightly), cost(whole_totals, whole))
        return levels

    def _descend(self, read: Connection | Nested, levels: list[list[Node]], speed: Speed) -> tuple[int, Cost]:
        """Adds the levels below the first. How many of the table's records there are below it, and what it costs to
        read on where a list is longer than what came with its parent."""
        own, extra = len(levels[0]), Cost(0, 0.0)
        for level in read.levels if isinstance(read, Nested) else ():
            own, below = 0, []
            for parent in levels[-1]:
                found = parent.get(level.field)
                if found is None:
                    continue
                if not level.paged:
                    own += len(found)
                    below += found
                    continue
                page = parse_page(found, self.table.name)
                own += page.total
                below += page.nodes
                if page.more:
                    extra += estimate(page.total, query.page_size_of_part(), speed)
            levels.append([node for node in below if node is not None])
        return own, extra

    def _has_nested_size(self, read: Connection | Nested) -> bool:
        return isinstance(read, Nested) and read.levels[0].paged

    def _note_costs(self, records: int, page: int | None, seconds: float, nightly: Cost, full: Cost) -> None:
        self.outcome.records, self.outcome.page, self.outcome.seconds = records, page, seconds
        self.outcome.nightly = nightly if self.table.every is Cadence.NIGHT else None
        self.outcome.full = full

    # What is read beside the lists

    def _try_parts(self, read: Nested, levels: Sequence[Sequence[Node]]) -> None:
        for level, parents in zip(read.levels, levels, strict=False):
            if level.paged:
                parent = next((node["id"] for node in parents), NOBODY)
                self._ask(query.nested_of_one(self.table, level), {"id": parent, "first": 1, "after": None})
        if len(read.levels) == 1:
            for text in query.nested_counts(self.table, read, self._conditions.nightly):
                self._ask(text, {"first": 1, "after": None})

    def _divide(self, connection: Connection, total: int, scope: Scope, page: int) -> list[parts.Part]:
        """The parts that a sync will read a list in; none where it reads it in one piece."""
        if not connection.parts or total < parts.LEAST_TO_CUT * page or self._conditions.client.concurrent == 1:
            return []
        pieces = parts.find_pieces(connection, scope)
        with suppress(Refused, Unanswered, KeyError, TypeError):
            some = [parts.narrow(connection, [piece]) for piece in pieces]
            counted = self._ask(query.part_counts(self.table, connection, scope, some), {})
            counts = {piece: counted[f"p{number}"]["totalCount"] for number, piece in enumerate(pieces)}
            return parts.divide(connection, counts, page) if sum(counts.values()) == total else []
        return []

    def _try_cut(self, read: Connection) -> None:
        """What a long list is cut by. A sync reads it in one piece where that is refused, and says so."""
        nightly = self._conditions.nightly
        pieces = parts.find_pieces(read, nightly)
        with suppress(Refused, Unanswered):
            counted = [parts.narrow(read, [piece]) for piece in pieces]
            self._ask(query.part_counts(self.table, read, nightly, counted), {})
            for text in query.whole_lists(self.table, nightly, [parts.narrow(read, pieces[:2])]):
                self._ask(text, {"first": 1, "after": None})

    def _try_evidence(self, nodes: Sequence[Node]) -> None:
        evidence, read = self.table.deletion_proved_by, self.table.read
        if isinstance(evidence, ById):
            ids = [node["id"] for node in nodes[:2]] or [NOBODY]
            answer = self._ask(
                query.by_ids(self.table, evidence, len(ids)), {f"id{n}": each for n, each in enumerate(ids)}
            )
            # What is listed exists: by this answer, it would be marked as deleted one day.
            self.outcome.is_misleading = bool(nodes) and all(each is None for each in answer.values())
        if isinstance(evidence, ByParent) and isinstance(read, Connection):
            for column, argument in evidence.arguments.items():
                get = make_getter(self.table.column(column).paths[0])
                owner = next((found for node in nodes if (found := get(node)) is not None), NOBODY)
                text = query.narrowed(self.table, read, argument)
                self._ask(text, {"id": owner, "first": 1, "after": None})


def describe_refusal(error: GazelleError) -> dict[str, object]:
    """What is wrong, by names and places only: a message may quote a record."""
    told: dict[str, object] = {"kind": type(error).__name__}
    if isinstance(error, QueryRefused):
        told["query"] = error.query
        told["errors"] = [{"code": code_of(each), "at": place_of(each)} for each in error.errors]
    if isinstance(error, Unanswered):
        told["fields"] = [place for place in error.places if NAME.fullmatch(place)]
    return told


def code_of(error: Mapping[str, Any]) -> str | None:
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) and NAME.fullmatch(code) else None


def place_of(error: Mapping[str, Any]) -> list[int]:
    """Line and column in the query; empty where it does not say."""
    try:
        place = error["locations"][0]
        return [int(place["line"]), int(place["column"])]
    except (KeyError, IndexError, TypeError, ValueError):
        return []
