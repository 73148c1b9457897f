"""What a table's columns are made of: their types, where in a record each value is, and what must hold of it.

Add here: a new kind of column or of rule. Keep out: HTTP, SQL, Dagster, and lists (`declaration`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


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


def camel_case(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def text(name: str, path: str, comment: str, *, personal: bool = False) -> Column:
    return Column(name, Type.TEXT, (path,), comment, personal=personal)


def several(group: str, names: str, comment: str, *, personal: bool = False) -> tuple[Column, ...]:
    """Several texts at once, `<group>_<name>` for each of the names; the API has the same words in camelCase."""
    return tuple(
        text(
            f"{group}_{name}", camel_case(f"{group}_{name}"), f"{comment}: {name.replace('_', ' ')}.", personal=personal
        )
        for name in names.split()
    )


def integer(name: str, path: str, comment: str) -> Column:
    return Column(name, Type.INTEGER, (path,), comment)


def cents(**comments: str) -> tuple[Column, ...]:
    """Amounts of money in hundredths; each column's comment by its name, which the API has in camelCase."""
    return tuple(integer(name, camel_case(name), f"{comment}, in cents.") for name, comment in comments.items())


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


def texts(name: str, path: str, comment: str, *, personal: bool = False) -> Column:
    """A list of texts, which may be null."""
    return Column(name, Type.TEXT_ARRAY, (path,), comment, personal=personal)


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
