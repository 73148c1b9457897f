"""What the environment says: every variable, its default, and what it means when it is half set.

Read from the process, then from `.env`, then from `config/.env`; an empty value counts as unset.
Keep out: anything that acts on a setting.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values

# Where dagster.yaml, .env and var/ are: an editable install, which `make install` does, keeps them together.
ROOT = Path(__file__).resolve().parent.parent

DEFAULTS = {
    "GAZELLE_BASE_URL": "https://gazelleapp.io",
    "GAZELLE_API_KEY": "",
    "GAZELLE_CLIENT_ID": "",
    "GAZELLE_CLIENT_SECRET": "",
    "GAZELLE_TOKEN_FILE": "config/token.json",
    "GAZELLE_TIMEZONE": "America/Toronto",
    "GAZELLE_REQUESTS_PER_SECOND": "5",
    "GAZELLE_HISTORY_START": "2017-01-01",
    "SUPABASE_DB_URL": "",
    "SLACK_WEBHOOK_URL": "",
    "ALERT_EMAIL_TO": "",
    "SMTP_URL": "",
    "HEARTBEAT_URL": "",
    "DAGSTER_POSTGRES_URL": "",
    "DAGSTER_UI_URL": "http://127.0.0.1:3000",
    "GAZELLE_SYNC_LANG": "",
}

# Any of these says that somebody means to use the real thing.
CHOSEN = ("SUPABASE_DB_URL", "GAZELLE_BASE_URL", "GAZELLE_API_KEY", "GAZELLE_CLIENT_ID", "GAZELLE_CLIENT_SECRET")


class Misconfigured(Exception):
    """The configuration can't work. The message says which variable, and what to write there."""


@dataclass(frozen=True)
class Settings:
    """The environment, checked. `embedded` means that nothing is set: the bundled services serve."""

    embedded: bool
    base_url: str
    zone: ZoneInfo
    history_start: date
    requests_per_second: float
    language: str


def load() -> None:
    """Fills the process's environment from the files, and with the defaults, so that children have them too.

    Variables that say what is chosen are not filled with defaults: a child has to see what is unset.
    """
    for file in (ROOT / ".env", ROOT / "config" / ".env"):
        for name, value in dotenv_values(file).items():
            # An empty value must not hide what is read after it: a copied .env.example is full of them.
            if value and not os.environ.get(name):
                os.environ[name] = value
    for name, default in DEFAULTS.items():
        if not os.environ.get(name):
            os.environ[name] = "" if name in CHOSEN else default


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Raises `Misconfigured`."""
    value = {name: environ.get(name) or default for name, default in DEFAULTS.items()}
    return Settings(
        embedded=nothing_chosen(environ),
        base_url=value["GAZELLE_BASE_URL"],
        zone=zone(value["GAZELLE_TIMEZONE"]),
        history_start=history_start(value["GAZELLE_HISTORY_START"]),
        requests_per_second=requests_per_second(value["GAZELLE_REQUESTS_PER_SECOND"]),
        language=language(value["GAZELLE_SYNC_LANG"]),
    )


def nothing_chosen(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the bundled services serve. Half a choice would mix them with the real ones: `Misconfigured`."""
    if not any(environ.get(name) for name in CHOSEN):
        return True
    app = bool(environ.get("GAZELLE_CLIENT_ID")), bool(environ.get("GAZELLE_CLIENT_SECRET"))
    if any(app) and not all(app):
        missing = "GAZELLE_CLIENT_SECRET" if app[0] else "GAZELLE_CLIENT_ID"
        raise Misconfigured(f"{missing} is not set: an OAuth app has both an id and a secret.")
    if not environ.get("SUPABASE_DB_URL"):
        raise Misconfigured(
            "SUPABASE_DB_URL is not set, though Gazelle is configured. Set it to the database's connection string, "
            "or unset every GAZELLE_ variable to use the bundled sandbox and database."
        )
    if not environ.get("GAZELLE_API_KEY") and not all(app):
        raise Misconfigured(
            "Gazelle's credentials are not set, though a database is. Set GAZELLE_API_KEY, or GAZELLE_CLIENT_ID and "
            "GAZELLE_CLIENT_SECRET, or unset SUPABASE_DB_URL and GAZELLE_BASE_URL to use the bundled services."
        )
    return False


def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Misconfigured(f"GAZELLE_TIMEZONE={name} is no time zone. Write one like America/Toronto.") from None


def history_start(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Python 3.11 reads more than 3.10 does, such as 20170101.
    if day is None or day.isoformat() != text:
        raise Misconfigured(f"GAZELLE_HISTORY_START={text} is no day. Write it as 2017-01-01.")
    if not date(1900, 1, 1) <= day <= date.today():
        fault = "before 1900" if day.year < 1900 else "still to come, and history begins with the past"
        raise Misconfigured(f"GAZELLE_HISTORY_START={text} is {fault}. Write a day such as 2017-01-01.")
    return day


def requests_per_second(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0 < rate < float("inf"):
        raise Misconfigured(f"GAZELLE_REQUESTS_PER_SECOND={text} is no number above zero.")
    return rate


def language(text: str) -> str:
    """`en` or `fr`; unset, whichever the locale says."""
    if text in ("en", "fr"):
        return text
    if text:
        raise Misconfigured(f"GAZELLE_SYNC_LANG={text} is not a language of this command: en or fr.")
    spoken = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), None)
    return "fr" if (spoken or locale.getlocale()[0] or "").lower().startswith("fr") else "en"


def secrets(environ: Mapping[str, str] = os.environ) -> list[str]:
    """What must not be said to anybody: keys and passwords, also within addresses."""
    passwords = [urlsplit(environ.get(name, "")).password for name in ("SUPABASE_DB_URL", "DAGSTER_POSTGRES_URL")]
    keys = [environ.get(name) for name in ("GAZELLE_API_KEY", "GAZELLE_CLIENT_SECRET")]
    return [secret for secret in (*keys, *passwords) if secret]
