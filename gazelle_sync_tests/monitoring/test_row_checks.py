"""The row checks: each holds for the typical account, and fails on data that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Snapshot
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.sandbox.faults import Fault
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.translations import speak
from gazelle_sync.warehouse import LoadReport, RowCheck
from gazelle_sync_tests.conftest import ALL, TODAY, TORONTO, client_of
from gazelle_sync_tests.daemon.conftest import own_database

Mirror = Callable[..., LoadReport]
Rows = Callable[..., list[dict[str, Any]]]

# table: check → the SQL that breaks it for one row.
BREAKING = {
    "clients: have_a_name": "UPDATE gazelle.clients SET company_name = ' ' WHERE id = (SELECT min(id) "
    "FROM gazelle.clients)",
    "contacts: have_a_client": "UPDATE gazelle.contacts SET client_external_id = NULL WHERE id = (SELECT min(id) "
    "FROM gazelle.contacts)",
    "pianos: have_a_client": "UPDATE gazelle.pianos SET client_external_id = NULL WHERE id = (SELECT min(id) "
    "FROM gazelle.pianos)",
    "timeline_entries: have_a_client": "UPDATE gazelle.timeline_entries SET client_external_id = NULL WHERE id = "
    "(SELECT min(id) FROM gazelle.timeline_entries)",
    "appointments: end_after_they_start": "UPDATE gazelle.appointments SET duration_minutes = 0 WHERE id = "
    "(SELECT min(id) FROM gazelle.appointments)",
    "appointments: appointment_date_is_local": "UPDATE gazelle.appointments SET appointment_date = "
    "appointment_date - 1 WHERE id = (SELECT min(id) FROM gazelle.appointments "
    "WHERE deleted_at IS NULL AND synced_at IS NOT NULL)",
    "appointments: appointment_time_is_local": "UPDATE gazelle.appointments SET appointment_time = "
    "appointment_time + interval '1 hour' WHERE id = (SELECT min(id) FROM gazelle.appointments "
    "WHERE deleted_at IS NULL AND synced_at IS NOT NULL)",
    "pianos: every_parent_is_known": "UPDATE gazelle.clients SET synced_at = NULL WHERE external_id = (SELECT "
    "min(client_external_id) FROM gazelle.pianos); UPDATE gazelle.pianos SET synced_at = now() - interval '25 hours'",
    "pianos: no_row_is_set_aside": "INSERT INTO gazelle.rejected_rows (table_name, external_id, reason, payload) "
    "VALUES ('pianos', 'ins_odd', 'year: odd', '{}')",
    "pianos: few_rows_vanished": "UPDATE gazelle.pianos SET deleted_at = now(); "
    "UPDATE gazelle.sync_log SET deleted = 80 WHERE table_name = 'pianos'",
    "pianos: ids_are_unique_and_present": "ALTER TABLE gazelle.pianos DROP CONSTRAINT pianos_external_id_key CASCADE; "
    "UPDATE gazelle.pianos SET external_id = 'ins_twice' WHERE id IN (SELECT id FROM gazelle.pianos LIMIT 2)",
}


# What a declaration requires: each such check once, on the first table that has it.
for table in TABLES.values():
    for column in table.columns:
        name = f"have_a_{column.name.removesuffix('_external_id')}"
        if column.required and name not in {check.split(": ")[1] for check in BREAKING}:
            BREAKING[f"{table.name}: {name}"] = (
                f"UPDATE gazelle.{table.name} SET {column.name} = NULL "
                f"WHERE id = (SELECT min(id) FROM gazelle.{table.name})"
            )


def checks_of(table: str) -> dict[str, RowCheck]:
    return {check.name: check for check in warehouse.row_checks(TABLES[table], TORONTO)}


@pytest.fixture(scope="module")
def account(server_url: str) -> Iterator[tuple[str, dict[str, LoadReport]]]:
    """The typical account, mirrored once: the database's name, and what each load said."""
    with own_database(server_url) as url, Sandbox(Account.typical(TODAY)) as sandbox:
        engine, client = warehouse.connect(url), client_of(sandbox)
        warehouse.migrate(engine)
        reports = {
            name: warehouse.load(engine, Snapshot(client, table, ALL), run_id="test") for name, table in TABLES.items()
        }
        client.close()
        yield str(engine.url.database), reports


@pytest.fixture
def engine(server_url: str, account: tuple[str, dict[str, LoadReport]]) -> Iterator[Engine]:
    """A copy of it."""
    with own_database(server_url, template=account[0]) as url:
        yield warehouse.connect(url)


@pytest.fixture
def reports(account: tuple[str, dict[str, LoadReport]]) -> dict[str, LoadReport]:
    return account[1]


def broken(engine: Engine) -> set[str]:
    return {
        f"{table}: {name}"
        for table in TABLES
        for name, result in warehouse.run_checks(engine, list(checks_of(table).values())).items()
        if result.broken
    }


def test_all_checks_hold_for_the_typical_account_but_those_about_its_odd_records(
    engine: Engine, reports: dict[str, LoadReport]
) -> None:
    odd = {f"{name}: no_row_is_set_aside" for name, report in reports.items() if report.rejected}
    assert broken(engine) == odd


@pytest.mark.parametrize("check", BREAKING)
def test_a_check_fails_on_data_that_is_broken_on_purpose(check: str, engine: Engine, rows: Rows) -> None:
    before = broken(engine)
    rows(BREAKING[check])
    assert broken(engine) - before >= {check}
    table, name = check.split(": ")
    result = warehouse.run_checks(engine, [checks_of(table)[name]])[name]
    assert result.broken >= 1
    assert all(result.examples)
    assert len(result.examples) <= 5
    for language in ("en", "fr"):
        speak(language)
        why = checks_of(table)[name].tell_why(result)
        assert result.examples[0] in why
        assert checks_of(table)[name].tell_remedy().endswith(".")
    speak("en")


def test_every_check_is_shown_to_fail() -> None:
    names = {name for table in TABLES for name in checks_of(table)}
    assert {check.split(": ")[1] for check in BREAKING} == names


def test_only_what_others_build_on_blocks() -> None:
    blocking = {name for table in TABLES for name, check in checks_of(table).items() if check.blocking}
    assert blocking == {"ids_are_unique_and_present"}


def test_a_child_whose_parent_came_late_is_given_a_day(engine: Engine, rows: Rows) -> None:
    rows(
        "UPDATE gazelle.clients SET synced_at = NULL WHERE external_id = (SELECT min(client_external_id) "
        "FROM gazelle.pianos); UPDATE gazelle.pianos SET synced_at = now() - interval '23 hours'"
    )
    known = "every_parent_is_known"
    assert warehouse.run_checks(engine, [checks_of("pianos")[known]])[known].broken == 0


def test_the_count_agrees_also_with_records_that_are_set_aside(engine: Engine, reports: dict[str, LoadReport]) -> None:
    for name, report in reports.items():
        assert warehouse.count_rows_in_scope(engine, TABLES[name], ALL) == report.expected, name


def test_a_record_set_aside_by_another_months_load_does_not_count(engine: Engine, mirror: Mirror, rows: Rows) -> None:
    rows(
        "INSERT INTO gazelle.rejected_rows (table_name, external_id, reason, payload, first_seen_at, last_seen_at) "
        "VALUES ('appointments', 'evt_odd', 'odd', '{}', now() - interval '1 day', now() - interval '1 day')"
    )
    march = Scope(TORONTO, date(2026, 3, 1), date(2026, 4, 1))
    report = mirror("appointments", march)
    assert warehouse.count_rows_in_scope(engine, TABLES["appointments"], march) == report.expected


def test_a_record_that_gazelle_counts_and_does_not_give_is_noticed(
    engine: Engine, mirror: Mirror, sandbox: Sandbox
) -> None:
    sandbox.faults.add(Fault("total_count", match="allPianos", times=None))
    report = mirror("pianos")
    assert warehouse.count_rows_in_scope(engine, TABLES["pianos"], ALL) == report.expected - 1
