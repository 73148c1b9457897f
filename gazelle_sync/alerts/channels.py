"""Which channels are on. Keep out: reading the environment, sending."""

from __future__ import annotations

from gazelle_sync.alerts.channel import Channel
from gazelle_sync.alerts.mail import Email
from gazelle_sync.alerts.slack import Slack
from gazelle_sync.translations import say


def channels_from(slack_webhook_url: str, alert_email_to: str, smtp_url: str) -> list[Channel]:
    """The channels that are configured; each is off while its variables are empty.

    Raises `ValueError`, which says which variable is missing or wrong and shows none of them.
    """
    channels: list[Channel] = []
    if slack_webhook_url:
        channels.append(Slack(slack_webhook_url))
    if alert_email_to and not smtp_url:
        raise ValueError(say("smtp_url_not_set"))
    if smtp_url and not alert_email_to:
        raise ValueError(say("alert_email_not_set"))
    if smtp_url:
        channels.append(Email(smtp_url, alert_email_to))
    return channels
