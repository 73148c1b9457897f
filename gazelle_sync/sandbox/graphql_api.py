"""Answers GraphQL queries from an `Account`, executed for real against the published schema.

A query is read, refused if it is wrong (`refusals.py`) or too much (`limits.py`), and executed (`resolvers.py`).
HTTP, tokens and what becomes of an answer on its way must stay out.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from functools import lru_cache
from typing import Any

from graphql import DocumentNode, GraphQLError, execute_sync, parse

from gazelle_sync.sandbox.account import Account
from gazelle_sync.sandbox.conditions import USUAL, Conditions
from gazelle_sync.sandbox.limits import asked_page, size_of, too_much
from gazelle_sync.sandbox.refusals import refusals, syntax_error, variable_error
from gazelle_sync.sandbox.schema import schema
from gazelle_sync.sandbox.view import View


class GraphQLApi:
    """The API of one account. `execute` may be called for every request; edits of the account show at once.

    `page_cap` is the greatest page, applied without a word, and the size of a page where none is asked for.
    With `opaque_cursors` a cursor is a random token instead of the base64 of an offset. `usual_filters` are the
    filters that a list of a kind has where the query does not say otherwise: what Gazelle leaves out unasked is not
    published. `{"invoices": {"archived": False}}` leaves out archived invoices.
    """

    def __init__(self, account: Account, *, page_cap: int = 100, opaque_cursors: bool = False) -> None:
        self.account = account
        self.page_cap = page_cap
        self.opaque_cursors = opaque_cursors
        self.usual_filters: dict[str, dict[str, Any]] = {}
        self._token_of: dict[int, str] = {}
        self._offset_of: dict[str, int] = {}

    def execute(
        self,
        query: str,
        variables: dict[str, Any] | None,
        operation: str | None = None,
        conditions: Conditions = USUAL,
    ) -> dict[str, Any]:
        """The answer as a JSON object, `data` and `errors` as GraphQL has them; never raises for a wrong query."""
        document, errors = _prepare(query, conditions)
        if document is None:
            return {"errors": errors}
        whole = schema(conditions.missing)
        if conditions.has_limits:
            refusal = too_much(size_of(whole, document, variables or {}, self.page_cap), conditions)
            if refusal is not None:
                return {"errors": [{"message": refusal}]}
        if "__schema" in query and not variables:
            return {"data": dict(_introspected(query, conditions.missing))}
        view = View(self, conditions)
        result = execute_sync(whole, document, {}, view, variables, operation)
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            return {"errors": [variable_error(error, conditions) for error in result.errors]}
        return dict(result.formatted)

    def cursor(self, offset: int) -> str:
        """The cursor of the row at this offset (the first is 1, as graphql-ruby counts)."""
        if not self.opaque_cursors:
            return base64.urlsafe_b64encode(str(offset).encode()).decode().rstrip("=")
        if offset not in self._token_of:
            token = secrets.token_urlsafe(12)
            self._token_of[offset], self._offset_of[token] = token, offset
        return self._token_of[offset]

    def offset(self, cursor: str) -> int:
        """The offset that the cursor stands for; a cursor that was never given out is an error."""
        if self.opaque_cursors:
            if cursor not in self._offset_of:
                raise GraphQLError(f"Invalid cursor: {cursor!r}")
            return self._offset_of[cursor]
        try:
            return int(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):
            raise GraphQLError(f"Invalid cursor: {cursor!r}") from None


def page_asked_for(query: str, variables: dict[str, Any] | None) -> tuple[int | None, str | None]:
    """The page that the query asks for: the `first` of its outermost list, and the first `after` (None: none)."""
    document, _ = _parse(query)
    return asked_page(document, variables or {}) if document else (None, None)


@lru_cache(maxsize=8)
def _introspected(query: str, missing: frozenset[str]) -> dict[str, Any]:
    """What a query says of the schema. Kept: to put it together takes longer than a hundred other answers."""
    return execute_sync(schema(missing), parse(query)).data or {}


@lru_cache(maxsize=256)
def _parse(query: str) -> tuple[DocumentNode | None, GraphQLError | None]:
    try:
        return parse(query), None
    except GraphQLError as error:
        return None, error


def _prepare(query: str, conditions: Conditions) -> tuple[DocumentNode | None, list[Any]]:
    return _validated(query, conditions.missing, conditions.has_introspection, conditions.french)


@lru_cache(maxsize=256)
def _validated(
    query: str, missing: frozenset[str], has_introspection: bool, french: bool
) -> tuple[DocumentNode | None, list[Any]]:
    """The parsed and validated query, or the errors it has. Kept, because clients send the same few."""
    conditions = Conditions(missing=missing, has_introspection=has_introspection, french=french)
    document, error = _parse(query)
    if document is None:
        return None, [syntax_error(error, conditions)] if error else []
    errors = refusals(schema(missing), document, conditions)
    return (None, errors) if errors else (document, [])
