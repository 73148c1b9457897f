"""Who we are to Gazelle: a personal API key, or an OAuth token that is renewed and kept.

Refresh tokens rotate: once used, the old one is dead. So a token is refreshed by one process at a time,
and saved before it is used. Keep out: the login page's web server (`login`), a token's place in the
database (`warehouse.tokens`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from gazelle_sync.files import check_replaceable, explain, hold_lock, replace_file
from gazelle_sync.gazelle.errors import InvalidResponse, NotAuthorized, Refused
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync.redaction import hide
from gazelle_sync.translations import say

logger = logging.getLogger(__name__)

TOKEN_PATH = "/developer/oauth/token"  # noqa: S105  an address
AUTHORIZE_PATH = "/developer/oauth/authorize"

# A token is renewed so many seconds before it expires, so that none expires between two pages; but not sooner than
# in the last tenth of its life, or one that lives for minutes would be renewed for each request.
MARGIN = 300
SHARE_OF_LIFE = 0.1

# Seconds. Whoever holds the token asks Gazelle meanwhile, for two minutes at most.
LOCK_PATIENCE = 150.0
# Seconds between the tries to save a new token, which is lost with this process.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


class ApiKey:
    """A personal key, sent as `x-gazelle-api-key` and without `Authorization`."""

    def __init__(self, key: str) -> None:
        hide(key)
        self._key = key

    def headers(self) -> Mapping[str, str]:
        return {"x-gazelle-api-key": self._key}

    def renew(self, refused: Mapping[str, str]) -> bool:
        return False


@dataclass(frozen=True)
class Token:
    """Gazelle's token reply. `expires_at` is in seconds since 1970; None when it was not told."""

    access_token: str
    refresh_token: str | None
    expires_at: float | None
    margin: float = field(default=MARGIN, compare=False)

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at})"

    @staticmethod
    def parse(reply: Any) -> Token:
        """From the token endpoint's JSON, or a file that holds it. Raises `InvalidResponse`."""
        if not isinstance(reply, dict) or not isinstance(reply.get("access_token"), str):
            raise InvalidResponse(say("token_without_access"))
        created, lifetime = reply.get("created_at"), reply.get("expires_in")
        tokens = reply["access_token"], reply.get("refresh_token")
        hide(*(token for token in tokens if isinstance(token, str)))
        if not isinstance(created, (int, float)) or not isinstance(lifetime, (int, float)):
            return Token(*tokens, None)
        return Token(*tokens, created + lifetime, min(MARGIN, SHARE_OF_LIFE * lifetime))

    def to_json(self) -> dict[str, object]:
        """In the token endpoint's own shape, so that `parse` reads it back."""
        reply: dict[str, object] = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        if self.expires_at is not None:
            now = int(time.time())
            reply.update(created_at=now, expires_in=int(self.expires_at) - now)
        return reply

    @property
    def stale(self) -> bool:
        return self.expires_at is not None and time.time() > self.expires_at - self.margin


class HeldToken(Protocol):
    """The stored token, as the JSON object that `Token.parse` reads, while nobody else may change it."""

    def read(self) -> dict[str, Any] | None: ...

    def check_writable(self) -> None:
        """Raises what `write` would, before anything depends on it."""

    def write(self, token: dict[str, object]) -> None:
        """May be called again after it failed."""


class TokenStore(Protocol):
    """Where the token lives. `held` excludes every other process, on this host or any that shares it."""

    def held(self) -> AbstractContextManager[HeldToken]: ...


class TokenFile:
    """A token in a JSON file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self) -> Iterator[TokenFile]:
        """Raises `NotAuthorized`, also when another process keeps the token for too long."""
        try:
            with hold_lock(self._path, timeout=LOCK_PATIENCE):
                yield self
        except OSError as error:
            raise NotAuthorized(say("token_file_unusable", path=self._path, why=explain(error))) from None

    def read(self) -> dict[str, Any] | None:
        try:
            token: dict[str, Any] = json.loads(self._path.read_text())
            Token.parse(token)
        except FileNotFoundError:
            return None
        except (ValueError, InvalidResponse):
            raise NotAuthorized(say("token_file_is_none", path=self._path)) from None
        return token

    def check_writable(self) -> None:
        check_replaceable(self._path)

    def write(self, token: dict[str, object]) -> None:
        replace_file(self._path, json.dumps(token))


class OAuth:
    """An OAuth app's token: read on first use, renewed before it expires and after a 401."""

    def __init__(self, transport: Transport, client_id: str, client_secret: str, store: TokenStore) -> None:
        self._transport = transport
        self._app = {"client_id": client_id, "client_secret": client_secret}
        self._store = store
        self._token: Token | None = None
        # What Gazelle gave for a refresh token that is spent now, and that could not be saved yet.
        self._unsaved: Token | None = None
        self._renewing = threading.Lock()

    def headers(self) -> Mapping[str, str]:
        """Raises `NotAuthorized` when there is no token, or it can't be renewed."""
        with self._renewing:
            if self._token is None or self._token.stale:
                self._token = self._fresh_token(refused=None)
            return self._headers(self._token)

    def renew(self, refused: Mapping[str, str]) -> bool:
        with self._renewing:
            if self._token is not None and self._headers(self._token) == refused:
                self._token = self._fresh_token(refused=self._token.access_token)
            return True

    def exchange(self, code: str, redirect_uri: str) -> None:
        """Turns the code of an authorization into a token, and stores it."""
        with self._store.held() as held:
            held.check_writable()
            self._save(held, self._ask("authorization_code", code=code, redirect_uri=redirect_uri))

    def lasts(self) -> bool:
        """Whether the stored token can be renewed when it expires; without that, a person has to log in again."""
        with self._store.held() as held:
            stored = held.read()
            return stored is not None and Token.parse(stored).refresh_token is not None

    def check_place(self) -> None:
        """Raises what keeping a renewed token would; where there is none to be renewed, nothing is looked at."""
        with self._store.held() as held:
            if held.read() is not None:
                held.check_writable()

    @staticmethod
    def _headers(token: Token) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {token.access_token}"}

    def _fresh_token(self, refused: str | None) -> Token:
        with self._store.held() as held:
            if self._unsaved is not None:
                self._save(held, self._unsaved)
            stored = held.read()
            if stored is None:
                raise NotAuthorized(say("no_token"))
            token = Token.parse(stored)
            # Another process may have renewed it while this one waited for the lock.
            if token.access_token != refused and not token.stale:
                return token
            if token.refresh_token is None:
                raise NotAuthorized(say("token_expired"))
            # A refresh token is spent by being used: what replaces it must have a place.
            held.check_writable()
            renewed = self._ask("refresh_token", refresh_token=token.refresh_token)
            # A reply without a refresh token means that the old one stays good.
            renewed = replace(renewed, refresh_token=renewed.refresh_token or token.refresh_token)
            self._save(held, renewed)
            return renewed

    def _save(self, held: HeldToken, token: Token) -> None:
        """Before it is used, and again and again: what it was given for is spent. Raises `NotAuthorized`.

        A token that could not be saved is kept, and saved when one is asked for the next time.
        """
        self._unsaved = token
        for pause in (*PAUSES, None):
            try:
                held.write(token.to_json())
                break
            except Exception as error:  # whatever it is: nothing else may lose the login
                why = explain(error) if isinstance(error, OSError) else error
                if pause is None:
                    raise NotAuthorized(say("token_not_saved", why=why)) from None
                logger.warning(say("token_is_saved_again", why=why, seconds=pause))
                time.sleep(pause)
        self._unsaved = None

    def _ask(self, grant_type: str, **grant: str) -> Token:
        def read(reply: Any, _: object) -> Token:
            # By this machine's clock, which is the one that `stale` reads.
            return Token.parse({**reply, "created_at": time.time()} if isinstance(reply, dict) else reply)

        try:
            return self._transport.post(
                TOKEN_PATH, "the OAuth token", read, form={"grant_type": grant_type, **grant, **self._app}
            )
        except (Refused, NotAuthorized):
            # The answer is not shown: an OAuth server may echo what it was sent.
            raise NotAuthorized(say("grant_refused", grant=grant_type)) from None
