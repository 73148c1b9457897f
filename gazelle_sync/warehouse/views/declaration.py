"""What a view's declaration is made of: its query, what each column means, what its rows must agree with.

Add here: a new thing to say of a view. Keep out: how a view comes into a database (`view_migrations`).
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from gazelle_sync.tables import TABLES


@dataclass(frozen=True)
class ViewColumn:
    """A column of a view. `of` is the `table.column` whose value it has; `references`, the table whose id it holds.

    `values` are those that its rows can have, where they are fewer than the table's column has.
    """

    name: str
    type: str
    comment: str
    of: str = ""
    references: str | None = None
    personal: bool = False
    values: tuple[str, ...] = ()


def mirrored(name: str, of: str, comment: str = "", *, values: tuple[str, ...] = ()) -> ViewColumn:
    """A column of a table as it is: type, meaning and relation are the table's, unless `comment` says more."""
    table, _, field = of.partition(".")
    if field == "external_id":
        return ViewColumn(name, "text", comment or "Gazelle's id of this record.", of, table)
    column = TABLES[table].column(field)
    return ViewColumn(name, column.type.sql, comment or column.comment, of, column.references, column.personal, values)


def made(name: str, type: str, comment: str, *, personal: bool = False) -> ViewColumn:
    """A column that the view's query works out."""
    return ViewColumn(name, type, comment, personal=personal)


@dataclass(frozen=True)
class Agreement:
    """What must be true of a view: `breaking` selects the keys of the rows, as text, that break it."""

    name: str
    description: str
    breaking: str


@dataclass(frozen=True)
class View:
    """One view over the tables. It runs with the rights of whoever asks.

    In `query`, `breaking` and `example`, `{zone}` is the company's time zone and `{today}` the date there. `reads`
    names the tables that the query reads, that of its rows first. `key` identifies a row.
    """

    name: str
    comment: str
    reads: tuple[str, ...]
    key: tuple[str, ...]
    columns: tuple[ViewColumn, ...]
    query: str
    agreements: tuple[Agreement, ...] = ()
    example: str = ""

    @property
    def tables(self) -> tuple[str, ...]:
        """The mirrored tables among those that it reads."""
        return tuple(name for name in self.reads if name in TABLES)

    @property
    def all_agreements(self) -> tuple[Agreement, ...]:
        """The declared ones, and that no row is there twice."""
        key = " || '/' || ".join(f"v.{name}::text" for name in self.key)
        unique = Agreement(
            "rows_are_unique",
            f"No two rows have the same {' and '.join(self.key)}, so that nothing is counted twice.",
            f"SELECT {key} FROM gazelle.{self.name} v GROUP BY {', '.join(f'v.{name}' for name in self.key)} "
            "HAVING count(*) > 1",
        )
        return (unique, *self.agreements)


def in_zone(text: str, zone: ZoneInfo) -> str:
    """SQL with the company's time zone in it."""
    return text.replace("{today}", "(now() AT TIME ZONE {zone})::date").replace("{zone}", f"'{zone.key}'")


def same_number(name: str, description: str, of_view: str, of_tables: str) -> Agreement:
    """That two queries, of one number each, have the same answer; else both are told."""
    return Agreement(
        name,
        description,
        f"SELECT a.n || ' / ' || b.n FROM ({of_view}) AS a (n), ({of_tables}) AS b (n) WHERE a.n IS DISTINCT FROM b.n",
    )
