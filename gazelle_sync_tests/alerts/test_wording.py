"""What is said: whole messages in both languages, times, durations, and reasons of any length."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from gazelle_sync.alerts import Alerts, Kind, Slack
from gazelle_sync.alerts.wording import Wording, duration
from gazelle_sync.translations import LANGUAGES, TEXTS, Speech
from gazelle_sync_tests.alerts.conftest import INCIDENT, TORONTO

MESSAGES = [
    text for kind in Kind for part in ("subject", "since", "advice", "well") for text in TEXTS[f"{kind.value}_{part}"]
]


def test_a_failure_in_english(incident):
    subject, body = Wording("en", TORONTO).raised(incident(kind=Kind.TABLE_STALE, about="clients"))
    assert subject == "The table “clients” is out of date"
    assert body == (
        "The table “clients” has not been brought up to date since 16 March 2026 at 02:14 (America/Toronto, UTC−4).\n"
        "Why: 3 pianos have a client that is not in Gazelle\n"
        "What to do: Check that the Dagster daemon runs and that its schedules are on, and why the last runs did not "
        "load the table. The command “gazelle-sync sync” loads it now.\n"
        "Where to look: http://127.0.0.1:3000/runs/abc"
    )


def test_a_failure_in_french(incident):
    subject, body = Wording("fr", TORONTO).raised(incident(kind=Kind.RUN_FAILED, about="sync", why="HTTP 502"))
    assert subject == "L’exécution de «\u00a0sync\u00a0» a échoué"
    assert body == (
        "L’exécution de «\u00a0sync\u00a0» a échoué le 16\u00a0mars 2026 à 2\u00a0h\u00a014 "
        "(America/Toronto, UTC−4).\n"
        "Pourquoi\u00a0: HTTP 502\n"
        "Que faire\u00a0: Ouvrez l’exécution et lisez sa première erreur. Si la cause a disparu, il n’y a rien à "
        "réparer\u00a0: la prochaine exécution prévue reprend aussi ce qui a manqué. Sinon, éliminez la cause et "
        "relancez la même exécution.\n"
        "Où regarder\u00a0: http://127.0.0.1:3000/runs/abc"
    )


def test_well_again_in_both_languages(incident):
    at = INCIDENT.since + timedelta(days=1, hours=2, minutes=3)
    assert Wording("en", TORONTO).well(incident(about="x"), at) == (
        "The check “x” passes again",
        "The check “x” passes again. That lasted 1 day and 2 hours, since 16 March 2026 at 02:14 "
        "(America/Toronto, UTC−4). There is nothing left to do.",
    )
    assert Wording("fr", TORONTO).well(incident(about="x"), at) == (
        "Le contrôle «\u00a0x\u00a0» réussit de nouveau",
        "Le contrôle «\u00a0x\u00a0» réussit de nouveau. Cela a duré 1\u00a0jour et 2\u00a0heures, depuis le "
        "16\u00a0mars 2026 à 2\u00a0h\u00a014 (America/Toronto, UTC−4). Il n’y a plus rien à faire.",
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_all_its_words_in_every_language(language, kind, incident):
    wording = Wording(language, TORONTO)
    texts = [*wording.raised(incident(kind=kind)), *wording.well(incident(kind=kind), INCIDENT.since)]
    assert all(texts)
    assert not any("{" in text for text in texts)
    assert texts[1].count("\n") == 3


@pytest.mark.parametrize("text", MESSAGES)
def test_apostrophes_and_quotation_marks_are_those_of_typography(text):
    assert not re.search(r"['\"]", text)


def test_french_has_no_break_spaces_where_it_wants_them():
    for name, (_, text) in TEXTS.items():
        assert not re.search(r" [:;!?»]|[^\s/{\w][:»]$|« ", text), name


def test_braces_in_what_is_said_are_said_as_they_are(incident):
    body = Wording("en", TORONTO).raised(incident(why="{when}", about="{about}"))[1]
    assert "Why: {when}\n" in body
    assert "“{about}”" in body


def test_without_a_reason_or_a_link_there_is_no_line_for_it(incident):
    body = Wording("en", TORONTO).raised(incident(why="", link=None))[1]
    assert body.splitlines()[1:] == ["What to do: " + TEXTS["check_failed_advice"][0]]


@pytest.mark.parametrize(
    ("zone", "moment", "english", "french"),
    [
        ("America/Toronto", datetime(2026, 11, 1, 5, 30), "1 November 2026 at 01:30 (", "1er novembre 2026 à 1 h 30 ("),
        ("America/Toronto", datetime(2026, 11, 1, 5, 30), "UTC−4)", "UTC−4)"),
        ("America/Toronto", datetime(2026, 11, 1, 6, 30), "01:30 (America/Toronto, UTC−5)", "1 h 30 (America/Toronto"),
        ("America/St_Johns", datetime(2026, 1, 9, 3, 5), "8 January 2026 at 23:35", "8 janvier 2026 à 23 h 35"),
        ("America/St_Johns", datetime(2026, 1, 9, 3, 5), "UTC−3:30)", "UTC−3:30)"),
        ("Europe/Paris", datetime(2026, 8, 1, 22, 5), "2 August 2026 at 00:05 (Europe/Paris, UTC+2)", "0 h 05"),
        ("UTC", datetime(2026, 2, 1, 22, 5), "(UTC, UTC)", "1er février"),
    ],
)
def test_times_are_those_of_the_zone_and_leave_no_hour_in_doubt(zone, moment, english, french, incident):
    moment = moment.replace(tzinfo=timezone.utc)
    assert english in Wording("en", ZoneInfo(zone)).raised(incident(since=moment))[1]
    assert french in Wording("fr", ZoneInfo(zone)).raised(incident(since=moment))[1].replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("length", "english", "french"),
    [
        (timedelta(seconds=-5), "less than a minute", "moins d’une minute"),
        (timedelta(seconds=59), "less than a minute", "moins d’une minute"),
        (timedelta(minutes=1), "1 minute", "1 minute"),
        (timedelta(minutes=59, seconds=59), "59 minutes", "59 minutes"),
        (timedelta(hours=2), "2 hours", "2 heures"),
        (timedelta(hours=1, minutes=1), "1 hour and 1 minute", "1 heure et 1 minute"),
        (timedelta(days=3, minutes=59), "3 days", "3 jours"),
        (timedelta(days=1, hours=23, minutes=59), "1 day and 23 hours", "1 jour et 23 heures"),
    ],
)
def test_durations_have_their_two_largest_units(length, english, french):
    assert duration(length, Speech("en")) == english
    assert duration(length, Speech("fr")).replace("\u00a0", " ") == french


def test_a_long_reason_of_many_lines_is_one_line_of_a_length_that_people_read(webhook, state, incident):
    alerts = Alerts([Slack(webhook.url)], state, "en", TORONTO)
    why = "Traceback:\r\n\tFile “a.py”\u2028\x00\x1b[31m" + "\ud800 déjà vu " * 1000
    alerts.open(incident(why=why, about="a\nb" * 200, link="http://x/\n y"))
    alerts.deliver()
    lines = webhook.texts[0].split("\n")
    assert len(lines) == 4
    assert lines[1].startswith("Why: Traceback: File “a.py” [31m déjà vu déjà vu ")
    assert len(lines[1]) <= 305
    assert lines[1].endswith("…")
    assert len(lines[0]) < 250
    assert lines[3] == "Where to look: http://x/y"
