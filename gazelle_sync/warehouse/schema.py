"""From the declarations to SQLAlchemy tables, and the tables that the sync keeps beside them.

Keep out: how a database is brought to this shape (`migrations`), and rows (`load`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from gazelle_sync.tables import TABLES, Column, Table, Type

SCHEMA = "gazelle"
# The one table that nobody but its owner may read.
OWNER_ONLY = "oauth_token"
# Declared type → what does as well: it holds every value that the sync writes.
AS_GOOD = {
    "text": {"character varying"},
    "text[]": {"character varying[]"},
    "integer": {"bigint", "numeric"},
}

# How PostgreSQL spells a type that has a shorter name.
SPELLED = {"timestamptz": "timestamp with time zone", "time": "time without time zone"}

# PostgreSQL's own default names, so that what the old service made is recognised as the same thing.
NAMES = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}

TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "text": sa.Text(),
    "text[]": pg.ARRAY(sa.Text()),
    "integer": sa.Integer(),
    "numeric": sa.Numeric(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "time": sa.Time(),
    "jsonb": pg.JSONB(none_as_null=True),
    "timestamptz": sa.DateTime(timezone=True),
}
TIMESTAMP = sa.DateTime(timezone=True)


def spell(type_: str) -> str:
    """A declared type as `format_type` has it."""
    return SPELLED.get(type_, type_)


def sa_type(column: Column) -> sa.types.TypeEngine[Any]:
    return TYPES[column.type.sql]


# What was made last: to make it takes 40 ms of a processor, and every load looks at it.
_made: deque[tuple[tuple[Table, ...], sa.MetaData]] = deque(maxlen=4)


def metadata(tables: Mapping[str, Table] = TABLES) -> sa.MetaData:
    """All tables of schema `gazelle` as they should be. It is the same for the same declarations: only to be read."""
    declared = tuple(tables.values())
    made = next((shape for kept, shape in _made if kept == declared), None)
    if made is None:
        made = make_metadata(tables)
        _made.append((declared, made))
    return made


def make_metadata(tables: Mapping[str, Table]) -> sa.MetaData:
    shape = sa.MetaData(schema=SCHEMA, naming_convention=NAMES)
    for table in tables.values():
        add_mirrored_table(shape, table, tables)
    add_own_tables(shape)
    return shape


def add_mirrored_table(shape: sa.MetaData, table: Table, tables: Mapping[str, Table]) -> sa.Table:
    own_key = table.key == ("external_id",)
    columns: list[sa.Column[Any]] = [
        identity_column(),
        *(make_column(column, tables) for column in table.all_columns),
        sa.Column("synced_at", TIMESTAMP, comment="When the sync last changed this row; null for a placeholder."),
        sa.Column(
            "deleted_at", TIMESTAMP, comment="When the record was found gone from Gazelle; null while it exists."
        ),
    ]
    constraints: list[sa.UniqueConstraint] = [] if own_key else [sa.UniqueConstraint(*table.key)]
    made: sa.Table = sa.Table(
        table.name, shape, *columns, *constraints, comment=table.comment, info={"built_late": True}
    )
    for names in list_indexes(table):
        sa.Index(None, *(made.c[name] for name in names))
    return made


def list_indexes(table: Table) -> list[tuple[str, ...]]:
    """What rows are looked up by: their relations, their date, and what is declared."""
    dated = [table.partitioned_by] if table.partitioned_by and "." not in table.partitioned_by else []
    # An index of several columns serves the first of them, and so does a composite key's constraint.
    served = {table.key[0], *(names[0] for names in table.indexes)}
    return [*((name,) for name in (*table.references, *dated) if name not in served), *table.indexes]


def make_column(column: Column, tables: Mapping[str, Table]) -> sa.Column[Any]:
    is_id = column.name == "external_id"
    parent = column.references if column.references in tables else None
    return sa.Column(
        column.name,
        sa_type(column),
        *([sa.ForeignKey(f"{SCHEMA}.{parent}.external_id")] if parent else []),
        nullable=column.nullable,
        unique=True if is_id else None,
        server_default=sa.text("'{}'") if column.type is Type.TEXT_ARRAY and not column.nullable else None,
        comment=column.comment,
        info={"placeholder": placeholder(column)},
    )


def placeholder(column: Column) -> str | None:
    """What stands in a column that can't be null while only the record's id is known, as SQL."""
    if column.nullable or column.name == "external_id" or column.references:
        return None
    return {Type.TEXT: "external_id", Type.TEXT_ARRAY: "'{}'"}.get(column.type)


def built_late(table: sa.Table) -> dict[str, sa.schema.ExecutableDDLElement]:
    """Name → DDL of the foreign keys and indexes that a table gets with its first rows, if it is a mirrored one.

    To build them of rows that are there takes a fifth of the time that it takes to keep them up row by row.
    """
    if not table.info.get("built_late"):
        return {}
    return {
        **{str(index.name): sa.schema.CreateIndex(index) for index in table.indexes},
        **{str(key.name): sa.schema.AddConstraint(key) for key in table.foreign_key_constraints},
    }


def identity_column() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True, comment="This database's own number.")


def add_own_tables(shape: sa.MetaData) -> None:
    """The log, rejects, changes, new columns, what was learned of the API, what may be gone, the account, the token."""
    counts = ("fetched", "inserted", "updated", "unchanged", "deleted", "restored", "rejected")
    log = sa.Table(
        "sync_log",
        shape,
        identity_column(),
        sa.Column("run_id", sa.Text, nullable=False, comment="Dagster's id of the run."),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False, comment="all, or the business days first..last (exclusive)."),
        sa.Column("status", sa.Text, nullable=False, comment="success, warning or error."),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("finished_at", TIMESTAMP, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in counts),
        sa.Column("api_requests", sa.Integer, nullable=False, server_default="0"),
        sa.Column("api_retries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error", sa.Text, comment="Why it is an error or a warning."),
        sa.Column("proved", sa.Boolean, comment="Whether what was read was proved to be all; null for an error."),
        sa.Column(
            "filled", sa.Integer, nullable=False, server_default="0", comment="Rows that only got a column's values."
        ),
        comment="One row per table per attempt, also when it failed.",
    )
    sa.Index(None, log.c.table_name, log.c.finished_at)
    sa.Index(None, log.c.run_id)
    rejects = sa.Table(
        "rejected_rows",
        shape,
        identity_column(),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False, comment="Gazelle's id; ? and a digest where it has none."),
        sa.Column("reason", sa.Text, nullable=False, comment="column: what is wrong with its value."),
        sa.Column("payload", pg.JSONB, nullable=False, comment="The record as Gazelle sent it."),
        sa.Column("first_seen_at", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        sa.Column("last_seen_at", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        sa.Column("resolved_at", TIMESTAMP, comment="When a later sync found the record sound, or gone."),
        comment="Records that could not be stored as they came. One live row per table and record.",
    )
    sa.Index(
        "rejected_rows_live_idx",
        rejects.c.table_name,
        rejects.c.external_id,
        unique=True,
        postgresql_where=rejects.c.resolved_at.is_(None),
    )
    changes = sa.Table(
        "row_changes",
        shape,
        identity_column(),
        sa.Column("run_id", sa.Text, nullable=False, comment="Dagster's id of the run."),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False, comment="The record's key; the parts of a pair joined by /."),
        sa.Column("change", sa.Text, nullable=False, comment="insert, update, delete or restore."),
        sa.Column("changed", pg.JSONB, nullable=False, server_default="{}", comment="{column: [old, new]}."),
        sa.Column("changed_at", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        comment="What changed since the day before. A table's first load is not listed row by row.",
    )
    sa.Index(None, changes.c.table_name, changes.c.changed_at)
    sa.Index(None, changes.c.external_id)
    # What was to take place in the days that are coming. As it is written there, in UTC, it is in order.
    moved = changes.c.changed["starts_at", "0"].astext.collate("C")
    sa.Index("row_changes_moved_idx", moved, postgresql_where=changes.c.changed.has_key("starts_at"))
    sa.Table(
        "page_sizes",
        shape,
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("first", sa.Integer, nullable=False, comment="How many records a page is asked for."),
        sa.Column("nested", sa.Integer, nullable=False, comment="How many of a list in each of them; 0 without one."),
        sa.Column("refused", sa.Integer, comment="The least size that Gazelle refused as too large."),
        sa.Column("refused_at", TIMESTAMP, comment="When it first did; after a week it is tried again."),
        comment="The size of Gazelle's pages that worked last, where the next sync begins.",
    )
    sa.Table(
        "refused_fields",
        shape,
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("field", sa.Text, primary_key=True, comment="Its path in the record, or list(argument)."),
        sa.Column("columns", pg.ARRAY(sa.Text), nullable=False, comment="The columns that keep what they had."),
        sa.Column("since", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        comment="What Gazelle refuses at present, and the table is read without.",
    )
    sa.Table(
        "new_columns",
        shape,
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("column_name", sa.Text, primary_key=True),
        sa.Column("added_at", TIMESTAMP, nullable=False, comment="When it was added to rows that were there."),
        comment="Columns that are not filled yet: their table was not read whole since they were added.",
    )
    sa.Table(
        "deletion_candidates",
        shape,
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column(
            "external_id", sa.Text, primary_key=True, comment="The record's key; the parts of a pair joined by /."
        ),
        sa.Column("first_missing_at", TIMESTAMP, nullable=False, comment="Since when no list has shown it."),
        comment="What a list without a count no longer shows: gone, if it is still missing a night later.",
    )
    sa.Table(
        "account",
        shape,
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("company_external_id", sa.Text, nullable=False, comment="Gazelle's id of the company."),
        sa.Column("company_name", sa.Text, nullable=False, comment="Its name, as it was last seen."),
        sa.Column("since", TIMESTAMP, nullable=False, server_default=sa.func.now(), comment="Its first sync."),
        sa.Column("access_level", sa.Text, comment="That of the user who asked last."),
        sa.Column("client_locale", sa.Text, comment="The language its clients are written to in, as last told: fr_CA."),
        sa.Column("saw_all_at", TIMESTAMP, comment="When somebody who may see everything last asked."),
        comment="Whose account is mirrored here. Without this row, the next sync takes its own for it.",
    )
    sa.Table(
        OWNER_ONLY,
        shape,
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("token", pg.JSONB, nullable=False),
        sa.Column("saved_at", TIMESTAMP, nullable=False, server_default=sa.func.now()),
        comment="Gazelle's OAuth token, with GAZELLE_TOKEN_FILE=postgres. For the owner's eyes only.",
    )
