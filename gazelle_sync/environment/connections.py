"""Where Gazelle and the database are: the configured ones, or the embedded ones when nothing is configured.

Keep out: what is done with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.alerts import Alerts, channels_from
from gazelle_sync.environment import embedded
from gazelle_sync.environment.settings import Misconfigured, Settings
from gazelle_sync.files import check_writable, explain
from gazelle_sync.gazelle import ApiKey, Client, OAuth, TokenFile
from gazelle_sync.gazelle.auth import TokenStore
from gazelle_sync.gazelle.transport import Exchange, Transport
from gazelle_sync.translations import say


def make_alerts(settings: Settings) -> Alerts:
    """Raises `ValueError` when e-mail is half configured, or an address is none."""
    return Alerts(
        channels_from(settings.slack_webhook_url, settings.alert_email_to, settings.smtp_url),
        settings.var / "alerts.json",
        settings.language,
        settings.zone,
        secrets=settings.secrets,
    )


def make_engine(settings: Settings, *, keep_open: bool = False) -> Engine:
    """Opens nothing yet. With `keep_open` it is this process's one engine that keeps a connection, see `connect`.

    Raises `Misconfigured` for a string that can't be used, and where the embedded one has no place.
    """
    if settings.embedded:
        check_var(settings)
    url = embedded.start_postgres(settings.var) if settings.embedded else settings.database_url
    try:
        return keep_engine(url) if keep_open else warehouse.connect(url)
    except warehouse.UnusableAddress as error:
        raise Misconfigured(str(error)) from None


def check_var(settings: Settings) -> str:
    """The folder that everything is recorded in. Raises `Misconfigured` when it can't be written."""
    try:
        check_writable(settings.var)
    except OSError as error:
        raise Misconfigured(say("var_unusable", folder=settings.var, reason=explain(error))) from None
    return str(settings.var)


@cache
def keep_engine(url: str) -> Engine:
    return warehouse.connect(url, keep_open=True)


def make_transport(
    settings: Settings, *, patience: float = 120.0, observe: Callable[[Exchange], None] | None = None
) -> Transport:
    """`patience` and `observe` are `Transport`'s. The run's budget is the settings' patience."""
    return Transport(
        settings.base_url,
        requests_per_second=settings.requests_per_second,
        concurrent=settings.concurrent_requests,
        patience=patience,
        budget=settings.patience,
        observe=observe,
    )


def make_oauth(settings: Settings, transport: Transport) -> OAuth:
    """With the token where `GAZELLE_TOKEN_FILE` says: a path from the project's root, or `postgres`.

    Raises `Misconfigured` when no OAuth app is named.
    """
    if not (settings.client_id and settings.client_secret):
        raise Misconfigured(say("oauth_app_not_set"))
    store: TokenStore
    if settings.token_file == "postgres":  # noqa: S105  a place
        store = warehouse.TokenTable(make_engine(settings))
    else:
        store = TokenFile(settings.root / settings.token_file)
    return OAuth(transport, settings.client_id, settings.client_secret, store)


def make_client(
    settings: Settings, *, patience: float = 120.0, observe: Callable[[Exchange], None] | None = None
) -> Client:
    """A client of the account, with `Transport`'s `patience` and `observe`. Sends nothing. Raises `Misconfigured`."""
    if settings.embedded:
        bundled = embedded.start_services(settings.var, settings.zone)
        # On this machine there is nobody to be polite to.
        settings = dataclasses.replace(settings, base_url=bundled.base_url, requests_per_second=1000.0)
        return Client(make_transport(settings, patience=patience, observe=observe), ApiKey(bundled.api_key))
    transport = make_transport(settings, patience=patience, observe=observe)
    if settings.api_key:
        return Client(transport, ApiKey(settings.api_key))
    return Client(transport, make_oauth(settings, transport))
