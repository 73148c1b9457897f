"""What a table's declaration is made of: where it is read, its columns (`columns`), what proves that a record is gone.

Add here: a new kind of read or of proof. Keep out: HTTP, SQL, Dagster. A declaration says what is
mirrored; `gazelle` turns it into queries and rows, `warehouse` into tables, `assets` into an asset.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gazelle_sync.tables.columns import Check, Column, Rule, Type


class Bound(Enum):
    """What a scope of business dates puts in a connection's argument."""

    FIRST_DAY = "its first day, YYYY-MM-DD"
    LAST_DAY = "its last day, inclusive, YYYY-MM-DD; nothing when it has no end"
    START = "the moment that its first day begins, in UTC"


@dataclass(frozen=True)
class ByValue:
    """How a connection can be cut into disjoint parts: `argument` takes a list of the values that a field can have.

    A record with another value is in no part; the connection's count tells that there is one.
    """

    argument: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ByDay:
    """How a connection can be cut into spans of days: the arguments for the `first` and the `last` of them, inclusive.

    They are paths, as those of a window are. A record without a day is in no part; the connection's count tells that
    there is one.
    """

    first: str
    last: str


@dataclass(frozen=True)
class Connection:
    """A Relay connection at the root of the API, read to its end.

    `arguments` is GraphQL text that never changes. `window` says which arguments limit the read to a
    scope of business dates: `{"filters.dateGet": Bound.FIRST_DAY}`; GraphQL text in place of a bound never changes.
    `each` has further arguments, path → text, of which every one is a list of its own; the table is all of them
    together (archived invoices, and those that are not). A long one is read in its `parts`, several at once.
    """

    field: str
    arguments: str = ""
    window: Mapping[str, Bound | str] = dataclasses.field(default_factory=dict)
    each: tuple[Mapping[str, str], ...] = ({},)
    parts: ByValue | ByDay | None = None


# For `Connection.parts`, of the lists that can be narrowed to the days on which their records were made.
BY_DAY_CREATED = ByDay("filters.createdGet", "filters.createdLet")

# For `Connection.each`. Which of them the lists of invoices and estimates have when nothing is said about it is not
# published: both are asked for.
ARCHIVED_OR_NOT = ({"filters.archived": "false"}, {"filters.archived": "true"})


@dataclass(frozen=True)
class PlainList:
    """A list that the API gives at once, without pages, cursors or a count. An empty one proves nothing.

    `single` is a field that is one record and no list.
    """

    field: str
    arguments: str = ""
    single: bool = False


@dataclass(frozen=True)
class Settled:
    """A state in which a record may no longer be listed, though it exists: `column` has one of `values`.

    `column` is `relation.column` where the state is a parent's. Such a record is asked for when it gets there, and
    afterwards by reads of all history only: a nightly run would ask for more of them each night.
    """

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ById:
    """A record asked for alone: `field(argument: "cli_1")`. Null means that it does not exist (any more)."""

    field: str
    argument: str
    settled: Settled | None = None


@dataclass(frozen=True)
class Nested:
    """A list inside every node of another list, drained for each. The other list may be nested itself.

    `parent_field` is the node's field that leads to its parent: it is not asked for, as the parent is known; it is
    empty where the node names its parent itself. A `paged` list is a connection: `first` of it are asked for with each
    parent, and `record` reaches one parent alone for what is longer. Another one is given whole, and takes neither
    `first` nor a count.
    """

    within: Connection | Nested
    field: str
    parent_field: str
    record: ById | None = None
    arguments: str = ""
    first: int = 20
    paged: bool = True

    def __post_init__(self) -> None:
        if self.paged and self.record is None:
            raise ValueError(f"{self.field} is paged: declare the record that it is drained by")

    @property
    def levels(self) -> tuple[Nested, ...]:
        """The nested lists from the one inside the root's records to this one."""
        return (*self.within.levels, self) if isinstance(self.within, Nested) else (self,)

    @property
    def root(self) -> Connection:
        """The connection that all of it is read inside of."""
        return self.within.root if isinstance(self.within, Nested) else self.within


@dataclass(frozen=True)
class ByParent:
    """What proves that a record is gone where it can't be asked for alone: its parent's whole list.

    `column` holds the parent's id. `argument` narrows the table's own connection to that parent; a nested
    connection needs none, as it is read inside its parent. A record may have changed its parent since it was stored:
    `elsewhere` says by which other columns, and the arguments that narrow to them, it is looked for then. One that
    has none of these, and whose key is not its parent's, is not proved gone by less than a read of all history.
    """

    column: str
    argument: str = ""
    elsewhere: Mapping[str, str] = dataclasses.field(default_factory=dict)
    settled: Settled | None = None

    @property
    def arguments(self) -> dict[str, str]:
        """Column → the argument that narrows the table's connection to its value; the parent's first."""
        return {self.column: self.argument, **self.elsewhere}


@dataclass(frozen=True)
class ReadAgain:
    """What proves that a record is gone where the API has nothing but the list: the same list, once more."""


class Cadence(Enum):
    """How often a table is read by itself: what costs much and changes little can wait for Sunday."""

    NIGHT = "every night"
    WEEK = "every week"


class Group(Enum):
    """Where a table stands in the graph; the values are the groups' names in the UI."""

    PEOPLE = "people"
    PIANOS = "pianos"
    CALENDAR = "calendar"
    MONEY = "money"
    SETTINGS = "settings"


@dataclass(frozen=True)
class Table:
    """One mirrored table.

    `key` identifies a record: `external_id`, unless it has no id of its own. `partitioned_by` names the column
    that says which month a row belongs to, or `relation.column` where a parent says it. `after` names the tables
    that this one is downstream of in the graph: when one of them fails, this one is not read. A reference alone does
    not stop anything, as a placeholder takes the place of a missing parent. `hourly` tables are in the hourly job.
    `every` says which scheduled run reads the table. An account, or the key's owner, may have no access to an
    `optional` one: that is said, and the rest runs. `indexes` are those of several columns, for what is asked often;
    every relation has one of its own. `searched` texts get an index when somebody asks for it. `group` is where it
    stands in the graph. `example` is a query to begin with, which docs/tables.md shows.
    """

    name: str
    comment: str
    read: Connection | Nested | PlainList
    deletion_proved_by: ById | ByParent | ReadAgain
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("external_id",)
    partitioned_by: str | None = None
    after: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    hourly: bool = False
    every: Cadence = Cadence.NIGHT
    optional: bool = False
    indexes: tuple[tuple[str, ...], ...] = ()
    searched: tuple[str, ...] = ()
    group: Group = Group.PEOPLE
    example: str = ""

    def __post_init__(self) -> None:
        names = [column.name for column in self.all_columns]
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name} declares a column twice: {sorted(names)}")

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns that the API fills, Gazelle's id first where the record has one."""
        if self.key != ("external_id",):
            return self.columns
        own_id = Column("external_id", Type.TEXT, ("id",), "Gazelle's id of this record.", nullable=False)
        return (own_id, *self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.all_columns if column.name == name)

    @property
    def references(self) -> dict[str, str]:
        """Column name → the table it refers to."""
        return {column.name: column.references for column in self.columns if column.references}

    @property
    def all_checks(self) -> tuple[Check, ...]:
        """The declared checks, and those that follow from the columns: required ones, and local dates and times."""
        required = [
            Check(
                f"have_a_{column.name.removesuffix('_external_id')}",
                f"Every row has a value in {column.name}.",
                Rule.NOT_NULL,
                column.name,
            )
            for column in self.columns
            if column.required
        ]
        local = [
            Check(
                f"{column.name}_is_local",
                f"{column.name} is in the company's time zone, and agrees with {timestamp.name}.",
                Rule.LOCAL,
                column.name,
            )
            for column in self.columns
            if (timestamp := self.timestamp_of(column))
        ]
        return (*required, *self.checks, *local)

    def timestamp_of(self, column: Column) -> Column | None:
        """The column with the timestamp that a local date or time was taken from; None for any other column."""
        if column.type not in (Type.LOCAL_DATE, Type.LOCAL_TIME):
            return None
        same = [other for other in self.columns if other.type is Type.TIMESTAMP and other.paths == column.paths]
        return same[0] if same else None


class Missing(NamedTuple):
    """A stored record that a read did not show: its key, and where `ByParent` looks for it.

    That is its parent's id, and what it has in the columns of `elsewhere`, in their order.
    """

    key: tuple[str, ...]
    parent: str | None = None
    elsewhere: tuple[str | None, ...] = ()


class Gap(NamedTuple):
    """What Gazelle refuses of a table: a field's path in the record, or `list(argument)`; and the columns it costs."""

    field: str
    columns: tuple[str, ...]


class Sizes(NamedTuple):
    """How many records a page is asked for, and a list in each of its records (0 where there is none).

    `refused` is the least size of a page that was refused as too large.
    """

    first: int
    nested: int = 0
    refused: int | None = None


@dataclass(frozen=True)
class Scope:
    """What a read is asked for, and therefore what it may speak for: all history, or a span of days.

    Days are business days, in `zone`; `end` is exclusive. All history (`end` is None) begins at
    `start` and has no upper bound. Tables without a date are always read whole, whatever the scope.
    """

    zone: ZoneInfo
    start: dt.date
    end: dt.date | None = None

    @property
    def whole(self) -> bool:
        return self.end is None

    def start_of(self, day: dt.date) -> dt.datetime:
        """When `day` begins in the company's time zone, in UTC."""
        return dt.datetime.combine(day, dt.time(), self.zone).astimezone(dt.timezone.utc)

    def __str__(self) -> str:
        return "all" if self.end is None else f"{self.start}..{self.end}"
