"""A nightly run in this process, over HTTP, where Gazelle refuses one table: what else runs, and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, Definitions, ExecuteInProcessResult, PartitionKeyRange

from gazelle_sync.monitoring.status import read_status
from gazelle_sync.partitions import ROLLING_MONTHS_AHEAD, months_later
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES, dependencies
from gazelle_sync.tables.declaration import Nested
from gazelle_sync_tests.conftest import NOW, TORONTO

Rows = Callable[..., list[dict[str, Any]]]
Night = Callable[..., ExecuteInProcessResult]
DATED = [name for name, table in TABLES.items() if table.partitioned_by]


@pytest.fixture
def night(
    definitions: ModuleType, defs: Definitions, instance: DagsterInstance, configured: pytest.MonkeyPatch, engine: Any
) -> Night:
    """Runs what the nightly schedule would run now, of all tables or of those that are named."""
    from gazelle_sync.due import read_due
    from gazelle_sync.jobs import nightly_tags

    def night(*tables: str) -> ExecuteInProcessResult:
        with closing(definitions.postgres.read_environment()) as database:
            due = read_due(database, definitions.partitions, TABLES, datetime.now(TORONTO))
        return defs.resolve_job_def("sync").execute_in_process(
            instance=instance,
            asset_selection=[AssetKey(["gazelle", name]) for name in due.tables if name in tables or not tables],
            tags=dict(nightly_tags(due.months)),
            raise_on_error=False,
        )

    return night


@pytest.fixture
def run_months(
    defs: Definitions, instance: DagsterInstance, configured: pytest.MonkeyPatch
) -> Callable[[date, date], ExecuteInProcessResult]:
    """Runs the dated tables for some months, as a backfill does."""
    from gazelle_sync.jobs import range_tags

    return lambda first, last: defs.resolve_job_def("sync").execute_in_process(
        instance=instance,
        asset_selection=[AssetKey(["gazelle", name]) for name in DATED],
        tags=dict(range_tags(PartitionKeyRange(str(first), str(last)))),
    )


def an_entry(live: Sandbox) -> dict[str, Any]:
    """What an entry of the timeline has, as another one has it."""
    entry = next(iter(live.account.timeline.values()))
    return {name: value for name, value in entry.items() if name not in ("id", "occurredAt")}


@pytest.fixture
def refuse(live: Sandbox) -> Iterator[Callable[[str], None]]:
    """Gazelle refuses what this table is read with, and nothing else: each query is named after its table."""
    yield lambda table: live.faults.add(Fault("status", times=None, match=f"query {table}(", status=403)) and None
    live.faults.clear()


def downstream(table: str) -> set[str]:
    """The tables that are not read when this one fails."""
    found = {table}
    while more := {name for name, each in TABLES.items() if found & {*dependencies(each, TABLES)}} - found:
        found |= more
    return found - {table}


def upstream(tables: list[str]) -> list[str]:
    """These tables, and those that they need."""
    found = {*tables}
    while more := {each for name in found for each in dependencies(TABLES[name], TABLES)} - found:
        found |= more
    return [name for name in TABLES if name in found]


def ended(rows: Rows) -> dict[str, str]:
    """How the last attempt of each table ended that was attempted."""
    log = rows("SELECT DISTINCT ON (table_name) table_name, status FROM gazelle.sync_log ORDER BY table_name, id DESC")
    return {line["table_name"]: line["status"] for line in log}


# -- a failure stays where it is --------------------------------------------------------------------------------------


def test_of_the_first_tables_the_users_stop_nothing_and_the_clients_what_is_theirs() -> None:
    assert downstream("users") == set()
    assert downstream("clients") >= {"contacts", "pianos", "appointments", "appointment_pianos", "timeline_entries"}


def test_where_the_users_are_refused_all_others_are_mirrored(night: Night, rows: Rows, live: Sandbox) -> None:
    live.faults.add(Fault("status", times=None, match="allUsers", status=403))
    try:
        result = night()
    finally:
        live.faults.clear()
    assert not result.success
    assert ended(rows) == {**dict.fromkeys(TABLES, "success"), "users": "error"}
    # What refers to them has placeholders to refer to.
    (counts,) = rows(
        "SELECT count(*) FILTER (WHERE synced_at IS NULL) AS placeholders, count(*) AS rows FROM gazelle.users"
    )
    assert counts["placeholders"] == counts["rows"] > 0


@pytest.mark.parametrize("table", [name for name in TABLES if downstream(name)][:3])
def test_a_table_that_is_refused_stops_those_behind_it_and_no_other(
    night: Night, rows: Rows, refuse: Callable[[str], None], table: str
) -> None:
    refuse(table)
    assert not night().success
    stopped = downstream(table)
    assert ended(rows) == {name: "error" if name == table else "success" for name in TABLES if name not in stopped}


def test_within_a_run_what_is_referred_to_comes_first(night: Night, rows: Rows) -> None:
    assert night().success
    assert [line["table_name"] for line in rows("SELECT table_name FROM gazelle.sync_log ORDER BY id")] == list(TABLES)


# -- one table that lags behind does not cost the others --------------------------------------------------------------


# What has no months is of no interest here, but for what the others need.
AROUND = upstream(DATED)


def requests_of(rows: Rows) -> dict[str, int]:
    log = rows("SELECT DISTINCT ON (table_name) table_name, api_requests FROM gazelle.sync_log ORDER BY 1, id DESC")
    return {line["table_name"]: line["api_requests"] for line in log}


def test_a_dated_table_that_was_never_read_whole_is_read_whole_alone(
    night: Night, rows: Rows, refuse: Callable[[str], None], live: Sandbox
) -> None:
    live.page_cap = 10
    behind = next(name for name in DATED if not isinstance(TABLES[name].read, Nested) and not downstream(name))
    others = [name for name in DATED if name != behind]
    try:
        refuse(behind)
        assert not night(*AROUND).success
        whole = requests_of(rows)
        live.faults.clear()
        # One night, and another: the second is what every night costs.
        assert night(*AROUND).success
        caught_up = requests_of(rows)
        scopes = rows("SELECT DISTINCT ON (table_name) table_name, scope FROM gazelle.sync_log ORDER BY 1, id DESC")
        assert night(*AROUND).success
        usual = requests_of(rows)
    finally:
        live.page_cap = 100
    assert {line["table_name"]: line["scope"] for line in scopes}[behind] == "all"
    assert {line["scope"] for line in scopes if line["table_name"] in others} != {"all"}
    for name in others:
        # The next night also asks for what the table that caught up refers to, by id.
        assert caught_up[name] <= usual[name] < whole[name]
    assert caught_up[behind] > usual[behind]


# -- a gap is a gap ---------------------------------------------------------------------------------------------------


def test_after_a_hundred_days_a_backfill_of_this_month_hides_nothing_from_the_next_night(
    night: Night, run_months: Callable[..., ExecuteInProcessResult], rows: Rows, engine: Any, live: Sandbox
) -> None:
    assert night(*AROUND).success
    rows(
        "UPDATE gazelle.sync_log SET started_at = started_at - interval '100 days', "
        "finished_at = finished_at - interval '100 days'"
    )
    entry = live.account.add("timeline", {"occurredAt": f"{NOW - timedelta(days=70)}T15:00:00Z", **an_entry(live)})
    month = NOW.replace(day=1)
    assert run_months(month, month).success
    fresh = read_status(engine, {name: TABLES[name] for name in AROUND}).fresh
    assert {fresh[name] for name in DATED} == {False}
    find = "SELECT external_id FROM gazelle.timeline_entries WHERE external_id = %s"
    assert rows(find, entry["id"]) == []
    assert night(*AROUND).success
    assert rows(find, entry["id"]) == [{"external_id": entry["id"]}]
    assert set(read_status(engine, {name: TABLES[name] for name in AROUND}).fresh.values()) == {True}
    del live.account.timeline[entry["id"]]


def test_what_could_not_be_proved_whole_is_not_up_to_date_and_does_not_cost_the_next_night(
    night: Night, rows: Rows, engine: Any, live: Sandbox
) -> None:
    fault = live.faults.add(Fault("total_count", times=None, match="query timeline_entries"))
    try:
        assert night(*AROUND).success
        whole = requests_of(rows)["timeline_entries"]
        assert read_status(engine, {name: TABLES[name] for name in AROUND}).fresh["timeline_entries"] is False
        assert night(*AROUND).success
        assert requests_of(rows)["timeline_entries"] < whole
    finally:
        live.faults.remove(fault)
    assert night(*AROUND).success
    # What is older was never proved; the weekly run does that.
    assert read_status(engine, {name: TABLES[name] for name in AROUND}).fresh["timeline_entries"] is False


# -- a run that nobody gave a month -----------------------------------------------------------------------------------

RANGE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def launch(defs: Definitions, instance: DagsterInstance, configured: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the job, or some of its tables, as its launchpad does: without a month. The result, and the run's tags."""

    def launch(*tables: str, **tags: str) -> tuple[ExecuteInProcessResult, dict[str, str]]:
        result = defs.resolve_job_def("sync").execute_in_process(
            instance=instance,
            asset_selection=[AssetKey(["gazelle", name]) for name in tables] or None,
            tags=tags,
            raise_on_error=False,
        )
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        return result, dict(run.tags)

    return launch


def months_of(result: ExecuteInProcessResult, table: str) -> list[str]:
    found = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return [str(each.partition) for each in found if each.asset_key == AssetKey(["gazelle", table])]


def test_a_sync_without_a_month_reads_what_a_night_would(launch: Callable[..., Any], engine: Any, rows: Rows) -> None:
    scopes = "SELECT table_name, scope FROM gazelle.sync_log WHERE run_id = %s"
    first, _ = launch(*DATED)
    assert first.success
    assert rows(scopes, first.run_id) == [{"table_name": name, "scope": "all"} for name in DATED]
    # Nothing is lacking now, so it is as on any night: from 60 days back to 18 months ahead.
    second, tags = launch(*DATED)
    assert second.success
    window = f"{(NOW - timedelta(days=60)).replace(day=1)}..{months_later(NOW, ROLLING_MONTHS_AHEAD + 1)}"
    assert rows(scopes, second.run_id) == [{"table_name": name, "scope": window} for name in DATED]
    for table in DATED:
        months = months_of(second, table)
        assert (months[0], months[-1]) == tuple(tags[name] for name in RANGE)
    assert all(check.passed for check in second.get_asset_check_evaluations())
    # It is no run that the outside watcher waits for.
    assert "gazelle-sync/nightly" not in tags


@pytest.mark.parametrize("table", DATED)
def test_so_does_each_dated_table_alone(launch: Callable[..., Any], rows: Rows, table: str) -> None:
    result, tags = launch(table)
    assert result.success
    assert rows("SELECT table_name, scope FROM gazelle.sync_log") == [{"table_name": table, "scope": "all"}]
    assert set(RANGE) <= set(tags)


@pytest.mark.parametrize("table", [name for name in TABLES if name not in DATED][:3])
def test_tables_without_a_date_need_no_month(launch: Callable[..., Any], engine: Any, table: str) -> None:
    result, tags = launch(table)
    assert result.success
    assert not set(RANGE) & set(tags)


@pytest.mark.parametrize("month", [NOW.replace(day=1), (NOW - timedelta(days=90)).replace(day=1)], ids=str)
def test_a_run_that_has_a_month_keeps_it(launch: Callable[..., Any], rows: Rows, month: date) -> None:
    result, tags = launch("appointments", **{"dagster/partition": str(month)})
    assert result.success
    assert months_of(result, "appointments") == [str(month)]
    assert not set(RANGE) & set(tags)


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_a_night_asks_one_question_more_than_its_tables_do(night: Night, rows: Rows, live: Sandbox) -> None:
    before = len(live.requests)
    assert night().success
    ((asked,),) = (row.values() for row in rows("SELECT sum(api_requests)::int FROM gazelle.sync_log"))
    # The schema is looked at as long as the database mirrors nobody's account, and so not every night.
    assert len([each for each in live.requests[before:] if "__schema" not in each.query]) == asked + 1
