"""How a query is refused before anything of it is executed: the words, codes and paths of graphql-ruby.

graphql-core finds what is wrong with a query; here it is told as Gazelle's server, which is Ruby, tells it (its
`lib/graphql/static_validation`): `path` is a list of strings that begins with the operation, and
`extensions.code` says which rule was broken. What is too much of a right query is in `limits.py`.
"""

from __future__ import annotations

import re
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    ObjectFieldNode,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
    print_ast,
    specified_rules,
    validate,
)

from gazelle_sync.sandbox.conditions import Conditions

Error = dict[str, Any]

# The rules that have no line in `_told`, with the code that graphql-ruby has for each.
_CODES = {
    "NoUndefinedVariablesRule": "variableNotDefined",
    "NoUnusedVariablesRule": "variableNotUsed",
    "NoUnusedFragmentsRule": "useAndDefineFragment",
    "KnownFragmentNamesRule": "useAndDefineFragment",
    "NoFragmentCyclesRule": "infiniteLoop",
    "VariablesInAllowedPositionRule": "variableMismatch",
    "VariablesAreInputTypesRule": "variableRequiresValidType",
    "KnownTypeNamesRule": "undefinedType",
    "OverlappingFieldsCanBeMergedRule": "fieldConflict",
    "KnownDirectivesRule": "undefinedDirective",
    "UniqueArgumentNamesRule": "argumentNotUnique",
    "UniqueInputFieldNamesRule": "inputFieldNotUnique",
    "UniqueOperationNamesRule": "uniquelyNamedOperations",
    "LoneAnonymousOperationRule": "uniquelyNamedOperations",
    "PossibleFragmentSpreadsRule": "cannotSpreadFragment",
}


def refusals(schema: GraphQLSchema, document: DocumentNode, conditions: Conditions) -> list[Error]:
    """What is wrong with the query, one error each; empty where it may be executed."""
    errors = [] if conditions.has_introspection else _introspection(schema, document, conditions)
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode) and operation.operation is not OperationType.QUERY:
            kind = operation.operation.value
            told = f"Schema is not configured for {kind}s", f"Le schéma n’est pas configuré pour {kind}"
            return [_error(conditions.words(*told), [operation], [kind], f"missing{kind.title()}Configuration")]
    if not validate(schema, document):
        return errors
    paths = _paths(document)
    for rule in specified_rules:
        for found in validate(schema, document, [rule]):
            errors.append(_as_ruby(rule.__name__, found, document, paths, conditions))
    return errors


def syntax_error(error: GraphQLError, conditions: Conditions) -> Error:
    """A text that is no query at all: no path, and no code."""
    message = conditions.words(error.message, error.message.replace("Syntax Error", "Erreur de syntaxe"))
    return {"message": message, "locations": _locations(error)}


def variable_error(error: GraphQLError, conditions: Conditions) -> Error:
    """A variable whose value is not of its type: `extensions` has the value and the problems in place of a code."""
    told = re.match(r"Variable '\$(\w+)' got invalid value (.*?)(?: at '\w+?(?:\.|(?=\[))(.*?)')?; (.*)", error.message)
    definition = next((node for node in error.nodes or () if isinstance(node, VariableDefinitionNode)), None)
    if definition is None:
        return error.formatted  # type: ignore[return-value]
    name, kind = definition.variable.name.value, print_ast(definition.type)
    where = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", (told and told[3]) or "")]
    explanation = told[4] if told else error.message
    at = f" for {'.'.join(map(str, where))} ({explanation})" if where else ""
    message = conditions.words(
        f"Variable ${name} of type {kind} was provided invalid value{at}",
        f"La variable ${name} de type {kind} a reçu une valeur non valide{at}",
    )
    problems = [{"path": where, "explanation": explanation}]
    extensions = {"value": told[2] if told else None, "problems": problems}
    return {"message": message, "locations": _locations(error), "extensions": extensions}


def _introspection(schema: GraphQLSchema, document: DocumentNode, conditions: Conditions) -> list[Error]:
    query = schema.query_type.name if schema.query_type else ""
    return [
        _undefined_field(node, path, query, conditions)
        for node, path in _walk(document)
        if isinstance(node, FieldNode) and node.name.value in ("__schema", "__type")
    ]


def _as_ruby(
    rule: str, found: GraphQLError, document: DocumentNode, paths: dict[int, list[str]], conditions: Conditions
) -> Error:
    node = found.nodes[0] if found.nodes else document
    path = paths.get(id(node), [])
    quoted = re.findall(r"'([^']*)'", found.message)
    match rule, node:
        case "FieldsOnCorrectTypeRule", FieldNode():
            error = _undefined_field(node, path, quoted[1], conditions)
        case "KnownArgumentNamesRule", ArgumentNode():
            error = _not_accepted(node, path, "Field", quoted[1].rpartition(".")[2], conditions)
        case "ValuesOfCorrectTypeRule", ObjectFieldNode() if "is not defined by" in found.message:
            error = _not_accepted(node, path, "InputObject", quoted[1], conditions)
        case "ValuesOfCorrectTypeRule", _:
            error = _incompatible(node, found, document, paths, conditions)
        case "ScalarLeafsRule", FieldNode():
            error = _no_selection(node, path, quoted[1], conditions)
        case "ProvidedRequiredArgumentsRule", _:
            error = _missing_argument(node, path, quoted, conditions)
        case _:
            message = conditions.words(found.message, f"La requête n’est pas valide : {', '.join(quoted)}")
            error = _error(message, list(found.nodes or ()), path, _CODES.get(rule, rule.removesuffix("Rule")))
    return error


def _undefined_field(node: FieldNode, path: list[str], kind: str, conditions: Conditions) -> Error:
    name = node.name.value
    message = conditions.words(
        f"Field '{name}' doesn't exist on type '{kind}'", f"Le champ « {name} » n’existe pas sur le type « {kind} »"
    )
    return _error(message, [node], path, "undefinedField", typeName=kind, fieldName=name)


def _not_accepted(
    node: ArgumentNode | ObjectFieldNode, path: list[str], kind: str, name: str, conditions: Conditions
) -> Error:
    argument = node.name.value
    message = conditions.words(
        f"{kind} '{name}' doesn't accept argument '{argument}'", f"« {name} » n’accepte pas l’argument « {argument} »"
    )
    return _error(message, [node], path, "argumentNotAccepted", name=name, typeName=kind, argumentName=argument)


def _no_selection(node: FieldNode, path: list[str], kind: str, conditions: Conditions) -> Error:
    name = node.name.value
    told = (
        f"Field must have selections (field '{name}' returns {kind} but has no selections. "
        f"Did you mean '{name} {{ ... }}'?)",
        f"Le champ doit avoir une sélection (« {name} » est de type {kind})",
    )
    if node.selection_set:
        told = (
            f"Selections can't be made on scalars (field '{name}' returns {kind} but has selections)",
            f"Un scalaire n’a pas de sélection (« {name} » est de type {kind})",
        )
    message = conditions.words(*told)
    return _error(message, [node], path, "selectionMismatch", nodeName=f"field '{name}'", typeName=kind)


def _missing_argument(node: Node, path: list[str], quoted: list[str], conditions: Conditions) -> Error:
    name = quoted[0].rpartition(".")[2]
    message = conditions.words(
        f"Field '{name}' is missing required arguments: {quoted[1]}",
        f"Il manque au champ « {name} » l’argument obligatoire {quoted[1]}",
    )
    more = {"className": "Field", "name": name, "arguments": quoted[1]}
    return _error(message, [node], path, "missingRequiredArguments", **more)


def _incompatible(
    node: Node, found: GraphQLError, document: DocumentNode, paths: dict[int, list[str]], conditions: Conditions
) -> Error:
    """A literal that is not of its argument's type: told of the innermost argument that it stands in."""
    path = paths.get(id(node), [])
    around = [each for each, its_path in _walk(document) if its_path == path]
    holder = next((each for each in around if isinstance(each, ArgumentNode | ObjectFieldNode)), None)
    if holder is None:
        return _error(found.message, [node], path, "argumentLiteralsIncompatible")
    name, value = holder.name.value, print_ast(holder.value)
    is_field = isinstance(holder, ArgumentNode)
    owner = path[-2] if len(path) > 1 else ""
    kind = "Field" if is_field else "InputObject"
    expected = re.search(r"'(\w+)' enum|Expected value of type '([^']+)'|is not a (\w+)", found.message)
    wanted = next((each for each in expected.groups() if each), "") if expected else ""
    message = conditions.words(
        f"Argument '{name}' on {kind} '{owner}' has an invalid value ({value}). Expected type '{wanted}'.",
        f"L’argument « {name} » de « {owner} » a une valeur non valide ({value}). Type attendu : « {wanted} ».",
    )
    return _error(message, [holder], path, "argumentLiteralsIncompatible", typeName=kind, argumentName=name)


def _error(message: str, nodes: list[Node], path: list[str], code: str, **more: Any) -> Error:
    where = GraphQLError(message, nodes)
    return {"message": message, "locations": _locations(where), "path": path, "extensions": {"code": code, **more}}


def _locations(error: GraphQLError) -> list[dict[str, int]]:
    return [{"line": place.line, "column": place.column} for place in error.locations or []]


def _paths(document: DocumentNode) -> dict[int, list[str]]:
    return {id(node): path for node, path in _walk(document)}


def _walk(node: Node, path: list[str] | None = None) -> list[tuple[Node, list[str]]]:
    """Every node of a document with its path as graphql-ruby counts it, outermost first."""
    path = path or []
    if isinstance(node, OperationDefinitionNode):
        path = [f"{node.operation.value} {node.name.value}" if node.name else node.operation.value]
    elif isinstance(node, FragmentDefinitionNode):
        path = [f"fragment {node.name.value}"]
    elif isinstance(node, FieldNode):
        path = [*path, (node.alias or node.name).value]
    elif isinstance(node, InlineFragmentNode):
        path = [*path, f"... on {node.type_condition.name.value}" if node.type_condition else "..."]
    elif isinstance(node, FragmentSpreadNode):
        path = [*path, f"... {node.name.value}"]
    elif isinstance(node, ArgumentNode | ObjectFieldNode):
        path = [*path, node.name.value]
    found = [(node, path)]
    for key in node.keys:
        inner = getattr(node, key, None)
        for each in inner if isinstance(inner, list | tuple) else [inner]:
            if isinstance(each, Node):
                found += _walk(each, path)
    return found
