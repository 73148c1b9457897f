"""What can go wrong while reading; the class says whether trying again helps.

    GazelleError
    ├── Unavailable     tried until patience ran out; a later run may well succeed
    │   └── Unanswered  Gazelle works, but this one question is answered with an error each time
    ├── NotAuthorized   a person has to act: another key, or `gazelle-sync login`
    ├── Refused         Gazelle understood and said no; the same query will fail again
    │   └── QueryRefused  the query asks for something that the API does not have
    └── InvalidResponse    the answer contradicts itself; nothing can be concluded from it

Messages never hold a token, a key, or a URL with credentials. Keep out: anything that acts on an error.
"""

from __future__ import annotations

from collections.abc import Collection

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
    """The query asks for something that the API does not have."""


class InvalidResponse(GazelleError):
    """The answer is not of the shape that was asked for."""


class Retryable(PlainError):
    """A failure that may pass: the transport waits and tries again. Never seen outside this package.

    `retry_after` is how many seconds the server asked to be left alone; `tries` bounds how often it is
    worth asking, where time alone is not the bound. `places` are the fields that GraphQL errors are about.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        tries: int | None = None,
        places: Collection[str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.places = places
        self.retry_after = retry_after
        self.tries = tries
