"""What a run records: metadata, checks that block, and the page, by the project's own job in this process."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, FloatMetadataValue, IntMetadataValue
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.monitoring import status, status_page
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync.translations import Speech
from gazelle_sync.warehouse import RowCheck
from gazelle_sync.warehouse.row_checks import RowCheckResult
from gazelle_sync_tests.conftest import TORONTO

Run = Callable[..., ExecuteInProcessResult]
Rows = Callable[..., list[dict[str, Any]]]
NUMBERS = (
    *("fetched", "inserted", "updated", "unchanged", "deleted", "restored", "rejected"),
    *("api_requests", "api_retries", "gazelle_count", "dagster/row_count"),
)


@pytest.fixture
def instance(shipped: DagsterInstance) -> DagsterInstance:
    return shipped


@pytest.fixture
def run(
    bare: pytest.MonkeyPatch,
    definitions: ModuleType,
    empty_engine: Engine,
    database_url: str,
    sandbox: Sandbox,
    instance: DagsterInstance,
) -> Run:
    """Runs the job for these tables, all of their history."""
    for name, value in {
        "SUPABASE_DB_URL": database_url,
        "GAZELLE_BASE_URL": sandbox.url,
        "GAZELLE_API_KEY": sandbox.api_key,
        "GAZELLE_REQUESTS_PER_SECOND": "1000",
    }.items():
        bare.setenv(name, value)
    from gazelle_sync.environment import settings as environment

    environment.load_files()
    months = definitions.partitions
    tags = {
        "dagster/asset_partition_range_start": months.get_first_partition_key(),
        "dagster/asset_partition_range_end": months.get_last_partition_key(),
    }

    def run(*tables: str) -> ExecuteInProcessResult:
        return definitions.defs.resolve_job_def("sync").execute_in_process(
            instance=instance,
            asset_selection=[AssetKey(["gazelle", table]) for table in tables],
            tags=tags if any(TABLES[table].partitioned_by for table in tables) else {},
            raise_on_error=False,
        )

    return run


def metadata(result: ExecuteInProcessResult, table: str) -> Any:
    (event,) = [
        event for event in result.get_asset_materialization_events() if event.asset_key == AssetKey(["gazelle", table])
    ]
    return event.materialization.metadata


def test_a_materialization_tells_what_the_load_did_in_numbers_that_are_numbers(run: Run, rows: Rows) -> None:
    result = run("users")
    assert result.success
    told = metadata(result, "users")
    assert {name for name in NUMBERS if not isinstance(told[name], IntMetadataValue)} == set()
    assert isinstance(told["seconds"], FloatMetadataValue)
    (log,) = rows("SELECT * FROM gazelle.sync_log")
    assert {name: told[name].value for name in NUMBERS[:9]} == {name: log[name] for name in NUMBERS[:9]}
    assert (told["days"].value, told["status"].value) == (log["scope"], log["status"])
    assert told["dagster/row_count"].value == rows("SELECT count(*) AS n FROM gazelle.users")[0]["n"] > 0


def test_a_sample_of_five_rows_shows_nothing_personal_and_the_sql_that_is_offered_runs(
    run: Run, rows: Rows, sandbox: Sandbox
) -> None:
    run("users", "clients")
    client = next(iter(sandbox.account.records("clients").values()))
    before, after = client["status"], "ACTIVE" if client["status"] == "INACTIVE" else "INACTIVE"
    client["status"] = after
    told = metadata(run("clients"), "clients")
    sample = told["sample"]
    assert len(sample.records) == 5
    shown = {column.name for column in sample.schema.columns}
    assert shown == {column.name for column in TABLES["clients"].all_columns if not column.personal}
    assert {"company_name", "email", "phone", "personal_notes"} & shown == set()
    query = re.search(r"```sql\n(.*)\n```", told["what changed"].value)
    assert query is not None
    (change,) = rows(query[1])
    assert (change["external_id"], change["changed"]) == (client["id"], {"status": [before, after]})


def test_what_changed_is_shown_as_before_and_after_without_what_is_personal(run: Run, sandbox: Sandbox) -> None:
    run("users", "clients")
    told = metadata(run("clients"), "clients")
    assert "changes" not in told
    clients = list(sandbox.account.records("clients").values())
    for client in clients[:60]:
        client["personalNotes"] = "Ring twice."
    clients[0]["lifecycleState"] = "CHANGED"
    told = metadata(run("clients"), "clients")
    assert told["changes shown"].value == "50/60"
    lines = [record.data for record in told["changes"].records]
    assert {line["record"] for line in lines} <= {client["id"] for client in clients[:60]}
    assert len(lines) == 50
    assert "Ring twice." not in str(lines)
    assert {line["change"] for line in lines} == {"changed"}


@pytest.mark.parametrize("table", ["clients", "pianos"])
def test_what_the_guard_held_back_fails_its_check_with_the_loads_own_words(
    run: Run, sandbox: Sandbox, rows: Rows, table: str
) -> None:
    run(table)
    gone = list(sandbox.account.records(table))[:40]
    for key in gone:
        del sandbox.account.records(table)[key]
    result = run(table)
    told = metadata(result, table)
    checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
    failed = checks["few_rows_vanished"]
    assert not failed.passed
    (log,) = rows("SELECT error FROM gazelle.sync_log WHERE table_name = %s ORDER BY id DESC LIMIT 1", table)
    assert failed.metadata["why"].value == told["warnings"].value == log["error"]
    assert f"--table {table} --allow-mass-delete" in failed.metadata["why"].value
    assert f"--table {table} --allow-mass-delete" in failed.metadata["what to do"].value
    assert set(failed.metadata["examples"].value.split(", ")) <= set(gone)
    assert failed.metadata["rows"].value == 40


def test_a_rule_that_is_broken_is_told_in_the_same_words_in_its_check_the_alert_and_the_page(
    run: Run, sandbox: Sandbox, engine: Engine, instance: DagsterInstance, look: Callable[[], list[str]]
) -> None:
    events = [event for event in sandbox.account.events.values() if event["type"] == "APPOINTMENT"][:7]
    for event in events:
        event["duration"] = 0
    result = run("appointments")
    failed = {each.check_name: each for each in result.get_asset_check_evaluations() if not each.passed}
    told = {name: value.value for name, value in failed["end_after_they_start"].metadata.items()}
    assert told["why"].startswith("7 rows have zero or less in duration_minutes: evt_")
    assert told["why"].endswith("…")
    assert {key.strip() for key in told["why"].split(":")[1].rstrip("…").split(",")} < {event["id"] for event in events}
    remedy = "Correct these records in Gazelle. If they are right there, the rule in gazelle_sync/tables is wrong."
    assert told["what to do"] == remedy
    sentence = f"{told['why']} {remedy}"
    assert [sentence in text for text in look() if "end_after_they_start" in text] == [True]
    seen = status.read_status(engine, TABLES, instance)
    page = status_page.render_page(seen, TORONTO, Speech("en"))
    assert f"<strong>appointments</strong>: {sentence}" in page
    assert "appointments" in re.findall('role="status".*?>(.*?)<', page)[0]
    for event in events:
        event["duration"] = 60
    run("appointments")
    still = {each.check for each in status.read_status(engine, TABLES, instance).failed_checks}
    assert "end_after_they_start" not in still


def test_every_asset_says_what_its_columns_are_and_where_they_come_from(definitions: ModuleType, run: Run) -> None:
    for name, table in TABLES.items():
        spec = definitions.defs.resolve_assets_def(["gazelle", name]).get_asset_spec(AssetKey(["gazelle", name]))
        schema = spec.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [column.name for column in table.all_columns]
        assert all(column.type and column.description for column in schema.columns)
        (reference,) = spec.metadata["dagster/code_references"].code_references
        assert reference.file_path.endswith(f"tables/{name}.py")
        assert spec.freshness_policy is not None
    lineage = metadata(run("users"), "users")["dagster/column_lineage"].value
    assert lineage.deps_by_column["first_name"][0].column_name == "firstName"


def test_a_check_that_blocks_stops_what_is_downstream(run: Run, bare: pytest.MonkeyPatch) -> None:
    """The database itself refuses what would break the check, so it is said to be broken."""
    run_checks = warehouse.run_checks

    def break_blocking_checks(engine: Engine, checks: Sequence[RowCheck]) -> dict[str, RowCheckResult]:
        broken = {check.name: RowCheckResult(2, ["cli_twice"]) for check in checks if check.blocking}
        return {**run_checks(engine, checks), **broken}

    bare.setattr(warehouse, "run_checks", break_blocking_checks)
    result = run("clients", "contacts")
    (failed,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert (failed.check_name, failed.severity.value) == ("ids_are_unique_and_present", "ERROR")
    assert failed.metadata["examples"].value == "cli_twice"
    assert not result.success
    assert {event.asset_key.path[-1] for event in result.get_asset_materialization_events()} == {"clients"}


def test_a_check_that_does_not_block_leaves_the_run_as_good_as_it_was(run: Run, rows: Rows) -> None:
    assert run("users", "clients", "contacts").success
    rows(
        "INSERT INTO gazelle.rejected_rows (table_name, external_id, reason, payload) "
        "VALUES ('contacts', 'con_odd', 'odd', '{}')"
    )
    # The load would find that it is gone from the list, and resolve it.
    rows("CREATE RULE keep AS ON UPDATE TO gazelle.rejected_rows DO INSTEAD NOTHING")
    result = run("users", "clients", "contacts")
    assert result.success
    failed = {
        (each.asset_key.path[-1], each.check_name) for each in result.get_asset_check_evaluations() if not each.passed
    }
    assert ("contacts", "no_row_is_set_aside") in failed


def test_the_page_is_whole_by_itself_and_shows_what_there_is(run: Run, empty_engine: Engine, rows: Rows) -> None:
    run("users", "clients")
    rows(
        "INSERT INTO gazelle.rejected_rows (table_name, external_id, reason, payload) "
        "VALUES ('clients', 'cli_<b>', '<script>alert(1)</script>', '{}')"
    )
    text = status_page.render_page(status.read_status(empty_engine, TABLES), TORONTO, Speech("en"))
    assert not re.search(r"""(src|href|@import|url\()\s*=?""", text)
    assert "http" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "cli_&lt;b&gt;" in text
    assert "<script" not in text
    assert {name for name in TABLES if name not in text} == set()
    assert text.count("<svg") == text.count("aria-label=") == 2
    french = status_page.render_page(status.read_status(empty_engine, TABLES), TORONTO, Speech("fr"))
    assert '<html lang="fr">' in french
    assert "jamais synchronisée" in french


def test_a_field_that_gazelle_refuses_is_on_the_assets_page_and_on_the_status_page_with_since_when(
    run: Run, empty_engine: Engine, rows: Rows, sandbox: Sandbox
) -> None:
    sandbox.faults.add(Fault("missing", names=["PrivateUser.color"]))
    run("users")
    rows("UPDATE gazelle.refused_fields SET since = '2026-03-01'")
    told = metadata(run("users"), "users")
    assert "Gazelle refuses the field color since 2026-03-01, so these columns keep what they have: color." in (
        told["warnings"].value
    )
    seen = status.read_status(empty_engine, TABLES)
    line = "users</th><td .*?>color</td><td .*?>color</td><td .*?><time>2026-03-01</time></td></tr>"
    for language, title in (("en", "Fields that Gazelle refuses"), ("fr", "Champs que Gazelle refuse")):
        text = status_page.render_page(seen, TORONTO, Speech(language))
        assert re.search(f"(?s)<h3>{title}</h3>.*{line}", text)
    sandbox.faults.clear()
    run("users")
    assert "refuses</h3>" not in status_page.render_page(
        status.read_status(empty_engine, TABLES), TORONTO, Speech("en")
    )


def test_the_page_is_written_before_anything_was_synced(empty_engine: Engine) -> None:
    text = status_page.render_page(status.read_status(empty_engine, TABLES), TORONTO, Speech("en"))
    assert text.count("never synced") == len(TABLES)
    assert "Nothing was synced yet." in text


@pytest.mark.parametrize("end", ["report_run_failed", "report_run_canceled"])
def test_a_run_that_failed_after_its_tables_were_stored_is_no_run_that_is_done(
    run: Run, empty_engine: Engine, instance: DagsterInstance, end: str
) -> None:
    """As when a check that blocks stopped it, or its process died: the tables' own lines know nothing of that."""
    done, failed = run("users"), run("pianos")
    record = instance.get_run_by_id(failed.run_id)
    assert record is not None
    getattr(instance, end)(record)
    told = {line.run_id: line.status for line in status.read_status(empty_engine, TABLES, instance).runs}
    assert told == {done.run_id: "success", failed.run_id: "error"}
    without = status.read_status(empty_engine, TABLES)
    assert [line.status for line in without.runs] == ["success", "success"]
