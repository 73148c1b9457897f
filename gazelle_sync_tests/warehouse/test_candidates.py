"""Lists without a count: what they no longer show is gone after another night, unless something live refers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.declaration import ReadAgain
from gazelle_sync.translations import speak
from gazelle_sync.warehouse import LoadReport
from gazelle_sync_tests.conftest import ALL, NOW

Rows = Callable[..., list[dict[str, Any]]]
Mirror = Callable[..., LoadReport]

COUNTLESS = [name for name, table in TABLES.items() if isinstance(table.deletion_proved_by, ReadAgain)]


@pytest.fixture
def gone(rows: Rows) -> Callable[[], set[str]]:
    return lambda: {
        row["external_id"] for row in rows("SELECT external_id FROM gazelle.users WHERE deleted_at IS NOT NULL")
    }


@pytest.fixture
def later(rows: Rows) -> Callable[[int], None]:
    """So many hours pass."""
    return lambda hours: (
        rows(
            "UPDATE gazelle.deletion_candidates SET first_missing_at = first_missing_at - %s * interval '1 hour'", hours
        )
        and None
    )


@pytest.fixture
def candidates(rows: Rows) -> Callable[[], set[str]]:
    return lambda: {row["external_id"] for row in rows("SELECT external_id FROM gazelle.deletion_candidates")}


def idle(sandbox: Sandbox) -> str:
    """A user whom nothing ahead refers to: the last one, whose calendar is emptied."""
    key = list(sandbox.account.users)[-1]
    for event in sandbox.account.events.values():
        if event.get("userId") == key:
            event["userId"] = None
    return key


def test_there_is_such_a_list() -> None:
    assert "users" in COUNTLESS


def test_a_user_that_is_gone_is_marked_when_a_night_later_the_list_has_not_got_it_either(
    mirror: Mirror, sandbox: Sandbox, gone: Any, later: Any, candidates: Any
) -> None:
    mirror("users")
    key = idle(sandbox)
    del sandbox.account.users[key]
    first = mirror("users")
    assert (first.deleted, first.status, gone(), candidates()) == (0, "warning", set(), {key})
    assert first.warnings == [
        f"no longer listed (1): {key}. One night proves nothing: what is still missing 20 hours later will be "
        "marked as deleted"
    ]
    later(19)
    assert (mirror("users").deleted, gone()) == (0, set())
    later(1)
    second = mirror("users")
    assert (second.deleted, second.status, gone()) == (1, "success", {key})
    mirror("users")
    assert candidates() == set()


def test_one_answer_with_one_of_six_marks_nobody_however_often_it_is_given(
    mirror: Mirror, mirror_all: Any, sandbox: Sandbox, gone: Any, later: Any
) -> None:
    users = sandbox.account.users
    for number, event in enumerate(sandbox.account.events.values()):
        event["userId"] = list(users)[number % len(users)]
        event["start"] = f"{NOW.year + 1}-06-01T15:00:00Z"
    mirror_all()
    sandbox.account.users = dict(list(users.items())[:1])
    for _ in range(3):
        report = mirror("users")
        assert (report.deleted, gone()) == (0, set())
        later(24)
    (warning,) = report.warnings
    assert warning.startswith("no longer listed (5), but kept, because something live refers to them: ")
    assert "appointments.technician_external_id" in warning
    sandbox.account.users = users
    assert mirror("users").status == "success"


def test_a_user_that_comes_back_begins_anew(mirror: Mirror, sandbox: Sandbox, gone: Any, later: Any) -> None:
    mirror("users")
    key = idle(sandbox)
    user = sandbox.account.users.pop(key)
    mirror("users")
    later(24)
    sandbox.account.users[key] = user
    mirror("users")
    del sandbox.account.users[key]
    assert (mirror("users").deleted, gone()) == (0, set())


def test_a_user_is_marked_though_what_was_in_the_past_is_theirs_and_what_they_entered_is_ahead(
    mirror: Mirror, mirror_all: Any, sandbox: Sandbox, gone: Any, later: Any
) -> None:
    key = idle(sandbox)
    ahead, past, *_ = sandbox.account.events.values()
    ahead.update(start=f"{NOW.year + 1}-06-01T15:00:00Z", createdById=key)
    past.update(start=f"{NOW.year - 1}-06-01T15:00:00Z", userId=key)
    mirror_all()
    del sandbox.account.users[key]
    mirror("users")
    later(20)
    assert (mirror("users").deleted, gone()) == (1, {key})


def test_a_candidate_is_not_counted_against_gazelle(mirror: Mirror, sandbox: Sandbox, engine: Any, later: Any) -> None:
    table = TABLES["users"]
    mirror("users")
    del sandbox.account.users[idle(sandbox)]
    mirror("users")
    assert warehouse.count_rows_in_scope(engine, table, ALL) == 5
    later(20)
    mirror("users")
    assert warehouse.count_rows_in_scope(engine, table, ALL) == 5


def test_what_an_empty_list_does_not_show_is_not_even_a_candidate(
    mirror: Mirror, sandbox: Sandbox, candidates: Any
) -> None:
    mirror("users")
    sandbox.faults.add(Fault("empty", times=None))
    mirror("users")
    assert candidates() == set()


def test_a_mass_deletion_that_is_allowed_waits_for_the_second_night_too(
    mirror: Mirror, sandbox: Sandbox, gone: Any, later: Any
) -> None:
    mirror("users")
    sandbox.account.users = dict(list(sandbox.account.users.items())[:1])
    mirror("users", allow_mass_delete=True)
    assert gone() == set()
    later(20)
    mirror("users", allow_mass_delete=True)
    assert len(gone()) == 5


def test_the_warning_is_in_the_language_of_the_process(mirror: Mirror, sandbox: Sandbox) -> None:
    mirror("users")
    del sandbox.account.users[idle(sandbox)]
    speak("fr")
    try:
        (warning,) = mirror("users").warnings
    finally:
        speak("en")
    assert warning.startswith("ne figure plus dans la liste (1)\u00a0: ")
