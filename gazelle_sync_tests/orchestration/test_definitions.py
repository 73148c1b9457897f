"""What Dagster is told: assets, their order, types and partitions, the job, the schedule, the resources."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest
from dagster import AssetKey, AssetSpec, DefaultScheduleStatus, Definitions, EnvVar, MonthlyPartitionsDefinition

from gazelle_sync.tables import TABLES, Cadence, dependencies
from gazelle_sync.view_assets import find_shown
from gazelle_sync.warehouse import VIEWS, View
from gazelle_sync_tests.conftest import HISTORY_START
from gazelle_sync_tests.project import SOURCE, Project

# What has to be there before. A reference is a relation, and no dependency; a list is read after what it is inside of.
BEFORE = dict.fromkeys(TABLES, "") | {
    "contacts": "clients",
    "pianos": "clients",
    "invoices": "clients",
    "estimates": "clients",
    "scheduled_messages": "clients",
    "event_reservations": "clients",
    "appointments": "contacts pianos",
    "appointment_pianos": "appointments",
    "timeline_entries": "appointments",
    "event_cancel_notices": "appointments",
    "contact_emails": "contacts",
    "contact_phones": "contacts",
    "contact_locations": "contacts",
    "piano_measurements": "pianos",
    "piano_photos": "pianos",
    "invoice_items": "invoices",
    "invoice_payments": "invoices",
    "estimate_tiers": "estimates",
    "estimate_tier_items": "estimate_tiers",
}
GROUPS = {
    "people": "clients contacts contact_emails contact_phones contact_locations scheduled_messages users",
    "pianos": "pianos piano_measurements piano_photos",
    "calendar": "appointments appointment_pianos timeline_entries event_reservations event_cancel_notices",
    "money": "invoices invoice_items invoice_payments estimates estimate_tiers estimate_tier_items",
    "settings": "company lifecycles master_service_groups master_service_items recommendations taxes",
}
DATED = {name for name, table in TABLES.items() if table.partitioned_by}


@pytest.fixture
def specs(defs: Definitions) -> dict[str, AssetSpec]:
    """Table or view → what Dagster knows of its asset."""
    return {
        spec.key.path[-1]: spec
        for spec in defs.resolve_all_asset_specs()
        if spec.key.path[0] == "gazelle" and len(spec.key.path) == 2
    }


# -- loading ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("loading") / "project")


def test_dagster_finds_the_project_valid_by_its_workspace_file_with_nothing_configured(project: Project) -> None:
    workspace = str(project.root / "workspace.yaml")
    done = project.run("definitions", "validate", "-w", workspace, program="dagster", DAGSTER_HOME=str(project.root))
    assert done.code == 0
    assert "Validation successful for code location gazelle_sync" in done.text
    # Once for each table, unless it is silenced.
    assert "BetaWarning" not in done.text


def test_loading_opens_no_connection_and_takes_zone_and_history_from_the_environment(project: Project) -> None:
    script = """
import socket
def refuse(*args): raise AssertionError(f"connecting to {args[-1]}")
socket.socket.connect = socket.socket.connect_ex = refuse
from gazelle_sync.definitions import defs, partitions as months
defs.resolve_job_def("sync")
print(defs.resolve_schedule_def("nightly").execution_timezone, months.timezone, months.get_first_partition_key())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.home,
        env={
            **project.variables,
            "SUPABASE_DB_URL": "postgresql://u:p@db.example.com/db",
            "GAZELLE_API_KEY": "key",
            "GAZELLE_TIMEZONE": "Europe/Paris",
            "GAZELLE_HISTORY_START": "2024-05-17",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Europe/Paris Europe/Paris 2024-05-01\n", "")
    assert not list((project.root / "var").glob("postgres"))


# -- assets -----------------------------------------------------------------------------------------------------------


def test_there_is_an_asset_for_each_table_and_view_and_for_nothing_else_in_gazelle(specs: dict[str, AssetSpec]) -> None:
    assert specs.keys() == {*TABLES, *VIEWS}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_is_an_asset_of_its_own_downstream_of_the_tables_that_it_reads(
    specs: dict[str, AssetSpec], defs: Definitions, view: View
) -> None:
    spec = specs[view.name]
    assert spec.kinds == {"postgres", "view"}
    assert spec.description == view.comment
    assert {dep.asset_key.path[-1] for dep in spec.deps} == {*view.tables}
    shown = spec.metadata["dagster/column_schema"].columns
    assert [column.name for column in shown] == [column.name for column in view.columns]
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key == spec.key}
    assert checks == {each.name for each in view.all_agreements}
    assert spec.key in defs.resolve_job_def("sync").asset_layer.selected_asset_keys


def test_a_night_looks_at_the_views_of_which_it_read_every_table() -> None:
    assert find_shown([*TABLES], TABLES) == [*VIEWS]
    nightly = [name for name, table in TABLES.items() if table.every is Cadence.NIGHT]
    assert find_shown(nightly, TABLES) == [*VIEWS]
    assert find_shown(["invoices", "invoice_payments"], TABLES) == ["revenue_by_month"]
    # What is off is waited for by nobody; a view of its rows is not looked at.
    without = [name for name in TABLES if name not in ("invoices", "users")]
    assert set(VIEWS) - set(find_shown(without, without)) == {"revenue_by_month", "unpaid_invoices"}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_comes_after_those_it_depends_on(specs: dict[str, AssetSpec], name: str) -> None:
    parents = {AssetKey(["gazelle", parent]) for parent in dependencies(TABLES[name], TABLES)}
    assert {dep.asset_key for dep in specs[name].deps} == (parents or {AssetKey("gazelle_api")})


def test_the_graph_is_the_missions(specs: dict[str, AssetSpec]) -> None:
    parents = {name: {dep.asset_key.path[-1] for dep in specs[name].deps} for name in BEFORE}
    assert parents == {name: set(before.split()) or {"gazelle_api"} for name, before in BEFORE.items()}


def test_the_graph_of_the_groups_goes_one_way(defs: Definitions) -> None:
    group = {spec.key: spec.group_name for spec in defs.resolve_all_asset_specs()}
    before: dict[str | None, set[str | None]] = {}
    for spec in defs.resolve_all_asset_specs():
        parents = {group[dep.asset_key] for dep in spec.deps if dep.asset_key in group}
        before.setdefault(spec.group_name, set()).update(parents - {spec.group_name})
    assert next(TopologicalSorter(before).static_order()) == "gazelle"
    assert before["views"] >= {"people", "pianos", "calendar", "money"}


def test_gazelle_is_in_the_graph_as_what_nobody_here_makes(defs: Definitions) -> None:
    (source,) = (spec for spec in defs.resolve_all_asset_specs() if spec.key == AssetKey("gazelle_api"))
    assert not defs.resolve_asset_graph().get(source.key).is_executable
    assert source.group_name == "gazelle"
    # With nothing configured it is the sandbox, which has no page to look at.
    assert not source.metadata


@pytest.mark.parametrize("name", TABLES)
def test_an_asset_says_what_it_is_and_of_what_kind(specs: dict[str, AssetSpec], name: str) -> None:
    spec = specs[name]
    assert spec.description == TABLES[name].comment
    # There is no such team, and no tag that anybody looks for.
    assert (spec.owners, {name for name in spec.tags if not name.startswith("dagster/kind/")}) == ([], set())
    assert spec.kinds == {"graphql", "postgres"}
    assert spec.group_name == TABLES[name].group.value
    # Of a table that somebody added, which group is the right one is not told again here.
    assert {group for group, names in GROUPS.items() if name in names.split()} <= {spec.group_name}
    assert spec.metadata["dagster/table_name"] == f"gazelle.{name}"


@pytest.mark.parametrize("name", TABLES)
def test_an_asset_shows_each_column_with_its_type_and_what_is_in_it(specs: dict[str, AssetSpec], name: str) -> None:
    shown = {column.name: column for column in specs[name].metadata["dagster/column_schema"].columns}
    assert shown.keys() == {column.name for column in TABLES[name].all_columns}
    for column in TABLES[name].all_columns:
        assert shown[column.name].type == column.type.sql
        assert shown[column.name].description == column.comment
        assert shown[column.name].constraints.nullable == column.nullable
    unique = {column for column in shown if shown[column].constraints.unique}
    assert unique == (set(TABLES[name].key) if len(TABLES[name].key) == 1 else set())


def test_the_types_shown_are_postgresql_s(specs: dict[str, AssetSpec]) -> None:
    shown = {column.name: column.type for column in specs["appointments"].metadata["dagster/column_schema"].columns}
    assert shown["starts_at"] == "timestamptz"
    assert (shown["appointment_date"], shown["appointment_time"]) == ("date", "time")
    assert shown["duration_minutes"] == "integer"


@pytest.mark.parametrize("name", TABLES)
def test_only_what_has_a_business_date_is_partitioned_and_by_month_in_the_zone(
    specs: dict[str, AssetSpec], name: str
) -> None:
    months = specs[name].partitions_def
    assert (months is not None) == (name in DATED)
    if months is not None:
        assert isinstance(months, MonthlyPartitionsDefinition)
        assert months.timezone == "America/Toronto"
        assert months.get_first_partition_key() == HISTORY_START.isoformat()


def test_a_range_of_months_is_one_run(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for name in DATED:
        policy = graph.get(AssetKey(["gazelle", name])).backfill_policy
        assert policy is not None
        assert policy.max_partitions_per_run is None


# -- job, schedule, resources -----------------------------------------------------------------------------------------


def test_the_job_runs_every_table_in_one_process(defs: Definitions) -> None:
    job = defs.resolve_job_def("sync")
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} >= TABLES.keys()
    assert job.executor_def.name == "in_process"


def test_the_nightly_schedule_runs_at_two_in_the_company_s_zone_unless_it_is_turned_off(defs: Definitions) -> None:
    schedule = defs.resolve_schedule_def("nightly")
    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.execution_timezone == "America/Toronto"
    assert schedule.job_name == "sync"
    assert schedule.default_status == DefaultScheduleStatus.RUNNING


def test_resources_name_environment_variables_and_never_hold_their_values(definitions: ModuleType) -> None:
    named = {
        field: getattr(resource, field)
        for resource in (definitions.gazelle, definitions.postgres)
        for field in type(resource).model_fields
    }
    assert all(isinstance(value, EnvVar) for value in named.values())
    assert named["api_key"].env_var_name == "GAZELLE_API_KEY"
    assert named["client_secret"].env_var_name == "GAZELLE_CLIENT_SECRET"
    assert named["database_url"].env_var_name == "SUPABASE_DB_URL"


def test_the_workspace_and_the_project_file_name_the_same_location() -> None:
    name = "gazelle_sync"
    assert f"location_name: {name}\n" in (SOURCE / "workspace.yaml").read_text()
    assert f'code_location_name = "{name}"\n' in (SOURCE / "pyproject.toml").read_text()
    assert Path(SOURCE, name).is_dir()
