"""Slack, by an incoming webhook. Keep out: what is said (`wording`), when it is sent (`outbox`)."""

from __future__ import annotations

from collections.abc import Collection

from gazelle_sync.alerts import web
from gazelle_sync.alerts.channel import Message
from gazelle_sync.redaction import find_keys


class Slack:
    """An incoming webhook: whoever knows its address can post, so the address is a secret."""

    name = "slack"

    def __init__(self, webhook_url: str) -> None:
        """Raises `ValueError` for what is no address."""
        web.check(webhook_url, "SLACK_WEBHOOK_URL")
        self._url = webhook_url
        self.secrets = find_keys(webhook_url)

    def send(self, message: Message, taken_by: Collection[str] = ()) -> None:
        """Raises `NotSent`. The body alone is posted: its first sentence says what the subject says."""
        web.ask("POST", self._url, "Slack", json={"text": f"[gazelle-sync] {escaped(message.body)}"})


def escaped(text: str) -> str:
    """With the three characters that mean something to Slack made plain, so that no text mentions a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
