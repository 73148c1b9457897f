"""`check` says why a database can't be reached and what to do, what stands in between, and whose clock is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gazelle_sync_tests.hosting.servers import Server
from gazelle_sync_tests.preflight.conftest import LINES, RECORDS
from gazelle_sync_tests.project import Project, running

Check = Callable[..., dict[str, tuple[bool, str]]]


def test_all_is_well_in_one_line_each_on_an_empty_database(check: Check) -> None:
    found = check()
    assert list(found) == LINES["en"]
    assert found["connection"] == (True, "direct")
    assert found["clock"] == (True, "in step with the database's")
    assert found["row level security"] == (True, "there are no tables yet; the next sync makes them with it on")
    assert all(good for good, _ in found.values())


def test_it_speaks_french(check: Check) -> None:
    found = check(GAZELLE_SYNC_LANG="fr")
    assert list(found) == LINES["fr"]
    assert found["connexion"] == (True, "directe")


def test_a_wrong_password_is_told_with_where_to_get_another(check: Check, emptied: Server) -> None:
    good, text = check(emptied.url(password="sesame"))["database"]
    assert not good
    assert 'password authentication failed for user "postgres"' in text
    assert "The user or the password in SUPABASE_DB_URL is wrong. Supabase shows a password once: reset it" in text
    assert "sesame" not in text


def test_a_wrong_password_at_a_pooler_is_told_in_the_same_way(check: Check, transaction_pooler: Server) -> None:
    good, text = check(transaction_pooler.url(password="sesame"))["database"]
    assert not good
    assert "The user or the password in SUPABASE_DB_URL is wrong." in text


def test_after_a_database_that_does_not_answer_nothing_else_of_it_is_looked_at(check: Check, emptied: Server) -> None:
    found = check(emptied.url(password="sesame"))
    assert [found[name] for name in LINES["en"][3:-2]] == [(False, "not checked, because of the above")] * 7


@pytest.mark.parametrize(
    "url",
    [
        # An address that is reserved for documentation: nobody has a way there, with IPv6 or without.
        "postgresql://postgres:x@[2001:db8::1]:5432/postgres?connect_timeout=3",
        "postgresql://postgres:x@db.abcdefghijklmnopqrst.supabase.co/postgres?hostaddr=2001:db8::1&connect_timeout=3",
        "postgresql://postgres:x@db.abcdefghijklmnopqrst.invalid:5432/postgres",
    ],
    ids=["an address", "a host with an address", "a host without any address"],
)
def test_a_host_that_has_no_address_of_ipv4_is_told_to_take_the_session_pooler(check: Check, url: str) -> None:
    began = time.monotonic()
    good, text = check(url)["database"]
    assert not good
    assert "IPv6 only, and many hosts have none: take the string of the session pooler" in text
    assert time.monotonic() - began < 20


def test_a_port_on_which_nothing_answers_is_told_with_the_ports_there_are(check: Check) -> None:
    good, text = check("postgresql://postgres:x@127.0.0.1:9/postgres")["database"]
    assert not good
    assert "Nothing answers on that port: 5432 is the direct address and the session pooler, 6543" in text


def test_the_mode_of_a_pooler_is_told(check: Check, transaction_pooler: Server, session_pooler: Server) -> None:
    good, text = check(transaction_pooler.url())["connection"]
    assert good
    assert text == "through a transaction pooler: right for the sync, not for DAGSTER_POSTGRES_URL"
    assert check(session_pooler.url())["connection"] == (True, "through a session pooler")


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_is_refused_for_dagsters_own_records(
    check: Check, emptied: Server, mode: str, request: pytest.FixtureRequest
) -> None:
    through = request.getfixturevalue(f"{mode}_pooler")
    good, text = check(DAGSTER_POSTGRES_URL=through.url())[RECORDS]
    assert not good
    assert text.startswith(f"DAGSTER_POSTGRES_URL goes through a {mode} pooler, which refuses what Dagster needs.")
    assert check(DAGSTER_POSTGRES_URL=emptied.url())[RECORDS] == (True, "direct")


def test_a_clock_that_is_wrong_is_told_by_the_database_and_by_gazelle(
    check: Check, tmp_path: Path, bare: pytest.MonkeyPatch, live
) -> None:
    project = Project(tmp_path / "project")
    with running(project.start("sandbox")) as sandbox:
        assert sandbox.stdout is not None
        url = next(word for word in sandbox.stdout.readline().split() if word.startswith("http"))
        clock = time.time
        # This machine's clock, as this process sees it; the other two go on as they were.
        bare.setattr(time, "time", lambda: clock() - 400)
        found = check(GAZELLE_BASE_URL=url)
        sandbox.terminate()
    for name, whose in (("clock", "the database"), ("Gazelle", "Gazelle")):
        good, text = found[name]
        assert not good
        assert text.startswith("This machine's clock is ")
        assert f" s behind {whose}'s" in text
        assert text.endswith("Set it by the network: timedatectl set-ntp true")
