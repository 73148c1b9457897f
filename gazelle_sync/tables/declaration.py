"""What a table's declaration is made of: where it is read, its columns, what proves that a record is gone.

Add here: a new kind of column or of read. Keep out: HTTP, SQL, Dagster. A declaration says what is
mirrored; `gazelle` turns it into queries and rows, `warehouse` into tables, `assets` into an asset.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Type(Enum):
    """What a column holds. `sql` is its PostgreSQL type."""

    TEXT = "text"
    TEXT_ARRAY = "text[]"
    INTEGER = "integer"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamptz"
    LOCAL_DATE = "date, of a timestamp in the company's time zone"
    LOCAL_TIME = "time, of a timestamp in the company's time zone"
    JSON = "jsonb"
    TRANSLATED = "text, of an I18nString in the account's client language"

    @property
    def sql(self) -> str:
        return self.value.split(",")[0]


@dataclass(frozen=True)
class Column:
    """A column and where in the API's node its value is.

    `path` is dotted (`defaultContact.defaultEmail.email`); null anywhere on it is null. A field may have arguments,
    as GraphQL writes them (`phoneNumber(format: NATIONAL)`). `fields` is what is asked for below it. With `derive`,
    the column is a pure function of the values at `paths`, already converted to `type`. A `required` column may be
    null in the database, so that no record is lost, but a row check says of every row that it must not. `authorship`
    is a reference to whoever made the record, who may have left since. One that is `only_new` is written to rows that
    are not there yet: what is stored may be better than what can be read now.
    """

    name: str
    type: Type
    paths: tuple[str, ...]
    comment: str
    nullable: bool = True
    references: str | None = None
    required: bool = False
    personal: bool = False
    fields: str = ""
    authorship: bool = False
    derive: Callable[..., object] | None = None
    only_new: bool = False


def text(name: str, path: str, comment: str, *, personal: bool = False) -> Column:
    return Column(name, Type.TEXT, (path,), comment, personal=personal)


def integer(name: str, path: str, comment: str) -> Column:
    return Column(name, Type.INTEGER, (path,), comment)


def numeric(name: str, path: str, comment: str, *, personal: bool = False) -> Column:
    """A number that the API sends as a number or as a string of digits; kept to the last digit."""
    return Column(name, Type.NUMERIC, (path,), comment, personal=personal)


def boolean(name: str, path: str, comment: str) -> Column:
    return Column(name, Type.BOOLEAN, (path,), comment)


def date(name: str, path: str, comment: str) -> Column:
    """A `CoreDate`: a calendar day without a time zone."""
    return Column(name, Type.DATE, (path,), comment)


def timestamp(name: str, path: str, comment: str, *, nullable: bool = True) -> Column:
    """A `CoreDateTime`: a point in time, stored in UTC."""
    return Column(name, Type.TIMESTAMP, (path,), comment, nullable=nullable)


def stamps() -> tuple[Column, Column]:
    """`created_at` and `updated_at`, Gazelle's own."""
    return (
        timestamp("created_at", "createdAt", "When it was created in Gazelle."),
        timestamp("updated_at", "updatedAt", "When it was last changed in Gazelle."),
    )


def local_date(name: str, path: str, comment: str) -> Column:
    """The day of a `CoreDateTime` in the company's time zone."""
    return Column(name, Type.LOCAL_DATE, (path,), comment)


def local_time(name: str, path: str, comment: str) -> Column:
    """The time of day of a `CoreDateTime` in the company's time zone."""
    return Column(name, Type.LOCAL_TIME, (path,), comment)


def texts(name: str, path: str, comment: str) -> Column:
    """A list of texts, which may be null."""
    return Column(name, Type.TEXT_ARRAY, (path,), comment)


def json(name: str, path: str, comment: str, *, fields: str = "", personal: bool = False) -> Column:
    """Any value, as it comes; `fields` is the GraphQL selection of an object, or of the objects of a list."""
    return Column(name, Type.JSON, (path,), comment, fields=fields, personal=personal)


def translated(name: str, path: str, comment: str) -> tuple[Column, Column]:
    """An `I18nString`: `name` in the account's client language, else en_US, else any; `name_i18n` has them all."""
    return (
        Column(name, Type.TRANSLATED, (path,), comment),
        Column(f"{name}_i18n", Type.JSON, (path,), f"{comment} In every language it was written in."),
    )


def tags(path: str, comment: str) -> Column:
    return Column("tags", Type.TEXT_ARRAY, (path,), comment, nullable=False)


def reference(
    thing: str,
    path: str,
    comment: str,
    *,
    to: str,
    nullable: bool = True,
    required: bool = False,
    authorship: bool = False,
) -> Column:
    """`<thing>_external_id`, pointing at `<to>.external_id`. It is a relation, and no dependency (see `Table.after`).

    The foreign key is made when a table `to` is declared; until then the id alone is kept.
    """
    name = f"{thing}_external_id"
    return Column(
        name,
        Type.TEXT,
        (path,),
        comment,
        nullable=nullable,
        references=to,
        required=required,
        authorship=authorship,
    )


class Rule(Enum):
    """What may be said of a column; `warehouse.row_checks` has the SQL of each."""

    NOT_NULL = "a value is there"
    NOT_BLANK = "it is more than spaces"
    POSITIVE = "it is greater than zero"
    LOCAL = "it is the company's local date or time of the timestamp that was read at the same path"


@dataclass(frozen=True)
class Check:
    """What must hold of every live row of a table; a row that breaks it is named, and kept."""

    name: str
    description: str
    rule: Rule
    column: str


def never_blank(name: str, column: str, description: str) -> Check:
    return Check(name, description, Rule.NOT_BLANK, column)


def positive(name: str, column: str, description: str) -> Check:
    return Check(name, description, Rule.POSITIVE, column)


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
class Connection:
    """A Relay connection at the root of the API, read to its end.

    `arguments` is GraphQL text that never changes. `window` says which arguments limit the read to a
    scope of business dates: `{"filters.dateGet": Bound.FIRST_DAY}`; GraphQL text in place of a bound never changes.
    `each` has further arguments, of which every one is a list of its own; the table is all of them together (archived
    invoices, and those that are not). A long one is read in its `parts`, several at once.
    """

    field: str
    arguments: str = ""
    window: Mapping[str, Bound | str] = dataclasses.field(default_factory=dict)
    each: tuple[str, ...] = ("",)
    parts: ByValue | None = None

    def __post_init__(self) -> None:
        if self.parts and len(self.each) > 1:
            raise ValueError(f"{self.field} is several lists already: declare no parts")


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
