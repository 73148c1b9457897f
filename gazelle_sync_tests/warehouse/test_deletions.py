"""What is gone from Gazelle is marked, on evidence only; what merely was not shown is not."""

from __future__ import annotations

import pytest

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Fault
from gazelle_sync.tables import TABLES, Scope, dependencies
from gazelle_sync.tables.declaration import Nested
from gazelle_sync_tests.conftest import TODAY, TORONTO
from gazelle_sync_tests.warehouse.canned import Canned, clients, shown

MARCH = Scope(TORONTO, TODAY.replace(day=1), TODAY.replace(month=4, day=1))
APRIL = Scope(TORONTO, TODAY.replace(month=4, day=1), TODAY.replace(month=5, day=1))


@pytest.fixture
def gone(rows):
    """The ids of a table's records that are marked as gone."""
    return lambda table: {
        row["external_id"] for row in rows(f"SELECT external_id FROM gazelle.{table} WHERE deleted_at IS NOT NULL")
    }


@pytest.fixture
def load_clients(engine):
    """Loads clients with these numbers."""
    return lambda numbers, allow_mass_delete=False, **options: warehouse.load(
        engine, shown(numbers, **options), run_id="test", allow_mass_delete=allow_mass_delete
    )


def asked_by_id(sandbox, field):
    """The ids in requests for single records since the sandbox was started, oldest first."""
    return [
        key
        for request in sandbox.requests
        if f": {field}(" in request.query
        for name, key in request.variables.items()
        if name.startswith("id")
    ]


# -- evidence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "kind", "field"),
    [("pianos", "pianos", "piano"), ("contacts", "contacts", "contact"), ("appointments", "events", "event")],
)
def test_a_record_that_is_gone_is_asked_for_by_id_and_then_marked(mirror, sandbox, rows, last_log, table, kind, field):
    mirror(table)
    key = list(sandbox.account.records(kind))[5]
    query = f"SELECT * FROM gazelle.{table} WHERE external_id = %s"
    [before] = rows(query, key)
    del sandbox.account.records(kind)[key]
    report = mirror(table)
    [after] = rows(query, key)
    assert (report.deleted, report.updated, report.status) == (1, 0, "success")
    assert asked_by_id(sandbox, field)[-1] == key
    assert after["deleted_at"] > before["synced_at"]
    assert {**after, "deleted_at": None, "synced_at": None} == {**before, "synced_at": None}
    assert last_log(table)["deleted"] == 1
    assert report.rows == report.unchanged
    again = mirror(table)
    assert (again.deleted, again.unchanged) == (0, report.unchanged)
    assert rows(query, key) == [after]


def test_a_client_that_is_gone_is_marked(mirror, sandbox, gone):
    mirror("clients")
    key = list(sandbox.account.clients)[7]
    del sandbox.account.clients[key]
    assert mirror("clients").deleted == 1
    assert gone("clients") == {key}


def test_a_rescheduled_appointment_is_refreshed_and_not_marked(mirror, sandbox, rows):
    mirror("appointments", MARCH)
    key = rows("SELECT external_id FROM gazelle.appointments WHERE appointment_date = %s", TODAY)[0]["external_id"]
    sandbox.account.events[key]["start"] = "2027-02-03T15:00:00Z"
    report = mirror("appointments", MARCH)
    assert (report.deleted, report.updated) == (0, 1)
    assert rows(
        "SELECT appointment_date::text AS day, deleted_at FROM gazelle.appointments WHERE external_id = %s", key
    ) == [{"day": "2027-02-03", "deleted_at": None}]


def test_a_record_that_comes_back_is_restored_with_its_number(mirror, sandbox, rows):
    mirror("pianos")
    key, piano = next(iter(sandbox.account.pianos.items()))
    [before] = rows("SELECT * FROM gazelle.pianos WHERE external_id = %s", key)
    del sandbox.account.pianos[key]
    mirror("pianos")
    sandbox.account.pianos[key] = {**piano, "notes": "de retour"}
    report = mirror("pianos")
    assert (report.restored, report.inserted, report.updated, report.unchanged) == (1, 0, 0, 84)
    [after] = rows("SELECT * FROM gazelle.pianos WHERE external_id = %s", key)
    assert after == {**before, "notes": "de retour", "synced_at": after["synced_at"]}
    assert after["deleted_at"] is None


def test_a_record_that_comes_back_just_as_it_was_is_restored_too(load_clients, gone):
    load_clients(range(10))
    load_clients(range(9))
    assert gone("clients") == {"cli_0009"}
    report = load_clients(range(10))
    assert (report.restored, report.unchanged, report.rows) == (1, 9, 10)
    assert gone("clients") == set()


def test_a_user_that_only_the_first_reading_missed_is_kept(mirror, sandbox, gone):
    mirror("users")
    key, user = list(sandbox.account.users.items())[5]
    del sandbox.account.users[key]
    back = Fault("mutate", mutate=lambda account: account.users.__setitem__(key, user), when="after")
    sandbox.faults.add(back)
    report = mirror("users")
    assert (report.deleted, report.unchanged) == (0, 6)
    assert gone("users") == set()


WINTER = Scope(TORONTO, TODAY.replace(month=1, day=1), TODAY.replace(month=4, day=1))


def entry_of(sandbox, *, has_piano):
    """The newest entry of a piano, or of none, with its id."""
    entries = [
        (key, entry) for key, entry in sandbox.account.timeline.items() if bool(entry.get("pianoId")) is has_piano
    ]
    return max(
        (each for each in entries if each[1]["occurredAt"] < "2026-03-16"), key=lambda each: each[1]["occurredAt"]
    )


def test_a_timeline_entry_that_is_gone_is_proved_by_its_clients_timeline_and_its_pianos(mirror, sandbox, gone):
    mirror("timeline_entries")
    key, entry = entry_of(sandbox, has_piano=True)
    del sandbox.account.timeline[key]
    report = mirror("timeline_entries", WINTER)
    assert (report.deleted, report.status) == (1, "success")
    assert gone("timeline_entries") == {key}
    of_client, of_piano = list(sandbox.requests)[-2:]
    assert (of_client.variables["id"], of_piano.variables["id"]) == (entry["clientId"], entry["pianoId"])
    assert "clientId: $id" in of_client.query
    assert "pianoId: $id" in of_piano.query


def test_an_entry_that_changed_its_client_and_its_date_is_found_with_its_piano(mirror, sandbox, gone, rows):
    mirror("timeline_entries")
    key, entry = entry_of(sandbox, has_piano=True)
    other = next(client for client in sandbox.account.clients if client != entry["clientId"])
    entry.update(clientId=other, occurredAt="2018-05-06T07:08:09Z")
    report = mirror("timeline_entries", WINTER)
    assert (report.deleted, report.updated, report.status) == (0, 1, "success")
    assert gone("timeline_entries") == set()
    assert rows("SELECT client_external_id AS id FROM gazelle.timeline_entries WHERE external_id = %s", key) == [
        {"id": other}
    ]


def test_an_entry_that_can_have_gone_to_any_client_is_marked_by_a_read_of_all_history_only(mirror, sandbox, gone):
    mirror("timeline_entries")
    moved, entry = entry_of(sandbox, has_piano=False)
    entry.update(clientId=next(iter(sandbox.account.clients)), occurredAt="2018-05-06T07:08:09Z")
    deleted, _ = entry_of(sandbox, has_piano=False)
    assert deleted != moved
    del sandbox.account.timeline[deleted]
    before = len(sandbox.requests)
    report = mirror("timeline_entries", WINTER)
    assert (report.deleted, report.status) == (0, "success")
    assert not [request for request in list(sandbox.requests)[before:] if "$id" in request.query], "asked for in vain"
    assert mirror("timeline_entries").deleted == 1
    assert gone("timeline_entries") == {deleted}


def test_a_back_dated_timeline_entry_is_refreshed_and_not_marked(mirror, sandbox, rows, gone):
    mirror("timeline_entries")
    key, entry = entry_of(sandbox, has_piano=True)
    entry["occurredAt"] = "2018-05-06T07:08:09Z"
    report = mirror("timeline_entries", WINTER)
    assert (report.deleted, report.updated) == (0, 1)
    assert rows("SELECT occurred_at::date::text AS day FROM gazelle.timeline_entries WHERE external_id = %s", key) == [
        {"day": "2018-05-06"}
    ]
    assert gone("timeline_entries") == set()


def test_the_timeline_of_a_client_that_is_gone_is_gone(mirror, sandbox, gone):
    mirror("timeline_entries")
    by_client = {}
    for key, entry in sandbox.account.timeline.items():
        by_client.setdefault(entry["clientId"], set()).add(key)
    client, entries = next((client, keys) for client, keys in by_client.items() if len(keys) > 3)
    del sandbox.account.clients[client]
    report = mirror("timeline_entries")
    assert report.deleted == len(entries)
    assert gone("timeline_entries") == entries


def gone_pairs(rows):
    return {
        (row["appointment_external_id"], row["piano_external_id"])
        for row in rows("SELECT * FROM gazelle.appointment_pianos WHERE deleted_at IS NOT NULL")
    }


def test_a_piano_taken_off_a_visit_is_marked_and_no_other(mirror, sandbox, rows):
    mirror("appointments")
    mirror("appointment_pianos")
    event = max(sandbox.account.events.values(), key=lambda event: len(event["pianos"]))
    removed = event["pianos"].pop(12)["pianoId"]
    report = mirror("appointment_pianos")
    assert (report.deleted, report.unchanged, report.status) == (1, report.rows, "success")
    assert gone_pairs(rows) == {(event["id"], removed)}


def test_the_pianos_of_an_appointment_that_is_gone_are_marked(mirror, sandbox, rows):
    mirror("appointments")
    mirror("appointment_pianos")
    event = max(sandbox.account.events.values(), key=lambda event: len(event["pianos"]))
    del sandbox.account.events[event["id"]]
    assert mirror("appointments", MARCH).deleted == 1
    report = mirror("appointment_pianos", MARCH)
    assert report.deleted == 25
    assert gone_pairs(rows) == {(event["id"], link["pianoId"]) for link in event["pianos"]}


def test_the_pianos_of_a_rescheduled_appointment_are_kept(mirror, sandbox, rows):
    mirror("appointments")
    mirror("appointment_pianos")
    event = max(sandbox.account.events.values(), key=lambda event: len(event["pianos"]))
    event["start"] = "2027-02-03T15:00:00Z"
    # Before the appointment itself is refreshed, and after.
    assert (mirror("appointment_pianos", MARCH).deleted, mirror("appointments", MARCH).deleted) == (0, 0)
    assert mirror("appointment_pianos", MARCH).deleted == 0
    assert gone_pairs(rows) == set()


def test_a_record_that_exists_but_can_not_be_converted_is_not_gone(load_clients, gone, rows):
    load_clients(range(3))
    before = rows("SELECT xmin, * FROM gazelle.clients WHERE external_id = 'cli_0002'")
    report = load_clients(range(2), exists={("cli_0002",): None})
    assert report.deleted == 0
    assert gone("clients") == set()
    assert rows("SELECT xmin, * FROM gazelle.clients WHERE external_id = 'cli_0002'") == before


def test_an_entry_whose_date_went_bad_is_not_gone_though_no_list_by_date_shows_it(mirror, sandbox, rows, gone):
    mirror("timeline_entries")
    key = next(iter(sandbox.account.timeline))
    before = rows("SELECT xmin, * FROM gazelle.timeline_entries WHERE external_id = %s", key)
    sandbox.account.timeline[key]["occurredAt"] = "0000-00-00"
    report = mirror("timeline_entries")
    assert (report.deleted, report.rejected, report.status) == (0, 1, "warning")
    assert gone("timeline_entries") == set()
    assert rows("SELECT xmin, * FROM gazelle.timeline_entries WHERE external_id = %s", key) == before


# -- how much is too much ----------------------------------------------------------------------------------------------


def test_too_many_at_once_are_not_marked_and_the_warning_names_the_numbers(mirror, sandbox, gone, last_log):
    mirror("clients")
    for key in list(sandbox.account.clients)[:30]:
        del sandbox.account.clients[key]
    report = mirror("clients")
    assert (report.deleted, report.unchanged, report.rows, report.status) == (0, 120, 150, "warning")
    assert gone("clients") == set()
    assert report.warnings == [
        "30 of 150 records are no longer listed, and of 30 of them that were asked for by id 30 are gone: more than "
        "may go at once (25), so none was marked as deleted. If this is right, run "
        "`gazelle-sync sync --table clients --allow-mass-delete` once"
    ]
    assert (last_log("clients")["status"], last_log("clients")["error"]) == ("warning", report.warnings[0])

    allowed = mirror("clients", allow_mass_delete=True)
    assert (allowed.deleted, allowed.rows, allowed.status) == (30, 120, "success")
    assert len(gone("clients")) == 30


@pytest.mark.parametrize(
    ("stored", "missing", "marked"),
    [
        (60, 25, 25),  # more than a tenth, but not more than 25
        (60, 26, 0),
        (12, 11, 0),  # a small table: more than half of it
        (12, 6, 6),
        (6, 5, 0),
        (6, 3, 3),  # so few are never too many
        (3, 3, 3),
        (300, 30, 30),  # a tenth, not more
        (300, 31, 0),
        (1000, 100, 100),
        (1000, 101, 0),
    ],
)
def test_more_than_a_tenth_and_25_or_half_of_a_small_table_are_too_many(load_clients, gone, stored, missing, marked):
    load_clients(range(stored))
    report = load_clients(range(stored - missing))
    assert report.deleted == len(gone("clients")) == marked
    assert report.status == ("success" if marked else "warning")


def test_once_too_many_are_gone_the_rest_is_not_asked_for(engine, load_clients, gone):
    load_clients(range(1000))
    source = shown([])
    report = warehouse.load(engine, source, run_id="test")
    assert len(source.asked_for) == 250
    assert report.deleted == 0
    assert report.warnings[0].startswith(
        "1000 of 1000 records are no longer listed, and of 250 of them that were asked"
    )
    assert warehouse.load(engine, shown([]), run_id="test", allow_mass_delete=True).deleted == 1000
    assert len(gone("clients")) == 1000


def test_those_that_exist_after_all_do_not_count_as_gone(load_clients, gone):
    load_clients(range(1000))
    exists = {(row["external_id"],): row for row in clients(range(100, 960), status="STILL THERE")}
    report = load_clients(range(100), exists=exists)
    assert (report.deleted, report.updated, report.unchanged) == (40, 860, 100)
    assert report.warnings == ["most rows changed at once (of 960), which is done, and worth a look: status (860)"]
    assert gone("clients") == {f"cli_{number:04}" for number in range(960, 1000)}


def test_what_was_gone_before_does_not_count_again(load_clients, gone):
    load_clients(range(100))
    load_clients(range(80))
    report = load_clients(range(60))
    assert (report.deleted, report.status) == (20, "success")
    assert len(gone("clients")) == 40


def placeholders(engine, numbers):
    """Makes placeholders of clients, as the load of a child does."""
    pianos = [{"external_id": f"ins_{n}", "client_external_id": f"cli_{n:04}", "tags": []} for n in numbers]
    warehouse.load(engine, Canned(TABLES["pianos"], pianos), run_id="test")


def test_placeholders_that_do_not_exist_are_marked_and_do_not_count_as_too_many(engine, load_clients, gone):
    load_clients(range(100))
    placeholders(engine, range(1000, 1060))
    report = load_clients(range(80))
    assert (report.deleted, report.status) == (80, "success")
    assert len(gone("clients")) == 80


def test_placeholders_do_not_make_room_for_more_records_to_be_marked(engine, load_clients, gone):
    load_clients(range(100))
    placeholders(engine, range(1000, 1060))
    exists = {(f"cli_{n:04}",): None for n in range(1000, 1060)}  # there, but not to be converted
    report = load_clients(range(40), exists=exists)
    assert (report.deleted, report.status) == (0, "warning")
    assert gone("clients") == set()
    assert "60 are gone" in report.warnings[0]


def test_too_many_records_that_are_gone_do_not_keep_placeholders_that_exist_from_being_filled(
    engine, load_clients, rows
):
    load_clients(range(100))
    placeholders(engine, range(1000, 1003))
    report = load_clients(range(10), exists={(row["external_id"],): row for row in clients(range(1000, 1003))})
    assert (report.deleted, report.inserted, report.status) == (0, 3, "warning")
    assert rows("SELECT count(*) AS n FROM gazelle.clients WHERE synced_at IS NULL") == [{"n": 0}]


def test_what_another_load_brought_while_gazelle_was_asked_is_not_marked(engine, load_clients, gone):
    load_clients(range(20))

    def meanwhile():
        warehouse.load(engine, shown(range(25)), run_id="another")

    report = load_clients(range(18), asking=meanwhile)
    assert gone("clients") == set()
    assert (report.deleted, report.rows, report.status) == (0, 25, "warning")


# -- lists that are not whole ------------------------------------------------------------------------------------------


def move_the_last_to_what_was_read(account):
    """The newest client is said to have been created long ago: it is in no page, and the count is what it was."""
    clients_ = sorted(account.clients.values(), key=lambda client: client["createdAt"])
    clients_[-1]["createdAt"] = clients_[50]["createdAt"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("total_count", times=None, match="allClients"), "150 announced at the start, 150 at the end"),
        (Fault("null_node", times=None, match="allClients"), "records that came as null"),
    ],
    ids=["more announced than came", "a null in the list"],
)
def test_an_incomplete_list_is_read_three_times_and_then_stored_without_deletions(
    mirror, sandbox, rows, gone, last_log, fault, reason
):
    mirror("clients")
    clients_ = list(sandbox.account.clients)
    del sandbox.account.clients[clients_[60]]
    sandbox.account.clients[clients_[75]]["referredBy"] = "edited"
    sandbox.page_cap = 40
    sandbox.faults.add(fault)
    asked = len(sandbox.requests)

    report = mirror("clients")

    listed = [request for request in list(sandbox.requests)[asked:] if "allClients" in request.query]
    first_pages = [request for request in listed if not request.variables["after"]]
    assert len(first_pages) == 6, "the start is looked at once more in each of three reads"
    assert (report.deleted, report.status) == (0, "warning")
    assert gone("clients") == set()
    assert rows("SELECT referred_by FROM gazelle.clients WHERE external_id = %s", clients_[75]) == [
        {"referred_by": "edited"}
    ]
    assert "the list could not be proved whole in 3 reads, so nothing was marked as deleted" in report.warnings[0]
    assert f"{report.fetched} of {report.expected} records seen" in report.warnings[0]
    assert reason in report.warnings[0]
    assert last_log("clients")["error"] == report.warnings[0]
    assert last_log("clients")["status"] == "warning"


def test_a_record_that_moves_to_what_was_read_is_looked_for_there_and_the_list_believed(mirror, sandbox, gone):
    mirror("clients")
    keys = list(sandbox.account.clients)
    del sandbox.account.clients[keys[140]]
    sandbox.page_cap = 40
    sandbox.faults.add(
        Fault("mutate", match="allClients", with_after=True, when="after", mutate=move_the_last_to_what_was_read)
    )
    asked = len(sandbox.requests)
    report = mirror("clients")
    assert (report.fetched, report.deleted, report.unchanged + report.updated) == (149, 1, 149)
    assert report.status == "success"
    assert gone("clients") == {keys[140]}
    listed = [request for request in list(sandbox.requests)[asked:] if "allClients" in request.query]
    assert len([request for request in listed if not request.variables["after"]]) == 2, (
        "read, and looked for from its start"
    )


def test_a_list_that_was_in_doubt_once_is_read_again_and_then_believed(mirror, sandbox, gone):
    mirror("clients")
    keys = list(sandbox.account.clients)
    del sandbox.account.clients[keys[140]]
    sandbox.faults.add(Fault("null_node", match="allClients"))
    asked = len(sandbox.requests)
    report = mirror("clients")
    assert (report.status, report.fetched, report.deleted) == ("success", 149, 1)
    assert gone("clients") == {keys[140]}
    listed = [request for request in list(sandbox.requests)[asked:] if "allClients" in request.query]
    assert len([request for request in listed if not request.variables["after"]]) == 2, "read, and read again"


def test_a_record_that_goes_while_its_list_is_read_is_no_reason_to_read_it_again(mirror, sandbox, gone):
    mirror("clients")
    keys = list(sandbox.account.clients)
    del sandbox.account.clients[keys[140]]
    sandbox.faults.add(
        Fault("mutate", match="allClients", with_after=False, when="after",
              mutate=lambda account: account.clients.pop(keys[0]))
    )  # fmt: skip
    report = mirror("clients")
    # It was there when it was read; the next sync misses it.
    assert (report.fetched, report.deleted, report.status) == (149, 1, "success")
    assert gone("clients") == {keys[140]}
    assert mirror("clients").deleted == 1
    assert gone("clients") == {keys[0], keys[140]}


def test_a_record_added_between_two_pages_is_in_the_table_after_one_sync(mirror, sandbox, rows):
    mirror("timeline_entries")
    newest = sandbox.account.timeline[next(iter(sandbox.account.timeline))]

    def add(account):
        # Newest first: everything that follows is served one place later, and one entry twice.
        account.add("timeline", {**newest, "id": "tle_added", "occurredAt": "2026-03-16T12:00:00Z"})

    sandbox.faults.add(Fault("mutate", match="allTimelineEntries", with_after=False, when="after", mutate=add))
    report = mirror("timeline_entries")
    assert (report.inserted, report.unchanged, report.status) == (1, 2500, "success")
    assert rows("SELECT count(*) AS n FROM gazelle.timeline_entries WHERE external_id = 'tle_added'") == [{"n": 1}]


def test_placeholders_are_asked_for_even_when_the_list_was_not_whole(engine, load_clients, rows):
    placeholders(engine, [1])
    report = load_clients([], doubts=["it shifted"], exists={("cli_0001",): clients([1])[0]})
    assert (report.inserted, report.status) == (1, "warning")
    assert rows("SELECT company_name FROM gazelle.clients") == [{"company_name": "Client 1"}]


def outermost_list(table):
    """The field of the API at which reading a table begins."""
    read = TABLES[table].read
    while isinstance(read, Nested):
        read = read.within
    return read.field


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_answer_never_empties_a_table(mirror, sandbox, rows, table):
    for parent in dependencies(TABLES[table], TABLES):
        mirror(parent)
    full = mirror(table).rows
    sandbox.faults.add(Fault("empty", times=None, match=outermost_list(table)))
    report = mirror(table)
    assert (report.deleted, report.rows) == (0, full)
    assert rows(f"SELECT count(*) AS n FROM gazelle.{table} WHERE deleted_at IS NOT NULL") == [{"n": 0}]
    sandbox.faults.clear()
    again = mirror(table)
    assert (again.unchanged, again.status) == (full, "success")


@pytest.mark.parametrize(("table", "nested"), [("contacts", "allContacts"), ("appointment_pianos", "allEventPianos")])
def test_an_empty_answer_inside_every_parent_never_empties_a_table(mirror, sandbox, table, nested):
    """By the outer list, all is well."""
    if table == "appointment_pianos":
        mirror("appointments")
    full = mirror(table).rows
    kind, name = ("contacts", "clientId") if table == "contacts" else ("events", "pianos")
    hidden = [(record, record[name]) for record in sandbox.account.records(kind).values()]
    if table == "contacts":
        sandbox.faults.add(Fault("mutate", match=nested, mutate=lambda _: [r.update(clientId=None) for r, _ in hidden]))
        sandbox.faults.add(
            Fault("mutate", match=nested, with_after=True, when="after",
                  mutate=lambda _: [r.update(clientId=v) for r, v in hidden])
        )  # fmt: skip
    else:
        for record, _ in hidden:
            record["pianos"] = []
    report = mirror(table)
    assert (report.deleted, report.rows) == (0, full)


def test_an_empty_first_and_second_reading_of_users_is_no_evidence_against_any(mirror, sandbox, gone):
    next(iter(sandbox.account.clients.values()))["preferredTechnicianId"] = next(iter(sandbox.account.users))
    mirror("clients")  # placeholders of users
    sandbox.faults.add(Fault("empty", times=None, match="allUsers"))
    report = mirror("users")
    assert report.status == "warning"
    assert "the list is empty, and it has no count that would confirm it" in report.warnings[0]
    assert gone("users") == set()


def test_an_empty_second_reading_does_not_confirm_that_a_user_is_gone(mirror, sandbox, gone):
    mirror("users")
    user = list(sandbox.account.users)[2]
    removed = sandbox.account.users.pop(user)
    sandbox.faults.add(Fault("empty", times=None, skip=1, match="allUsers"))
    report = mirror("users")
    sandbox.account.users[user] = removed
    assert (report.deleted, gone("users")) == (0, set())


def test_a_read_of_a_month_speaks_for_that_month_only(mirror, sandbox, rows, gone):
    mirror("appointments")
    in_month = {}
    for month in ("2026-03", "2026-04"):
        query = (
            "SELECT external_id FROM gazelle.appointments "
            "WHERE to_char(appointment_date, 'YYYY-MM') = %s AND status <> 'CANCELED'"
        )
        in_month[month] = rows(query, month)[0]["external_id"]
        del sandbox.account.events[in_month[month]]
    assert mirror("appointments", MARCH).deleted == 1
    assert gone("appointments") == {in_month["2026-03"]}
    assert mirror("appointments", APRIL).deleted == 1
    assert gone("appointments") == set(in_month.values())


@pytest.mark.parametrize(
    ("at", "day"), [("2026-03-01T05:00:00Z", "2026-03-01"), ("2026-04-01T03:59:59Z", "2026-03-31")]
)
def test_a_month_begins_and_ends_at_midnight_of_the_company(mirror, sandbox, rows, gone, at, day):
    event = sandbox.account.add("events", {"start": at})
    piano = next(iter(sandbox.account.pianos.values()))
    entry = sandbox.account.add("timeline", {"occurredAt": at, "clientId": piano["clientId"], "pianoId": piano["id"]})
    mirror("appointments", MARCH)
    mirror("timeline_entries", MARCH)
    assert rows(
        "SELECT appointment_date::text AS day FROM gazelle.appointments WHERE external_id = %s", event["id"]
    ) == [{"day": day}]
    assert rows("SELECT external_id FROM gazelle.timeline_entries WHERE external_id = %s", entry["id"]) != []
    del sandbox.account.events[event["id"]]
    del sandbox.account.timeline[entry["id"]]
    assert mirror("appointments", MARCH).deleted == 1
    assert mirror("timeline_entries", MARCH).deleted == 1


@pytest.mark.parametrize("at", ["2026-03-01T04:59:59Z", "2026-04-01T04:00:00Z"])
def test_what_lies_a_second_outside_a_month_is_not_read_and_not_marked(mirror, sandbox, rows, at):
    event = sandbox.account.add("events", {"start": at})
    entry = sandbox.account.add("timeline", {"occurredAt": at, "clientId": next(iter(sandbox.account.clients))})
    for table, key in (("appointments", event["id"]), ("timeline_entries", entry["id"])):
        mirror(table, MARCH)
        assert rows(f"SELECT 1 AS n FROM gazelle.{table} WHERE external_id = %s", key) == []
        mirror(table)
        kind = sandbox.account.events if table == "appointments" else sandbox.account.timeline
        del kind[key]
        mirror(table, MARCH)
        assert rows(f"SELECT deleted_at FROM gazelle.{table} WHERE external_id = %s", key) == [{"deleted_at": None}]
