"""The authorization-code flow: an address to open, a callback on localhost, a token to keep.

Keep out: tokens themselves (`gazelle.auth`).
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from gazelle_sync.environment.settings import Misconfigured
from gazelle_sync.files import explain
from gazelle_sync.gazelle import NotAuthorized, OAuth
from gazelle_sync.gazelle.auth import AUTHORIZE_PATH
from gazelle_sync.translations import say

# Registered with the app in Gazelle's developer console, so it does not change.
PORT = 8765
CALLBACK_PATH = "/callback"
# Seconds that a person has to find the password.
PATIENCE = 600


def log_in(oauth: OAuth, base_url: str, client_id: str, port: int, show: Callable[[str], None]) -> None:
    """Shows the address to open, waits for the browser to come back, and stores the token.

    Raises `NotAuthorized` when nobody came, or Gazelle said no, and `Misconfigured` when something else listens on
    the port.
    """
    state = secrets.token_urlsafe(24)
    try:
        listening = CallbackServer(port, state)
    except OSError as error:
        raise Misconfigured(say("callback_port_taken", port=port, why=explain(error))) from None
    with listening as server:
        redirect_uri = f"http://localhost:{server.server_port}{CALLBACK_PATH}"
        asked = {"client_id": client_id, "response_type": "code", "redirect_uri": redirect_uri, "state": state}
        show(f"{base_url.rstrip('/')}{AUTHORIZE_PATH}?{urlencode(asked)}")
        oauth.exchange(server.wait_for_code(), redirect_uri)


class CallbackServer(ThreadingHTTPServer):
    """Listens on this machine for the browser that comes back from Gazelle with this login's `state`.

    Each connection has a thread: one that says nothing, or a byte now and then, keeps nobody waiting.
    """

    daemon_threads = True

    def __init__(self, port: int, state: str) -> None:
        """Raises `OSError` when the port is taken."""
        super().__init__(("127.0.0.1", port), Callback)
        self.state = state
        self.answers: queue.Queue[dict[str, str]] = queue.Queue()

    def is_ours(self, answer: dict[str, str]) -> bool:
        """Whether it comes from the address that was shown; any page that a browser has open can call here."""
        return secrets.compare_digest(answer.get("state", "").encode(), self.state.encode())

    def wait_for_code(self) -> str:
        """Raises `NotAuthorized` when nobody comes in time, or Gazelle says no."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
        try:
            answer = self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise NotAuthorized(say("nobody_authorized", minutes=PATIENCE // 60)) from None
        finally:
            self.shutdown()
        if "code" not in answer:
            why = answer.get("error_description") or answer.get("error") or say("no_reason_given")
            raise NotAuthorized(say("not_authorized_by_gazelle", why=why))
        return answer["code"]


class Callback(BaseHTTPRequestHandler):
    """Takes the answer of the one login that is under way; what else comes is told that it is not meant."""

    server: CallbackServer
    # Seconds, for each read.
    timeout = 2

    def do_GET(self) -> None:  # the name that http.server calls
        address = urlsplit(self.path)
        if address.path != CALLBACK_PATH:
            self.send_error(404)
            return
        answer = {name: values[0] for name, values in parse_qs(address.query).items()}
        if not self.server.is_ours(answer):
            self.show(400, say("callback_of_another"))
            return
        self.show(200, say("callback_done"))
        self.server.answers.put(answer)

    def show(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the request line holds the code."""
