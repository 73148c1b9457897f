"""What is said of an incident: its sentences put together, with times of a zone and durations.

The sentences themselves are in `translations`, four of each kind: `<kind>_subject`, `_since`, `_advice` and `_well`.
Keep out: whom it is said to, and how.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from gazelle_sync.alerts.incident import Incident
from gazelle_sync.translations import LANGUAGES, Speech


@dataclass(frozen=True)
class Wording:
    """Words for one reader: in a language (`en` or `fr`; else `ValueError`), with times of a zone.

    Of an incident's own texts nothing is hidden or cut here: that was done when it was raised.
    """

    language: str
    zone: tzinfo

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"There are no messages in {self.language!r}: the languages are {', '.join(LANGUAGES)}.")

    def raised(self, incident: Incident) -> tuple[str, str]:
        """Subject and body of the news that something is wrong."""
        say, kind = Speech(self.language), incident.kind.value
        about = say("quoted", text=incident.about)
        lines = [
            say(f"{kind}_since", about=about, when=self._when(incident.since)),
            say("alert_why", why=incident.why) if incident.why else "",
            say("alert_advice", advice=say(f"{kind}_advice")),
            say("alert_link", link=incident.link) if incident.link else "",
        ]
        return say(f"{kind}_subject", about=about), "\n".join(line for line in lines if line)

    def well(self, incident: Incident, at: datetime) -> tuple[str, str]:
        """Subject and body of the news that it is well again."""
        say = Speech(self.language)
        subject = say(f"{incident.kind.value}_well", about=say("quoted", text=incident.about))
        lasted = say("alert_lasted", duration=duration(at - incident.since, say), when=self._when(incident.since))
        return subject, f"{subject}. {lasted} {say('alert_nothing_to_do')}"

    def _when(self, moment: datetime) -> str:
        say = Speech(self.language)
        local = moment.astimezone(self.zone)
        return say(
            "alert_time",
            day=say("first_of_month") if local.day == 1 else local.day,
            month=say("months").split()[local.month - 1],
            year=local.year,
            hour=local.hour,
            minute=local.minute,
            zone=self.zone,
            # The name of a zone leaves the hour that a clock change repeats in doubt.
            offset=offset(local.utcoffset() or timedelta()),
        )


def offset(from_utc: timedelta) -> str:
    minutes = round(abs(from_utc).total_seconds() / 60)
    if not minutes:
        return "UTC"
    sign = "+" if from_utc > timedelta() else "−"
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def duration(length: timedelta, say: Speech) -> str:
    """In its two largest units at most, rounded down: after days nobody asks for minutes."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return say("less_than_a_minute")
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [(days, "day"), (hours, "hour")] if days else [(hours, "hour"), (minutes % 60, "minute")]
    shown = [say(f"{unit}s", count=count) for count, unit in parts if count]
    return say("and", one=shown[0], other=shown[1]) if len(shown) > 1 else shown[0]
