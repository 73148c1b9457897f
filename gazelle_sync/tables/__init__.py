"""What is mirrored: one declaration per file. To add a table, add a file with a `Table` in it.

Keep out: how it is read (`gazelle`), stored (`warehouse`) or run (`assets`).
"""

import importlib
import pkgutil
from graphlib import TopologicalSorter

from gazelle_sync.tables.declaration import Column, Scope, Table, Type

__all__ = ["TABLES", "Column", "Scope", "Table", "Type", "declared"]


def declared(package_path: list[str], package: str) -> tuple[Table, ...]:
    """Every `Table` in the modules of a package, parents before children.

    Raises `graphlib.CycleError` when two tables wait for each other, and `ValueError` when two have one name.
    """
    found: dict[str, Table] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package_path)):
        for value in vars(importlib.import_module(f"{package}.{module}")).values():
            # A declaration that a module imports from another one is met twice.
            if isinstance(value, Table) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"{package} has two declarations of a table named {value.name!r}")
    order = TopologicalSorter(
        {name: sorted({*table.references.values(), *table.after} & found.keys()) for name, table in found.items()}
    )
    return tuple(found[name] for name in order.static_order())


TABLES: dict[str, Table] = {table.name: table for table in declared(__path__, __name__)}
