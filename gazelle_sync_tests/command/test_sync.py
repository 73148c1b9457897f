"""What each form of `gazelle-sync sync` reads, what it writes, and that a change in Gazelle shows the next time.

The tests build on each other: the tables are read whole by the first, and then in part by the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gazelle_sync.sandbox import Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.conftest import HISTORY_START, NIGHTLY, NOW
from gazelle_sync_tests.project import Ended, Project

Stored = Callable[..., list[dict[str, Any]]]
Command = Callable[..., Result]
DATED = [name for name, table in TABLES.items() if table.partitioned_by]
FIELDS = ("allUsers", "allClients", "allContacts", "allPianos", "allEventsBatched", "allTimelineEntries")

pytestmark = pytest.mark.usefixtures("definitions")


def months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


WINDOW = f"{(NOW - timedelta(days=60)).replace(day=1)}..{months_later(NOW, 19)}"


def scopes(stored: Stored) -> dict[str, str]:
    """Table → scope, of the last run."""
    lines = stored(
        "SELECT table_name, scope FROM gazelle.sync_log "
        "WHERE run_id = (SELECT run_id FROM gazelle.sync_log ORDER BY id DESC LIMIT 1)"
    )
    return {line["table_name"]: line["scope"] for line in lines}


def asked_since(live: Sandbox, count: int) -> set[str]:
    """The API's lists that were asked for after so many requests."""
    return {field for request in live.requests[count:] for field in FIELDS if re.search(rf"\b{field}\b", request.query)}


def test_a_table_that_was_never_synced_is_read_whole(
    command: Command, variables: dict[str, str], stored: Stored
) -> None:
    result = command("sync", **variables)
    assert result.exit_code == 0
    assert "Nothing is configured" not in result.output
    assert scopes(stored) == dict.fromkeys(TABLES, "all")


def test_afterwards_the_dated_tables_are_read_from_60_days_back_to_18_months_ahead(
    command: Command, variables: dict[str, str], stored: Stored, live: Sandbox
) -> None:
    count = len(live.requests)
    assert command("sync", **variables).exit_code == 0
    assert scopes(stored) == {name: WINDOW if name in DATED else "all" for name in NIGHTLY}
    events = next(request for request in live.requests[count:] if "allEventsBatched" in request.query)
    asked = events.query + json.dumps(events.variables)
    first, end = WINDOW.split("..")
    assert first in asked
    assert (date.fromisoformat(end) - timedelta(days=1)).isoformat() in asked


def test_full_reads_all_history_again(command: Command, variables: dict[str, str], stored: Stored) -> None:
    assert command("sync", "--full", "--table", "appointments", **variables).exit_code == 0
    assert scopes(stored) == {"appointments": "all"}


def test_table_reads_that_table_and_asks_for_no_other(
    command: Command, variables: dict[str, str], stored: Stored, live: Sandbox
) -> None:
    count = len(live.requests)
    result = command("sync", "--table", "pianos", "--table", "users", **variables)
    assert result.exit_code == 0
    assert scopes(stored).keys() == {"pianos", "users"}
    assert asked_since(live, count) == {"allPianos", "allUsers"}
    assert "clients" not in result.output


def test_from_and_to_read_the_months_that_the_days_fall_in(
    command: Command, variables: dict[str, str], stored: Stored, live: Sandbox
) -> None:
    day = (HISTORY_START + timedelta(days=70)).replace(day=17)
    options = ["--from", day.isoformat(), "--to", day.isoformat()]
    count = len(live.requests)
    assert command("sync", "--table", "appointments", *options, **variables).exit_code == 0
    assert scopes(stored) == {"appointments": f"{day.replace(day=1)}..{months_later(day, 1)}"}
    assert asked_since(live, count) == {"allEventsBatched"}


def test_its_runs_are_among_the_job_s_with_what_was_asked_for(root: Path, bare: pytest.MonkeyPatch) -> None:
    """By the filter of *Jobs → sync → Runs*; the last five are those of the tests above."""
    from dagster import DagsterInstance, RunsFilter

    day = (HISTORY_START + timedelta(days=70)).replace(day=17)
    of_the_job = RunsFilter(job_name="sync", tags={".dagster/repository": "__repository__@gazelle_sync"})
    bare.chdir(root)
    with DagsterInstance.from_config(str(root)) as instance:
        found = instance.get_runs(of_the_job, limit=5)
    assert [run.tags["gazelle-sync/read"] for run in found] == [
        f"appointments, {day:%Y-%m}",
        "pianos, users",
        "appointments, full",
        "what is due",
        "what is due",
    ]
    assert ["gazelle-sync/nightly" in run.tags for run in found] == [False, False, False, True, True]
    assert {run.tags["dagster/code_location"] for run in found} == {"gazelle_sync"}


def test_days_beyond_all_history_are_cut_to_the_months_there_are(
    command: Command, variables: dict[str, str], stored: Stored
) -> None:
    options = ["--from", "1999-01-01", "--to", HISTORY_START.isoformat()]
    assert command("sync", "--table", "timeline_entries", *options, **variables).exit_code == 0
    assert scopes(stored) == {"timeline_entries": f"{HISTORY_START}..{months_later(HISTORY_START, 1)}"}


# -- what changes in Gazelle ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edited(live: Sandbox) -> dict[str, str]:
    """What somebody does in Gazelle between two syncs; ids by what was done."""
    account = live.account
    client = next(each for each in account.clients.values() if each["createdAt"].startswith("2017"))
    client["personalNotes"] = "Ring twice. Sonnez deux fois."
    tagged = next(each for each in account.clients.values() if each["tags"] and each is not client)
    tagged["tags"] = []
    event = next(
        each
        for each in account.events.values()
        if each["start"] and each["clientId"] and each["start"][:7] == NOW.isoformat()[:7]
    )
    start = datetime.fromisoformat(event["start"].replace("Z", "+00:00")) + timedelta(days=7)
    event["start"] = start.strftime("%Y-%m-%dT%H:%M:%SZ")
    gone = next(each["id"] for each in account.pianos.values() if not account_refers(account, each["id"]))
    del account.pianos[gone]
    return {"client": client["id"], "tagged": tagged["id"], "event": event["id"], "start": event["start"], "gone": gone}


def account_refers(account: Any, piano: str) -> bool:
    return any(entry["pianoId"] == piano for entry in account.timeline.values()) or any(
        each["pianoId"] == piano for event in account.events.values() for each in event["pianos"]
    )


@pytest.fixture(scope="module")
def next_sync(project: Project, edited: dict[str, str]) -> Ended:
    """The next plain sync, as a process of its own."""
    return project.run("sync")


def test_the_next_plain_sync_counts_what_changed(next_sync: Ended, edited: dict[str, str]) -> None:
    assert (next_sync.code, next_sync.err) == (0, "")
    assert re.search(r"^clients +150 +0 +2 +148 +0 ", next_sync.out, re.MULTILINE)
    assert re.search(r"^appointments +\d+ +0 +1 +\d+ +0 ", next_sync.out, re.MULTILINE)
    assert "pianos: 1 deleted, 0 restored" in next_sync.out


def test_a_client_created_in_2017_and_edited_now_is_new_in_the_database(
    next_sync: Ended, edited: dict[str, str], stored: Stored
) -> None:
    rows = stored("SELECT personal_notes FROM gazelle.clients WHERE external_id = %s", edited["client"])
    assert rows == [{"personal_notes": "Ring twice. Sonnez deux fois."}]


def test_a_tag_cleared_in_gazelle_is_cleared_in_the_database(
    next_sync: Ended, edited: dict[str, str], stored: Stored
) -> None:
    assert stored("SELECT tags FROM gazelle.clients WHERE external_id = %s", edited["tagged"]) == [{"tags": []}]


def test_an_appointment_that_moved_stands_at_its_new_time_once(
    next_sync: Ended, edited: dict[str, str], stored: Stored
) -> None:
    rows = stored("SELECT starts_at, deleted_at FROM gazelle.appointments WHERE external_id = %s", edited["event"])
    assert [row["starts_at"].strftime("%Y-%m-%dT%H:%M:%SZ") for row in rows] == [edited["start"]]
    assert rows[0]["deleted_at"] is None


def test_a_piano_deleted_in_gazelle_keeps_its_row_and_says_when(
    next_sync: Ended, edited: dict[str, str], stored: Stored
) -> None:
    rows = stored("SELECT deleted_at FROM gazelle.pianos WHERE external_id = %s", edited["gone"])
    assert len(rows) == 1
    assert rows[0]["deleted_at"] is not None


def test_what_could_not_be_stored_is_a_warning_and_no_failure(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    piano = next(iter(live.account.pianos.values()))
    before, piano["notes"] = piano["notes"], "[/red] \x00"
    try:
        result = command("sync", "--table", "pianos", **variables)
    finally:
        piano["notes"] = before
    assert result.exit_code == 0
    assert re.search(r"Done in .* s, with warnings\.$", result.output.rstrip())
    assert f"pianos: 1 record could not be stored as it came: {piano['id']}" in said(result)
    assert stored("SELECT status FROM gazelle.sync_log ORDER BY id DESC LIMIT 1") == [{"status": "warning"}]


def test_more_deletions_than_may_be_are_done_when_they_are_allowed(
    command: Command, variables: dict[str, str], live: Sandbox, stored: Stored
) -> None:
    """Of 84 pianos 64 are gone at once, which is more than a tenth."""
    pianos = live.account.pianos
    kept = dict(list(pianos.items())[:20])
    removed, live.account.pianos = dict(pianos), kept
    try:
        refused = command("sync", "--table", "pianos", **variables)
        assert refused.exit_code == 0
        assert "run `gazelle-sync sync --table pianos --allow-mass-delete` once" in said(refused)
        assert stored("SELECT count(*) FROM gazelle.pianos WHERE deleted_at IS NULL") == [{"count": len(removed)}]
        allowed = command("sync", "--table", "pianos", "--allow-mass-delete", **variables)
    finally:
        live.account.pianos = removed
    assert allowed.exit_code == 0
    assert f"pianos: {len(removed) - 20} deleted, 0 restored" in said(allowed)
    assert stored("SELECT count(*) FROM gazelle.pianos WHERE deleted_at IS NULL") == [{"count": 20}]
