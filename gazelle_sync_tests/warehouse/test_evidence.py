"""What proves nothing changes nothing: answers that are errors or about another record, records that are hidden."""

from __future__ import annotations

import pytest

from gazelle_sync.sandbox import Fault
from gazelle_sync.tables import Scope
from gazelle_sync_tests.conftest import TODAY, TORONTO

MARCH = Scope(TORONTO, TODAY.replace(day=1), TODAY.replace(month=4, day=1))
BY_ID = {"clients": "clients", "contacts": "contacts", "pianos": "pianos", "appointments": "events"}


def live(rows, table):
    return {row["external_id"] for row in rows(f"SELECT external_id FROM gazelle.{table} WHERE deleted_at IS NULL")}


# -- an error in place of an answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", BY_ID)
def test_a_record_that_is_an_error_each_time_is_kept_and_named_and_the_others_are_asked_for(
    mirror, sandbox, rows, table
):
    mirror(table)
    records = sandbox.account.records(BY_ID[table])
    gone = list(records)[3:9]
    for key in gone:
        del records[key]
    doubtful = gone[2]
    sandbox.faults.add(Fault("failing_id", record_id=doubtful))
    report = mirror(table)
    assert (report.deleted, report.status) == (5, "warning")
    assert live(rows, table) & set(gone) == {doubtful}
    [warning] = report.warnings
    assert warning.startswith(
        f"Gazelle's answers do not tell whether these records still exist, so they stay as they are (1): {doubtful}: "
    )
    sandbox.faults.clear()
    assert (mirror(table).deleted, live(rows, table) & set(gone)) == (1, set())


def test_an_error_that_does_not_say_where_is_found_by_halves(mirror, sandbox, rows, monkeypatch):
    monkeypatch.setattr("gazelle_sync.gazelle.client.TRIES", 1)
    mirror("pianos")
    gone = list(sandbox.account.pianos)[:8]
    for key in gone:
        del sandbox.account.pianos[key]
    # Whatever asks for it, alone or with others.
    before = len(sandbox.requests)
    sandbox.faults.add(Fault("graphql_error", match="r7:"))
    sandbox.faults.add(Fault("graphql_error", match="r3:", skip=1))
    report = mirror("pianos")
    assert (report.deleted, report.status) == (8, "success")
    assert len(sandbox.requests) - before < 10


def test_where_every_question_is_an_error_few_are_asked_and_nothing_is_marked(mirror, sandbox, rows, monkeypatch):
    monkeypatch.setattr("gazelle_sync.gazelle.client.TRIES", 1)
    mirror("pianos")
    before = live(rows, "pianos")
    for key in list(sandbox.account.pianos)[:20]:
        del sandbox.account.pianos[key]
    sandbox.faults.add(Fault("graphql_error", match="r0:", times=None, code=None))
    asked = len(sandbox.requests)
    report = mirror("pianos")
    assert (report.deleted, report.status) == (0, "warning")
    assert live(rows, "pianos") == before
    assert "(20): " in report.warnings[0]
    assert len(sandbox.requests) - asked < 20


def test_one_clients_list_that_is_an_error_keeps_its_entries_and_no_other(mirror, sandbox, rows, monkeypatch):
    monkeypatch.setattr("gazelle_sync.gazelle.client.TRIES", 1)
    mirror("timeline_entries")
    entries = sandbox.account.timeline
    owners = list({entry["clientId"]: key for key, entry in entries.items()}.items())[:3]
    for _, key in owners:
        del entries[key]
    sandbox.faults.add(Fault("graphql_error", match="clientId: $id"))
    report = mirror("timeline_entries")
    assert (report.deleted, report.status) == (2, "warning")
    assert len(live(rows, "timeline_entries") & {key for _, key in owners}) == 1


def test_an_institution_whose_contacts_are_an_error_does_not_stop_the_others(mirror, sandbox, rows, monkeypatch):
    monkeypatch.setattr("gazelle_sync.gazelle.client.TRIES", 1)
    sandbox.faults.add(Fault("graphql_error", match="client(id:", times=None))
    report = mirror("contacts")
    assert report.status == "warning"
    assert "could not be proved whole" in report.warnings[0]
    assert len(live(rows, "contacts")) == len(sandbox.account.contacts) - 118


# -- an answer to another question -------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", BY_ID)
def test_another_record_than_the_one_that_was_asked_for_proves_nothing_and_is_said(mirror, sandbox, rows, table):
    mirror(table)
    records = sandbox.account.records(BY_ID[table])
    key, other = list(records)[4], list(records)[5]
    before = rows(f"SELECT * FROM gazelle.{table} WHERE external_id IN (%s, %s) ORDER BY id", key, other)
    del records[key]
    sandbox.faults.add(Fault("other_record", record_id=key, instead=other))
    report = mirror(table)
    assert (report.deleted, report.updated, report.status) == (0, 0, "warning")
    assert f"{key}: Gazelle answered with another record than the one that was asked for" in report.warnings[0]
    assert rows(f"SELECT * FROM gazelle.{table} WHERE external_id IN (%s, %s) ORDER BY id", key, other) == before


def test_the_pianos_of_another_appointment_are_not_those_of_the_one_that_was_asked_for(mirror, sandbox, rows):
    mirror("appointments")
    mirror("appointment_pianos")
    visits = sorted(sandbox.account.events.values(), key=lambda event: len(event["pianos"]))
    visit, other = visits[-1], visits[-2]
    link = visit["pianos"].pop()
    sandbox.faults.add(Fault("other_record", record_id=visit["id"], instead=other["id"]))
    report = mirror("appointment_pianos")
    # Its pianos are more than one page has: they are asked for with their appointment's id.
    assert (report.deleted, report.status) == (0, "warning")
    assert rows(
        "SELECT deleted_at FROM gazelle.appointment_pianos "
        "WHERE appointment_external_id = %s AND piano_external_id = %s",
        visit["id"], link["pianoId"],
    ) == [{"deleted_at": None}]  # fmt: skip


# -- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["x" * 4000, "é" * 600, "", "ins_\x00", "ins_\ud800"], ids=["long", "wide", "empty", "nul", "half"]
)
def test_an_id_that_no_index_can_hold_is_one_reject_and_the_rest_is_stored(mirror, sandbox, rows, bad):
    pianos = sandbox.account.pianos
    key = next(iter(pianos))
    pianos[key]["id"] = bad
    report = mirror("pianos")
    assert (report.inserted, report.rejected, report.status) == (len(pianos) - 1, 1, "warning")
    [reject] = rows("SELECT external_id, reason, payload FROM gazelle.rejected_rows WHERE resolved_at IS NULL")
    assert reject["reason"].startswith("external_id: an id ")
    assert len(reject["external_id"]) < 20
    assert len(reject["reason"]) < 120
    assert mirror("pianos").unchanged == len(pianos) - 1


def test_a_reference_to_an_id_that_no_index_can_hold_is_blank_and_said(mirror, sandbox, rows):
    entry = next(iter(sandbox.account.timeline.values()))
    piano = sandbox.account.add("pianos", {**next(iter(sandbox.account.pianos.values())), "id": "y" * 4000})
    entry["pianoId"] = piano["id"]
    report = mirror("timeline_entries")
    assert report.rejected == 1
    assert rows(
        "SELECT piano_external_id FROM gazelle.timeline_entries WHERE external_id = %s", entry["id"]
    ) == [{"piano_external_id": None}]  # fmt: skip


# -- records that are settled ------------------------------------------------------------------------------------------


def cancelled(sandbox, count):
    """So many appointments of March with their pianos that have been cancelled."""
    events = [e for e in sandbox.account.events.values() if e["start"].startswith("2026-03") and e["pianos"]]
    for event in events[:count]:
        event["status"] = "CANCELED"
    assert len(events) >= count
    return {event["id"] for event in events[:count]}


def requests_of(mirror, sandbox, table, scope):
    before = len(sandbox.requests)
    report = mirror(table, scope)
    return len(sandbox.requests) - before, report


@pytest.mark.parametrize("table", ["appointments", "appointment_pianos"])
def test_a_nightly_run_sends_no_more_requests_where_more_appointments_were_cancelled(mirror, sandbox, rows, table):
    """Cancelled ones are hidden from every list, and exist by id."""
    for event in sandbox.account.events.values():
        event["status"] = "ACTIVE"
    mirror("appointments")
    mirror("appointment_pianos")
    usual, _ = requests_of(mirror, sandbox, table, MARCH)
    sandbox.faults.add(Fault("canceled_hidden"))
    sent = {}
    for count in (3, 12):
        hidden = cancelled(sandbox, count)
        mirror("appointments", MARCH)
        sent[count], report = requests_of(mirror, sandbox, table, MARCH)
        assert (report.deleted, report.status) == (0, "success")
        assert {
            row["external_id"] for row in rows("SELECT external_id FROM gazelle.appointments WHERE status = 'CANCELED'")
        } == hidden, "each was asked for once, and is stored as what it is"
    assert sent[3] == sent[12] <= usual


def test_a_read_of_all_history_asks_for_cancelled_appointments_too(mirror, sandbox, rows):
    hidden = cancelled(sandbox, 5)
    mirror("appointments")
    sandbox.faults.add(Fault("canceled_hidden"))
    deleted = next(iter(hidden))
    del sandbox.account.events[deleted]
    assert mirror("appointments", MARCH).deleted == 0
    report = mirror("appointments")
    assert (report.deleted, report.status) == (1, "success")
    assert hidden - live(rows, "appointments") == {deleted}


def test_an_appointment_that_is_active_again_is_so_after_one_run(mirror, sandbox, rows):
    key = next(iter(cancelled(sandbox, 1)))
    mirror("appointments")
    sandbox.faults.add(Fault("canceled_hidden"))
    mirror("appointments", MARCH)
    sandbox.account.events[key]["status"] = "ACTIVE"
    assert mirror("appointments", MARCH).updated == 1
    assert rows("SELECT status FROM gazelle.appointments WHERE external_id = %s", key) == [{"status": "ACTIVE"}]


# -- the first read of a nested list -----------------------------------------------------------------------------------


def test_a_contact_that_moves_while_the_first_read_is_under_way_is_in_the_table_after_it(mirror, sandbox, rows):
    order = sorted(sandbox.account.clients.values(), key=lambda client: client["createdAt"])
    last = {client["id"] for client in order[-20:]}
    moving = next(key for key, contact in sandbox.account.contacts.items() if contact["clientId"] in last)
    first = order[0]["id"]
    sandbox.page_cap = 50
    sandbox.faults.add(
        Fault("mutate", match="allClients", with_after=False, when="after",
              mutate=lambda account: account.contacts[moving].update(clientId=first))
    )  # fmt: skip
    report = mirror("contacts")
    assert (report.rows, report.status) == (len(sandbox.account.contacts), "success")
    assert rows("SELECT client_external_id AS id FROM gazelle.contacts WHERE external_id = %s", moving) == [
        {"id": first}
    ]


def test_a_contact_that_moves_while_a_later_read_is_under_way_is_asked_for(mirror, sandbox, rows):
    mirror("contacts")
    before = len(sandbox.requests)
    order = sorted(sandbox.account.clients.values(), key=lambda client: client["createdAt"])
    last = {client["id"] for client in order[-20:]}
    moving = next(key for key, contact in sandbox.account.contacts.items() if contact["clientId"] in last)
    sandbox.page_cap = 50
    sandbox.faults.add(
        Fault("mutate", match="allClients", with_after=False, when="after",
              mutate=lambda account: account.contacts[moving].update(clientId=order[0]["id"]))
    )  # fmt: skip
    report = mirror("contacts")
    assert (report.deleted, report.updated, report.status) == (0, 1, "success")
    # What is stored is asked for, so that nothing has to be counted again.
    assert not [r for r in list(sandbox.requests)[before:] if "allContacts(includeArchived: true) {" in r.query]
