"""The sandbox's OAuth server: codes, access tokens that expire, refresh tokens that rotate.

As Gazelle's: a refresh token is dead once it was used, and the reply may come without a new one. What HTTP
request it came in must stay out: that is `server.py`.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Any


class Refused(Exception):
    """A token request that is refused, with the OAuth error (`invalid_grant`…) and its HTTP status."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


@dataclass
class TokenIssuer:
    """Issues and checks tokens for one app. Safe to use from any thread."""

    client_id: str
    client_secret: str
    access_token_lifetime: float = 2_592_000
    rotate_refresh_tokens: bool = True
    omit_refresh_token_in_reply: bool = False
    _codes: dict[str, str] = field(default_factory=dict)
    _access_tokens: dict[str, float] = field(default_factory=dict)
    _refresh_tokens: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def code(self, redirect_uri: str) -> str:
        """A code for one exchange, from one who comes back with the same `redirect_uri`."""
        with self._lock:
            code = secrets.token_urlsafe(24)
            self._codes[code] = redirect_uri
            return code

    def pair(self, *, with_refresh_token: bool = True) -> dict[str, Any]:
        """A new token reply: access_token, token_type, expires_in, created_at and, as a rule, refresh_token."""
        with self._lock:
            return self._pair(with_refresh_token)

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        """The reply to a token request; raises `Refused`."""
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            raise Refused("invalid_client", 401)
        with self._lock:
            grant_type = form.get("grant_type")
            if grant_type == "authorization_code":
                redirect_uri = self._codes.pop(form.get("code", ""), None)
                if redirect_uri is None or redirect_uri != form.get("redirect_uri"):
                    raise Refused("invalid_grant")
                return self._pair(True)
            if grant_type == "refresh_token":
                refresh_token = form.get("refresh_token", "")
                if refresh_token not in self._refresh_tokens:
                    raise Refused("invalid_grant")
                keep_old = self.omit_refresh_token_in_reply or not self.rotate_refresh_tokens
                if keep_old:
                    reply = self._pair(False)
                    return reply if self.omit_refresh_token_in_reply else {**reply, "refresh_token": refresh_token}
                self._refresh_tokens.remove(refresh_token)
                return self._pair(True)
            raise Refused("unsupported_grant_type")

    def accepts(self, access_token: str) -> bool:
        """Whether the access token was issued here and has not expired."""
        with self._lock:
            return self._access_tokens.get(access_token, 0) > time.time()

    def expire_access_tokens(self) -> None:
        """Every access token is out of date; refresh tokens live on."""
        with self._lock:
            self._access_tokens.clear()

    def revoke_everything(self) -> None:
        """As when someone withdraws the app's authorization: nothing issued before is worth anything."""
        with self._lock:
            self._access_tokens.clear()
            self._refresh_tokens.clear()
            self._codes.clear()

    def _pair(self, with_refresh_token: bool) -> dict[str, Any]:
        now = time.time()
        access_token = secrets.token_urlsafe(32)
        self._access_tokens[access_token] = now + self.access_token_lifetime
        reply: dict[str, Any] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": int(self.access_token_lifetime),
            "created_at": int(now),
        }
        if with_refresh_token:
            reply["refresh_token"] = secrets.token_urlsafe(32)
            self._refresh_tokens.add(reply["refresh_token"])
        return reply
