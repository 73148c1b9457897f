"""Which channels are on. Keep out: reading the environment, sending."""

from __future__ import annotations

from gazelle_sync.alerts.channel import Channel
from gazelle_sync.alerts.mail import Email
from gazelle_sync.alerts.slack import Slack


def channels_from(slack_webhook_url: str, alert_email_to: str, smtp_url: str) -> list[Channel]:
    """The channels that are configured; each is off while its variables are empty.

    Raises `ValueError`, which says which variable is missing or wrong and shows none of them.
    """
    channels: list[Channel] = []
    if slack_webhook_url:
        channels.append(Slack(slack_webhook_url))
    if alert_email_to and not smtp_url:
        raise ValueError(
            "SMTP_URL is not set, though ALERT_EMAIL_TO is. Set it to the server that sends the mail, "
            "as smtp://user:password@host:587, or unset ALERT_EMAIL_TO."
        )
    if smtp_url and not alert_email_to:
        raise ValueError(
            "ALERT_EMAIL_TO is not set, though SMTP_URL is. Set it to whom to write (several are separated by "
            "commas), or unset SMTP_URL."
        )
    if smtp_url:
        channels.append(Email(smtp_url, alert_email_to))
    return channels
