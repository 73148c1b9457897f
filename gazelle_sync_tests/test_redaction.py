"""What must not be said is not said, and what can't be shown is not shown: by errors, the log and the screen."""

from __future__ import annotations

import io
import logging
import traceback

import pytest
from rich.table import Table

from gazelle_sync import redaction, warehouse
from gazelle_sync.alerts import Email, NotSent, Slack, send_heartbeat
from gazelle_sync.cli.command import Screen
from gazelle_sync.environment import settings as environment
from gazelle_sync.environment.settings import Misconfigured
from gazelle_sync.gazelle import GazelleError, NotAuthorized, Refused
from gazelle_sync.gazelle.errors import Retryable
from gazelle_sync.redaction import LogFormatter, PlainError, find_passwords, make_printable
from gazelle_sync.warehouse import WarehouseError
from gazelle_sync_tests.project import Project

# A password as people paste it: `pa@ss/word`, with the two parts that programs take it apart into.
HALVES = ("MARKpa", "MARKss", "MARKword")
PASTED = "u:MARKpa@MARKss/MARKword@host"
NASTY = "\x1b[31mred\x07 \x00 \u202egnp.exe\u202c \ud800 \x9b2J end"
UNSEEN = "\x1b\x07\x00\u202e\u202c\ud800\x9b"


def test_a_database_string_that_can_be_read_in_two_ways_is_refused_and_shows_no_part_of_itself() -> None:
    for string in (
        f"postgresql://{PASTED}/db",
        "postgresql://u:MARKpa@MARKss@host/db",
        "postgresql://u:MARKpa?MARKss@MARKword@host/db",
        "postgresql://u:MARKpa@MARKss?host=@MARKword@host/db",
        "postgresql://u:MARKpa@host/db/MARKss",
        "MARKpa://u:p@host/db",
    ):
        with pytest.raises(WarehouseError, match=r"^SUPABASE_DB_URL (is not|is for another|has)") as caught:
            warehouse.connect(string)
        assert "MARK" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("SUPABASE_DB_URL", lambda: warehouse.connect(f"postgresql://{PASTED}/db")),
        (
            "DAGSTER_POSTGRES_URL",
            lambda: warehouse.make_schema(f"postgresql://{PASTED}/db", "dagster", variable="DAGSTER_POSTGRES_URL"),
        ),
        ("SMTP_URL", lambda: Email(f"smtp://{PASTED}:587", "ann@example.org")),
        ("SLACK_WEBHOOK_URL", lambda: Slack(f"https://{PASTED}/services/x")),
        ("HEARTBEAT_URL", lambda: send_heartbeat(f"https://{PASTED}/ping")),
        ("GAZELLE_BASE_URL", lambda: environment.parse_base_url(f"https://{PASTED}")),
    ],
)
def test_each_variable_with_such_a_password_is_refused_by_its_name_with_what_to_write(name, use) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises((WarehouseError, ValueError, Misconfigured), match=rf"^{name} .*://") as caught:
        use()
    assert "MARK" not in str(caught.value)


def test_the_halves_of_such_a_password_are_among_the_secrets_of_the_settings() -> None:
    address = f"postgresql://{PASTED}/db"
    assert set(HALVES) | {"MARKpa@MARKss/MARKword"} <= set(find_passwords(address))
    for name in ("SUPABASE_DB_URL", "SMTP_URL", "SLACK_WEBHOOK_URL", "HEARTBEAT_URL", "DAGSTER_POSTGRES_URL"):
        given = {"SUPABASE_DB_URL": "postgresql:///db", "GAZELLE_API_KEY": "MARK-key", name: address}
        settings = environment.read_settings(given)
        assert {"MARK-key", *HALVES} <= set(settings.secrets), name
        assert "MARK" not in str(Misconfigured(f"{PASTED} and MARK-key, and MARKss alone"))


def test_a_password_is_found_as_it_is_written_and_decoded() -> None:
    assert set(find_passwords("postgresql://u:p%40ss@host/db")) == {"p%40ss", "p@ss"}
    assert find_passwords("postgresql://host/db") == find_passwords("https://host/@me") == ()


@pytest.mark.parametrize(
    "kind", [GazelleError, NotAuthorized, Refused, Retryable, WarehouseError, Misconfigured, NotSent]
)
def test_no_error_holds_a_secret_of_this_process_nor_what_a_terminal_obeys(kind: type[PlainError]) -> None:
    redaction.hide("MARK-token", "MARK%2Fpass")
    shown = str(kind(f"it said: MARK-token, MARK/pass and MARK\n-token\n{NASTY} : à"))
    assert "MARK-" not in shown
    assert "MARK/" not in shown
    assert not set(shown) & set(UNSEEN + "\n")
    assert shown.endswith("end : à")


def test_the_log_holds_neither_and_a_traceback_keeps_its_lines() -> None:
    redaction.hide("MARK-token")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter("%(levelname)s %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        int(f"MARK-token {NASTY}")
    except ValueError:
        logger.exception("of %s", f"MARK-token{NASTY}")
    text = stream.getvalue()
    assert "MARK" not in text
    assert not set(text) & set(UNSEEN)
    assert "Traceback (most recent call last):\n  File " in text


def test_a_screen_shows_no_control_character_of_what_others_wrote() -> None:
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, width=120)
    table = Table()
    table.add_column(NASTY)
    table.add_row(NASTY)
    screen.print(table)
    screen.print(NASTY, markup=False, style="red")
    text = file.getvalue()
    assert not set(text) & set(UNSEEN.replace("\x1b", ""))
    assert "\x1b[31mred" not in text
    assert text.count("gnp.exe") == 3


def test_letters_accents_and_french_spaces_are_left_alone() -> None:
    text = "« Déjà vu » : 1\u202f000 – 日本 👍"
    assert make_printable(text) == text


def test_a_pasted_password_is_nowhere_not_even_in_part(project_with_pasted_passwords: Project) -> None:
    project = project_with_pasted_passwords
    for arguments, code in ((["check", "--quick"], 1), (["status"], 2), (["migrate"], 2), (["sync"], 2)):
        ended = project.run(*arguments)
        assert ended.code == code, ended.text
        assert "SUPABASE_DB_URL is not a connection string" in ended.text
        assert "MARK" not in ended.text
    for name in project.files():
        path = project.root.parent / name
        assert not path.is_file() or b"MARK" not in path.read_bytes(), name


@pytest.fixture
def project_with_pasted_passwords(tmp_path) -> Project:  # type: ignore[no-untyped-def]
    return Project(
        tmp_path / "project",
        SUPABASE_DB_URL=f"postgresql://{PASTED}/db",
        GAZELLE_API_KEY="some-key-or-other",
        GAZELLE_BASE_URL="http://127.0.0.1:9",
    )
