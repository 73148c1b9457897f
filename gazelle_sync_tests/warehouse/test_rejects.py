"""Bad data: what is sound is stored, what is not is kept aside with its reason, and all of it is said."""

from __future__ import annotations

import pytest

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.warehouse.canned import Canned, Rejected, clients, shown


@pytest.fixture
def rejected(rows):
    """What stands in rejected_rows, oldest first."""
    return lambda: rows("SELECT * FROM gazelle.rejected_rows ORDER BY id")


@pytest.fixture
def load_clients(engine):
    return lambda numbers, **options: warehouse.load(engine, shown(numbers, **options), run_id="test")


def a_reject(key="cli_0001", reason="year: a number too large", payload=None, loaded=True):
    return Rejected((key,) if key else None, reason, {"id": key} if payload is None else payload, loaded)


BAD_DAYS = ["0000-00-00", "20225-03-01", "now", "infinity", "01/02/2024", "2024-02-30", "1e5", ""]


@pytest.mark.parametrize("value", BAD_DAYS)
def test_a_date_that_is_none_leaves_the_rest_of_its_row(mirror, sandbox, rows, rejected, last_log, value):
    key, piano = next(iter(sandbox.account.pianos.items()))
    piano["calculatedNextService"] = value
    report = mirror("pianos")
    assert (report.inserted, report.rejected, report.rows, report.status) == (85, 1, 85, "warning")
    assert rows("SELECT make, calculated_next_service FROM gazelle.pianos WHERE external_id = %s", key) == [
        {"make": piano["make"], "calculated_next_service": None}
    ]
    [reject] = rejected()
    assert (reject["table_name"], reject["external_id"], reject["resolved_at"]) == ("pianos", key, None)
    assert reject["reason"].startswith("calculated_next_service: ")
    assert reject["payload"]["calculatedNextService"] == value
    assert reject["payload"]["make"] == piano["make"]
    assert report.warnings == [f"1 record could not be stored as it came: {key}: {reject['reason']}"]
    assert last_log("pianos")["status"] == "warning"
    assert last_log("pianos")["error"] == report.warnings[0]
    assert last_log("pianos")["rejected"] == 1


def test_a_record_without_what_it_needs_is_set_aside_whole_and_its_row_stays_as_it_was(mirror, sandbox, rows, rejected):
    mirror("timeline_entries")
    key, entry = next(iter(sandbox.account.timeline.items()))
    query = "SELECT xmin, * FROM gazelle.timeline_entries WHERE external_id = %s"
    before = rows(query, key)
    entry.update(occurredAt="20225-03-01T00:00:00Z", comment="edited")
    other = list(sandbox.account.timeline)[9]
    sandbox.account.timeline[other]["comment"] = "edited too"
    report = mirror("timeline_entries")
    assert rows(query, key) == before
    assert (report.updated, report.rejected, report.deleted, report.rows) == (1, 1, 0, 2500)
    [reject] = rejected()
    assert (reject["external_id"], reject["payload"]["comment"]) == (key, "edited")
    assert reject["reason"].startswith("occurred_at: ")


def test_a_reject_is_recorded_once_and_not_once_per_night(mirror, sandbox, rejected):
    piano = next(iter(sandbox.account.pianos.values()))
    piano["manualLastService"] = "0000-00-00"
    mirror("pianos")
    [first] = rejected()
    piano["notes"] = "still bad"
    report = mirror("pianos")
    [again] = rejected()
    assert again["id"] == first["id"]
    assert again["first_seen_at"] == first["first_seen_at"]
    assert again["last_seen_at"] > first["last_seen_at"]
    assert again["payload"]["notes"] == "still bad"
    assert (report.rejected, report.status) == (1, "warning")


def test_a_reject_is_resolved_when_the_record_is_sound_again_and_a_later_one_is_another(mirror, sandbox, rejected):
    piano = next(iter(sandbox.account.pianos.values()))
    piano["manualLastService"] = "0000-00-00"
    mirror("pianos")
    piano["manualLastService"] = "2024-05-06"
    report = mirror("pianos")
    assert (report.rejected, report.updated, report.status) == (0, 1, "success")
    [resolved] = rejected()
    assert resolved["resolved_at"] is not None
    mirror("pianos")
    assert rejected() == [resolved]
    piano["manualLastService"] = "1999-99-99"
    mirror("pianos")
    assert [row["resolved_at"] is None for row in rejected()] == [False, True]


def test_a_reject_is_resolved_when_a_whole_read_no_longer_has_the_record(load_clients, rejected):
    load_clients([0], rejects=[a_reject("cli_0001", loaded=False), a_reject(None, payload={"id": None})])
    assert [row["resolved_at"] for row in rejected()] == [None, None]
    load_clients([0])
    assert None not in [row["resolved_at"] for row in rejected()]


def test_a_read_that_was_not_whole_resolves_only_what_it_shows(load_clients, rejected):
    load_clients([0, 1], rejects=[a_reject("cli_0001"), a_reject("cli_0002")])
    load_clients([0, 1], doubts=["it shifted"])
    assert [(row["external_id"], row["resolved_at"] is not None) for row in rejected()] == [
        ("cli_0001", True),
        ("cli_0002", False),
    ]


def test_rejects_of_one_table_are_not_resolved_by_another(engine, load_clients, rejected):
    load_clients([1], rejects=[a_reject("cli_0001")])
    warehouse.load(engine, Canned(TABLES["users"], [{"external_id": "cli_0001"}]), run_id="test")
    assert rejected()[0]["resolved_at"] is None


def test_a_pair_that_is_rejected_is_named_by_both_parts_and_resolved_by_them(engine, rejected):
    table = TABLES["appointment_pianos"]
    pair = {"appointment_external_id": "evt_1", "piano_external_id": "ins_1"}
    reject = Rejected(("evt_1", "ins_1"), "is_tuning: text, where true or false is due", {"isTuning": "x"}, True)
    warehouse.load(engine, Canned(table, [pair], rejects=[reject]), run_id="test")
    assert [(row["external_id"], row["resolved_at"]) for row in rejected()] == [("evt_1/ins_1", None)]
    warehouse.load(engine, Canned(table, [pair], doubts=["only what it shows"]), run_id="test")
    assert rejected()[0]["resolved_at"] is not None


def test_records_without_an_id_are_told_apart_by_what_they_hold(load_clients, rejected):
    nameless = [a_reject(None, payload={"id": None, "n": n}, loaded=False) for n in (1, 2)]
    report = load_clients([0], rejects=[*nameless, nameless[0]])
    load_clients([0], rejects=nameless)
    assert report.rejected == 2
    assert [row["payload"]["n"] for row in rejected()] == [1, 2]
    assert all(row["external_id"].startswith("?") and len(row["external_id"]) == 17 for row in rejected())


def test_a_nul_and_a_lone_surrogate_are_replaced_and_said(mirror, sandbox, rows, rejected):
    keys = list(sandbox.account.pianos)[:3]
    sandbox.account.pianos[keys[0]]["notes"] = "before\x00after"
    sandbox.account.pianos[keys[1]]["location"] = "before\ud83dafter"
    sandbox.account.pianos[keys[2]]["tags"] = ["fine", "not\x00fine"]
    report = mirror("pianos")
    assert (report.rejected, report.inserted, report.status) == (3, 85, "warning")
    stored = {row["external_id"]: row for row in rows("SELECT external_id, notes, location, tags FROM gazelle.pianos")}
    assert stored[keys[0]]["notes"] == stored[keys[1]]["location"] == "before\N{REPLACEMENT CHARACTER}after"
    assert stored[keys[2]]["tags"] == ["fine", "not\N{REPLACEMENT CHARACTER}fine"]
    by_key = {row["external_id"]: row for row in rejected()}
    assert by_key[keys[0]]["payload"]["notes"] == "before\\u0000after"
    assert by_key[keys[1]]["payload"]["location"] == "before\\ud83dafter"
    assert {row["reason"] for row in by_key.values()} == {
        f"{column}: a NUL or a lone surrogate, which PostgreSQL can't hold, was replaced"
        for column in ("notes", "location", "tags")
    }
    assert mirror("pianos").unchanged == 85


@pytest.mark.parametrize(
    "payload",
    [
        {"a\x00key": {"\ud800": ["\udfff", "\x00", {"\x00": "\x00"}]}},
        [1, 2.5, None, True, float("inf"), float("nan"), 10**400],
        "just \x00 text",
        17,
        None,
        {"text": "\\u0000 is six characters, \U0001f600 is one"},
        {"": ""},
    ],
    ids=str,
)
def test_any_payload_can_be_kept(load_clients, rejected, payload):
    report = load_clients([0], rejects=[Rejected(None, "it is odd", payload)])
    assert report.rejected == 1
    [row] = rejected()
    assert row["reason"] == "it is odd"
    if payload == {"text": "\\u0000 is six characters, \U0001f600 is one"}:
        assert row["payload"] == payload


def test_a_payload_nested_too_deeply_to_be_kept_does_not_keep_the_others_from_being_stored(load_clients, rejected):
    deep: object = "bottom"
    for _ in range(3000):
        deep = [deep]
    report = load_clients([0, 1], rejects=[a_reject("cli_0001", payload={"year": deep}), a_reject("cli_0002")])
    assert (report.inserted, report.rejected) == (2, 2)
    assert [row["external_id"] for row in rejected()] == ["cli_0001", "cli_0002"]
    assert rejected()[0]["payload"] == "nested too deeply to be kept"


def test_an_enum_value_that_no_schema_knows_is_data(mirror, sandbox, rows, rejected):
    key, piano = next(iter(sandbox.account.pianos.items()))
    piano.update(status="ON_THE_MOON", type="HARPSICHORD")
    report = mirror("pianos")
    assert (report.rejected, report.status) == (0, "success")
    assert rows("SELECT status, type FROM gazelle.pianos WHERE external_id = %s", key) == [
        {"status": "ON_THE_MOON", "type": "HARPSICHORD"}
    ]
    assert rejected() == []


def test_many_rejects_are_counted_and_three_of_them_are_shown(load_clients, rejected):
    report = load_clients(range(5), rejects=[a_reject(f"cli_{n:04}", f"reason {n}") for n in range(5)])
    assert report.warnings == [
        "5 records could not be stored as they came: cli_0000: reason 0; cli_0001: reason 1; cli_0002: reason 2; "
        "and 2 more, see gazelle.rejected_rows"
    ]
    assert len(rejected()) == report.rejected == 5


def test_a_thousand_rejects_are_recorded_and_resolved_at_once(load_clients, rejected):
    load_clients(range(1000), rejects=[a_reject(f"cli_{n:04}") for n in range(1000)])
    assert len(rejected()) == 1000
    load_clients(range(1000), rejects=[a_reject("cli_0007")])
    assert [row["external_id"] for row in rejected() if row["resolved_at"] is None] == ["cli_0007"]


def test_a_record_that_came_twice_sound_and_unsound_is_stored_and_said(engine, rejected):
    source = Canned(TABLES["clients"], clients([1]), rejects=[a_reject("cli_0001", loaded=False)])
    report = warehouse.load(engine, source, run_id="test")
    assert (report.inserted, report.rejected, report.status) == (1, 1, "warning")
    assert [row["resolved_at"] for row in rejected()] == [None]
