"""The views over the tables, for those who read: one per file. To add a view, add a file with a `View` in it.

Keep out: tables (`tables`), and how a view comes into a database (`view_migrations`).
"""

import importlib
import pkgutil

from gazelle_sync.warehouse.views.declaration import Agreement, View, ViewColumn, in_zone

__all__ = ["VIEWS", "Agreement", "View", "ViewColumn", "in_zone"]


def find_views(package_path: list[str], package: str) -> dict[str, View]:
    """Every `View` in the modules of a package, by its name."""
    found: dict[str, View] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package_path)):
        for value in vars(importlib.import_module(f"{package}.{module}")).values():
            if isinstance(value, View):
                found[value.name] = value
    return found


VIEWS: dict[str, View] = find_views(list(__path__), __name__)
