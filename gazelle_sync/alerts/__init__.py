"""Slack and e-mail: what to say when something fails, and how to send it: once, and never lost.

Keep out: what counts as a failure, Dagster, the other rooms. Whoever notices something raises an `Incident`.
"""

from gazelle_sync.alerts.channel import Channel, NotSent
from gazelle_sync.alerts.channels import channels_from
from gazelle_sync.alerts.heartbeat import send_heartbeat
from gazelle_sync.alerts.incident import Incident, Kind
from gazelle_sync.alerts.mail import Email
from gazelle_sync.alerts.outbox import Alerts, Failure
from gazelle_sync.alerts.slack import Slack

__all__ = [
    "Alerts",
    "Channel",
    "Email",
    "Failure",
    "Incident",
    "Kind",
    "NotSent",
    "Slack",
    "channels_from",
    "send_heartbeat",
]
