"""GraphQL over the transport: a query and its variables in, `data` out.

Keep out: what is asked (`query`), pages (`snapshot`), HTTP (`transport`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gazelle_sync.gazelle.errors import InvalidResponse, QueryRefused, Retryable
from gazelle_sync.gazelle.transport import Credentials, Transport

# The trailing slash matters: without it the private endpoint does not answer.
ENDPOINT = "/graphql/private/"

# How often a GraphQL error is asked again. It comes from a server that works, so time alone won't tell.
TRIES = 4


class Client:
    """Runs queries with one account's credentials.

    `api_requests` and `api_retries` count what was sent since the client was made.
    """

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials

    @property
    def api_requests(self) -> int:
        return self._transport.requests

    @property
    def api_retries(self) -> int:
        return self._transport.retries

    @property
    def clock_ahead(self) -> float | None:
        """How many seconds Gazelle's clock is ahead of this machine's; None before an answer said so."""
        return self._transport.clock_ahead

    def close(self) -> None:
        self._transport.close()

    def execute(self, what: str, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        """`data` of the answer; `what` names the request in errors.

        Raises `GazelleError`. Errors beside data are errors: a list with a hole in it is not a list.
        """

        def read(answer: object) -> dict[str, Any]:
            if not isinstance(answer, dict):
                raise Retryable(f"an answer that is no object but {type(answer).__name__}", tries=TRIES)
            if errors := answer.get("errors"):
                raise graphql_error(errors, what)
            data = answer.get("data")
            if not isinstance(data, dict):
                raise Retryable("an answer without data", tries=TRIES)
            return data

        return self._transport.post(
            ENDPOINT, what, read, credentials=self._credentials, json={"query": query, "variables": variables}
        )


def graphql_error(errors: object, what: str) -> Exception:
    """`QueryRefused` for a query that will never do, `Retryable` for what went wrong while it was executed.

    A server that refuses a query as such says where in the query; one that stumbles says where in the
    answer (`path`), or nothing. graphql-ruby adds a `path` into the query to the former, as strings that
    begin with the operation ("query clients"), and an `extensions.code`.
    """
    if not isinstance(errors, list) or not all(isinstance(error, dict) for error in errors):
        return InvalidResponse(f"Gazelle answered {what} with `errors` of no known shape.")
    messages = "; ".join(dict.fromkeys(str(error.get("message")) for error in errors))[:500]
    for error in errors:
        path = error.get("path")
        path = path if isinstance(path, list) else []
        into_query = bool(path) and str(path[0]).startswith(("query", "fragment"))
        if error.get("locations") and (not path or into_query):
            return QueryRefused(
                f"Gazelle refused {what}: {messages}. The API may have changed: compare the declaration in "
                "gazelle_sync/tables with Gazelle's schema."
            )
    paths = [path for error in errors if isinstance(path := error.get("path"), list) and path]
    places = [str(path[0]) for path in paths] if len(paths) == len(errors) else []
    return Retryable(f"GraphQL errors: {messages}", tries=TRIES, places=places)
