"""What Gazelle has is in the tables, value by value, and nothing is written that did not change."""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Snapshot
from gazelle_sync.gazelle.errors import GazelleError
from gazelle_sync.sandbox import Account, Fault
from gazelle_sync.sandbox.texts import AWKWARD, AWKWARD_TAGS
from gazelle_sync.tables import TABLES, Scope
from gazelle_sync.warehouse import LoadReport
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync_tests.conftest import ALL, TODAY, TORONTO
from gazelle_sync_tests.warehouse.canned import Canned, clients, shown
from gazelle_sync_tests.warehouse.expected import THE_REST

MARCH = Scope(TORONTO, TODAY.replace(day=1), TODAY.replace(month=4, day=1))

# -- what each table must hold, told again from docs and API, and not from the declarations ---------------------------


def moment(text):
    return text and datetime.fromisoformat(text.replace("Z", "+00:00"))


def day(text):
    return text and datetime.strptime(text, "%Y-%m-%d").date()


def phone_of(contact):
    digits = next((phone["phoneNumber"] for phone in contact.get("allPhones", []) if phone["isDefault"]), None)
    return digits and f"({digits[:3]}) {digits[3:6]}-{digits[6:]}"


def reachable(contact):
    place = next((each for each in contact.get("allLocations", []) if each["usageType"] == "STREET"), {})
    return {
        "first_name": contact.get("firstName"),
        "last_name": contact.get("lastName"),
        "email": next((email["email"] for email in contact.get("allEmails", []) if email["isDefault"]), None),
        "phone": phone_of(contact),
        "street1": place.get("street1"),
        "street2": place.get("street2"),
        "city": place.get("municipality"),
        "region": place.get("region"),
        "postal_code": place.get("postalCode"),
        "country_code": place.get("countryCode"),
    }


def stamps(record):
    return {"created_at": moment(record["createdAt"]), "updated_at": moment(record["updatedAt"])}


def expected_users(account: Account) -> Iterator[dict]:
    for user in account.users.values():
        yield {
            "external_id": user["id"],
            "first_name": user["firstName"],
            "last_name": user["lastName"],
            "email": user["email"],
            "status": user["status"],
            "timezone": user["timezone"],
            "is_schedulable": user["isSchedulable"],
            "color": user["color"],
            **stamps(user),
        }


def expected_clients(account: Account) -> Iterator[dict]:
    for client in account.clients.values():
        contacts = [each for each in account.contacts.values() if each["clientId"] == client["id"]]
        contact = reachable(next((each for each in contacts if each["isDefault"]), {}))
        person = " ".join(filter(None, ((contact[name] or "").strip() for name in ("first_name", "last_name"))))
        names = [client["companyName"], person, contact["email"], client["id"]]
        # Nearly nobody has one of their own.
        localization = account.localizations.get(client.get("defaultClientLocalizationId")) or next(
            each for each in account.localizations.values() if each["isClientDefault"]
        )
        yield {
            "external_id": client["id"],
            "company_name": next(name for name in names if name and name.strip()),
            **contact,
            "status": client["status"],
            "tags": client["tags"],
            "client_type": client["clientType"],
            "locale": localization["locale"],
            "lifecycle_state": client["lifecycleState"],
            "preferred_technician_external_id": client["preferredTechnicianId"],
            "personal_notes": client["personalNotes"],
            "preference_notes": client["preferenceNotes"],
            "referred_by": client["referredBy"],
            "no_contact_until": day(client["noContactUntil"]),
            "no_contact_reason": client["noContactReason"],
            "reason_inactive_code": client["reasonInactiveCode"],
            "reason_inactive_details": client["reasonInactiveDetails"],
            "reference_id": client["referenceId"],
            **{f"custom{n}": client[f"custom{n}"] for n in range(1, 11)},
            **stamps(client),
        }


def expected_contacts(account: Account) -> Iterator[dict]:
    for contact in account.contacts.values():
        place = next((each for each in contact["allLocations"] if each["usageType"] == "STREET"), {})
        yield {
            "external_id": contact["id"],
            "client_external_id": contact["clientId"],
            **reachable(contact),
            "middle_name": contact["middleName"],
            "suffix": contact["suffix"],
            "title": contact["title"],
            "role": contact["role"],
            "latitude": place.get("latitude") and Decimal(place["latitude"]),
            "longitude": place.get("longitude") and Decimal(place["longitude"]),
            "is_default": contact["isDefault"],
            "is_billing_default": contact["isBillingDefault"],
            "archived": contact["archived"],
            "wants_email": contact["wantsEmail"],
            "wants_phone": contact["wantsPhone"],
            "wants_text": contact["wantsText"],
            **stamps(contact),
        }


def expected_pianos(account: Account) -> Iterator[dict]:
    for piano in account.pianos.values():
        yield {
            "external_id": piano["id"],
            "client_external_id": piano["clientId"],
            "make": piano["make"],
            "model": piano["model"],
            "serial_number": piano["serialNumber"],
            "type": piano["type"],
            "year": piano["year"],
            "size": piano["size"],
            "location": piano["location"],
            "notes": piano["notes"],
            "status": piano["status"],
            "tags": piano["tags"],
            "case_color": piano["caseColor"],
            "case_finish": piano["caseFinish"],
            "has_ivory": piano["hasIvory"],
            "rental": piano["rental"],
            "rental_contract_ends_on": day(piano["rentalContractEndsOn"]),
            "consignment": piano["consignment"],
            "needs_repair_or_rebuilding": piano["needsRepairOrRebuilding"],
            "total_loss": piano["totalLoss"],
            "use_type": piano["useType"],
            "service_interval_months": piano["serviceIntervalMonths"],
            "calculated_last_service": day(piano["calculatedLastService"]),
            "calculated_next_service": day(piano["calculatedNextService"]),
            "event_last_service": day(piano["eventLastService"]),
            "manual_last_service": day(piano["manualLastService"]),
            "next_service_override": day(piano["nextServiceOverride"]),
            "player_installed": piano["playerInstalled"],
            "player_make": piano["playerMake"],
            "player_model": piano.get("playerModel"),
            "player_serial_number": piano.get("playerSerialNumber"),
            "dampp_chaser_installed": piano["damppChaserInstalled"],
            "dampp_chaser_humidistat_model": piano["damppChaserHumidistatModel"],
            "dampp_chaser_mfg_date": day(piano["damppChaserMfgDate"]),
            "potential_performance_level": piano["potentialPerformanceLevel"],
            "lifecycle_state": piano["lifecycleState"],
            "reference_id": piano["referenceId"],
            **stamps(piano),
        }


def expected_appointments(account: Account) -> Iterator[dict]:
    for event in account.events.values():
        starts_at = moment(event["start"])
        there = starts_at.astimezone(ZoneInfo("America/Toronto"))
        yield {
            "external_id": event["id"],
            "client_external_id": event["clientId"],
            "technician_external_id": event["userId"],
            "created_by_external_id": event["createdById"],
            "title": event["title"],
            "notes": event["notes"],
            "type": event["type"],
            "status": event["status"],
            "starts_at": starts_at,
            "appointment_date": there.date(),
            "appointment_time": there.time(),
            "duration_minutes": event["duration"],
            "is_all_day": event["isAllDay"],
            "timezone": event["timezone"],
            "address": event["addressLine"],
            "confirmed_by_client": event["confirmedByClient"],
            "confirmed_at": moment(event["confirmedAt"]),
            "source": event["source"],
            "travel_mode": event["travelMode"],
            "recurrence_id": event["recurrenceId"],
            **stamps(event),
        }


def expected_appointment_pianos(account: Account) -> Iterator[dict]:
    for event in account.events.values():
        for link in event["pianos"]:
            yield {
                "appointment_external_id": event["id"],
                "piano_external_id": link["pianoId"],
                "is_tuning": link["isTuning"],
            }


def expected_timeline_entries(account: Account) -> Iterator[dict]:
    for entry in account.timeline.values():
        yield {
            "external_id": entry["id"],
            "client_external_id": entry["clientId"],
            "piano_external_id": entry["pianoId"],
            "appointment_external_id": entry.get("appointmentId"),
            "technician_external_id": entry["userId"],
            "invoice_external_id": entry.get("invoiceId"),
            "estimate_external_id": entry.get("estimateId"),
            "occurred_at": moment(entry["occurredAt"]),
            "type": entry["type"],
            "summary": entry["summary"],
            "comment": entry["comment"],
        }


EXPECTED = {
    "users": expected_users,
    "clients": expected_clients,
    "contacts": expected_contacts,
    "pianos": expected_pianos,
    "appointments": expected_appointments,
    "appointment_pianos": expected_appointment_pianos,
    "timeline_entries": expected_timeline_entries,
    **THE_REST,
}
COLUMNS_KEPT_BESIDE = {"id", "synced_at", "deleted_at"}


@pytest.fixture
def mirrors_the_account(rows, sandbox):
    """Asserts that the tables hold the account's records, live ones and no others, value by value."""

    def check(tables=tuple(EXPECTED)):
        for table in tables:
            key = (
                ("appointment_external_id", "piano_external_id") if table == "appointment_pianos" else ("external_id",)
            )
            stored = {
                tuple(row[name] for name in key): {k: v for k, v in row.items() if k not in COLUMNS_KEPT_BESIDE}
                for row in rows(f"SELECT * FROM gazelle.{table} WHERE deleted_at IS NULL")
            }
            expected = {tuple(row[name] for name in key): row for row in EXPECTED[table](sandbox.account)}
            assert stored.keys() == expected.keys(), table
            for each, row in expected.items():
                assert stored[each] == row, (table, each)

    return check


# -- a whole sync ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page_cap", "opaque_cursors"), [(1000, False), (100, False), (23, True)])
def test_a_full_sync_leaves_exactly_the_records_of_the_account_field_by_field(
    mirror_all, mirrors_the_account, sandbox, page_cap, opaque_cursors
):
    sandbox.page_cap, sandbox.opaque_cursors = page_cap, opaque_cursors
    reports = mirror_all()
    mirrors_the_account()
    assert {name: report.status for name, report in reports.items()} == dict.fromkeys(TABLES, "success")
    for name, report in reports.items():
        # Of a table that was added since, and is not told again here, that it agrees with the API's own count.
        expected = sum(1 for _ in EXPECTED[name](sandbox.account)) if name in EXPECTED else report.expected
        assert (report.fetched, report.expected, report.rows) == (expected, expected, expected), name


def test_the_order_in_which_tables_are_synced_does_not_matter(mirror, mirrors_the_account, rows):
    for name in reversed(TABLES):
        mirror(name)
    mirrors_the_account()
    for name in TABLES:
        assert rows(f"SELECT count(*) AS n FROM gazelle.{name} WHERE synced_at IS NULL")[0]["n"] == 0, name


def test_one_request_is_told_of_as_one(mirror):
    assert ", 1 request, " in str(mirror("users"))
    assert ", 0 requests, " in str(LoadReport("users", "all"))


@pytest.fixture
def own_counters(engine):
    """Tables whose counters no earlier test has a hand in: a server process that ends may tell late what it wrote."""
    with transaction(engine) as cursor:
        cursor.execute("DROP SCHEMA gazelle CASCADE")
    warehouse.migrate(engine)


@pytest.mark.usefixtures("own_counters")
def test_a_second_sync_reports_every_row_unchanged_and_touches_none(mirror_all, rows):
    first = mirror_all()

    def versions():
        return {
            name: rows(f"SELECT id, xmin, xmax, ctid, synced_at FROM gazelle.{name} ORDER BY id") for name in TABLES
        }

    def writes():
        # The server gathers them from its processes now and then.
        rows("SELECT pg_stat_force_next_flush()")
        return rows(
            "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables "
            "WHERE schemaname = 'gazelle' AND relname = ANY (%s) ORDER BY relname",
            list(TABLES),
        )

    versions_before, writes_before = versions(), writes()
    again = mirror_all()
    assert versions() == versions_before
    assert writes() == writes_before
    for name, report in again.items():
        counts = (report.inserted, report.updated, report.unchanged, report.deleted, report.restored, report.rejected)
        assert counts == (0, 0, first[name].rows, 0, 0, 0), name


@pytest.mark.usefixtures("own_counters")
def test_a_first_load_leaves_no_dead_rows_behind(mirror, rows):
    for name in TABLES:
        mirror(name)
    rows("SELECT pg_stat_force_next_flush()")
    counted = rows("SELECT relname, n_dead_tup, n_tup_ins FROM pg_stat_user_tables WHERE schemaname = 'gazelle'")
    assert sum(table["n_tup_ins"] for table in counted) > 0
    assert [table for table in counted if table["n_dead_tup"]] == []


def test_only_rows_that_changed_are_written_and_the_counts_say_how_many(mirror, sandbox, rows, mirrors_the_account):
    mirror("clients")
    before = {row["external_id"]: row for row in rows("SELECT external_id, id, ctid, synced_at FROM gazelle.clients")}
    edited = list(sandbox.account.clients)[:3]
    # The first was created in 2017; a list sorted by creation must be read to its end to show it.
    sandbox.account.clients[edited[0]]["personalNotes"] = "Nouveau code de porte"
    sandbox.account.clients[edited[1]]["tags"] = []
    sandbox.account.clients[edited[2]]["status"] = "INACTIVE"
    assert before.keys() == sandbox.account.clients.keys()
    sandbox.account.clients[edited[1]]["referredBy"] = "Une cliente"
    new = [sandbox.account.add("clients", {"companyName": name, **CLIENT_BLANKS})["id"] for name in ("Un", "Deux")]

    report = mirror("clients")

    assert (report.inserted, report.updated, report.unchanged, report.rows) == (2, 3, 147, 152)
    after = {row["external_id"]: row for row in rows("SELECT external_id, id, ctid, synced_at FROM gazelle.clients")}
    assert {key for key in before if after[key] != before[key]} == set(edited)
    assert all(after[key]["synced_at"] > before[key]["synced_at"] for key in edited)
    assert all(after[key]["id"] == before[key]["id"] for key in before)
    assert after.keys() - before.keys() == set(new)
    mirrors_the_account(["clients"])


CLIENT_BLANKS = {
    **dict.fromkeys(("clientType", "localizationId", "lifecycleState", "preferredTechnicianId", "personalNotes")),
    **dict.fromkeys(("preferenceNotes", "referredBy", "noContactUntil", "noContactReason", "reasonInactiveCode")),
    **dict.fromkeys(("reasonInactiveDetails", "referenceId", *(f"custom{n}" for n in range(1, 11)))),
}


def test_the_log_has_one_row_per_load_with_the_counts_of_its_report(mirror, last_log):
    report = mirror("pianos", run_id="run-7")
    row = last_log("pianos")
    assert (row["run_id"], row["table_name"], row["scope"], row["status"]) == ("run-7", "pianos", "all", "success")
    for name in ("fetched", "inserted", "updated", "unchanged", "deleted", "restored", "rejected", "api_requests"):
        assert row[name] == getattr(report, name), name
    assert row["fetched"] == row["inserted"] == 85
    assert row["api_requests"] == 1
    assert row["started_at"] < row["finished_at"] <= datetime.now(timezone.utc)
    assert row["error"] is None


def test_retries_of_the_api_are_counted_in_the_report_and_the_log(mirror, sandbox, last_log):
    sandbox.faults.add(Fault("status", status=502))
    report = mirror("pianos")
    assert (report.api_requests, report.api_retries) == (2, 1)
    assert (last_log("pianos")["api_requests"], last_log("pianos")["api_retries"]) == (2, 1)


# -- values ------------------------------------------------------------------------------------------------------------


def test_every_awkward_text_comes_back_equal(engine, rows):
    more = [chr(code) * 2 for code in (*range(1, 32), 127, 0x85, 0xA0, 0x2028, 0xFEFF, 0xFFFD, 0xFFFF, 0x10FFFF)]
    texts = [*AWKWARD, *more, "\\.\n", "\\\\N", "\\x00", "\r", "\r\n\r", "{}", "{NULL}", "é" * 1_000_000]
    given_rows = [{**row, "personal_notes": text} for row, text in zip(clients(range(len(texts))), texts, strict=True)]
    warehouse.load(engine, Canned(TABLES["clients"], given_rows), run_id="test")
    assert [row["personal_notes"] for row in rows("SELECT personal_notes FROM gazelle.clients ORDER BY id")] == texts


def test_lists_with_commas_quotes_braces_and_backslashes_come_back_equal(engine, rows):
    lists = [
        *AWKWARD_TAGS,
        [],
        [","],
        ['"'],
        ["\\"],
        ["{"],
        ["}"],
        ["{}"],
        ["a b"],
        ["null", "NULL", ""],
        ["\t\n\r\\N"],
    ]
    given_rows = [{**row, "tags": tags} for row, tags in zip(clients(range(len(lists))), lists, strict=True)]
    warehouse.load(engine, Canned(TABLES["clients"], given_rows), run_id="test")
    assert [row["tags"] for row in rows("SELECT tags FROM gazelle.clients ORDER BY id")] == lists


STORABLE = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.none() | STORABLE, st.lists(STORABLE)), min_size=1, max_size=20))
def test_any_text_and_any_list_of_texts_is_stored_as_it_came_and_then_unchanged(engine, rows, values):
    given_rows = [
        {**row, "personal_notes": notes, "tags": tags}
        for row, (notes, tags) in zip(clients(range(len(values))), values, strict=True)
    ]
    load = partial(warehouse.load, engine, run_id="test", allow_mass_delete=True)
    load(Canned(TABLES["clients"], given_rows, doubts=["to mark none"]))
    again = load(Canned(TABLES["clients"], given_rows, doubts=["to mark none"]))
    stored = rows("SELECT personal_notes, tags FROM gazelle.clients ORDER BY external_id LIMIT %s", len(values))
    assert [(row["personal_notes"], row["tags"]) for row in stored] == values
    assert (again.unchanged, again.updated) == (len(values), 0)


def test_a_text_is_not_null_because_it_is_empty_and_null_is_not_empty(engine, rows):
    given_rows = clients([0], first_name="", last_name=None)
    warehouse.load(engine, Canned(TABLES["clients"], given_rows), run_id="test")
    assert rows("SELECT first_name, last_name FROM gazelle.clients") == [{"first_name": "", "last_name": None}]
    swapped = warehouse.load(engine, Canned(TABLES["clients"], clients([0], last_name="")), run_id="test")
    assert swapped.updated == 1
    assert rows("SELECT first_name, last_name FROM gazelle.clients") == [{"first_name": None, "last_name": ""}]


def test_of_a_record_that_came_twice_in_one_read_the_later_stands(engine, rows):
    twice = [*clients([0, 1], status="OLD"), *clients([1], status="NEW"), *clients([0], status="NEWER")]
    report = warehouse.load(engine, Canned(TABLES["clients"], twice), run_id="test")
    assert (report.fetched, report.inserted, report.rows) == (4, 2, 2)
    assert rows("SELECT external_id, status FROM gazelle.clients ORDER BY external_id") == [
        {"external_id": "cli_0000", "status": "NEWER"},
        {"external_id": "cli_0001", "status": "NEW"},
    ]
    again = warehouse.load(engine, Canned(TABLES["clients"], twice), run_id="test")
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 2)


def test_an_evening_appointment_stands_on_its_local_day(mirror, sandbox, rows):
    event = next(iter(sandbox.account.events.values()))
    event["start"] = "2026-07-15T02:30:00Z"
    mirror("appointments")
    assert rows(
        "SELECT appointment_date::text, appointment_time::text, starts_at AT TIME ZONE 'UTC' AS utc "
        "FROM gazelle.appointments WHERE external_id = %s",
        event["id"],
    ) == [{"appointment_date": "2026-07-14", "appointment_time": "22:30:00", "utc": datetime(2026, 7, 15, 2, 30)}]


def test_an_institution_has_all_its_contacts_and_its_visit_all_its_pianos(mirror, rows):
    for name in ("clients", "contacts", "appointments", "appointment_pianos"):
        mirror(name)
    assert rows(
        "SELECT count(*) AS n, count(*) FILTER (WHERE archived) AS archived FROM gazelle.contacts c "
        "JOIN gazelle.clients k ON k.external_id = c.client_external_id "
        "WHERE k.company_name = 'Conservatoire de musique de la Rive-Sud'"
    ) == [{"n": 118, "archived": 13}]
    assert rows(
        "SELECT count(*) AS n FROM gazelle.appointment_pianos GROUP BY appointment_external_id ORDER BY 1 DESC LIMIT 1"
    ) == [{"n": 25}]


# -- parents that are not there yet ------------------------------------------------------------------------------------


def test_a_child_that_comes_before_its_parent_brings_a_placeholder_which_the_parents_sync_fills(mirror, rows):
    mirror("contacts")
    placeholders = rows("SELECT id, external_id, company_name, tags, synced_at, deleted_at FROM gazelle.clients")
    assert len(placeholders) > 100
    for row in placeholders:
        assert row["company_name"] == row["external_id"]
        assert (row["tags"], row["synced_at"], row["deleted_at"]) == ([], None, None)

    report = mirror("clients")

    assert (report.inserted, report.updated, report.unchanged, report.rows) == (150, 0, 0, 150)
    ids = {row["external_id"]: row["id"] for row in rows("SELECT id, external_id FROM gazelle.clients")}
    assert all(ids[row["external_id"]] == row["id"] for row in placeholders)
    assert rows("SELECT count(*) AS n FROM gazelle.clients WHERE synced_at IS NULL") == [{"n": 0}]


def test_a_placeholder_outside_the_window_is_asked_for_by_id(mirror, sandbox, rows):
    mirror("timeline_entries")
    waiting = rows("SELECT external_id FROM gazelle.appointments")
    mirror("appointments", MARCH)
    assert rows("SELECT count(*) AS n FROM gazelle.appointments WHERE synced_at IS NULL OR title IS NULL") == [{"n": 0}]
    stored = {row["external_id"]: row for row in rows("SELECT * FROM gazelle.appointments")}
    outside = [row["external_id"] for row in waiting if not in_march(stored[row["external_id"]]["appointment_date"])]
    assert len(outside) > 50
    for key in outside:
        assert stored[key]["title"] == sandbox.account.events[key]["title"]
        assert stored[key]["starts_at"] == moment(sandbox.account.events[key]["start"])


def in_march(day_):
    return (day_.year, day_.month) == (2026, 3)


def test_a_placeholder_of_a_record_that_does_not_exist_is_marked_gone_once(mirror, sandbox, rows):
    next(iter(sandbox.account.clients.values()))["preferredTechnicianId"] = "usr_gone"
    mirror("clients")
    report = mirror("users")
    assert (report.inserted, report.deleted, report.status) == (6, 1, "success")
    [row] = rows("SELECT deleted_at, first_name FROM gazelle.users WHERE external_id = 'usr_gone'")
    assert row["deleted_at"] is not None
    assert row["first_name"] is None
    assert mirror("users").deleted == 0
    assert rows("SELECT * FROM gazelle.row_changes WHERE external_id = 'usr_gone'") == []


def test_a_client_created_since_the_last_sync_of_clients_does_not_hide_its_appointment(mirror, sandbox, rows):
    mirror("clients")
    client = sandbox.account.add("clients", {"companyName": "Ce matin", **CLIENT_BLANKS})
    event = sandbox.account.add("events", {"clientId": client["id"], "start": "2026-03-17T14:00:00Z"})
    mirror("appointments")
    query = (
        "SELECT c.company_name FROM gazelle.appointments a JOIN gazelle.clients c ON c.external_id = "
        "a.client_external_id WHERE a.external_id = %s"
    )
    assert rows(query, event["id"]) == [{"company_name": client["id"]}]
    assert mirror("clients").inserted == 1
    assert rows(query, event["id"]) == [{"company_name": "Ce matin"}]


# -- what the sync keeps its hands off ---------------------------------------------------------------------------------


def test_no_connection_is_open_while_the_api_is_being_read_for_long(mirror, sandbox, rows, monkeypatch):
    # The package has a function of the module's name.
    monkeypatch.setattr(importlib.import_module("gazelle_sync.warehouse.load"), "HELD", 0.0)
    mirror("pianos")
    del sandbox.account.pianos[next(iter(sandbox.account.pianos))]
    counted = []

    def look(_):
        # Its own connection is one of them; a server's process takes a moment to end.
        until = time.monotonic() + 1
        query = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gazelle-sync'"
        )
        while (now := len(rows(query))) > 1 and time.monotonic() < until:
            time.sleep(0.005)
        counted.append(now)

    sandbox.faults.add(Fault("mutate", times=None, mutate=look))
    report = mirror("pianos")
    assert report.deleted == 1
    # One page of the list, and one request for the record that was not in it.
    assert counted == [1, 1]


def test_what_people_added_survives_a_sync_and_a_migration_with_its_values(engine, mirror, sandbox, rows, run):
    mirror("clients")
    run("""
        CREATE ROLE gazelle_test_reader;
        ALTER TABLE gazelle.clients ADD crm_id integer, ADD state text, ADD target_id text DEFAULT 'theirs';
        UPDATE gazelle.clients SET crm_id = id * 10, state = 'QC';
        CREATE VIEW gazelle.vip AS SELECT external_id, crm_id, updated_at FROM gazelle.clients;
        CREATE INDEX their_index ON gazelle.clients (crm_id);
        GRANT USAGE ON SCHEMA gazelle TO gazelle_test_reader;
        GRANT SELECT (crm_id, external_id) ON gazelle.clients TO gazelle_test_reader;
        CREATE POLICY theirs ON gazelle.clients FOR SELECT TO gazelle_test_reader USING (crm_id > 0);
        """)
    try:
        for client in sandbox.account.clients.values():
            client["personalNotes"] = "tout neuf"
        assert mirror("clients").updated == 150
        assert warehouse.migrate(engine) == []
        assert mirror("clients").unchanged == 150
        assert rows("SELECT count(*) AS n FROM gazelle.clients WHERE crm_id = id * 10 AND state = 'QC'") == [{"n": 150}]
        assert rows("SELECT count(*) AS n FROM gazelle.vip WHERE crm_id IS NOT NULL") == [{"n": 150}]
        assert rows("SELECT indexname FROM pg_indexes WHERE indexname = 'their_index'") != []
        assert rows("SELECT DISTINCT name FROM gazelle.row_changes, jsonb_object_keys(changed) AS name") == [
            {"name": "personal_notes"}
        ]
        run(
            "SET LOCAL ROLE gazelle_test_reader; DO $$ BEGIN ASSERT (SELECT count(crm_id) FROM gazelle.clients) = 150; "
            "END $$"
        )
    finally:
        run("DROP OWNED BY gazelle_test_reader; DROP ROLE gazelle_test_reader")


def test_a_column_that_is_not_asked_for_is_not_written(engine, client, mirror, sandbox, rows):
    mirror("clients")
    whole = TABLES["clients"]
    short = dataclasses.replace(whole, columns=tuple(c for c in whole.columns if c.name in ("company_name", "status")))
    for record in sandbox.account.clients.values():
        record["status"] = "PROSPECT"
        record["personalNotes"] = "not read"
    before = {r["external_id"]: r for r in rows("SELECT * FROM gazelle.clients")}
    report = warehouse.load(engine, Snapshot(client, short, ALL), run_id="short", tables={**TABLES, "clients": short})
    assert report.updated == sum(row["status"] != "PROSPECT" for row in before.values())
    for row in rows("SELECT * FROM gazelle.clients"):
        changed = {name for name, value in row.items() if value != before[row["external_id"]][name]}
        assert changed <= {"status", "synced_at"}


def test_a_read_that_fails_leaves_the_table_as_it_was_and_the_log_says_why(mirror, sandbox, rows, last_log):
    mirror("timeline_entries")
    before = rows("SELECT xmin, * FROM gazelle.timeline_entries ORDER BY id")
    for entry in sandbox.account.timeline.values():
        entry["comment"] = "changed"
    sandbox.faults.add(Fault("status", status=403, skip=12, message="Forbidden by the gateway"))
    with pytest.raises(GazelleError, match="403"):
        mirror("timeline_entries", run_id="the failing one")
    assert rows("SELECT xmin, * FROM gazelle.timeline_entries ORDER BY id") == before
    row = last_log("timeline_entries")
    assert (row["run_id"], row["status"], row["scope"], row["fetched"]) == ("the failing one", "error", "all", 0)
    assert "403" in row["error"]
    assert "timeline_entries" in row["error"]
    assert mirror("timeline_entries").updated == 2500


def test_an_error_that_quotes_a_nul_or_a_lone_surrogate_is_logged_all_the_same(engine, last_log):
    def fail():
        raise GazelleError("it said \x00 and \ud83d, which no text of PostgreSQL holds")

    with pytest.raises(GazelleError, match="it said"):
        warehouse.load(engine, shown([], reading=fail), run_id="test")
    assert last_log("clients")["status"] == "error"
    assert last_log("clients")["error"] == "GazelleError: it said and , which no text of PostgreSQL holds"


def test_the_scope_of_a_load_is_logged_as_days_for_a_dated_table_and_as_all_for_any_other(mirror, last_log):
    mirror("appointments", MARCH)
    mirror("users", MARCH)
    assert last_log("appointments")["scope"] == "2026-03-01..2026-04-01"
    assert last_log("users")["scope"] == "all"


def test_a_declared_column_may_have_any_name_that_sql_knows(empty_engine, rows):
    """What the load calls its own columns must not get in the way: `state`, `target_id`, `user`, `order`."""
    from gazelle_sync.tables.columns import text

    odd = ("state", "target_id", "order", "user", "select", "key", "value", "s", "t", "change")
    table = dataclasses.replace(TABLES["users"], name="odd", columns=tuple(text(name, name, name) for name in odd))
    tables = {"odd": table}
    warehouse.migrate(empty_engine, tables)
    for values in ({"state": "QC", "target_id": "1", "order": "a"}, {"state": "ON", "target_id": "1", "order": "b"}):
        source = Canned(table, [{"external_id": "odd_1", **dict.fromkeys(odd, "same"), **values}])
        warehouse.load(empty_engine, source, run_id="test", tables=tables)
    assert rows_of(empty_engine, 'SELECT state, target_id, "order", "user" FROM gazelle.odd') == [
        {"state": "ON", "target_id": "1", "order": "b", "user": "same"}
    ]
    assert rows_of(empty_engine, "SELECT changed FROM gazelle.row_changes") == [
        {"changed": {"state": ["QC", "ON"], "order": ["a", "b"]}}
    ]


def rows_of(engine, query):
    from gazelle_sync_tests.conftest import query_rows

    return query_rows(engine, query)
