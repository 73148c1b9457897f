"""The authorization-code flow: an address to open, a callback on localhost, a token to keep.

Keep out: tokens themselves (`gazelle.auth`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from gazelle_sync.environment.settings import Misconfigured
from gazelle_sync.gazelle import NotAuthorized, OAuth
from gazelle_sync.gazelle.auth import AUTHORIZE_PATH

# Registered with the app in Gazelle's developer console, so it does not change.
PORT = 8765
CALLBACK_PATH = "/callback"
# Seconds that a person has to find the password.
PATIENCE = 600


def log_in(oauth: OAuth, base_url: str, client_id: str, port: int, show: Callable[[str], None]) -> None:
    """Shows the address to open, waits for the browser to come back, and stores the token.

    Raises `NotAuthorized` when nobody came, or whoever came was not sent by this process, and `Misconfigured`
    when something else listens on the port.
    """
    state = secrets.token_urlsafe(24)
    try:
        listening = HTTPServer(("127.0.0.1", port), Callback)
    except OSError as error:
        raise Misconfigured(
            f"The callback can't listen on port {port} ({error.strerror}): free it, or give --port."
        ) from None
    with listening as server:
        redirect_uri = f"http://localhost:{server.server_port}{CALLBACK_PATH}"
        asked = {"client_id": client_id, "response_type": "code", "redirect_uri": redirect_uri, "state": state}
        show(f"{base_url.rstrip('/')}{AUTHORIZE_PATH}?{urlencode(asked)}")
        oauth.exchange(check_answer(wait_for_callback(server), state), redirect_uri)


class Callback(BaseHTTPRequestHandler):
    """Keeps the query of the one request that comes to the callback's path."""

    # Seconds. A browser may open a connection that it says nothing on, and the next one has to wait for it.
    timeout = 2

    def do_GET(self) -> None:  # the name that http.server calls
        address = urlsplit(self.path)
        if address.path != CALLBACK_PATH:
            self.send_error(404)
            return
        self.server.answer = {name: values[0] for name, values in parse_qs(address.query).items()}  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"Merci, thank you. You can close this page / Vous pouvez fermer cette page.")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the request line holds the code."""


def wait_for_callback(server: HTTPServer) -> dict[str, str]:
    server.timeout = 1
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        server.handle_request()
        answer: dict[str, str] | None = getattr(server, "answer", None)
        if answer is not None:
            return answer
    raise NotAuthorized(
        f"Nobody authorized gazelle-sync within {PATIENCE // 60} minutes. Run `gazelle-sync login` again."
    )


def check_answer(answer: dict[str, str], state: str) -> str:
    if not secrets.compare_digest(answer.get("state", "").encode(), state.encode()):
        raise NotAuthorized(
            "The callback did not come from the address that was shown (its `state` is another). "
            "Run `gazelle-sync login` again, and open the address it prints."
        )
    if "code" not in answer:
        reason = answer.get("error_description") or answer.get("error") or "no reason given"
        raise NotAuthorized(f"Gazelle did not authorize gazelle-sync: {reason}.")
    return answer["code"]
