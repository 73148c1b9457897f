"""Which tables a run reads: weekly ones in their turn, those that are off never, a refused one in vain."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, Definitions, ExecuteInProcessResult, build_schedule_context

from gazelle_sync.monitoring.freshness import is_due, is_fresh
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES, Cadence
from gazelle_sync.warehouse import Coverage, Reading
from gazelle_sync_tests.conftest import HISTORY_START, TORONTO
from gazelle_sync_tests.project import Project

Rows = Callable[..., list[dict[str, Any]]]
WEEKLY = {name for name, table in TABLES.items() if table.every is Cadence.WEEK}
WEDNESDAY = datetime(2026, 3, 18, 2, tzinfo=TORONTO)
SUNDAY = datetime(2026, 3, 22, 2, tzinfo=TORONTO)
EPOCH = datetime.min.date(), datetime.max.date()


def read_at(at: datetime, *, proved: bool = True) -> Coverage:
    return Coverage([Reading(*EPOCH, at, proved)])


# -- the cadence ------------------------------------------------------------------------------------------------------


@pytest.fixture
def chosen(
    definitions: ModuleType, instance: DagsterInstance, configured: pytest.MonkeyPatch
) -> Callable[[datetime], set[str]]:
    """The tables of the run that the nightly tick of a moment asks for."""

    def chosen(at: datetime) -> set[str]:
        schedule = definitions.defs.resolve_schedule_def("nightly")
        resources = {"postgres": definitions.postgres}
        with build_schedule_context(instance, scheduled_execution_time=at, resources=resources) as context:
            (request,) = schedule.evaluate_tick(context).run_requests
        return {key.path[-1] for key in request.asset_selection} & TABLES.keys()

    return chosen


@pytest.fixture
def logged(rows: Rows) -> Callable[[datetime], None]:
    """Every table was read whole at a moment, and nothing else is known."""

    def logged(at: datetime) -> None:
        rows("TRUNCATE gazelle.sync_log")
        for name in TABLES:
            rows(
                "INSERT INTO gazelle.sync_log (run_id, table_name, scope, status, started_at, finished_at, proved) "
                "VALUES ('test', %s, 'all', 'success', %s, %s, true)",
                *(name, at, at),
            )

    return logged


@pytest.mark.parametrize(
    ("tick", "read_before", "weekly_too"),
    [
        (WEDNESDAY, timedelta(days=1), False),
        (WEDNESDAY, timedelta(days=6), False),
        (WEDNESDAY, timedelta(days=7), True),
        # The weekly run is an hour away.
        (SUNDAY, timedelta(days=7), False),
        (SUNDAY + timedelta(days=1), timedelta(days=8), True),
    ],
    ids=["last night", "six nights ago", "a week ago", "a week ago, on Sunday", "eight days ago, on Monday"],
)
def test_a_night_leaves_the_weekly_tables_out_until_they_are_due(
    chosen: Any, logged: Any, tick: datetime, read_before: timedelta, weekly_too: bool
) -> None:
    logged(tick - read_before)
    assert chosen(tick) == (TABLES.keys() if weekly_too else TABLES.keys() - WEEKLY)


def test_the_first_night_reads_the_weekly_tables_too(chosen: Any, engine: Any) -> None:
    assert chosen(WEDNESDAY) == TABLES.keys()


def test_where_the_log_can_t_be_asked_all_is_left_to_the_run(chosen: Any, configured: pytest.MonkeyPatch) -> None:
    configured.setenv("SUPABASE_DB_URL", "postgresql://someone:geheim@127.0.0.1:9/nowhere")
    configured.setattr("gazelle_sync.warehouse.connection.time.sleep", lambda _: None)
    assert chosen(WEDNESDAY) == TABLES.keys()


@pytest.mark.parametrize(
    ("days", "night", "week"), [(1, True, True), (2, False, True), (7.9, False, True), (8.1, False, False)]
)
def test_a_table_is_stale_by_its_own_cadence(days: float, night: bool, week: bool) -> None:
    known = read_at(datetime.now(TORONTO) - timedelta(days=days))
    assert is_fresh(TABLES["clients"], known) is night
    assert is_fresh(TABLES["contact_emails"], known) is week


def test_a_read_that_proved_nothing_is_a_read_for_whose_turn_it_is_and_not_for_what_is_fresh() -> None:
    at = datetime.now(TORONTO)
    known = read_at(at - timedelta(days=1), proved=False)
    assert not is_due(TABLES["contact_emails"], known, at)
    assert is_fresh(TABLES["clients"], known) is False
    # There may be no right to read it.
    assert is_fresh(TABLES["contact_emails"], known) is None


# -- off --------------------------------------------------------------------------------------------------------------

LOOK = """
import json
import dagster as dg
from gazelle_sync.definitions import defs
graph = defs.resolve_asset_graph()
told = {}
for name in ("piano_photos", "estimates", "clients"):
    key = dg.AssetKey(["gazelle", name])
    node = graph.get(key)
    told[name] = {"read": node.is_materializable, "group": node.group_name,
                  "checks": len([each for each in graph.asset_check_keys if each.asset_key == key]),
                  "fresh": bool(node.freshness_policy), "about": node.description,
                  "in": [job for job in ("sync", "hourly")
                         if key in defs.resolve_job_def(job).asset_layer.selected_asset_keys]}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("off") / "project")


def test_a_table_that_is_off_is_shown_as_what_it_is_and_run_by_no_job(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=project.home,
        env={**project.variables, "GAZELLE_TABLES_OFF": "piano_photos, estimates"},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    for name in ("piano_photos", "estimates"):
        assert told[name]["about"].startswith(TABLES[name].comment)
        assert "GAZELLE_TABLES_OFF" in told[name]["about"]
        assert told[name] == {
            **told[name],
            **{"read": False, "group": TABLES[name].group.value, "checks": 0, "fresh": False, "in": []},
        }
    assert told["clients"]["read"]
    assert told["clients"]["fresh"]
    assert told["clients"]["in"] == ["sync", "hourly"]
    assert told["clients"]["checks"] > 3


def test_a_table_that_is_off_is_not_read_and_keeps_what_it_holds(
    project: Project, configured: pytest.MonkeyPatch, empty_engine: Any, rows: Rows, live: Sandbox, database_url: str
) -> None:
    variables = {
        "SUPABASE_DB_URL": database_url,
        "GAZELLE_BASE_URL": live.url,
        "GAZELLE_API_KEY": live.api_key,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
        "GAZELLE_HISTORY_START": HISTORY_START.isoformat(),
    }
    assert project.run("sync", "--table", "taxes", **variables).code == 0
    look = "SELECT xmin, t.* FROM gazelle.taxes t ORDER BY id"
    before = rows(look)
    assert before
    tax = next(iter(live.account.taxes.values()))
    name, tax["name"] = tax["name"], "Autre"
    asked = len(live.requests)
    off = {"GAZELLE_TABLES_OFF": "taxes"}
    try:
        done = project.run("sync", **variables, **off)
    finally:
        tax["name"] = name
    assert done.code == 0, done.text
    assert [each for each in live.requests[asked:] if "Taxes" in each.query] == []
    assert rows(look) == before
    assert rows("SELECT count(DISTINCT table_name) AS n FROM gazelle.sync_log") == [{"n": len(TABLES)}]
    assert "Off, by GAZELLE_TABLES_OFF: taxes." in project.run("status", **variables, **off).text
    refused = project.run("sync", "--table", "taxes", **variables, **off)
    assert (refused.code, "GAZELLE_TABLES_OFF names taxes" in refused.err) == (2, True)


# -- refused ----------------------------------------------------------------------------------------------------------

OF_INVOICES = {"invoices", "invoice_items", "invoice_payments"}


@pytest.fixture
def no_invoices(live: Sandbox) -> Iterator[Fault]:
    """The key has no right to invoices."""
    fault = live.faults.add(Fault("forbidden", times=None, names=("allInvoices",)))
    yield fault
    live.faults.clear()


def test_where_the_key_may_not_read_invoices_that_is_said_once_and_the_rest_is_mirrored_and_checked(
    defs: Definitions,
    instance: DagsterInstance,
    configured: pytest.MonkeyPatch,
    engine: Any,
    rows: Rows,
    no_invoices: Fault,
) -> None:
    configured.setattr("gazelle_sync.gazelle.client.TRIES", 1)
    result: ExecuteInProcessResult = defs.resolve_job_def("sync").execute_in_process(
        instance=instance,
        asset_selection=[AssetKey(["gazelle", name]) for name, table in TABLES.items() if not table.partitioned_by],
        raise_on_error=False,
    )
    assert result.success
    log = rows("SELECT table_name, status, error, fetched FROM gazelle.sync_log")
    assert {line["table_name"] for line in log if line["status"] != "success"} == OF_INVOICES
    for line in log:
        if line["table_name"] in OF_INVOICES:
            assert line["error"].count("does not let this key read the table") == 1
    failed = [
        (check.asset_key.path[-1], check.check_name)
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.asset_key.path[-1] in OF_INVOICES
    ]
    assert failed == []


# -- the client's language --------------------------------------------------------------------------------------------


def test_texts_in_several_languages_are_in_the_one_that_the_company_s_clients_have(
    defs: Definitions,
    instance: DagsterInstance,
    configured: pytest.MonkeyPatch,
    engine: Any,
    rows: Rows,
    live: Sandbox,
) -> None:
    def run() -> ExecuteInProcessResult:
        return defs.resolve_job_def("sync").execute_in_process(
            instance=instance, asset_selection=[AssetKey(["gazelle", "recommendations"])]
        )

    before = len(live.requests)
    assert run().success
    assert len([each for each in live.requests[before:] if each.query.startswith("query account")]) == 1
    stored = rows("SELECT name, name_i18n FROM gazelle.recommendations WHERE name_i18n -> 'fr_CA' IS NOT NULL")
    assert stored
    assert all(row["name"] == row["name_i18n"]["fr_CA"] for row in stored)
    assert rows("SELECT client_locale FROM gazelle.account") == [{"client_locale": "fr_CA"}]
    # Where it is not told any more, it is what it was.
    live.faults.add(Fault("missing", times=None, names=("PrivateCompanySettings.localization",)))
    try:
        assert run().success
    finally:
        live.faults.clear()
    assert rows("SELECT updated, unchanged > 0 AS some FROM gazelle.sync_log ORDER BY id DESC LIMIT 1") == [
        {"updated": 0, "some": True}
    ]
