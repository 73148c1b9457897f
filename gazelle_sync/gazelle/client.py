"""GraphQL over the transport: a query and its variables in, `data` out.

Keep out: what is asked (`query`), pages (`pages`), HTTP (`transport`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gazelle_sync.gazelle.errors import CursorLost, InvalidResponse, QueryRefused, Retryable, TooMuch
from gazelle_sync.gazelle.page_size import PageSize
from gazelle_sync.gazelle.rate_limit import announced_wait, is_exhausted, is_limit_error, wait_in_error
from gazelle_sync.gazelle.transport import Credentials, Transport
from gazelle_sync.translations import say

# The trailing slash matters: without it the private endpoint does not answer.
ENDPOINT = "/graphql/private/"

# How often a GraphQL error is asked again. It comes from a server that works, so time alone won't tell.
TRIES = 4

# What graphql-ruby and others call a query that is too large. A code is a word of the API's; a message is in the
# account's language, so its words are a last resort, as graphql-ruby has no code for complexity and depth.
TOO_MUCH_CODES = re.compile(
    r"COMPLEX|DEPTH|TOO_?LARGE|TOO_?MANY_?NODES|NODE_?LIMIT|EXCESSIVE|PAGE_?SIZE", re.IGNORECASE
)
TOO_MUCH_WORDS = re.compile(
    r"[ck]omple[xsj]|depth|profond|profund|tiefe|too large|trop grand|trop volumineu", re.IGNORECASE
)
LIMIT_WORDS = re.compile(r"exceed|limit|maximum|too many|dépass|trop de", re.IGNORECASE)
CURSOR_WORDS = re.compile(r"cursor|curseur", re.IGNORECASE)


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
    def concurrent(self) -> int:
        """How many requests may be under way at once."""
        return self._transport.concurrent

    @property
    def clock_ahead(self) -> float | None:
        """How many seconds Gazelle's clock is ahead of this machine's; None before an answer said so."""
        return self._transport.clock_ahead

    def close(self) -> None:
        self._transport.close()

    def execute(
        self,
        what: str,
        query: str,
        variables: Mapping[str, object],
        size: PageSize | None = None,
        keep: Callable[[bytes], object] | None = None,
    ) -> dict[str, Any]:
        """`data` of the answer; `what` names the request in errors, and `keep` is given the answer as it came.

        With a `size`, its variables are sent too, and it shrinks when Gazelle can't give so much. Raises
        `GazelleError`. Errors beside data are errors: a list with a hole in it is not a list.
        """
        sent: dict[str, object] = {}

        def compose() -> object:
            sent.clear()
            sent.update(variables, **(size.variables() if size else {}))
            return {"query": query, "variables": dict(sent)}

        def read(answer: object, headers: Mapping[str, str]) -> dict[str, Any]:
            if not isinstance(answer, dict):
                raise Retryable(say("answer_is_no_object", kind=type(answer).__name__), tries=TRIES)
            if errors := answer.get("errors"):
                if not isinstance(errors, list) or not all(isinstance(error, dict) for error in errors):
                    raise InvalidResponse(say("errors_of_no_shape", what=what))
                raise Errors(errors, what, query, sent).classify(headers)
            data = answer.get("data")
            if not isinstance(data, dict):
                raise Retryable(say("answer_without_data"), tries=TRIES)
            return data

        return self._transport.post(
            ENDPOINT,
            what,
            read,
            credentials=self._credentials,
            compose=compose,
            ask_for_less=lambda certain: size.shrink(certain, sent) if size else False,
            keep=keep,
        )


class Errors:
    """The `errors` of one answer, and what they mean for the query that was sent."""

    def __init__(
        self,
        errors: Sequence[Mapping[str, Any]],
        what: str,
        query: str,
        variables: Mapping[str, object],
    ) -> None:
        self._errors = errors
        self._what = what
        self._query = query
        self._variables = variables
        self._messages = "; ".join(dict.fromkeys(str(error.get("message")) for error in errors))[:500]

    def classify(self, headers: Mapping[str, str]) -> Exception:
        """`Refused` for a query that will never do, `Retryable` for what went wrong while it was executed."""
        if self._is_too_much():
            return self._too_much(certain=True)
        if in_query := [error for error in self._errors if is_about_query(error)]:
            return QueryRefused(say("query_refused", what=self._what, messages=self._messages), self._query, in_query)
        limits = [error for error in self._errors if is_limit_error(error)]
        if limits or "Retry-After" in headers or is_exhausted(headers):
            waits = [wait for error in limits if (wait := wait_in_error(error)) is not None]
            wait = max(waits, default=announced_wait(headers))
            return Retryable(say("graphql_errors", messages=self._messages), retry_after=wait, rate_limit=True)
        names_a_size, names_a_limit = self._names_a_size(), self._names_a_limit()
        if names_a_size or names_a_limit:
            return self._too_much(certain=names_a_size and names_a_limit)
        if self._is_about_cursor():
            return CursorLost(say("cursor_lost", what=self._what, messages=self._messages))
        return Retryable(
            say("graphql_errors", messages=self._messages), tries=TRIES, places=self._find_places(), strain=0.5
        )

    def _find_places(self) -> list[str]:
        """The fields of the query that the errors are about; none where one of them does not say."""
        places = [
            error["path"][0] if isinstance(error.get("path"), list) and error["path"] else None
            for error in self._errors
        ]
        known = [place for place in places if isinstance(place, str)]
        return known if len(known) == len(places) else []

    def _is_too_much(self) -> bool:
        """Whether it was refused for its complexity, depth or size: by a code, else by what is said of all of it."""
        return any(
            any(TOO_MUCH_CODES.search(code) for code in codes_of(error))
            or (is_about_whole(error) and TOO_MUCH_WORDS.search(str(error.get("message"))))
            for error in self._errors
        )

    def _too_much(self, *, certain: bool) -> TooMuch:
        return TooMuch(say("too_much", what=self._what, messages=self._messages), certain=certain)

    def _names_a_limit(self) -> bool:
        """Whether what is said of all of the query sounds like a limit: more than one number can be meant."""
        return any(is_about_whole(error) and LIMIT_WORDS.search(str(error.get("message"))) for error in self._errors)

    def _names_a_size(self) -> bool:
        """Whether a message has the number of records that was asked for: it is about a limit, in whatever language."""
        first, nested = (self._variables.get(name) for name in ("first", "nested"))
        sizes = [size for size in (first, nested) if isinstance(size, int)]
        sizes += [sizes[0] * sizes[1]] if len(sizes) == 2 else []
        numbers = {
            int(number) for error in self._errors for number in re.findall(r"\d{2,9}", str(error.get("message")))
        }
        return any(size in numbers for size in sizes)

    def _is_about_cursor(self) -> bool:
        """Whether the server does not know the cursor: it is quoted as a rule, in whatever language."""
        after = self._variables.get("after")
        return after is not None and any(
            str(after) in str(error.get("message"))
            or any(CURSOR_WORDS.search(text) for text in (*codes_of(error), str(error.get("message"))))
            for error in self._errors
        )


def is_about_query(error: Mapping[str, Any]) -> bool:
    """Whether a server refuses the query as such: then it says where in the query.

    One that stumbles says where in the answer (`path`), or nothing. graphql-ruby adds a `path` into the query to the
    former, as strings that begin with the operation ("query clients"), and an `extensions.code`.
    """
    path = error.get("path")
    path = path if isinstance(path, list) else []
    into_query = bool(path) and str(path[0]).startswith(("query", "fragment"))
    return into_query or bool(error.get("locations") and not path)


def is_about_whole(error: Mapping[str, Any]) -> bool:
    """Whether a server refuses the query as a whole: it names no place, or the place where the query begins."""
    places = error.get("locations")
    return not error.get("path") and (not places or places == [{"line": 1, "column": 1}])


def codes_of(error: Mapping[str, Any]) -> list[str]:
    extensions = error.get("extensions")
    given = [error.get("type"), extensions.get("code") if isinstance(extensions, dict) else None]
    return [str(code) for code in given if code]
