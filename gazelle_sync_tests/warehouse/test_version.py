"""Which run last changed what a load speaks for: by that, Dagster tells tables that changed from those that did not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.tables import Scope
from gazelle_sync.warehouse import LoadReport
from gazelle_sync_tests.conftest import TODAY, TORONTO

Mirror = Callable[..., LoadReport]
MARCH = Scope(TORONTO, TODAY.replace(day=1), TODAY.replace(month=4, day=1))
MAY = Scope(TORONTO, TODAY.replace(month=5, day=1), TODAY.replace(month=6, day=1))


def edit(account: Account) -> None:
    next(iter(account.pianos.values()))["notes"] = "Le la est bas."


def add(account: Account) -> None:
    account.add("pianos", {"make": "Bösendorfer", "clientId": next(iter(account.clients))})


def delete(account: Account) -> None:
    del account.pianos[next(reversed(account.pianos))]


@pytest.mark.parametrize("change", [edit, add, delete])
def test_the_version_changes_with_the_rows_and_not_with_a_load_that_finds_them_as_they_were(
    mirror: Mirror, sandbox: Sandbox, change: Callable[[Account], None]
) -> None:
    mirror("clients")
    assert [mirror("pianos", run_id=run).version for run in ("first", "second")] == ["first", "first"]
    change(sandbox.account)
    assert [mirror("pianos", run_id=run).version for run in ("third", "fourth")] == ["third", "third"]
    # Of other tables nothing changed.
    assert mirror("clients", run_id="fifth").version == "test"


def test_months_that_did_not_change_keep_their_version_when_others_do(mirror: Mirror, sandbox: Sandbox) -> None:
    assert mirror("appointments", run_id="first").version == "first"
    within = [event for event in sandbox.account.events.values() if event["start"].startswith("2026-03-1")]
    within[0]["title"] = "Déplacé"
    assert mirror("appointments", MARCH, run_id="second").version == "second"
    assert mirror("appointments", MAY, run_id="third").version == "first"
    assert mirror("appointments", MARCH, run_id="fourth").version == "second"
    assert mirror("appointments", run_id="fifth").version == "second"


def test_a_table_that_never_had_a_row_has_a_version_that_stays(mirror: Mirror, sandbox: Sandbox) -> None:
    sandbox.account.pianos.clear()
    assert {mirror("pianos", run_id=run).version for run in ("first", "second")} == {"-"}
