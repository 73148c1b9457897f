"""docs/tables.md, from the declarations of tables and views: `python -m gazelle_sync.cli.catalogue > docs/tables.md`.

Keep out: what is mirrored (`tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gazelle_sync.tables import TABLES, Column, Table
from gazelle_sync.tables.declaration import ById, ByParent, Connection, Group, Nested, PlainList
from gazelle_sync.warehouse import VIEWS, View
from gazelle_sync.warehouse.migrations import DEFAULT_ZONE
from gazelle_sync.warehouse.views import in_zone

HEAD = """# The tables

Written from the declarations in `gazelle_sync/tables/`: `make docs` writes it anew, and a test holds both equal.

Every table is in schema `gazelle`. Beside the columns below, each has `id` (this database's own number), `synced_at`
(when the sync last changed the row; null for a placeholder, a row whose record is referred to and not read yet) and
`deleted_at` (when the record was found gone from Gazelle; null while it exists). Amounts of money are in cents and
quantities in hundredths, as Gazelle has them. *From* is the field of Gazelle's API, from the record on. *Personal*
columns hold what people wrote or where they can be reached; no log and no sample in the UI shows them.
"""


VIEWS_HEAD = """
# The views

Written from the declarations in `gazelle_sync/warehouse/views/`. They show live rows only, with the rights of whoever
asks; dates are in the company's time zone, and money in units of its currency.
"""


def render(tables: Mapping[str, Table] = TABLES) -> str:
    told = (line for table in tables.values() for line in describe(table))
    views = (line for view in VIEWS.values() for line in describe_view(view))
    return "\n".join([HEAD, *contents(tables), *told, VIEWS_HEAD, *views]) + "\n"


def contents(tables: Mapping[str, Table]) -> Iterator[str]:
    yield "| group | tables |\n| --- | --- |"
    for group in Group:
        names = [f"[{name}](#{name})" for name, table in tables.items() if table.group is group]
        yield f"| {group.value} | {', '.join(names)} |"
    yield f"| views | {', '.join(f'[{name}](#{name})' for name in VIEWS)} |"


def describe(table: Table) -> Iterator[str]:
    yield f"\n## {table.name}\n\n{table.comment}\n"
    yield f"- Read {table.every.value}{', and every hour where that is on' if table.hourly else ''}, {origin(table)}."
    if table.partitioned_by:
        yield f"- Partitioned by the month of `{table.partitioned_by}`."
    if not (isinstance(table.read, PlainList) and table.read.single):
        yield f"- Gone when {evidence(table)}."
    if table.optional:
        yield "- An account, or a key, may have no access to it: that is a warning, and the rest runs."
    yield "\n| column | type | from | what it is |\n| --- | --- | --- | --- |"
    for column in table.all_columns:
        yield f"| `{column.name}` | {column.type.sql} | {source(column)} | {column.comment}{notes(column)} |"
    yield f"\n```sql\n{table.example};\n```" if table.example else ""


def describe_view(view: View) -> Iterator[str]:
    yield f"\n## {view.name}\n\n{view.comment}\n"
    yield f"- Reads {', '.join(f'`{name}`' for name in view.reads)}."
    yield f"- A row is identified by {', '.join(f'`{name}`' for name in view.key)}."
    yield "\n| column | type | from | what it is |\n| --- | --- | --- | --- |"
    for column in view.columns:
        source = f"`{column.of}`" if column.of else ""
        told = f" → `{column.references}`" if column.references else ""
        personal = " Personal." if column.personal else ""
        yield f"| `{column.name}` | {column.type} | {source} | {column.comment}{told}{personal} |"
    yield f"\n```sql\n{in_zone(view.example, DEFAULT_ZONE)};\n```"


def origin(table: Table) -> str:
    read = table.read
    if isinstance(read, PlainList):
        return f"from `{read.field}`"
    if isinstance(read, Connection):
        return f"from `{read.field}`, page by page"
    fields = [read.root.field, *(level.field for level in read.levels)]
    return "from " + ", and in each record of it ".join(f"`{field}`" for field in fields)


def evidence(table: Table) -> str:
    proof = table.deletion_proved_by
    if isinstance(proof, ById):
        return f"`{proof.field}({proof.argument}:)` answers that there is no such record"
    if isinstance(proof, ByParent):
        whose = table.references[proof.column]
        kind = "the list inside it" if isinstance(table.read, Nested) else "its own list"
        return f"its record in `{whose}` is gone, or {kind} has not got it any more"
    return "the list has not got it, nor a night later, and nothing live refers to it"


def source(column: Column) -> str:
    return ", ".join(f"`{path}`" for path in column.paths)


def notes(column: Column) -> str:
    found = [
        f" → `{column.references}`" if column.references else "",
        " Personal." if column.personal else "",
        "" if column.nullable else " Never null.",
    ]
    return "".join(found)


if __name__ == "__main__":
    print(render(), end="")
