"""Materializing: one table alone, a range of months in one pass, what a materialization tells, and reading back."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pandas
import psycopg2.extensions
import pytest
from dagster import (
    AssetIn,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    asset,
    materialize,
)
from sqlalchemy import event
from sqlalchemy.pool import Pool

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.declaration import Nested
from gazelle_sync_tests.conftest import HISTORY_START, NOW, query_rows

Rows = Callable[..., list[dict[str, Any]]]
Run = Callable[..., ExecuteInProcessResult]
MONTH = NOW.replace(day=1)
NEXT = (MONTH + timedelta(days=32)).replace(day=1)
AFTER_NEXT = (NEXT + timedelta(days=32)).replace(day=1)


@pytest.fixture
def run(defs: Definitions, instance: DagsterInstance, configured: pytest.MonkeyPatch) -> Run:
    """Runs the job for some tables, over a range of months."""

    def run(*tables: str, months: tuple[Any, Any] | None = None, **options: Any) -> ExecuteInProcessResult:
        names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        return defs.resolve_job_def("sync").execute_in_process(
            instance=instance,
            asset_selection=[AssetKey(["gazelle", table]) for table in tables],
            tags=dict(zip(names, map(str, months), strict=True)) if months else {},
            **options,
        )

    return run


def materializations(result: ExecuteInProcessResult, table: str) -> list[AssetMaterialization]:
    found = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return [each for each in found if each.asset_key == AssetKey(["gazelle", table])]


def numbers(materialization: AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in materialization.metadata.items()}


# -- a table alone ----------------------------------------------------------------------------------------------------


def test_a_table_can_be_materialized_alone_and_shows_its_row_count(run: Run, empty_engine: Any, live: Sandbox) -> None:
    count = len(live.requests)
    result = run("pianos")
    assert result.success
    (materialization,) = materializations(result, "pianos")
    shown = numbers(materialization)
    assert shown["dagster/row_count"] == 85
    assert shown["fetched"] == shown["inserted"] == 85
    assert shown["updated"] == shown["unchanged"] == shown["deleted"] == shown["rejected"] == 0
    assert shown["scope"] == "all"
    first, second, *others = live.requests[count:]
    assert first.query.startswith("query account ")
    assert "__schema" in second.query, "once for each database"
    assert shown["api_requests"] == len(others) >= 1
    assert shown["seconds"] > 0
    assert all("allPianos" in request.query for request in others)


def test_the_sizes_of_pages_are_shown_and_the_next_run_starts_with_the_one_that_worked(
    run: Run, engine: Any, live: Sandbox
) -> None:
    fault = live.faults.add(Fault("max_first", limit=60))
    try:
        [first], [second] = [materializations(run("pianos"), "pianos") for _ in range(2)]
    finally:
        live.faults.remove(fault)
    assert numbers(first)["page_sizes"] == "200, 100, 50"
    assert numbers(second)["page_sizes"] == "50"


def test_a_field_that_is_gone_is_a_warning_that_names_it_and_the_run_goes_on(
    run: Run, engine: Any, rows: Rows, live: Sandbox
) -> None:
    fault = live.faults.add(Fault("missing", names=["PrivatePiano.model"]))
    try:
        result = run("pianos")
    finally:
        live.faults.remove(fault)
    assert result.success
    [materialization] = materializations(result, "pianos")
    assert numbers(materialization)["status"] == "warning"
    assert "Gazelle refuses the field model" in numbers(materialization)["warnings"]
    [row] = rows("SELECT error FROM gazelle.sync_log WHERE table_name = 'pianos'")
    assert "these columns keep what they have: model" in row["error"]


def test_the_log_knows_the_run_by_dagster_s_id(run: Run, rows: Rows) -> None:
    result = run("users")
    assert rows("SELECT run_id, table_name, status FROM gazelle.sync_log") == [
        {"run_id": result.run_id, "table_name": "users", "status": "success"}
    ]


@pytest.mark.parametrize("months", [None, (MONTH, NEXT)], ids=["", "a backfill"])
def test_a_single_table_is_not_read_from_another_account(
    run: Run, engine: Any, rows: Rows, live: Sandbox, months: Any
) -> None:
    table = "appointments" if months else "pianos"
    assert run("users").success
    fault = live.faults.add(Fault("other_company", company={"id": "com_other"}))
    count = len(live.requests)
    try:
        result = run(table, months=months, raise_on_error=False)
    finally:
        live.faults.remove(fault)
    assert not result.success
    assert [request.query.split()[1] for request in live.requests[count:]] == ["account"]
    assert rows("SELECT table_name FROM gazelle.sync_log") == [{"table_name": "users"}]
    assert rows(f"SELECT count(*) AS n FROM gazelle.{table}") == [{"n": 0}]


def test_where_gazelle_is_away_each_table_says_so_and_it_is_asked_once(
    run: Run, engine: Any, rows: Rows, live: Sandbox
) -> None:
    fault = live.faults.add(Fault("status", times=None, status=403))
    count = len(live.requests)
    try:
        result = run("users", "clients", "pianos", raise_on_error=False)
    finally:
        live.faults.remove(fault)
    assert not result.success
    log = rows("SELECT table_name, status FROM gazelle.sync_log ORDER BY id")
    assert log == [{"table_name": "users", "status": "error"}, {"table_name": "clients", "status": "error"}]
    assert len(live.requests) - count <= 3


def test_a_run_keeps_no_secret_in_its_config(
    run: Run, engine: Any, instance: DagsterInstance, live: Sandbox, database_url: str
) -> None:
    result = run("users")
    kept = instance.get_run_by_id(result.run_id)
    assert kept is not None
    events = [
        entry.event_log_entry if hasattr(entry, "event_log_entry") else entry
        for entry in instance.all_logs(kept.run_id)
    ]
    text = json.dumps(kept.run_config) + json.dumps(dict(kept.tags)) + "".join(map(str, events))
    assert live.api_key not in text
    assert database_url not in text


def test_a_table_that_fails_fails_the_run_and_leaves_its_reason_in_the_log(run: Run, rows: Rows, live: Sandbox) -> None:
    fault = live.faults.add(Fault("status", times=None, match="allPianos", status=403, message="No."))
    try:
        result = run("pianos", raise_on_error=False)
    finally:
        live.faults.remove(fault)
    assert not result.success
    ((status, error),) = [row.values() for row in rows("SELECT status, error FROM gazelle.sync_log")]
    assert status == "error"
    assert "HTTP 403" in error


@pytest.fixture
def opened() -> Iterator[list[object]]:
    """The connections to PostgreSQL that were opened, by whatever engine."""
    found: list[object] = []

    def count(connection: object, _: object) -> None:
        if isinstance(connection, psycopg2.extensions.connection):
            found.append(connection)

    event.listen(Pool, "connect", count)
    yield found
    event.remove(Pool, "connect", count)


def test_a_run_of_short_lists_opens_one_connection_for_all_of_its_tables(
    run: Run, empty_engine: Any, opened: list[object]
) -> None:
    assert run(*TABLES, months=(MONTH, NEXT)).success
    # And one for whose account it is, as the API is asked about its shape in between.
    assert len(opened) == 2


def test_a_run_holds_no_connection_while_long_lists_are_being_read(
    run: Run, empty_engine: Any, live: Sandbox, database_url: str, opened: list[object], bare: pytest.MonkeyPatch
) -> None:
    # The package has a function of the module's name.
    bare.setattr(importlib.import_module("gazelle_sync.warehouse.load"), "HELD", 0.0)
    watcher = warehouse.connect(database_url, keep_open=True)
    ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gazelle-sync'"
    held: list[int] = [len(query_rows(watcher, f"SELECT {ours}"))]

    def look(_: object) -> None:
        # A server's process takes a moment to end.
        until = time.monotonic() + 1
        while (now := len(query_rows(watcher, f"SELECT {ours}"))) > held[0] and time.monotonic() < until:
            time.sleep(0.005)
        held.append(now)

    fault = live.faults.add(Fault("mutate", times=None, mutate=look))
    opened.clear()
    try:
        assert run(*TABLES, months=(MONTH, NEXT)).success
    finally:
        live.faults.remove(fault)
        watcher.dispose()
    # One for whose account it is, one for the declared shape, before the first table is read, as the API's shape is
    # asked for between them; and one for the second look at a list inside another's records, which has nothing stored.
    nested = [table for table in TABLES.values() if isinstance(table.read, Nested)]
    assert len(opened) == 2 + len(TABLES) + len(nested)
    assert len(held) > len(TABLES)
    # As many as before it began: the one that looks, and what other tests keep.
    assert set(held) == {held[0]}


# -- months -----------------------------------------------------------------------------------------------------------


def test_a_range_of_months_is_one_pass_over_the_api_and_one_load(run: Run, rows: Rows, live: Sandbox) -> None:
    count = len(live.requests)
    result = run("appointments", months=(MONTH, AFTER_NEXT))
    assert result.success
    found = materializations(result, "appointments")
    assert [each.partition for each in found] == [str(MONTH), str(NEXT), str(AFTER_NEXT)]
    # What is long is told once, with the month that an asset's page shows; what is plotted, with each.
    long = {"sample", "what changed", "dagster/column_lineage"}
    assert [long & each.metadata.keys() for each in found] == [set(), set(), long]
    assert all({"dagster/row_count", "fetched", "seconds"} <= each.metadata.keys() for each in found)
    end = (AFTER_NEXT + timedelta(days=32)).replace(day=1)
    ((scope, fetched),) = [row.values() for row in rows("SELECT scope, fetched FROM gazelle.sync_log")]
    assert scope == f"{MONTH}..{end}"
    assert fetched > 0
    # As many pages as that many records fill, and not as many for each month.
    # And one, whose account it is; and one for the schema, as the database is new.
    assert len(live.requests) - count == -(-fetched // 100) + 2
    dates = rows(
        "SELECT min(appointment_date), max(appointment_date) FROM gazelle.appointments WHERE synced_at IS NOT NULL"
    )
    assert MONTH <= dates[0]["min"] <= dates[0]["max"] < end


def test_one_month_reads_that_month(run: Run, rows: Rows) -> None:
    assert run("timeline_entries", months=(MONTH, MONTH)).success
    assert rows("SELECT scope FROM gazelle.sync_log") == [{"scope": f"{MONTH}..{NEXT}"}]


def test_all_months_are_all_history_also_what_no_month_holds(
    run: Run, rows: Rows, definitions: Any, live: Sandbox
) -> None:
    months = definitions.partitions
    far = live.account.add("events", {"start": f"{NOW.year + 5}-06-01T15:00:00Z", "title": "In five years"})
    try:
        assert run("appointments", months=(months.get_first_partition_key(), months.get_last_partition_key())).success
    finally:
        del live.account.events[far["id"]]
    assert rows("SELECT scope FROM gazelle.sync_log") == [{"scope": "all"}]
    assert rows("SELECT title FROM gazelle.appointments WHERE external_id = %s", far["id"]) == [
        {"title": "In five years"}
    ]


# -- reading back -----------------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(
    definitions: Any, instance: DagsterInstance, configured: pytest.MonkeyPatch
) -> Callable[..., pandas.DataFrame]:
    """What a downstream asset of a table is given, with or without partitions of its own."""

    def loaded(table: str, *, partitioned: bool = False, months: tuple[Any, Any] | None = None) -> pandas.DataFrame:
        given = []

        @asset(
            ins={"rows": AssetIn(key=AssetKey(["gazelle", table]), input_manager_key="warehouse")},
            partitions_def=definitions.partitions if partitioned else None,
        )
        def report(rows: pandas.DataFrame) -> None:
            given.append(rows)

        names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        upstream = next(
            each for each in definitions.defs.assets if getattr(each, "key", None) == AssetKey(["gazelle", table])
        )
        materialize(
            [upstream, report],
            selection=[report],
            instance=instance,
            resources=definitions.defs.resources,
            tags=dict(zip(names, map(str, months), strict=True)) if months else {},
        )
        return given[0]

    return loaded


def test_a_downstream_asset_is_given_the_whole_table_with_people_s_columns(
    loaded: Callable[..., pandas.DataFrame], rows: Rows
) -> None:
    rows("ALTER TABLE gazelle.clients ADD COLUMN vip boolean DEFAULT true")
    for number in (1, 2):
        rows(
            "INSERT INTO gazelle.clients (external_id, company_name) VALUES (%s, %s)",
            f"cli_{number}",
            f"Client {number}",
        )
    frame = loaded("clients")
    assert list(frame["external_id"]) == ["cli_1", "cli_2"]
    assert list(frame["company_name"]) == ["Client 1", "Client 2"]
    assert list(frame["vip"]) == [True, True]
    assert list(frame["tags"]) == [[], []]


@pytest.fixture
def three_appointments(rows: Rows) -> None:
    """One in each of two months, one without any date, and one before all months."""
    for name, day in (("now", MONTH), ("next", NEXT), ("dateless", None), ("old", HISTORY_START - timedelta(days=400))):
        rows("INSERT INTO gazelle.appointments (external_id, appointment_date) VALUES (%s, %s)", name, day)


@pytest.mark.usefixtures("three_appointments")
def test_an_asset_without_months_is_given_every_row_of_a_table_with_months(
    loaded: Callable[..., pandas.DataFrame],
) -> None:
    assert list(loaded("appointments")["external_id"]) == ["now", "next", "dateless", "old"]


@pytest.mark.usefixtures("three_appointments")
@pytest.mark.parametrize(
    ("months", "given"), [((MONTH, MONTH), ["now"]), ((NEXT, NEXT), ["next"]), ((MONTH, AFTER_NEXT), ["now", "next"])]
)
def test_an_asset_of_the_same_months_is_given_the_rows_of_its_own(
    loaded: Callable[..., pandas.DataFrame], months: tuple[Any, Any], given: list[str]
) -> None:
    assert list(loaded("appointments", partitioned=True, months=months)["external_id"]) == given
