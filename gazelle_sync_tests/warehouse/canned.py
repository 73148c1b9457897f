"""A second implementation of `load.Source`, for what no server sends: bad values of any kind, exact numbers of rows.

What the real one, `gazelle.Snapshot`, does with the same values is tested in `gazelle_sync_tests/gazelle`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas

from gazelle_sync.tables import TABLES, Scope, Table
from gazelle_sync.tables.declaration import Gap, Missing, Sizes
from gazelle_sync_tests.conftest import ALL

Row = Mapping[str, Any]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Rejected:
    key: Key | None
    reason: str
    payload: object
    loaded: bool = False


@dataclass
class Asked:
    """What a client counts."""

    api_requests: int = 0
    api_retries: int = 0


@dataclass
class Canned:
    """Shows `rows` at every read. `exists` are the records that are there when asked for by id, a row or None each:
    None for one that can't be converted. `reading` is called at each read, `asking` at each `confirm`.
    """

    table: Table
    rows: Sequence[Row] = ()
    scope: Scope = ALL
    doubts: list[str] = field(default_factory=list)
    rejects: list[Rejected] = field(default_factory=list)
    exists: Mapping[Key, Row | None] = field(default_factory=dict)
    reading: Callable[[], object] = lambda: None
    asking: Callable[[], object] = lambda: None
    client: Asked = field(default_factory=Asked)
    not_gone: set[Key] = field(default_factory=set)
    gaps: Sequence[Gap] = ()
    sizes: Sizes | None = None
    page_sizes: Sequence[int] = ()
    is_refused: bool = False
    unproved: Mapping[str, str] = field(default_factory=dict)
    asked_for: list[Missing] = field(default_factory=list)
    oldest: float | None = None
    remarks: Sequence[str] = ()
    reads: int = 0
    is_refused: bool = False

    @property
    def seen(self) -> int:
        return len(self.rows)

    @property
    def expected(self) -> int:
        return len(self.rows)

    def pages(self) -> Iterator[pandas.DataFrame]:
        self.reads += 1
        self.client.api_requests += 1
        self.reading()
        yield self._frame(self.rows)

    def look_again(self) -> Iterator[pandas.DataFrame]:
        return iter(())

    def confirm(self, missing: Iterable[Missing]) -> Iterator[pandas.DataFrame]:
        asked = list(missing)
        self.asked_for += asked
        self.asking()
        self.not_gone = {entry.key for entry in asked if entry.key in self.exists}
        yield self._frame([row for entry in asked if (row := self.exists.get(entry.key)) is not None])

    def _frame(self, rows: Iterable[Row]) -> pandas.DataFrame:
        names = [column.name for column in self.table.all_columns]
        return pandas.DataFrame([[row.get(name) for name in names] for row in rows], columns=names, dtype=object)


def clients(numbers: Iterable[int], **values: Any) -> list[dict[str, Any]]:
    """Rows of `clients` with the ids cli_0000, cli_0001 …"""
    return [
        {"external_id": f"cli_{number:04}", "company_name": f"Client {number}", "tags": [], **values}
        for number in numbers
    ]


def shown(numbers: Iterable[int], **options: Any) -> Canned:
    """A source of such clients."""
    return Canned(TABLES["clients"], clients(numbers), **options)
