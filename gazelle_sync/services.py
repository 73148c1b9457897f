"""Where Gazelle and the database are: the configured ones, or the embedded ones when nothing is configured.

Keep out: what is done with them.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy import Engine

from gazelle_sync import embedded, environment, warehouse
from gazelle_sync.environment import Misconfigured
from gazelle_sync.gazelle import ApiKey, Client, OAuth, TokenFile
from gazelle_sync.gazelle.auth import TokenStore
from gazelle_sync.gazelle.transport import Transport

VAR = environment.ROOT / "var"


def database(url: str, *, keep_open: bool = False) -> Engine:
    """Opens nothing yet. With `keep_open` it is this process's one engine that keeps a connection, see `connect`.

    Raises `Misconfigured`, and `WarehouseError` for a string that can't be used.
    """
    chosen = embedded.services(VAR).database_url if environment.nothing_chosen() else url
    return kept_open(chosen) if keep_open else warehouse.connect(chosen)


@cache
def kept_open(url: str) -> Engine:
    return warehouse.connect(url, keep_open=True)


def transport(base_url: str, requests_per_second: str, patience: float = 120.0) -> Transport:
    return Transport(
        base_url or environment.DEFAULTS["GAZELLE_BASE_URL"],
        requests_per_second=environment.requests_per_second(requests_per_second),
        patience=patience,
    )


def oauth(transport: Transport, client_id: str, client_secret: str, token_file: str, database_url: str) -> OAuth:
    """With the token where `GAZELLE_TOKEN_FILE` says: a path from the project's root, or `postgres`."""
    if not (client_id and client_secret):
        raise Misconfigured("GAZELLE_CLIENT_ID and GAZELLE_CLIENT_SECRET are not set: they name the OAuth app.")
    store: TokenStore
    if token_file == "postgres":  # noqa: S105  a place
        store = warehouse.TokenTable(database(database_url))
    else:
        store = TokenFile(environment.ROOT / token_file)
    return OAuth(transport, client_id, client_secret, store)


def gazelle(
    *,
    base_url: str,
    api_key: str,
    client_id: str,
    client_secret: str,
    token_file: str,
    requests_per_second: str,
    database_url: str,
    patience: float = 120.0,
) -> Client:
    """A client of the account; each parameter is the environment variable of its name. `patience` is `Transport`'s.

    Sends nothing yet. Raises `Misconfigured`.
    """
    if environment.nothing_chosen():
        bundled = embedded.services(VAR)
        # On this machine there is nobody to be polite to.
        return Client(transport(bundled.base_url, "1000"), ApiKey(bundled.api_key))
    sender = transport(base_url, requests_per_second, patience)
    if api_key:
        return Client(sender, ApiKey(api_key))
    return Client(sender, oauth(sender, client_id, client_secret, token_file, database_url))
