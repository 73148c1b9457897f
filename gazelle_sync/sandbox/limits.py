"""What is too much of a query that is right: how complex and deep it is, and how many nodes it may ask for.

Counted as graphql-ruby counts (its `lib/graphql/schema/field.rb`, `calculate_complexity`): a field is one more than
its fields; what stands in a connection's `nodes` or `edges` counts once for every row of its page. Refused before
anything is executed. What is wrong with a query is in `refusals.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SchemaMetaFieldDef,
    SelectionSetNode,
    StringValueNode,
    TypeMetaFieldDef,
    TypeNameMetaFieldDef,
    ValueNode,
    VariableNode,
    get_named_type,
)

from gazelle_sync.sandbox.conditions import Conditions

_META = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef, "__typename": TypeNameMetaFieldDef}


@dataclass(frozen=True)
class Size:
    """How much a query asks for; `first` is its greatest page, with the field that asks for it."""

    complexity: int = 0
    depth: int = 0
    nodes: int = 0
    first: tuple[int, str] = (0, "")


def too_much(size: Size, conditions: Conditions) -> str | None:
    """Why the query is refused for its size, or None."""
    words, (first, name) = conditions.words, size.first
    if conditions.max_complexity is not None and size.complexity > conditions.max_complexity:
        return words(
            f"Query has complexity of {size.complexity}, which exceeds max complexity of {conditions.max_complexity}",
            f"La complexité de la requête est de {size.complexity}, le maximum est de {conditions.max_complexity}",
        )
    if conditions.max_depth is not None and size.depth > conditions.max_depth:
        return words(
            f"Query has depth of {size.depth}, which exceeds max depth of {conditions.max_depth}",
            f"La profondeur de la requête est de {size.depth}, le maximum est de {conditions.max_depth}",
        )
    if conditions.max_first is not None and first > conditions.max_first:
        return words(
            f"Requesting {first} records on the `{name}` connection exceeds the `first` limit of "
            f"{conditions.max_first} records.",
            f"Demander {first} enregistrements de « {name} » dépasse la limite de {conditions.max_first}.",
        )
    if conditions.max_nodes is not None and size.nodes > conditions.max_nodes:
        return words(
            f"This query requests up to {size.nodes} possible nodes which exceeds the maximum limit of "
            f"{conditions.max_nodes}.",
            f"Cette requête demande jusqu’à {size.nodes} nœuds, la limite est de {conditions.max_nodes}.",
        )
    return None


def size_of(schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any], usual_page: int) -> Size:
    """How much the document's first operation asks for; `usual_page` is a page's size where none is said."""
    operation = next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    return _Counter(schema, fragments, variables, usual_page).selection(operation.selection_set, schema.query_type)


def asked_page(document: DocumentNode, variables: dict[str, Any]) -> tuple[int | None, str | None]:
    """The `first` of the outermost list that says one, and the first `after` that has a value (None: a first page)."""
    first: tuple[int, int] | None = None
    after = None
    for depth, field in _fields(document):
        for argument in field.arguments:
            value = literal(argument.value, variables)
            if argument.name.value == "first" and value is not None and (first is None or depth < first[0]):
                first = depth, value
            if argument.name.value == "after" and value is not None and after is None:
                after = str(value)
    return (first and first[1]), after


def literal(value: ValueNode, variables: dict[str, Any]) -> Any:
    """What a number, a text or a variable stands for; None for any other literal."""
    if isinstance(value, VariableNode):
        return variables.get(value.name.value)
    if isinstance(value, IntValueNode):
        return int(value.value)
    return value.value if isinstance(value, StringValueNode) else None


def _fields(document: DocumentNode) -> Iterator[tuple[int, FieldNode]]:
    def walk(selections: SelectionSetNode | None, depth: int) -> Iterator[tuple[int, FieldNode]]:
        for each in selections.selections if selections else ():
            if isinstance(each, FieldNode):
                yield depth, each
            if not isinstance(each, FragmentSpreadNode):
                yield from walk(each.selection_set, depth + 1)  # type: ignore[attr-defined]

    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            yield from walk(definition.selection_set, 0)


@dataclass(frozen=True)
class _Counter:
    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    variables: dict[str, Any]
    usual_page: int

    def selection(self, selections: SelectionSetNode | None, kind: GraphQLObjectType | None, factor: int = 1) -> Size:
        sizes = [self._field(field, kind, factor) for field in self._merged(selections)] if kind else []
        return Size(
            sum(each.complexity for each in sizes),
            max((each.depth for each in sizes), default=0),
            sum(each.nodes for each in sizes),
            max((each.first for each in sizes), default=(0, "")),
        )

    def _merged(self, selections: SelectionSetNode | None) -> list[FieldNode]:
        """The fields of a selection, its fragments' included; what is asked twice under one name counts once."""
        found: dict[str, FieldNode] = {}
        for each in selections.selections if selections else ():
            if isinstance(each, FieldNode):
                found.setdefault((each.alias or each.name).value, each)
            elif isinstance(each, FragmentSpreadNode):
                for field in self._merged(self.fragments[each.name.value].selection_set):
                    found.setdefault((field.alias or field.name).value, field)
            elif isinstance(each, InlineFragmentNode):
                for field in self._merged(each.selection_set):
                    found.setdefault((field.alias or field.name).value, field)
        return list(found.values())

    def _field(self, field: FieldNode, kind: GraphQLObjectType, factor: int) -> Size:
        name = field.name.value
        definition = kind.fields.get(name) or _META[name]
        inner = get_named_type(definition.type)
        below = inner if isinstance(inner, GraphQLObjectType) else None
        if not inner.name.endswith("Connection"):
            size = self.selection(field.selection_set, below, factor)
            return Size(1 + size.complexity, 1 + size.depth, size.nodes, size.first)
        asked = {each.name.value: literal(each.value, self.variables) for each in field.arguments}
        page = max(asked.get("first") or 0, asked.get("last") or 0) or self.usual_page
        size = self.selection(field.selection_set, below, factor * page)
        around = 0
        for each in self._merged(field.selection_set):
            around += 1
            if each.name.value not in ("nodes", "edges"):
                around += len(self._merged(each.selection_set))
        complexity = 1 + page * (size.complexity - around) + around
        return Size(complexity, 1 + size.depth, factor * page + size.nodes, max(size.first, (page, name)))
