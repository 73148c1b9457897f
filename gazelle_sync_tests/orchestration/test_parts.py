"""A long list of which a part fails: the step is tried once more, and reads what is lacking."""

from __future__ import annotations

import re

import pytest
from dagster import AssetKey, DagsterInstance, Definitions

from gazelle_sync import io_managers
from gazelle_sync.gazelle import parts
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync_tests.conftest import query_rows

PART = re.compile(r", types: \[(.*?)\]\) \{ totalCount page")


def test_a_part_that_fails_is_read_once_more_and_no_other_part_is(
    defs: Definitions,
    instance: DagsterInstance,
    configured: pytest.MonkeyPatch,
    live: Sandbox,
    empty_engine: object,
):
    configured.setattr(parts, "SMALLEST", 0.01)
    configured.setattr(parts, "LEAST_TO_CUT", 0.05)
    configured.setattr(io_managers, "PAUSE", 0)
    kinds = [entry["type"] for entry in list(live.account.timeline.values())[:100]]
    kind = max(set(kinds), key=kinds.count)
    live.page_cap = 5
    before = len(live.requests)
    # As often as a GraphQL error is asked again; its other pages come later than all of the other parts.
    live.faults.add(Fault("graphql_error", match=f"[{kind}]) {{ totalCount page", with_after=True, times=4))
    done = defs.resolve_job_def("sync").execute_in_process(
        instance=instance, asset_selection=[AssetKey(["gazelle", "timeline_entries"])], raise_on_error=False
    )
    assert done.success
    asked = [found[1] for request in live.requests[before:] if (found := PART.search(request.query))]
    firsts = [
        found[1]
        for request in live.requests[before:]
        if (found := PART.search(request.query)) and not request.variables.get("after")
    ]
    assert firsts.count(kind) == 2
    assert all(firsts.count(part) == 1 for part in set(asked) - {kind})
    log = query_rows(
        empty_engine,  # type: ignore[arg-type]
        "SELECT status, proved, error IS NULL AS well FROM gazelle.sync_log WHERE table_name = %s ORDER BY id",
        "timeline_entries",
    )
    assert [(line["status"], line["proved"]) for line in log] == [("error", None), ("success", True)]
