"""Nothing is configured: a person syncs twice, looks at the status, and finds everything in one ignored folder."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import sqlite3
import struct
import termios
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from gazelle_sync import warehouse
from gazelle_sync.environment import embedded
from gazelle_sync.sandbox import Account
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.conftest import NIGHTLY, NOW, folder_for_postgres, query_rows
from gazelle_sync_tests.project import SOURCE, Ended, Project, running

README = (SOURCE / "README.md").read_text()
BANNER = "Nothing is configured: the bundled sandbox and an embedded PostgreSQL serve (see .env.example)."
# The bundled sandbox's account, which is another one every day.
ACCOUNT = Account.typical(NOW)
# Of the terminal that the second sync runs in; and when it wrote what.
WIDTH = 80
MOMENTS: list[tuple[float, str]] = []
LIVE = {
    "users": 6,
    "clients": 150,
    "contacts": len(ACCOUNT.contacts),
    "pianos": 85,
    "appointments": 621,
    "appointment_pianos": sum(len(event["pianos"]) for event in ACCOUNT.events.values()),
    "timeline_entries": 2500,
}


@pytest.fixture(scope="module")
def machine() -> Project:
    return Project(folder_for_postgres() / "project")


@pytest.fixture(scope="module")
def before(machine: Project) -> Ended:
    return machine.run("status")


@pytest.fixture(scope="module")
def first(machine: Project, before: Ended) -> Ended:
    return machine.run("sync")


@pytest.fixture(scope="module")
def stored(machine: Project) -> Callable[..., list[dict[str, Any]]]:
    engine = warehouse.connect(embedded.start_postgres(machine.root / "var"))
    return lambda query, *parameters: query_rows(engine, query, *parameters)


@pytest.fixture(scope="module")
def versions(first: Ended, stored: Callable[..., list[dict[str, Any]]]) -> Callable[[], dict[str, Any]]:
    """Every row's version: a row that is written again gets another one, whatever is in it."""

    def versions() -> dict[str, Any]:
        return {
            name: stored(f"SELECT id, xmin::text, ctid::text, synced_at FROM gazelle.{name} ORDER BY id")
            for name in TABLES
        }

    return versions


@pytest.fixture(scope="module")
def second(machine: Project, versions: Callable[[], dict[str, Any]]) -> tuple[Ended, dict[str, Any]]:
    """A second sync, on a terminal and in French, and every row's version before it."""
    before = versions()
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    process = machine.start("sync", stdout=its_end, LANG="fr_CA.UTF-8", TERM="xterm")
    os.close(its_end)
    shown = b""
    with running(process):
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # what Linux says at the end of a terminal
                break
            if not piece:
                break
            shown += piece
            MOMENTS.append((time.monotonic(), piece.decode(errors="replace")))
        os.close(terminal)
        assert process.stderr is not None
        err = process.stderr.read()
    return Ended(process.wait(), shown.decode(), err), before


def summary(out: str) -> dict[str, list[str]]:
    """Table → its line of the summary, split."""
    found = {}
    for line in plain(out).splitlines():
        if parts := re.fullmatch(r"(\w+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(.* s) (\S.*?) *", line):
            found[parts[1]] = list(parts.groups()[1:])
    return found


def plain(shown: str) -> str:
    """What a terminal shows, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def test_status_before_any_sync_lists_every_table_as_never_synced(before: Ended) -> None:
    assert before.code == 0
    assert BANNER in before.out
    lines = [line.split() for line in before.out.splitlines()[2:]]
    assert [line[0] for line in lines[: len(TABLES)]] == list(TABLES)
    assert all(line[1:] == ["never", "synced"] for line in lines[: len(TABLES)])


def test_the_first_sync_ends_well_and_sums_up_every_table(first: Ended) -> None:
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith(BANNER)
    assert re.search(
        r"^Done in .* s\.\n  gazelle-sync dev +shows it .*\n  gazelle-sync psql +opens the data.*\n\Z", first.out, re.M
    )
    lines = summary(first.out)
    assert lines.keys() == TABLES.keys()
    for table, line in lines.items():
        fetched, *counts, seconds, status = line
        assert int(fetched) == LIVE.get(table, int(fetched))
        assert counts == [fetched, "0", "0", "0"]
        assert float(seconds.removesuffix(" s")) >= 0
        assert status == "done"


def test_a_log_gets_plain_lines_without_control_characters(first: Ended) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", first.out)
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO pianos: 85 fetched, 85 inserted, 0 updated",
        first.out,
        re.MULTILINE,
    )


def test_the_database_holds_what_the_summary_says(first: Ended, stored: Callable[..., list[dict[str, Any]]]) -> None:
    for table, count in LIVE.items():
        assert stored(f"SELECT count(*) FROM gazelle.{table}") == [{"count": count}]


def test_what_was_never_synced_is_read_whole(first: Ended, stored: Callable[..., list[dict[str, Any]]]) -> None:
    assert {line["scope"] for line in stored("SELECT scope FROM gazelle.sync_log")} >= {"all"}
    run = stored("SELECT run_id, scope FROM gazelle.sync_log ORDER BY id LIMIT %s", len(TABLES))
    assert [line["scope"] for line in run] == ["all"] * len(TABLES)
    assert len({line["run_id"] for line in run}) == 1


def test_the_second_sync_finds_every_row_unchanged(second: tuple[Ended, dict[str, Any]]) -> None:
    ended, _ = second
    assert (ended.code, ended.err) == (0, "")
    lines = summary(ended.out)
    assert list(lines) == NIGHTLY
    for fetched, inserted, updated, unchanged, rejected, _, status in lines.values():
        assert (inserted, updated, rejected, status) == ("0", "0", "0", "fait")
        assert fetched == unchanged
    assert {name for name, (fetched, *_) in lines.items() if fetched == "0"} & LIVE.keys() == set()


def test_the_second_sync_rewrites_no_row(
    second: tuple[Ended, dict[str, Any]], versions: Callable[[], dict[str, Any]]
) -> None:
    assert versions() == second[1]


def test_a_french_locale_is_answered_in_french(second: tuple[Ended, dict[str, Any]]) -> None:
    text = plain(second[0].out)
    assert "Rien n’est configuré\u00a0: le bac à sable et un PostgreSQL embarqué servent" in text
    assert re.search(r"lus +ajoutés +modifiés +inchangés +rejetés +durée +état", text)
    assert re.search(r"^Terminé en .* s\.\s+gazelle-sync dev +montre .*\s+gazelle-sync psql +ouvre", text, re.MULTILINE)


def test_on_a_terminal_each_table_gets_a_bar_and_no_log_lines(second: tuple[Ended, dict[str, Any]]) -> None:
    shown = second[0].out
    assert "\x1b[" in shown
    for table in NIGHTLY:
        assert re.search(rf"{table} +.*[━╸╺].*\d+/\d+.*\d s", shown)
    assert " INFO " not in shown


def test_the_bars_are_drawn_while_tables_are_read_and_not_at_the_end(second: tuple[Ended, dict[str, Any]]) -> None:
    drawn = [at for at, piece in MOMENTS if re.search("[━╸╺]", piece)]
    lasted = drawn[-1] - drawn[0]
    assert len(NIGHTLY) / 20 < lasted
    # Ten times a second, where the machine has nothing else to do.
    assert len(drawn) > max(2 * lasted, len(NIGHTLY))
    assert max(later - sooner for sooner, later in pairwise(drawn)) < max(lasted / 3, 2)
    # And somebody sees that it is alive before the first table.
    assert MOMENTS[0][0] < drawn[0]
    assert "Préparation" in "".join(piece for at, piece in MOMENTS if at < drawn[0])
    assert "Préparation" not in "".join(piece for at, piece in MOMENTS if at > drawn[0])


def test_no_name_is_cut_in_a_terminal_of_80_columns(second: tuple[Ended, dict[str, Any]]) -> None:
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", plain(second[0].out))]
    of_tables = [line for line in lines if re.match("|".join(name[:12] for name in NIGHTLY), line)]
    assert len(of_tables) > 2 * len(NIGHTLY)
    assert {line.split()[0] for line in of_tables} == set(NIGHTLY)
    assert max(map(len, of_tables)) <= WIDTH


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", README, re.DOTALL))
def test_the_line_that_opens_the_data_answers_the_queries_of_the_readme(
    machine: Project, second: tuple[Ended, dict[str, Any]], query: str
) -> None:
    done = machine.run("psql", "-c", query)
    assert (done.code, done.err) == (0, "")
    assert re.search(r"\([1-9]\d* rows?\)", done.out)


def test_both_runs_are_in_dagsters_history_as_the_job_sync(
    second: tuple[Ended, dict[str, Any]], machine: Project, stored: Callable[..., list[dict[str, Any]]]
) -> None:
    history = sqlite3.connect(machine.root / "var/dagster/history/runs.db")
    runs = history.execute("SELECT pipeline_name, status, run_id FROM runs ORDER BY id").fetchall()
    assert [run[:2] for run in runs] == [("sync", "SUCCESS")] * 2
    assert [run[2] for run in runs] == [
        line["run_id"] for line in stored("SELECT run_id FROM gazelle.sync_log GROUP BY run_id ORDER BY min(id)")
    ]


def test_status_afterwards_shows_rows_and_the_months_that_were_read(
    machine: Project, second: tuple[Ended, dict[str, Any]]
) -> None:
    done = machine.run("status", GAZELLE_SYNC_LANG="fr")
    assert done.code == 0
    for table, count in LIVE.items():
        scope = r"([a-zéû]+( \d{4})? à )?[a-zéû]+ \d{4}" if TABLES[table].partitioned_by else "tout"
        assert re.search(rf"^{table} +{count} .*\d{{4}}-\d\d-\d\d \d\d:\d\d .*{scope} .*fait", done.out, re.MULTILINE)


def test_everything_lands_in_var_and_nothing_at_home(machine: Project, second: tuple[Ended, dict[str, Any]]) -> None:
    files = machine.files()
    assert {path for path in files if not path.startswith("project/var/")} == set()
    below = {path.split("/")[2] for path in files}
    assert below == {"dagster", "last_days", "logs", "postgres", "runs"}


def test_the_log_file_tells_of_both_runs(machine: Project, second: tuple[Ended, dict[str, Any]]) -> None:
    text = (machine.root / "var/logs/gazelle-sync.log").read_text(encoding="utf-8")
    assert len(re.findall(r"INFO .* pianos: 85 fetched", text)) == 2
