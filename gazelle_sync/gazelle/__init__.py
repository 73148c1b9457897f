"""Reading from Gazelle: HTTP, GraphQL, pages, typed rows. HTTP lives here and nowhere else.

Keep out: SQL, Dagster. What is read is declared in `tables`.
"""

from gazelle_sync.gazelle.account import Account, read_account, read_standing
from gazelle_sync.gazelle.auth import ApiKey, OAuth, TokenFile
from gazelle_sync.gazelle.client import Client
from gazelle_sync.gazelle.errors import GazelleError, InvalidResponse, NotAuthorized, Refused, Unanswered, Unavailable
from gazelle_sync.gazelle.parts import Cut
from gazelle_sync.gazelle.snapshot import Snapshot

__all__ = [
    "Account",
    "ApiKey",
    "Client",
    "Cut",
    "GazelleError",
    "InvalidResponse",
    "NotAuthorized",
    "OAuth",
    "Refused",
    "Snapshot",
    "TokenFile",
    "Unanswered",
    "Unavailable",
    "read_account",
    "read_standing",
]
