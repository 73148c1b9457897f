"""What differs between the live API and what this project asks of it, before a sync asks.

Reads the schema by introspection, where that is allowed, and compares every query with it: fields, arguments, filters,
enum values, and whether a value can be null. Keep out: sending the queries of a sync (`trial`), what is said of a
difference (`cli.findings`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import cast

from graphql import (
    ArgumentNode,
    EnumValueNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    IntrospectionQuery,
    ListValueNode,
    ObjectFieldNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableDefinitionNode,
    Visitor,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    parse,
    print_ast,
    type_from_ast,
    visit,
)

from gazelle_sync.gazelle import query
from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import GazelleError
from gazelle_sync.tables.columns import Column
from gazelle_sync.tables.declaration import Scope, Table

# Descriptions are half of the answer, and say nothing to a program.
INTROSPECTION = get_introspection_query(descriptions=False)


class Kind(Enum):
    """What the live API has not, or has otherwise."""

    FIELD = "field"
    ARGUMENT = "argument"
    INPUT_FIELD = "filter"
    ENUM_VALUE = "value"
    VARIABLE = "type"
    TYPE = "kind of value"
    NULLABLE = "null"
    NEW_VALUE = "value that is new"


@dataclass(frozen=True)
class Difference:
    """Something that a table's queries use, and that the live API has not. `name` is as in the schema.

    `columns` are the table's columns that it costs; none means that the table can't be read as it is declared. Of a
    `NEW_VALUE`, the API has more: a filter that named every value leaves out the records that have this one.
    """

    table: str
    kind: Kind
    name: str
    columns: tuple[str, ...]


def read_schema(client: Client) -> GraphQLSchema | None:
    """The live schema; None where it can't be looked at: introspection is refused, or does not come in time."""
    try:
        answer = client.execute("the schema", INTROSPECTION, {})
        return build_client_schema(cast(IntrospectionQuery, answer))
    except (GazelleError, GraphQLError, TypeError, KeyError):
        # The queries themselves have to tell, also what else is wrong.
        return None


def compare(
    schema: GraphQLSchema, published: GraphQLSchema | None, table: Table, scopes: Iterable[Scope]
) -> list[Difference]:
    """What the live schema lacks of what reading this table can ask for, within any of the scopes; each once.

    `published` is the schema that the declarations were written by: a type that is another now, or can be null now, is
    a difference too. Without it, only names are compared.
    """
    found = [
        difference
        for text in dict.fromkeys(text for scope in scopes for text in query.all_queries(table, scope))
        for difference in compare_query(schema, published, table, text)
    ]
    return list(dict.fromkeys(found))


def compare_query(schema: GraphQLSchema, published: GraphQLSchema | None, table: Table, text: str) -> list[Difference]:
    info = TypeInfo(schema)
    comparison = Comparison(schema, published, table, info)
    visit(parse(text), TypeInfoVisitor(info, comparison))
    return comparison.found


class Comparison(Visitor):
    """Goes through one query, and notes what its schema does not know."""

    def __init__(self, schema: GraphQLSchema, published: GraphQLSchema | None, table: Table, info: TypeInfo) -> None:
        super().__init__()
        self.found: list[Difference] = []
        self._schema = schema
        self._published = published
        self._table = table
        self._info = info
        # The fields from the root to where the visit is, and whether each of them is known.
        self._path: list[str] = []
        self._unknown = 0

    def enter_field(self, node: FieldNode, *_: object) -> None:
        self._path.append(node.name.value)
        parent, field = self._info.get_parent_type(), self._info.get_field_def()
        if self._unknown or field is None:
            if not self._unknown:
                self._note(Kind.FIELD, f"{parent.name if parent else '?'}.{node.name.value}", self._columns())
            self._unknown += 1
            return
        known = self._published_field(parent.name if parent else "", node.name.value)
        if known is not None and not is_as_strict(field.type, known.type):
            name = f"{parent.name if parent else '?'}.{node.name.value}: {field.type}"
            same = str(get_named_type(field.type)) == str(get_named_type(known.type))
            self._note(Kind.NULLABLE if same else Kind.TYPE, name, self._columns())

    def leave_field(self, node: FieldNode, *_: object) -> None:
        self._path.pop()
        self._unknown = max(self._unknown - 1, 0)

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        if not self._unknown and self._info.get_argument() is None:
            parent = self._info.get_parent_type()
            owner = f"{parent.name}." if parent else ""
            self._note(Kind.ARGUMENT, f"{owner}{self._path[-1]}({node.name.value})", ())

    def enter_object_field(self, node: ObjectFieldNode, *_: object) -> None:
        # Within an object, the parent of the field's type is the object's.
        outer = self._info.get_parent_input_type()
        named = get_named_type(outer) if outer else None
        if not self._unknown and isinstance(named, GraphQLInputObjectType) and node.name.value not in named.fields:
            self._note(Kind.INPUT_FIELD, f"{named.name}.{node.name.value}", ())

    def enter_enum_value(self, node: EnumValueNode, *_: object) -> None:
        expected = self._info.get_input_type()
        named = get_named_type(expected) if expected else None
        if not self._unknown and isinstance(named, GraphQLEnumType) and node.value not in named.values:
            self._note(Kind.ENUM_VALUE, f"{named.name}.{node.value}", ())

    def enter_list_value(self, node: ListValueNode, *_: object) -> None:
        expected = self._info.get_input_type()
        named = get_named_type(expected) if expected else None
        if self._unknown or not isinstance(named, GraphQLEnumType):
            return
        known = self._published.type_map.get(named.name) if self._published else None
        all_known = set(known.values) if isinstance(known, GraphQLEnumType) else set()
        if all_known and all_known == {each.value for each in node.values if isinstance(each, EnumValueNode)}:
            for value in named.values.keys() - all_known:
                self._note(Kind.NEW_VALUE, f"{named.name}.{value}", ())

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: object) -> None:
        if type_from_ast(self._schema, node.type) is None:
            self._note(Kind.VARIABLE, print_ast(node.type), ())

    def _published_field(self, parent: str, name: str) -> GraphQLField | None:
        known = self._published.type_map.get(parent) if self._published else None
        return known.fields.get(name) if isinstance(known, GraphQLObjectType) else None

    def _note(self, kind: Kind, name: str, columns: Iterable[Column]) -> None:
        self.found.append(Difference(self._table.name, kind, name, tuple(column.name for column in columns)))

    def _columns(self) -> list[Column]:
        """The columns that are read through where the visit is; none outside of a record."""
        return columns_below(self._table, record_path(self._path))


def is_as_strict(live: GraphQLOutputType, known: GraphQLOutputType) -> bool:
    """Whether values of the live type are all of the known type: the same, and null nowhere where it was not."""
    if isinstance(known, GraphQLNonNull):
        return isinstance(live, GraphQLNonNull) and is_as_strict(live.of_type, known.of_type)
    live = live.of_type if isinstance(live, GraphQLNonNull) else live
    if isinstance(known, GraphQLList):
        return isinstance(live, GraphQLList) and is_as_strict(live.of_type, known.of_type)
    return str(live) == str(known)


def record_path(path: list[str]) -> list[str]:
    """A path from the root, as seen from the record: behind the last `nodes`, or behind the root's field."""
    last = max((at for at, name in enumerate(path) if name == "nodes"), default=0)
    return path[last + 1 :]


def columns_below(table: Table, path: list[str]) -> list[Column]:
    """The columns whose values are found at or below a path of the record."""
    if not path:
        return []
    return [
        column for column in table.all_columns if any(each.split(".")[: len(path)] == path for each in column.paths)
    ]
