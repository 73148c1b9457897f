"""What an answer is made of, and nothing of what it says: kinds of values in place of the values.

Keep out: anything that was not asked for by name. A key of an object that the query did not select is data, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode, parse

# What a text looks like; the first that fits.
TEXTS = (
    (re.compile(r""), "empty text"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "day"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "time in UTC"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:?\d\d"), "time with an offset"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?"), "time without a zone"),
    (re.compile(r"-?\d+"), "digits"),
    (re.compile(r"-?\d+\.\d+"), "decimal digits"),
)
LOCALE = re.compile(r"[a-z]{2}_[A-Z]{2}")


def describe_answer(query: str, data: Any) -> Any:
    """The shape of `data`, which answers the query: kinds by name, and how many items a list has."""
    operation = next(node for node in parse(query).definitions if isinstance(node, OperationDefinitionNode))
    return describe([data], [operation.selection_set])


def describe(values: Sequence[Any], asked: Sequence[SelectionSetNode]) -> Any:
    """The shape of all the values at one place, whose fields were `asked` for."""
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    kinds = " or ".join(sorted({kind_of(value) for value in values})) or "nothing"
    if not objects and not lists:
        return kinds
    shape: dict[str, Any] = {"is": kinds}
    if lists:
        items = [item for value in lists for item in value]
        shape["items"] = len(items)
        shape["each"] = describe(items, asked)
    if objects:
        shape |= describe_fields(objects, asked)
    return shape


def describe_fields(objects: Sequence[dict[str, Any]], asked: Sequence[SelectionSetNode]) -> dict[str, Any]:
    fields = [node for selections in asked for node in selections.selections if isinstance(node, FieldNode)]
    below: dict[str, list[SelectionSetNode]] = {}
    for field in fields:
        name = field.alias.value if field.alias else field.name.value
        below.setdefault(name, []).extend([field.selection_set] if field.selection_set else [])
    if not fields:
        # The API's own JSON: its keys are told where they are languages, and else only counted.
        below = {name: [] for name in sorted(set().union(*objects)) if LOCALE.fullmatch(name)}
    shape: dict[str, Any] = {
        "fields": {
            name: describe([each[name] for each in objects if name in each], under) for name, under in below.items()
        }
    }
    if others := set().union(*objects) - below.keys():
        shape["other fields"] = len(others)
    return shape


def kind_of(value: Any) -> str:
    if isinstance(value, str):
        return next((name for form, name in TEXTS if form.fullmatch(value)), "text")
    # A boolean is an integer to Python: it comes first.
    kinds: Iterable[tuple[type, str]] = (
        (type(None), "null"),
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (list, "list"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")
