"""What is mirrored: one declaration per file. To add a table, add a file with a `Table` in it.

Keep out: how it is read (`gazelle`), stored (`warehouse`) or run (`assets`).
"""

import importlib
import pkgutil
from collections.abc import Mapping
from graphlib import CycleError

from gazelle_sync.tables.columns import Column, Type
from gazelle_sync.tables.declaration import Cadence, Nested, Scope, Table

__all__ = ["TABLES", "Cadence", "Column", "Scope", "Table", "Type", "declared", "dependencies"]


def declared(package_path: list[str], package: str) -> dict[str, Table]:
    """Every `Table` in the modules of a package by its name, in the order in which they are best read.

    Raises `graphlib.CycleError` when two tables depend on each other, and `ValueError` when two have one name.
    """
    found: dict[str, Table] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package_path)):
        for value in vars(importlib.import_module(f"{package}.{module}")).values():
            # A declaration that a module imports from another one is met twice.
            if isinstance(value, Table) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"{package} has two declarations of a table named {value.name!r}")
    return in_reading_order(found)


def dependencies(table: Table, tables: Mapping[str, Table]) -> list[str]:
    """The tables that this one is downstream of: those it is `after`, and the one inside whose records it is read."""
    within = table.read.within if isinstance(table.read, Nested) else None
    hosts = [host.name for host in tables.values() if within is not None and host.read == within]
    return sorted({*table.after, *hosts} & tables.keys() - {table.name})


def in_reading_order(tables: Mapping[str, Table]) -> dict[str, Table]:
    """Dependencies first, and else what is referred to before what refers to it, so that placeholders are rare.

    References may form a circle (a client that another client sent); dependencies may not: `graphlib.CycleError`.
    """
    waiting, ordered = dict(tables), {}
    while waiting:
        ready = [name for name in waiting if not waiting.keys() & dependencies(tables[name], tables)]
        if not ready:
            raise CycleError("tables depend on each other", sorted(waiting))
        unmet = {name: len((set(tables[name].references.values()) & waiting.keys()) - {name}) for name in ready}
        following = min(ready, key=lambda name: (unmet[name], name))
        ordered[following] = waiting.pop(following)
    return ordered


TABLES: dict[str, Table] = declared(__path__, __name__)
