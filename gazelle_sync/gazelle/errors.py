"""What can go wrong while reading; the class says whether trying again helps.

    GazelleError
    ├── Unavailable         tried until patience ran out; a later run may well succeed
    │   └── Unanswered      Gazelle works, but this one question is answered with an error each time
    ├── NotAuthorized       a person has to act: another key, or `gazelle-sync login`
    ├── Refused             Gazelle understood and said no; the same query will fail again
    │   ├── QueryRefused    it refused the query as such, and said at which place
    │   └── TooMuch         it refused how much was asked for: less may do
    └── InvalidResponse     the answer contradicts itself; nothing can be concluded from it
        └── CursorLost      the server no longer knows the cursor: the list has to be read anew

Messages never hold a token, a key, or a URL with credentials. Keep out: anything that acts on an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gazelle_sync.redaction import PlainError


class GazelleError(PlainError):
    """Reading from Gazelle failed. The message says what was asked, what came back and what to do."""


class Unavailable(GazelleError):
    """Gazelle could not be reached, or kept failing for longer than the client's patience."""


class Unanswered(Unavailable):
    """Gazelle works, and answered this question with GraphQL errors, each time it was asked.

    `places` are the fields of the query that they are about; empty where the errors name none.
    """

    def __init__(self, message: str, places: Collection[str]) -> None:
        super().__init__(message)
        self.places = places


class NotAuthorized(GazelleError):
    """The credentials are missing, spent, revoked or wrong."""


class Refused(GazelleError):
    """Gazelle refused the request itself."""


class QueryRefused(Refused):
    """Gazelle refused the query as such. `errors` are the GraphQL errors that say where in `query`."""

    def __init__(self, message: str, query: str, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.query = query
        self.errors = errors


class TooMuch(Refused):
    """More was asked for than Gazelle gives at once: the same query will fail again, a smaller one may not.

    It is not `certain` where only a number in a message says so.
    """

    def __init__(self, message: str, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain


class InvalidResponse(GazelleError):
    """The answer is not of the shape that was asked for."""


class CursorLost(InvalidResponse):
    """The server no longer knows the cursor that it gave."""


class Retryable(PlainError):
    """A failure that may pass: the transport waits and tries again. Never seen outside this package.

    `retry_after` is how many seconds the server asked to be left alone; with `rate_limit`, all requests are. `tries`
    bounds how often it is worth asking, where time alone is not the bound. `places` are the fields that GraphQL errors
    are about. `strain` is how surely less would have been answered: at 1, less is asked for.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        rate_limit: bool = False,
        tries: int | None = None,
        places: Collection[str] | None = None,
        strain: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.rate_limit = rate_limit
        self.tries = tries
        self.places = places
        self.strain = strain
