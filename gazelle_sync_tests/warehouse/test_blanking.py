"""Values that turn empty, many at once: a column keeps what it has until a person lets it go. One or two are data."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Fault
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.columns import Type
from gazelle_sync_tests.warehouse.canned import Canned, clients

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def load(engine):
    """Loads clients: `load(range(10), email="x")`, and with other values `but={"email": None}` for the numbers `of`."""

    def load(numbers, of=(), but=None, allow_mass_delete=False, run_id="test", **values):
        rows = [
            {**row, **(but if number in of else {})}
            for number, row in zip(numbers, clients(numbers, **values), strict=True)
        ]
        return warehouse.load(
            engine, Canned(TABLES["clients"], rows), run_id=run_id, allow_mass_delete=allow_mass_delete
        )

    return load


@pytest.fixture
def values_of(rows):
    """How many rows have a value in a column of clients, live or not."""
    return lambda column: rows(f"SELECT count({column}) AS n FROM gazelle.clients")[0]["n"]


@pytest.mark.parametrize(
    ("stored", "emptied", "kept"),
    [
        (300, 30, False),  # a tenth, not more
        (300, 31, True),
        (60, 25, False),  # more than a tenth, but not more than 25
        (60, 26, True),
        (12, 6, False),
        (12, 7, True),  # a small table: more than half of it
        (6, 3, False),  # so few are never too many
        (6, 4, True),
    ],
)
def test_a_column_that_loses_too_many_values_keeps_them(load, values_of, rows, stored, emptied, kept):
    numbers = range(stored)
    load(numbers, email="a@b.example", status="OLD")
    report = load(numbers, of=range(emptied), but={"email": None}, email="a@b.example", status="OLD")
    assert values_of("email") == (stored if kept else stored - emptied)
    assert (report.updated, report.unchanged) == ((0, stored) if kept else (emptied, stored - emptied))
    assert report.status == ("warning" if kept else "success")
    if kept:
        assert report.warnings == [
            "values came empty for more records than can be believed, so these columns keep what they have: "
            f"email ({emptied} of {stored}). If this is right, run "
            "`gazelle-sync sync --table clients --allow-mass-delete` once"
        ]
        assert rows("SELECT * FROM gazelle.row_changes") == []


def test_only_rows_that_had_a_value_count(load, values_of):
    numbers = range(200)
    load(numbers, of=range(20), but={"email": "a@b.example"})
    report = load(numbers, of=range(9), but={"email": "a@b.example"})
    assert report.warnings[0].count("email (11 of 20)") == 1
    assert values_of("email") == 20


def test_the_other_columns_of_such_rows_are_written_and_listed(load, rows):
    load(range(10), email="a@b.example", city="Laval", status="OLD")
    report = load(range(10), of=[1], but={"status": "NEW"}, city="Laval", status="OLD", run_id="second")
    assert (report.updated, report.unchanged) == (1, 9)
    assert rows("SELECT email, city, status FROM gazelle.clients WHERE external_id = 'cli_0001'") == [
        {"email": "a@b.example", "city": "Laval", "status": "NEW"}
    ]
    assert [row["changed"] for row in rows("SELECT changed FROM gazelle.row_changes")] == [{"status": ["OLD", "NEW"]}]


def test_a_value_that_changes_in_such_a_column_is_written(load, rows):
    load(range(10), email="a@b.example")
    load(range(10), of=[3], but={"email": "new@b.example"})
    assert rows("SELECT external_id, email FROM gazelle.clients WHERE email <> 'a@b.example'") == [
        {"external_id": "cli_0003", "email": "new@b.example"}
    ]


def test_it_is_let_through_once_and_then_is_as_it_is(load, values_of):
    load(range(10), email="a@b.example")
    assert load(range(10)).status == "warning"
    report = load(range(10), allow_mass_delete=True)
    assert (report.updated, values_of("email"), report.status) == (10, 0, "success")
    assert load(range(10)).unchanged == 10


def test_records_that_come_back_keep_such_values_too(load, rows):
    load(range(10), email="a@b.example")
    load(range(6), email="a@b.example")
    report = load(range(10))
    assert (report.restored, report.updated, report.status) == (4, 0, "warning")
    assert rows("SELECT count(email) AS n FROM gazelle.clients WHERE deleted_at IS NULL") == [{"n": 10}]


def test_an_account_that_shows_names_addresses_and_notes_no_more_leaves_every_name_where_it_was(mirror, sandbox, rows):
    """As when the rights of the key's owner are reduced. A client without a name would be named by its id."""
    shown = "company_name, first_name, last_name, email, phone, city, personal_notes, tags"
    mirror("clients")
    rows("UPDATE gazelle.clients SET personal_notes = NULL WHERE personal_notes = ''")
    before = rows(f"SELECT {shown} FROM gazelle.clients ORDER BY id")
    for client in sandbox.account.clients.values():
        client.update(companyName=None, personalNotes=None, tags=[])
    for contact in sandbox.account.contacts.values():
        contact.update(firstName=None, lastName=None, allEmails=[], allPhones=[], allLocations=[])
    report = mirror("clients")
    assert rows(f"SELECT {shown} FROM gazelle.clients ORDER BY id") == before
    assert report.unchanged > 100
    for column in shown.split(", "):
        assert f"{column} (" in report.warnings[0]


@pytest.mark.parametrize("table", TABLES)
def test_no_column_of_any_table_loses_all_its_values_at_once(engine, rows, table):
    """Whatever its type; a column that can't be empty is not tried."""
    declared = TABLES[table]
    values = {
        Type.TEXT: "text", Type.TEXT_ARRAY: ["a"], Type.INTEGER: 1, Type.NUMERIC: 1, Type.BOOLEAN: True,
        Type.DATE: NOON.date(), Type.TIMESTAMP: NOON, Type.LOCAL_DATE: NOON.date(),
        Type.LOCAL_TIME: NOON.time(),
    }  # fmt: skip
    tried = [
        column.name
        for column in declared.columns
        if column.name not in declared.key and column.type in values and not column.references
        and (column.nullable or column.type is Type.TEXT_ARRAY) and column.name != "updated_at"
    ]  # fmt: skip
    required = {
        column.name: values[column.type]
        for column in declared.columns
        if not column.nullable and column.type in values and column.name not in declared.key
    }

    def source(full):
        given = {name: values[declared.column(name).type] for name in tried} if full else {}
        empty = {name: [] for name in tried if declared.column(name).type is Type.TEXT_ARRAY}
        return Canned(
            declared,
            [{**dict.fromkeys(declared.key, f"key_{n}"), **required, **empty, **given} for n in range(5)],
            doubts=["so that nothing is marked"],
        )

    warehouse.load(engine, source(full=True), run_id="test")
    before = rows(f"SELECT * FROM gazelle.{table} ORDER BY id")
    report = warehouse.load(engine, source(full=False), run_id="test")
    assert rows(f"SELECT * FROM gazelle.{table} ORDER BY id") == before
    for name in tried:
        assert f"{name} (5 of 5)" in "; ".join(report.warnings)


def test_a_column_that_changes_in_most_rows_is_said_and_written(load, rows, last_log):
    load(range(60), status="OLD", city="Laval")
    report = load(range(60), of=range(31), but={"status": "NEW"}, status="OLD", city="Laval")
    assert report.updated == 31
    assert report.warnings == ["most rows changed at once (of 60), which is done, and worth a look: status (31)"]
    assert last_log("clients")["status"] == "warning"
    assert load(range(60), of=range(30), but={"status": "OLD"}, status="NEW", city="Laval").updated > 30


def test_half_of_the_rows_and_a_few_rows_are_not_most(load):
    load(range(60), status="OLD")
    assert load(range(60), of=range(30), but={"status": "NEW"}, status="OLD").warnings == []
    assert load(range(60), of=range(20), but={"status": "OLDER"}, status="NEW").updated > 25


def test_a_first_load_changes_nothing_that_would_be_worth_a_look(mirror):
    mirror("contacts")  # placeholders of clients
    assert mirror("clients").warnings == []


def test_a_fault_that_blanks_a_page_is_no_reason_to_blank_a_table(mirror, sandbox, rows):
    mirror("pianos")
    before = rows("SELECT count(make) AS n FROM gazelle.pianos")
    sandbox.faults.add(
        Fault(
            "mutate", match="allPianos", mutate=lambda account: [p.update(make=None) for p in account.pianos.values()]
        )
    )
    assert mirror("pianos").status == "warning"
    assert rows("SELECT count(make) AS n FROM gazelle.pianos") == before
