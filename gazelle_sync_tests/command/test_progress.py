"""What is drawn of a run while it lasts, and what a log gets in its place."""

from __future__ import annotations

import io
import logging
import re
import time

import pytest

from gazelle_sync.cli.command import Screen
from gazelle_sync.cli.progress import show_progress
from gazelle_sync.translations import Speech
from gazelle_sync_tests.conftest import wait_until

PROGRESS, TRANSPORT = logging.getLogger("gazelle_sync.progress"), logging.getLogger("gazelle_sync.gazelle.transport")


def tell(table: str, seen: int, expected: int, done: int | None = None, of: int | None = None) -> None:
    told = {"table": table, "seen": seen, "expected": expected}
    PROGRESS.debug("", extra={**told, "done": seen if done is None else done, "of": expected if of is None else of})


def show(terminal: bool, language: str = "en") -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(file=file, width=80, force_terminal=terminal, legacy_windows=False), file


def lines(file: io.StringIO) -> list[str]:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


@pytest.mark.parametrize("table", ["pianos", "master_service_groups", "event_cancel_notices"])
def test_a_bar_is_there_when_the_tables_turn_comes_and_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, file = show(terminal=True)
    with show_progress(screen, Speech("en")):
        tell(table, 0, 0)
        wait_until(lambda: any(line.startswith(table) for line in lines(file)))
        tell(table, 500, 2500)
        bar = rf"{table} +\S*[━╸╺]\S* +500/2500 \d+/s .* left"
        wait_until(lambda: any(re.fullmatch(bar, line) for line in lines(file)))
        tell(table, 2500, 2500)
        tell("users", 0, 0)
    # What is read stands above the next one, once.
    assert [line for line in lines(file) if line.startswith(table)][-1].endswith(" s")
    assert max(map(len, lines(file))) <= 80


def test_a_nested_list_goes_by_the_records_that_it_is_read_inside_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, file = show(terminal=True)
    with show_progress(screen, Speech("en")):
        tell("contact_emails", 0, 0, 0, 0)
        time.sleep(0.15)
        tell("contact_emails", 40, 40, 100, 400)
        wait_until(lambda: any(re.search(r"40/40 \d+/s .* left$", line) for line in lines(file)))


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", r"Waiting for Gazelle, \d\d s more: HTTP 429"),
        ("fr", "Gazelle fait attendre encore \\d\\d s\u00a0: HTTP 429"),
    ],
)
def test_a_wait_is_shown_while_it_lasts(monkeypatch: pytest.MonkeyPatch, language: str, told: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, file = show(terminal=True)
    with show_progress(screen, Speech(language)):
        tell("pianos", 0, 0)
        TRANSPORT.warning("again", extra={"wait": 29.7, "why": "HTTP 429"})
        wait_until(lambda: any(re.fullmatch(told, line) for line in lines(file)))
        TRANSPORT.warning("again", extra={"wait": 0.05, "why": "HTTP 502"})
        # Its time is over, and so it is drawn without it.
        wait_until(lambda: "HTTP" not in lines(file)[-1])
        before = len(file.getvalue())
        time.sleep(0.25)
    assert "HTTP" not in file.getvalue()[before:]


@pytest.mark.parametrize("terminal", ["", "dumb"])
def test_a_log_gets_lines_and_nothing_that_moves(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setenv("TERM", terminal or "xterm")
    screen, file = show(terminal=bool(terminal))
    with show_progress(screen, Speech("en")):
        tell("pianos", 500, 2500)
        TRANSPORT.warning("pianos: HTTP 429; attempt 2 follows in 3.0 s", extra={"wait": 3, "why": "HTTP 429"})
    assert re.fullmatch(r"[\d-]+ [\d:,]+ WARNING pianos: HTTP 429; attempt 2 follows in 3.0 s\n", file.getvalue())
