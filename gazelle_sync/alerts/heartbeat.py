"""A sign of life for a watcher outside, who tells when it stays away. Keep out: when it is given."""

from __future__ import annotations

from gazelle_sync.alerts import web
from gazelle_sync.translations import say


def send_heartbeat(url: str) -> None:
    """Asks for the address once. Raises `NotSent` (no answer, or none of 2xx) and `ValueError` (no address)."""
    web.check(url, "HEARTBEAT_URL")
    web.ask("GET", url, say("the_heartbeat"))
