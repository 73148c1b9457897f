"""What the environment says: every variable once, with its default and its meaning, as one typed `Settings`.

Read from the process, then from `.env`, then from `config/.env`; an empty value counts as unset. To add a variable,
add a field here and a line in `.env.example`. Keep out: anything that acts on a setting.
"""

from __future__ import annotations

import dataclasses
import locale
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values

from gazelle_sync.files import explain
from gazelle_sync.hosts import is_local
from gazelle_sync.redaction import PlainError, find_keys, find_passwords, hide
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.translations import say, speak

# Where dagster.yaml, .env and var/ are: an editable install, which `make install` does, keeps them together.
ROOT = Path(__file__).resolve().parent.parent.parent


class Misconfigured(PlainError):
    """The configuration can't work. The message says which variable, and what to write there."""


def variable(
    name: str, default: str = "", parse: Callable[[str], Any] = str, *, chosen: bool = False, secret: bool = False
) -> Any:
    """A field of `Settings`: its variable, the default as text, and how the text is read.

    `chosen` variables say that somebody means to use the real thing. A `secret` is not shown with the settings.
    """
    told = {"variable": name, "default": default, "parse": parse, "chosen": chosen, "secret": secret}
    return dataclasses.field(metadata=told, repr=not secret)


def parse_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Misconfigured(say("zone_unknown", value=text)) from None


def parse_history_start(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Python 3.11 reads more than 3.10 does, such as 20170101.
    if day is None or day.isoformat() != text:
        raise Misconfigured(say("history_start_is_no_date", value=text))
    if day.year < 1900:
        raise Misconfigured(say("history_start_too_early", value=text))
    if day > date.today():
        raise Misconfigured(say("history_start_too_late", value=text))
    return day


def parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0 < rate < float("inf"):
        raise Misconfigured(say("rate_is_no_number", value=text))
    return rate


def parse_concurrent(text: str) -> int:
    if not re.fullmatch(r"[1-9]|1[0-6]", text):
        raise Misconfigured(say("concurrent_is_no_count", value=text))
    return int(text)


def parse_base_url(text: str) -> str:
    """An address of HTTPS, or of HTTP for this machine alone: a key and everybody's data would travel in the clear.

    Without credentials: it is shown, and what it would say of a password is nobody's business.
    """
    if "@" in text:
        raise Misconfigured(say("base_url_with_credentials"))
    try:
        parts = urlsplit(text)
        sound = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        sound = False
    if not sound or re.search(r"\s", text):
        raise Misconfigured(say("base_url_is_no_address"))
    if parts.scheme == "http" and not is_local(str(parts.hostname)):
        raise Misconfigured(say("base_url_in_the_clear", host=parts.hostname))
    return text


def parse_patience(text: str) -> float:
    """Seconds, of `90s`, `15m` or `1h`."""
    found = re.fullmatch(r"(\d{1,6})\s*([smh])", text, re.ASCII)
    if not found or not int(found[1]):
        raise Misconfigured(say("patience_is_no_duration", value=text))
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def parse_tables_off(text: str) -> tuple[str, ...]:
    """Names of tables, separated by commas, in the order in which tables are read."""
    names = {name.strip() for name in text.split(",")} - {""}
    if unknown := sorted(names - TABLES.keys()):
        raise Misconfigured(say("table_off_unknown", names=", ".join(unknown), tables=", ".join(TABLES)))
    return tuple(name for name in TABLES if name in names)


def parse_switch(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise Misconfigured(say("status_page_names_is_no_switch", value=text))
    return text.lower() == "on"


def parse_language(text: str) -> str:
    """`en` or `fr`; unset, whichever the locale says."""
    if text in ("en", "fr"):
        return text
    if text:
        raise Misconfigured(say("language_unknown", value=text))
    spoken = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), None)
    return "fr" if (spoken or locale.getlocale()[0] or "").lower().startswith("fr") else "en"


@dataclass(frozen=True)
class Settings:
    """The environment, checked. `root` is the project's folder.

    `embedded` means that nothing is chosen: the bundled sandbox and the embedded PostgreSQL serve.
    """

    base_url: str = variable("GAZELLE_BASE_URL", "https://gazelleapp.io", parse_base_url, chosen=True)
    api_key: str = variable("GAZELLE_API_KEY", chosen=True, secret=True)
    client_id: str = variable("GAZELLE_CLIENT_ID", chosen=True)
    client_secret: str = variable("GAZELLE_CLIENT_SECRET", chosen=True, secret=True)
    token_file: str = variable("GAZELLE_TOKEN_FILE", "config/token.json")
    zone: ZoneInfo = variable("GAZELLE_TIMEZONE", "America/Toronto", parse_zone)
    requests_per_second: float = variable("GAZELLE_REQUESTS_PER_SECOND", "5", parse_rate)
    concurrent_requests: int = variable("GAZELLE_CONCURRENT_REQUESTS", "4", parse_concurrent)
    patience: float = variable("GAZELLE_PATIENCE", "15m", parse_patience)
    history_start: date = variable("GAZELLE_HISTORY_START", "2017-01-01", parse_history_start)
    tables_off: tuple[str, ...] = variable("GAZELLE_TABLES_OFF", "", parse_tables_off)
    database_url: str = variable("SUPABASE_DB_URL", chosen=True, secret=True)
    slack_webhook_url: str = variable("SLACK_WEBHOOK_URL", secret=True)
    alert_email_to: str = variable("ALERT_EMAIL_TO")
    smtp_url: str = variable("SMTP_URL", secret=True)
    heartbeat_url: str = variable("HEARTBEAT_URL", secret=True)
    dagster_postgres_url: str = variable("DAGSTER_POSTGRES_URL", secret=True)
    ui_url: str = variable("DAGSTER_UI_URL", "http://127.0.0.1:3000")
    language: str = variable("GAZELLE_SYNC_LANG", "", parse_language)
    status_page_names: bool = variable("STATUS_PAGE_NAMES", "off", parse_switch)
    embedded: bool = dataclasses.field(default=False)
    root: Path = dataclasses.field(default=ROOT)

    @property
    def var(self) -> Path:
        """The folder for everything that this installation writes."""
        return self.root / "var"

    @property
    def tables(self) -> dict[str, Table]:
        """The tables that are read, in the order in which they are."""
        return {name: table for name, table in TABLES.items() if name not in self.tables_off}

    @property
    def alerts_on(self) -> bool:
        return bool(self.slack_webhook_url or self.alert_email_to or self.smtp_url or self.heartbeat_url)

    @property
    def secrets(self) -> list[str]:
        """What must not be said to anybody: keys and passwords, and what may be a part of one within an address."""
        texts = [str(getattr(self, field.name)) for field in fields()]
        keys = [key for url in (self.slack_webhook_url, self.heartbeat_url) for key in find_keys(url) if len(key) > 15]
        found = [self.api_key, self.client_secret, *keys, *(part for text in texts for part in find_passwords(text))]
        return [secret for secret in dict.fromkeys(found) if secret]


def fields() -> list[dataclasses.Field[Any]]:
    """The fields of `Settings` that are variables of the environment."""
    return [field for field in dataclasses.fields(Settings) if field.metadata]


# Variable → default, as text; and field of `Settings` → variable.
DEFAULTS: dict[str, str] = {field.metadata["variable"]: field.metadata["default"] for field in fields()}
VARIABLES: dict[str, str] = {field.name: field.metadata["variable"] for field in fields()}
CHOSEN: tuple[str, ...] = tuple(field.metadata["variable"] for field in fields() if field.metadata["chosen"])


def load_files() -> None:
    """Fills the process's environment from the files, and with the defaults, so that children have them too.

    Variables that say what is chosen are not filled with defaults: a child has to see what is unset. Raises
    `Misconfigured` for a file that can't be read.
    """
    for file in (ROOT / ".env", ROOT / "config" / ".env"):
        try:
            given = dotenv_values(file)
        except (UnicodeDecodeError, OSError) as error:
            why = explain(error) if isinstance(error, OSError) else say("not_utf8")
            raise Misconfigured(say("env_file_unreadable", file=file, why=why)) from None
        for name, value in given.items():
            # An empty value must not hide what is read after it: a copied .env.example is full of them.
            if value and not os.environ.get(name):
                os.environ[name] = value
    for name, default in DEFAULTS.items():
        if not os.environ.get(name):
            os.environ[name] = "" if name in CHOSEN else default


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of an environment; from now on, errors are in their language.

    Raises `Misconfigured`, in English where the language itself is wrong.
    """
    speak(parse_language(environ.get("GAZELLE_SYNC_LANG", "")))
    embedded = is_nothing_chosen(environ)
    if not embedded:
        check_choice(environ)
    given = {
        field.name: field.metadata["parse"](environ.get(field.metadata["variable"]) or field.metadata["default"])
        for field in fields()
    }
    settings = Settings(**given, embedded=embedded, root=ROOT)
    hide(*settings.secrets)
    return settings


def read_what_can_be(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of an environment that `read_settings` refuses, each that is wrong as if it were unset.

    To tell people of it; nothing may be read from Gazelle or written to a database with these.
    """
    given: dict[str, Any] = {}
    for field in fields():
        parse, default = field.metadata["parse"], field.metadata["default"]
        try:
            given[field.name] = parse(environ.get(field.metadata["variable"]) or default)
        except Misconfigured:
            given[field.name] = parse(default)
    settings = Settings(**given, root=ROOT)
    hide(*settings.secrets)
    return settings


def is_nothing_chosen(environ: Mapping[str, str]) -> bool:
    """Whether the bundled services serve."""
    return not any(environ.get(name) for name in CHOSEN)


def check_choice(environ: Mapping[str, str]) -> None:
    """Half a choice would mix the bundled services with the real ones: raises `Misconfigured`."""
    app = bool(environ.get("GAZELLE_CLIENT_ID")), bool(environ.get("GAZELLE_CLIENT_SECRET"))
    if any(app) and not all(app):
        raise Misconfigured(say("app_half_set", missing="GAZELLE_CLIENT_SECRET" if app[0] else "GAZELLE_CLIENT_ID"))
    if not environ.get("SUPABASE_DB_URL"):
        if old := [name for name in ("SUPABASE_URL", "SUPABASE_KEY") if environ.get(name)]:
            # The reference is not in an address of one's own.
            project = re.match(r"https://(\w+)\.supabase\.co\b", environ.get("SUPABASE_URL", ""))
            told = {"variables": ", ".join(old), "project": project[1] if project else "<project-ref>"}
            raise Misconfigured(say("database_of_old_service", **told))
        raise Misconfigured(say("database_not_set"))
    if not environ.get("GAZELLE_API_KEY") and not all(app):
        raise Misconfigured(say("credentials_not_set"))
