"""One request in a hundred fails, in every way there is: the same rows arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES

PASSING = [
    {"kind": "status", "status": 429, "retry_after": 0},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503, "retry_after": 1},
    {"kind": "html"},
    {"kind": "truncated"},
    {"kind": "dropped"},
    {"kind": "graphql_error"},
    {"kind": "partial"},
    {"kind": "null_node"},
    {"kind": "total_count"},
]


def test_a_sync_with_one_request_in_a_hundred_failing_leaves_the_same_rows(
    sandbox: Sandbox, mirror_all: Callable[..., Any], rows: Callable[..., list[dict[str, Any]]]
):
    def everything() -> dict[str, list[dict[str, Any]]]:
        columns = {
            name: ", ".join(f'"{column.name}"' for column in table.all_columns) for name, table in TABLES.items()
        }
        return {name: rows(f"SELECT {columns[name]} FROM gazelle.{name} ORDER BY 1, 2") for name in TABLES}

    sandbox.page_cap = 7
    faults = [
        sandbox.faults.add(Fault(**fault, times=None, probability=0.01 / len(PASSING), seed=seed))
        for seed, fault in enumerate(PASSING)
    ]
    reports = mirror_all()
    struck = sum(fault.struck for fault in faults)
    asked = len(sandbox.requests)
    assert struck >= asked / 400 >= 1, "otherwise nothing was tried"
    assert {name: report.warnings for name, report in reports.items() if report.warnings} == {}
    assert sum(report.api_retries for report in reports.values()) >= struck / 2
    with_faults = everything()
    sandbox.faults.clear()
    sandbox.page_cap = 100
    again = mirror_all()
    assert {name: report.unchanged for name, report in again.items()} == {
        name: len(found) for name, found in with_faults.items()
    }
    assert sum(report.inserted + report.updated + report.deleted for report in again.values()) == 0
    assert everything() == with_faults
    assert len(with_faults["timeline_entries"]) == 2500
