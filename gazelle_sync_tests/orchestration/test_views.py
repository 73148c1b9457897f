"""Views in a run: looked at in one step, checked, and missed by nobody but themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, Definitions, ExecuteInProcessResult

from gazelle_sync import warehouse
from gazelle_sync.warehouse import VIEWS

Look = Callable[..., ExecuteInProcessResult]


@pytest.fixture
def look(defs: Definitions, instance: DagsterInstance, configured: pytest.MonkeyPatch) -> Look:
    """Runs the job for views alone."""

    def look(*names: str) -> ExecuteInProcessResult:
        keys = [AssetKey(["gazelle", name]) for name in names or VIEWS]
        return defs.resolve_job_def("sync").execute_in_process(instance=instance, asset_selection=keys)

    return look


def shown(result: ExecuteInProcessResult) -> dict[str, Any]:
    found = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    rows = {each.asset_key.path[-1]: each.metadata.get("dagster/row_count") for each in found}
    return {name: count and count.value for name, count in rows.items()}


def test_a_view_shows_how_many_rows_it_has_and_what_was_checked(look: Look, engine: Any, rows: Any) -> None:
    rows(
        "INSERT INTO gazelle.clients (external_id, company_name, synced_at) VALUES ('cli_1', 'A', now()); "
        "INSERT INTO gazelle.appointments (external_id, client_external_id, synced_at) VALUES ('evt_1', 'cli_1', now())"
    )
    result = look()
    assert shown(result) == {**dict.fromkeys(VIEWS, 0), "agenda": 1, "client_overview": 1}
    checks = result.get_asset_check_evaluations()
    assert {(each.asset_key.path[-1], each.check_name) for each in checks} == {
        (name, check.name) for name, view in VIEWS.items() for check in view.all_agreements
    }
    assert all(each.passed for each in checks)


def test_a_view_that_is_not_there_is_said_and_keeps_no_other_from_being_checked(
    look: Look, engine: Any, rows: Any
) -> None:
    rows("DROP VIEW gazelle.unpaid_invoices")
    result = look("unpaid_invoices", "revenue_by_month")
    assert result.success
    assert shown(result) == {"unpaid_invoices": None, "revenue_by_month": 0}
    passed = {(each.asset_key.path[-1], each.passed) for each in result.get_asset_check_evaluations()}
    assert passed == {("unpaid_invoices", False), ("revenue_by_month", True)}
    told = {each.metadata["why"].value for each in result.get_asset_check_evaluations() if not each.passed}
    assert len(told) == 1
    assert "gazelle.unpaid_invoices is not there" in str(told)
    assert warehouse.migrate(engine) == ["view unpaid_invoices"]
