"""Where settings come from, what they default to, and that half a configuration is refused in one sentence."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gazelle_sync.environment import settings as environment
from gazelle_sync.environment.settings import CHOSEN, DEFAULTS, Misconfigured
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.project import SOURCE

# The contract's table, told again.
CONTRACT = {
    "GAZELLE_BASE_URL": "https://gazelleapp.io",
    "GAZELLE_API_KEY": "",
    "GAZELLE_CLIENT_ID": "",
    "GAZELLE_CLIENT_SECRET": "",
    "GAZELLE_TOKEN_FILE": "config/token.json",
    "GAZELLE_TIMEZONE": "America/Toronto",
    "GAZELLE_REQUESTS_PER_SECOND": "5",
    "GAZELLE_CONCURRENT_REQUESTS": "4",
    "GAZELLE_HISTORY_START": "2017-01-01",
    "SUPABASE_DB_URL": "",
    "SLACK_WEBHOOK_URL": "",
    "ALERT_EMAIL_TO": "",
    "SMTP_URL": "",
    "GAZELLE_SYNC_LANG": "",
}


def write_env(root: Path, text: str, file: str = ".env") -> None:
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(text)


# -- where a value is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("process", "env", "config_env", "read"),
    [
        ("Europe/Paris", "Asia/Tokyo", "Africa/Cairo", "Europe/Paris"),
        (None, "Asia/Tokyo", "Africa/Cairo", "Asia/Tokyo"),
        (None, None, "Africa/Cairo", "Africa/Cairo"),
        (None, None, None, "America/Toronto"),
        # An empty value counts as unset, wherever it stands.
        ("", "Asia/Tokyo", "Africa/Cairo", "Asia/Tokyo"),
        (None, "", "Africa/Cairo", "Africa/Cairo"),
        ("", "", "", "America/Toronto"),
    ],
)
def test_the_process_wins_over_env_and_env_over_config_env(
    bare: pytest.MonkeyPatch, process: str | None, env: str | None, config_env: str | None, read: str
) -> None:
    if process is not None:
        bare.setenv("GAZELLE_TIMEZONE", process)
    for file, value in ((".env", env), ("config/.env", config_env)):
        if value is not None:
            write_env(environment.ROOT, f"GAZELLE_TIMEZONE={value}\n", file)
    environment.load_files()
    assert environment.read_settings().zone.key == read


def test_a_copied_example_does_not_hide_what_config_env_says(bare: pytest.MonkeyPatch) -> None:
    write_env(environment.ROOT, (SOURCE / ".env.example").read_text())
    write_env(environment.ROOT, "SUPABASE_DB_URL=postgresql://db\nGAZELLE_API_KEY=key\n", "config/.env")
    environment.load_files()
    assert os.environ["GAZELLE_API_KEY"] == "key"
    assert not environment.read_settings().embedded


def test_the_example_copied_as_it_stands_configures_nothing(bare: pytest.MonkeyPatch) -> None:
    write_env(environment.ROOT, (SOURCE / ".env.example").read_text())
    environment.load_files()
    assert environment.read_settings().embedded


def test_a_variable_that_is_not_ours_is_passed_on_too(bare: pytest.MonkeyPatch) -> None:
    bare.delenv("DAGSTER_HOME", raising=False)
    write_env(environment.ROOT, "DAGSTER_HOME=/somewhere/else\n")
    environment.load_files()
    assert os.environ["DAGSTER_HOME"] == "/somewhere/else"


def test_children_are_given_the_defaults_but_never_a_choice_that_nobody_made(bare: pytest.MonkeyPatch) -> None:
    environment.load_files()
    passed_on = {name: os.environ[name] for name in CONTRACT}
    assert passed_on == {**CONTRACT, "GAZELLE_BASE_URL": ""}
    assert environment.read_settings().embedded


# What is set of the old service's variables → the reference in the string that is shown.
OF_THE_OLD_SERVICE = {
    "both": ({"SUPABASE_URL": "https://abcdefghijklm.supabase.co", "SUPABASE_KEY": "geheim"}, "abcdefghijklm"),
    "an address of one's own": ({"SUPABASE_URL": "https://db.example.com", "SUPABASE_KEY": "geheim"}, "<project-ref>"),
    "the key": ({"SUPABASE_KEY": "geheim"}, "<project-ref>"),
}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("given", OF_THE_OLD_SERVICE)
def test_who_comes_from_the_old_service_is_shown_the_string_to_copy(
    bare: pytest.MonkeyPatch, given: str, language: str
) -> None:
    old, reference = OF_THE_OLD_SERVICE[given]
    app = {"GAZELLE_CLIENT_ID": "id", "GAZELLE_CLIENT_SECRET": "secret", "GAZELLE_SYNC_LANG": language}
    with pytest.raises(Misconfigured) as refused:
        environment.read_settings({**old, **app})
    text = str(refused.value)
    assert f"postgresql://postgres.{reference}:<password>@<region>.pooler.supabase.com:5432/postgres" in text
    assert ", ".join(old) in text
    assert "geheim" not in text
    page = {"en": "docs/setup.md", "fr": "docs/setup.fr.md"}[language]
    assert page in text
    assert all(name in (SOURCE / page).read_text() for name in old)


# -- what there is ----------------------------------------------------------------------------------------------------


def test_every_variable_of_the_contract_is_known_with_its_default() -> None:
    assert {name: DEFAULTS[name] for name in CONTRACT} == CONTRACT


def test_the_example_lists_every_variable_there_is_and_its_default() -> None:
    lines = (SOURCE / ".env.example").read_text().splitlines()
    listed = dict(match.groups() for line in lines if (match := re.fullmatch(r"(?:# )?([A-Z_]+)=(.*)", line)))
    assert listed == DEFAULTS


def test_nothing_set_means_the_embedded_services_and_the_defaults(bare: pytest.MonkeyPatch) -> None:
    settings = environment.read_settings({})
    assert settings.embedded
    assert settings.base_url == "https://gazelleapp.io"
    assert settings.zone == ZoneInfo("America/Toronto")
    assert settings.history_start == date(2017, 1, 1)
    assert settings.requests_per_second == 5
    assert settings.language == "en"


# -- half a configuration ---------------------------------------------------------------------------------------------


def filled(names: Iterable[str]) -> dict[str, str]:
    """These variables with a value each, as it may be; no word that anything else says, as some are secrets."""
    return {name: "https://xyzzy.example" if name == "GAZELLE_BASE_URL" else "xyzzy" for name in names}


@pytest.mark.parametrize("set_", [set_ for n in range(6) for set_ in itertools.combinations(CHOSEN, n)])
def test_only_all_of_a_configuration_or_none_is_taken(set_: tuple[str, ...]) -> None:
    environ = dict.fromkeys(CHOSEN, "") | filled(set_)
    app = {"GAZELLE_CLIENT_ID", "GAZELLE_CLIENT_SECRET"} & set(set_)
    whole = "SUPABASE_DB_URL" in set_ and len(app) != 1 and ("GAZELLE_API_KEY" in set_ or len(app) == 2)
    if whole or not set_:
        assert environment.read_settings(environ).embedded == (not set_)
        return
    with pytest.raises(Misconfigured) as refused:
        environment.read_settings(environ)
    # It names a variable to set, and one that is indeed unset.
    named = re.findall("|".join(CHOSEN), str(refused.value))
    assert set(named) - set(set_)
    assert "xyzzy" not in str(refused.value)


@pytest.mark.parametrize(
    ("set_", "said"),
    [
        (["SUPABASE_DB_URL"], "Gazelle's credentials are not set, though a database is."),
        (["SUPABASE_DB_URL", "GAZELLE_BASE_URL"], "Gazelle's credentials are not set, though a database is."),
        (["GAZELLE_API_KEY"], "SUPABASE_DB_URL is not set, though Gazelle is configured."),
        (["GAZELLE_BASE_URL"], "SUPABASE_DB_URL is not set, though Gazelle is configured."),
        (["GAZELLE_CLIENT_ID", "GAZELLE_CLIENT_SECRET"], "SUPABASE_DB_URL is not set, though Gazelle is configured."),
        (["SUPABASE_DB_URL", "GAZELLE_CLIENT_ID"], "GAZELLE_CLIENT_SECRET is not set"),
        (["SUPABASE_DB_URL", "GAZELLE_CLIENT_SECRET"], "GAZELLE_CLIENT_ID is not set"),
        (["SUPABASE_DB_URL", "GAZELLE_API_KEY", "GAZELLE_CLIENT_ID"], "GAZELLE_CLIENT_SECRET is not set"),
    ],
)
def test_half_a_configuration_is_told_by_what_is_missing(set_: list[str], said: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(said)):
        environment.read_settings(filled(set_))


# -- values that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GAZELLE_TIMEZONE", "Toronto", "GAZELLE_TIMEZONE=Toronto is no time zone. Write one like America/Toronto."),
        ("GAZELLE_TIMEZONE", "America", "GAZELLE_TIMEZONE=America is no time zone."),
        ("GAZELLE_TIMEZONE", "../../etc/passwd", "is no time zone."),
        ("GAZELLE_HISTORY_START", "01/02/2017", "GAZELLE_HISTORY_START=01/02/2017 is no day. Write it as 2017-01-01."),
        ("GAZELLE_HISTORY_START", "2017-02-30", "is no day."),
        # Python 3.10 does not read it, 3.11 does: it must not depend on that.
        ("GAZELLE_HISTORY_START", "20170101", "is no day."),
        ("GAZELLE_HISTORY_START", "2017-1-1", "is no day."),
        ("GAZELLE_HISTORY_START", "2999-01-01", "GAZELLE_HISTORY_START=2999-01-01 is still to come"),
        ("GAZELLE_HISTORY_START", "0001-01-01", "GAZELLE_HISTORY_START=0001-01-01 is before 1900"),
        ("GAZELLE_REQUESTS_PER_SECOND", "fast", "GAZELLE_REQUESTS_PER_SECOND=fast is no number above zero."),
        ("GAZELLE_REQUESTS_PER_SECOND", "0", "is no number above zero."),
        ("GAZELLE_CONCURRENT_REQUESTS", "0", "is no whole number from 1 to 16."),
        ("GAZELLE_CONCURRENT_REQUESTS", "many", "GAZELLE_CONCURRENT_REQUESTS=many is no whole number"),
        ("GAZELLE_REQUESTS_PER_SECOND", "-1", "is no number above zero."),
        ("GAZELLE_REQUESTS_PER_SECOND", "nan", "is no number above zero."),
        ("GAZELLE_REQUESTS_PER_SECOND", "inf", "is no number above zero."),
        ("GAZELLE_PATIENCE", "15", "GAZELLE_PATIENCE=15 is not a duration. Write one like 90s, 15m or 1h."),
        ("GAZELLE_PATIENCE", "0m", "is not a duration."),
        ("GAZELLE_PATIENCE", "-5m", "is not a duration."),
        ("GAZELLE_PATIENCE", "a while", "is not a duration."),
        (
            "GAZELLE_TABLES_OFF",
            "pianos, invoice, photos",
            "GAZELLE_TABLES_OFF names invoice, photos, and there is no such table. There are ",
        ),
        ("GAZELLE_SYNC_LANG", "de", "GAZELLE_SYNC_LANG=de is not a language of this command: en or fr."),
    ],
)
def test_a_value_that_is_none_is_refused_with_what_to_write(name: str, value: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(said)):
        environment.read_settings({name: value})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("15 m", 900)])
def test_patience_is_a_duration(text: str, seconds: float) -> None:
    assert environment.read_settings({"GAZELLE_PATIENCE": text}).patience == seconds


@pytest.mark.parametrize(
    "url", ["gazelleapp.io", "ftp://gazelleapp.io", "https://", "http://[::1", "https://a b", "https://x:y", "//x"]
)
def test_an_address_of_gazelle_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"GAZELLE_BASE_URL is not an address\. Write one like"):
        environment.parse_base_url(url)


@pytest.mark.parametrize(
    "host", ["gazelleapp.io", "10.0.0.7", "192.168.1.20", "127.0.0.1.example.com", "[::2]", "localhost.io"]
)
def test_no_key_and_no_data_go_to_another_machine_in_clear_text(host: str) -> None:
    with pytest.raises(Misconfigured, match=r"begins with http:// for .*, which is not this machine") as refused:
        environment.parse_base_url(f"http://{host}:8080/")
    assert "Write https://" in str(refused.value)
    assert environment.parse_base_url(f"https://{host}:8080/") == f"https://{host}:8080/"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_to_this_machine_they_may(host: str) -> None:
    assert environment.parse_base_url(f"http://{host}:8080") == f"http://{host}:8080"


@pytest.mark.parametrize("text", ["estimates,piano_photos", " piano_photos , estimates,, "])
def test_tables_that_are_off_are_named_with_commas_between_them(text: str) -> None:
    settings = environment.read_settings({"GAZELLE_TABLES_OFF": text})
    assert set(settings.tables_off) == {"estimates", "piano_photos"}
    assert settings.tables.keys() == TABLES.keys() - {"estimates", "piano_photos"}


def test_a_history_that_begins_today_is_one() -> None:
    assert environment.read_settings({"GAZELLE_HISTORY_START": date.today().isoformat()}).history_start == date.today()


# -- language ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"LANG": "fr_CA.UTF-8"}, "fr"),
        ({"LANG": "en_CA.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
        # As the locale itself is chosen: LC_ALL, then LC_MESSAGES, then LANG.
        ({"LANG": "fr_CA.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_CA.UTF-8", "LC_MESSAGES": "fr_FR"}, "fr"),
        ({"LANG": "fr_CA.UTF-8", "GAZELLE_SYNC_LANG": "en"}, "en"),
        ({"LANG": "en_CA.UTF-8", "GAZELLE_SYNC_LANG": "fr"}, "fr"),
    ],
)
def test_the_language_is_the_one_set_or_else_the_locale_s(
    bare: pytest.MonkeyPatch, variables: dict[str, str], language: str
) -> None:
    for name, value in variables.items():
        bare.setenv(name, value)
    assert environment.read_settings().language == language
