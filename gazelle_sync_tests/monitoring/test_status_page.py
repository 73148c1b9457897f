"""The status page: its answer, what changed, what to do, and whether everybody can read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync.monitoring.failed_checks import FailedCheck
from gazelle_sync.monitoring.status import Status, read_status
from gazelle_sync.monitoring.status_page import COLOURS, STYLE, render_page
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import Speech
from gazelle_sync.warehouse import Change, OpenReject, RunLine, TableStatus
from gazelle_sync_tests.conftest import TORONTO

NOW = datetime.now(timezone.utc)
WHY = "Gazelle could not answer pianos. Run the sync again when Gazelle is well."


def status_of(
    *states: str | None, fresh: bool = True, changes: list[Change] | None = None, rejects: int = 0, names: bool = False
) -> Status:
    tables = [
        TableStatus(
            name, 5, state, "all", NOW, 2.0, WHY if state in ("error", "warning") else None, NOW - timedelta(hours=30)
        )
        for name, state in zip(TABLES, states, strict=False)
    ]
    changes = changes or []
    counts: dict[tuple[str, str], int] = {}
    for each in changes:
        counts[each.table, each.change] = counts.get((each.table, each.change), 0) + 1
    runs = [RunLine(str(n), NOW, 2.0 if n == 3 else 600.0, "error" if n == 3 else "success", 9, n) for n in range(6)]
    odd = [OpenReject("company", f"odd_{n}", "odd", NOW) for n in range(rejects)]
    return Status(None, tables, {each.table: fresh for each in tables}, runs, odd, [], [], changes, counts, names)


def change(kind: str) -> Change:
    return Change("company", "a", kind, {}, NOW)


def page_of(status: Status, language: str = "en") -> str:
    return render_page(status, TORONTO, Speech(language)).replace("\u00a0", " ")


def answer_of(status: Status, language: str = "en") -> str:
    (answer,) = re.findall(r'<p class="answer".*?>(.*?)</p>', page_of(status, language))
    return str(answer)


@pytest.mark.parametrize(
    ("status", "english", "french"),
    [
        (status_of(None), "Nothing was synced yet.", "Rien n’a encore été synchronisé."),
        (
            status_of("success"),
            "All is well: nothing changed in the last day; the next sync is due at 02:00.",
            "Tout va bien : aucun changement depuis un jour ; prochaine synchronisation à 2 h 00.",
        ),
        (
            status_of(
                "success",
                changes=[Change("company", "a", "update", {}, NOW), Change("company", "b", "insert", {}, NOW)],
            ),
            "All is well: 1 new in company, 1 changed in company; the next",
            "Tout va bien : 1 nouveau dans company, 1 modifié dans company ; prochaine",
        ),
        (status_of("success", "error"), "Not well since ", "Un problème depuis le "),
        (
            status_of("success", fresh=False),
            "Not well: company is out of date.",
            "Un problème : company n’est plus à jour.",
        ),
        (
            status_of("success", "success", fresh=False),
            "Not well: company, lifecycles are out of date.",
            "Un problème : company, lifecycles ne sont plus à jour.",
        ),
        (status_of("warning"), "All was read, and 1 thing wants a look: company.", "Tout a été lu, et 1 point mérite"),
        (status_of("success", rejects=2), "All was read, and 1 thing wants a look", "Tout a été lu, et 1 point mérite"),
    ],
)
def test_the_page_answers_first_in_one_sentence(status: Status, english: str, french: str) -> None:
    assert answer_of(status).startswith(english)
    assert answer_of(status, "fr").startswith(french)
    for text in (page_of(status), page_of(status, "fr")):
        assert text.index("answer") < text.index("<section")


@pytest.mark.parametrize("state", ["error", "warning"])
def test_each_problem_stands_with_its_sentence_and_since_when(state: str) -> None:
    text = page_of(status_of("success", state))
    since = (NOW - timedelta(hours=30)).astimezone(TORONTO)
    assert re.search(rf"lifecycles</strong> .*since {since:%Y-%m-%d %H:%M}</span><br>{WHY}", text)


def test_a_problem_began_with_its_first_bad_run_after_the_last_good_one(
    engine: Engine, rows: Callable[..., Any]
) -> None:
    lines = [("success", 50), ("error", 40), ("success", 30), ("error", 20), ("error", 10)]
    for state, ago in lines:
        rows(
            "INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at, fetched, "
            "inserted, updated, unchanged, deleted, restored, rejected, api_requests, api_retries) "
            "VALUES (%s, 'pianos', 'all', %s, "
            "now() - %s * interval '1 hour', now() - %s * interval '1 hour', 0, 0, 0, 0, 0, 0, 0, 0, 0)",
            *(f"run{ago}", state, ago, ago),
        )
    (pianos,) = [each for each in read_status(engine, TABLES).tables if each.table == "pianos"]
    assert pianos.since is not None
    assert abs(pianos.since - (datetime.now(timezone.utc) - timedelta(hours=20))) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("table", "columns", "shown"),
    [
        ("clients", {"personal_notes": ["Dog", "Cat"], "status": ["ACTIVE", "INACTIVE"]}, "status: ACTIVE → INACTIVE"),
        ("contacts", {"phone": ["Dog", "Cat"]}, "something personal"),
        ("pianos", {"year": [1912, 1913], "notes": ["Dog", "Cat"]}, "year: 1912 → 1913"),
    ],
)
def test_what_changed_is_before_and_after_and_what_is_personal_stays_out(
    engine: Engine, rows: Callable[..., Any], table: str, columns: dict[str, list[Any]], shown: str
) -> None:
    import json

    rows(
        "INSERT INTO gazelle.row_changes (run_id, table_name, external_id, change, changed) VALUES ('r', %s, 'x_1', "
        "'update', %s)",
        *(table, json.dumps(columns)),
    )
    text = page_of(read_status(engine, TABLES))
    assert shown in text
    assert "Dog" not in text
    assert "Cat" not in text
    assert "Dog → Cat" in page_of(read_status(engine, TABLES, names=True))


def test_a_time_is_the_companys() -> None:
    moved = Change(
        "appointments", "evt", "update", {"starts_at": ("2026-11-27T14:00:00+00:00", "2026-11-28T15:30:00+00:00")}, NOW
    )
    assert "starts_at: 2026-11-27 09:00 → 2026-11-28 10:30" in page_of(status_of("success", changes=[moved]))


def test_a_failed_run_of_two_seconds_is_as_visible_as_a_long_one() -> None:
    text = page_of(status_of("success"))
    failed = [each for each in re.findall(r"<g>.*?</g>", text) if COLOURS["error"] in each]
    assert len(failed) == 2
    assert all('height="100"' in each and "✕" in each for each in failed)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_screen_reader_is_told_what_the_plots_show_and_what_the_tables_are(language: str) -> None:
    text = page_of(
        status_of("error", "warning", rejects=1, changes=[Change("company", "a", "delete", {}, NOW)]), language
    )
    plots = re.findall(r"<svg.*?>", text)
    assert len(plots) == 2
    assert all('role="img"' in plot and "aria-label=" in plot for plot in plots)
    assert "<details><summary>" in text
    for heading in re.findall(r"<table.*?aria-labelledby=\"(\w+)\"", text):
        assert f'<h2 id="{heading}">' in text
    assert text.count("<h1") == text.count("<main") == 1
    assert 'scope="col"' in text
    assert 'scope="row"' in text


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_check_that_failed_is_a_problem_with_its_sentence(language: str) -> None:
    failed = FailedCheck("company", "have_a_name", "1 row has nothing in name: com_1", "1 row … com_1. Correct it.")
    status = replace(status_of("success"), failed_checks=[failed])
    assert "company" in answer_of(status, language)
    assert f"<strong>company</strong>{' ' * (language == 'fr')}: 1 row … com_1. Correct it.</li>" in page_of(
        status, language
    )


def test_no_english_is_left_on_the_french_page() -> None:
    text = page_of(status_of("success", "error", "warning", rejects=1), "fr")
    text = re.sub(r"(?s)<style>.*?</style>|<[^>]*>", " ", text).replace(WHY, "")
    assert not re.search(r"\b(the|what|since|rows|runs|record|status|failed|done|yes|as of)\b", text)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("state", COLOURS)
def test_colours_can_be_told_apart_from_what_is_behind_and_before_them(state: str) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11. Chromium's own dark page is #121212."""
    assert contrast("#ffffff", COLOURS[state]) >= 4.5
    assert contrast("#121212", COLOURS[state]) >= 3
    light, dark = re.findall(r"quiet \{ color: light-dark\((#\w+), (#\w+)\)", STYLE)[0]
    assert min(contrast("#ffffff", light), contrast("#121212", dark)) >= 4.5
