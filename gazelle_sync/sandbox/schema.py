"""The published schema (`schema.graphql`), whole for queries, and what is left of it when parts are taken away.

What its fields give must stay out: that is `resolvers.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.resources import files
from threading import Lock
from typing import Any

from graphql import (
    DefinitionNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    GraphQLEnumType,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    build_ast_schema,
    get_named_type,
    parse,
)

from gazelle_sync.sandbox.resolvers import attach

# `Type.field`, `Input.field`, `Enum.VALUE` or `Type.field(argument)`.
_NAME = re.compile(r"(?P<type>\w+)\.(?P<member>\w+)(?:\((?P<argument>\w+)\))?")
_lock = Lock()


def schema(missing: frozenset[str] = frozenset()) -> GraphQLSchema:
    """The schema with its resolvers, without the parts that are `missing`; made once for each set of them.

    A part is `Type.field`, `Input.field`, `Enum.VALUE` or `Type.field(argument)`. ValueError: there is no such part.
    """
    with _lock:  # two threads would otherwise make the same one
        return _make(missing)


def query_fields() -> set[str]:
    """The names of what can be asked for."""
    query = schema().query_type
    return set(query.fields) if query else set()


def list_enum_values(path: Sequence[str]) -> list[str]:
    """The published values of what stands at a path of fields from the query on, through lists and pages; none where
    that is no enum. A field may have arguments, which are left out. `KeyError`: there is no such field."""
    found = schema().query_type
    for field in path:
        node = getattr(found, "fields", {}).get("nodes")
        within = get_named_type(node.type) if node else found
        found = get_named_type(within.fields[field.partition("(")[0]].type)  # type: ignore[union-attr]
    return list(found.values) if isinstance(found, GraphQLEnumType) else []


@lru_cache(maxsize=32)
def _make(missing: frozenset[str]) -> GraphQLSchema:
    document = _without(_document(), missing) if missing else _document()
    # The published schema is valid; to prove it again would take as long as to read it.
    made = build_ast_schema(document, assume_valid=True, assume_valid_sdl=True)
    attach(made)
    return made


@lru_cache(maxsize=1)
def _document() -> DocumentNode:
    text = files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    return parse(text, no_location=True)


def _without(document: DocumentNode, missing: Iterable[str]) -> DocumentNode:
    definitions = {getattr(each, "name", None) and each.name.value: each for each in document.definitions}  # type: ignore[attr-defined]
    for name in missing:
        found = _NAME.fullmatch(name)
        definition = definitions.get(found["type"]) if found else None
        if found is None or definition is None:
            raise ValueError(f"There is no {name!r} in the published schema")
        definitions[found["type"]] = _reduced(definition, name, found["member"], found["argument"])
    return DocumentNode(definitions=tuple(definitions.values()))


def _reduced(definition: DefinitionNode, name: str, member: str, argument: str | None) -> Any:
    part = "values" if isinstance(definition, EnumTypeDefinitionNode) else "fields"
    kinds = (EnumTypeDefinitionNode, InputObjectTypeDefinitionNode, ObjectTypeDefinitionNode)
    members = {each.name.value: each for each in getattr(definition, part)} if isinstance(definition, kinds) else {}
    if member not in members:
        raise ValueError(f"There is no {name!r} in the published schema")
    if argument is None:
        del members[member]
    else:
        field = members[member]
        arguments = field.arguments if isinstance(field, FieldDefinitionNode) else ()
        kept = tuple(each for each in arguments if each.name.value != argument)
        if len(kept) == len(arguments):
            raise ValueError(f"There is no {name!r} in the published schema")
        members[member] = _changed(field, arguments=kept)
    return _changed(definition, **{part: tuple(members.values())})


def _changed(node: Any, **parts: Any) -> Any:
    """A copy of the node: the document is shared by every schema that is made of it."""
    return type(node)(**{**{key: getattr(node, key) for key in node.keys}, **parts})
