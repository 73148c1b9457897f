"""What Gazelle refuses is not written and keeps its values; it is said since when, and fills when it is back."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Refused, Snapshot
from gazelle_sync.sandbox import Fault
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.tables.declaration import Sizes
from gazelle_sync.warehouse.new_columns import read_unfilled
from gazelle_sync_tests.conftest import ALL, TODAY, TORONTO

MARCH = Scope(TORONTO, TODAY.replace(day=1), TODAY.replace(month=4, day=1))


def test_the_columns_of_a_refused_field_keep_their_values_and_the_others_are_written(sandbox, mirror, rows, last_log):
    mirror("clients")
    before = rows("SELECT external_id, referred_by, company_name FROM gazelle.clients ORDER BY 1")
    client = next(each for each in sandbox.account.clients.values() if each["referredBy"])
    client.update(status="INACTIVE", referredBy="Somebody else", companyName="Another name")
    sandbox.faults.add(Fault("missing", names=["PrivateClient.referredBy", "PrivateClient.companyName"]))
    report = mirror("clients")
    assert (report.updated, report.inserted, report.deleted) == (1, 0, 0)
    assert rows("SELECT external_id, referred_by, company_name FROM gazelle.clients ORDER BY 1") == before
    [row] = rows("SELECT status FROM gazelle.clients WHERE external_id = %s", client["id"])
    assert row == {"status": "INACTIVE"}
    [change] = rows("SELECT changed FROM gazelle.row_changes WHERE external_id = %s", client["id"])
    assert change["changed"].keys() == {"status"}
    today = datetime.now(timezone.utc).date()
    assert report.status == "warning"
    assert (
        f"Gazelle refuses the field referredBy since {today}, so these columns keep what they have: referred_by"
        in "; ".join(report.warnings)
    )
    assert "companyName" in last_log("clients")["error"]


def test_since_when_it_is_refused_is_remembered_until_it_is_back(sandbox, mirror, rows):
    fault = sandbox.faults.add(Fault("missing", names=["PrivatePiano.model"]))
    mirror("pianos")
    rows("UPDATE gazelle.refused_fields SET since = '2026-03-01'")
    report = mirror("pianos")
    assert "since 2026-03-01" in report.warnings[0]
    assert rows("SELECT table_name, field, columns FROM gazelle.refused_fields") == [
        {"table_name": "pianos", "field": "model", "columns": ["model"]}
    ]
    sandbox.faults.remove(fault)
    assert mirror("pianos").warnings == []
    assert rows("SELECT * FROM gazelle.refused_fields") == []


def test_the_column_fills_when_the_field_is_back_and_no_record_is_said_to_have_changed(sandbox, mirror, rows):
    fault = sandbox.faults.add(Fault("missing", names=["PrivatePiano.model"]))
    mirror("pianos")
    assert rows("SELECT count(model) AS n FROM gazelle.pianos") == [{"n": 0}]
    mirror("pianos")
    sandbox.faults.remove(fault)
    report = mirror("pianos")
    known = sum(each["model"] is not None for each in sandbox.account.pianos.values())
    assert (report.filled, report.updated) == (known, 0)
    assert rows("SELECT count(model) AS n FROM gazelle.pianos") == [{"n": known}]
    assert rows("SELECT * FROM gazelle.row_changes") == []
    assert mirror("pianos").filled == 0


def test_new_rows_have_what_a_column_needs_that_can_not_be_null(sandbox, mirror, rows):
    mirror("clients")
    sandbox.faults.add(Fault("missing", names=["PrivateClient.tags", "PrivateClient.companyName"]))
    contact = {"firstName": "Jo", "lastName": "Roy", "isDefault": True}
    new = sandbox.account.add("clients", {"companyName": "École Roy", "tags": ["vip"]})
    sandbox.account.add("contacts", {"clientId": new["id"], **contact})
    assert mirror("clients").inserted == 1
    [row] = rows("SELECT company_name, tags FROM gazelle.clients WHERE external_id = %s", new["id"])
    assert row["tags"] == []
    assert row["company_name"] in ("Jo Roy", new["id"])


def test_a_first_load_without_a_field_builds_what_the_whole_table_needs(sandbox, mirror, rows):
    sandbox.faults.add(Fault("missing", names=["PrivateClient.preferredTechnicianId", "PrivateClient.tags"]))
    assert mirror("clients").inserted == len(sandbox.account.clients)
    [row] = rows("SELECT count(*) AS n, count(tags) AS tags, count(preferred_technician_external_id) AS technicians "
                 "FROM gazelle.clients")  # fmt: skip
    assert row == {"n": len(sandbox.account.clients), "tags": row["n"], "technicians": 0}
    assert (
        rows("SELECT conname FROM pg_constraint WHERE conrelid = 'gazelle.clients'::regclass AND contype = 'f'") != []
    )


def test_a_column_that_is_refused_makes_no_table_be_read_whole_each_night_and_fills_once_it_is_back(
    sandbox, engine, mirror
):
    mirror("appointments", MARCH)
    fault = sandbox.faults.add(Fault("missing", names=["PrivateEvent.travelMode"]))
    report = mirror("appointments", MARCH)
    assert len(report.warnings) == 1
    assert read_unfilled(engine) == {}
    sandbox.faults.remove(fault)
    mirror("appointments", MARCH)
    assert read_unfilled(engine) == {"appointments": ["travel_mode"]}
    mirror("appointments")
    assert read_unfilled(engine) == {}


def test_a_list_that_can_not_be_ordered_is_read_all_the_same_and_said(sandbox, mirror):
    sandbox.faults.add(Fault("missing", names=["PrivateQuery.allPianos(sortBy)"]))
    report = mirror("pianos")
    assert report.rows == len(sandbox.account.pianos)
    if "sortBy" in str(TABLES["pianos"].read):
        assert "Gazelle refuses the argument allPianos(sortBy)" in report.warnings[0]


def test_a_field_without_which_a_record_has_no_key_fails_its_table_and_only_it(sandbox, mirror, rows):
    mirror("users")
    sandbox.faults.add(Fault("missing", names=["PrivateUser.id"]))
    with pytest.raises(Refused, match="Gazelle refused users"):
        mirror("users")
    assert mirror("pianos").status == "success"
    assert rows("SELECT count(*) AS n FROM gazelle.users WHERE deleted_at IS NULL") != [{"n": 0}]


# -- sizes of pages ---------------------------------------------------------------------------------------------------


def mirrored(engine, client, table, scope=ALL):
    snapshot = Snapshot(client, TABLES[table], scope)
    if known := warehouse.read_page_sizes(engine).get(table):
        snapshot.recall(known)
    return warehouse.load(engine, snapshot, run_id="test")


def test_the_size_that_worked_is_where_the_next_sync_starts(sandbox, engine, client):
    sandbox.page_cap = 5000
    sandbox.faults.add(Fault("max_first", limit=120, times=None))
    assert mirrored(engine, client, "timeline_entries").page_sizes == [200, 100]
    assert warehouse.read_page_sizes(engine) == {"timeline_entries": Sizes(100, 0, 200)}
    assert mirrored(engine, client, "timeline_entries").page_sizes == [100]


def test_after_a_week_a_limit_is_tried_again(sandbox, engine, client, rows):
    sandbox.page_cap = 5000
    fault = sandbox.faults.add(Fault("max_first", limit=120))
    mirrored(engine, client, "timeline_entries")
    sandbox.faults.remove(fault)
    assert mirrored(engine, client, "timeline_entries").page_sizes == [100]
    rows("UPDATE gazelle.page_sizes SET refused_at = now() - interval '8 days'")
    assert mirrored(engine, client, "timeline_entries").page_sizes[:2] == [100, 200]
    assert warehouse.read_page_sizes(engine)["timeline_entries"].refused is None


def test_what_did_not_change_is_not_written_again(sandbox, engine, client, rows):
    mirrored(engine, client, "pianos")
    before = rows("SELECT ctid::text, xmin::text FROM gazelle.page_sizes")
    mirrored(engine, client, "pianos")
    assert rows("SELECT ctid::text, xmin::text FROM gazelle.page_sizes") == before
