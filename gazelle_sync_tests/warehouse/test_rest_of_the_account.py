"""The tables beyond the first seven: what is gone is marked and comes back, what is long is read to its end, what an
account need not have is missed without noise, and what a night costs is bounded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gazelle_sync.gazelle import query
from gazelle_sync.sandbox import Account, Fault, Sandbox
from gazelle_sync.tables import TABLES, Cadence, Scope, Table
from gazelle_sync.tables.declaration import Connection, Nested, PlainList, ReadAgain
from gazelle_sync.warehouse import LoadReport
from gazelle_sync_tests.conftest import TODAY, TORONTO
from gazelle_sync_tests.warehouse.expected import THE_REST

Rows = Callable[..., list[dict[str, Any]]]
Mirror = Callable[..., LoadReport]
Record = dict[str, Any]

# -- asked for what is meant -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "usual"), [("event_cancel_notices", "OPEN"), ("event_reservations", "PENDING")])
def test_what_was_answered_is_listed_also_where_gazelle_usually_lists_what_waits(
    mirror: Mirror, sandbox: Sandbox, rows: Rows, table: str, usual: str
) -> None:
    sandbox.usual_filters = {table: {"status": [usual]}}
    mirror(table)
    assert {row["external_id"] for row in rows(f"SELECT external_id FROM gazelle.{table}")} == set(
        sandbox.account.records(table)
    )


# -- gone, and back ----------------------------------------------------------------------------------------------------


def one_with(records: dict[str, Record], *fields: str) -> Record:
    """The first record of which each of these lists has something in it."""
    return next(record for record in records.values() if all(record.get(field) for field in fields))


def tier_with_items(account: Account) -> Record:
    estimates = account.estimates.values()
    return next(tier for each in estimates for tier in each["allEstimateTiers"] if tier["allEstimateTierItems"])


# Table → the list of which one record goes.
INSIDE: dict[str, Callable[[Account], list[Record]]] = {
    "invoice_items": lambda account: one_with(account.invoices, "allInvoiceItems")["allInvoiceItems"],
    "invoice_payments": lambda account: one_with(account.invoices, "allInvoicePayments")["allInvoicePayments"],
    "estimate_tiers": lambda account: one_with(account.estimates, "allEstimateTiers")["allEstimateTiers"],
    "estimate_tier_items": lambda account: tier_with_items(account)["allEstimateTierItems"],
    "piano_measurements": lambda account: one_with(account.pianos, "allPianoMeasurements")["allPianoMeasurements"],
    "piano_photos": lambda account: one_with(account.pianos, "allPianoPhotos")["allPianoPhotos"],
    "contact_emails": lambda account: one_with(account.contacts, "allEmails")["allEmails"],
    "contact_phones": lambda account: one_with(account.contacts, "allPhones")["allPhones"],
    "contact_locations": lambda account: one_with(account.contacts, "allLocations")["allLocations"],
}
ALONE = ["invoices", "estimates", "scheduled_messages", "event_reservations"]
LISTED = ["taxes", "lifecycles", "recommendations", "master_service_items", "event_cancel_notices"]


def take(account: Account, table: str) -> str:
    """Takes a record away from the account: its id."""
    if table in INSIDE:
        return str(INSIDE[table](account).pop()["id"])
    records = account.records(table)
    key = list(records)[-1]
    del records[key]
    return key


def test_each_of_these_tables_but_for_the_company_is_tried() -> None:
    tried = {*INSIDE, *ALONE, *LISTED}
    # The price list's headings are a list like its services; the company is one record, and always there.
    assert THE_REST.keys() - tried == {"company", "master_service_groups"}


@pytest.mark.parametrize("table", [*INSIDE, *ALONE, *LISTED])
def test_a_record_that_is_gone_is_marked_on_evidence_and_restored_when_it_is_back(
    mirror: Mirror, sandbox: Sandbox, rows: Rows, table: str
) -> None:
    mirror(table)
    before = copy.deepcopy(sandbox.account)
    key = take(sandbox.account, table)
    report = mirror(table)
    if isinstance(TABLES[table].deletion_proved_by, ReadAgain):
        # One night proves nothing.
        assert (report.deleted, report.status) == (0, "warning")
        rows("UPDATE gazelle.deletion_candidates SET first_missing_at = first_missing_at - interval '1 day'")
        report = mirror(table)
    assert (report.deleted, report.restored, report.status) == (1, 0, "success"), report.warnings
    find = f"SELECT external_id FROM gazelle.{table} WHERE deleted_at IS NOT NULL"
    assert rows(find) == [{"external_id": key}]
    sandbox.account = before
    report = mirror(table)
    assert (report.deleted, report.restored, report.inserted) == (0, 1, 0)
    assert rows(find) == []


def test_lines_and_payments_of_an_invoice_that_is_gone_go_with_it(mirror: Mirror, sandbox: Sandbox, rows: Rows) -> None:
    tables = ["invoices", "invoice_items", "invoice_payments"]
    for table in tables:
        mirror(table)
    # More of them than may go at once, unless it is known why.
    invoice = max(sandbox.account.invoices.values(), key=lambda invoice: len(invoice["allInvoiceItems"]))
    assert (len(invoice["allInvoiceItems"]), bool(invoice["allInvoicePayments"])) == (120, True)
    del sandbox.account.invoices[invoice["id"]]
    reports = {table: mirror(table) for table in tables}
    assert {table: report.deleted for table, report in reports.items()} == {
        "invoices": 1,
        "invoice_items": len(invoice["allInvoiceItems"]),
        "invoice_payments": len(invoice["allInvoicePayments"]),
    }
    assert {report.status for report in reports.values()} == {"success"}
    marked = rows("SELECT DISTINCT invoice_external_id FROM gazelle.invoice_items WHERE deleted_at IS NOT NULL")
    assert marked == [{"invoice_external_id": invoice["id"]}]


# -- what is longer than what comes with its parent --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "parent", "record", "count"),
    [
        ("contact_emails", "contact", lambda a: max(a.contacts.values(), key=lambda c: len(c["allEmails"])), 11),
        ("invoice_items", "invoice", lambda a: max(a.invoices.values(), key=lambda i: len(i["allInvoiceItems"])), 120),
    ],
)
def test_a_list_that_goes_on_is_read_to_its_end_and_only_that_one_is_asked_for_alone(
    mirror: Mirror,
    sandbox: Sandbox,
    rows: Rows,
    table: str,
    parent: str,
    record: Callable[[Account], Record],
    count: int,
) -> None:
    long = record(sandbox.account)
    before = len(sandbox.requests)
    assert mirror(table).status == "success"
    column = f"{parent}_external_id"
    found = rows(f"SELECT count(*) AS n FROM gazelle.{table} WHERE {column} = %s", long["id"])
    assert found == [{"n": count}]
    asked = {r.variables["id"] for r in sandbox.requests[before:] if f"{{ {parent}(id: $id)" in r.query}
    read = TABLES[table].read
    assert isinstance(read, Nested)
    sizes = {each["id"]: len(each[read.field]) for each in sandbox.account.records(f"{parent}s").values()}
    assert long["id"] in asked
    assert asked == {key for key, size in sizes.items() if size > read.first}


# -- what an account need not have -------------------------------------------------------------------------------------

OPTIONAL = {"invoices": "allInvoices", "invoice_items": "allInvoices", "taxes": "allPastAndPresentTaxes"}


@pytest.mark.parametrize("table", OPTIONAL)
def test_a_table_that_this_key_may_not_read_is_a_warning_once_and_nothing_of_it_is_marked(
    mirror: Mirror, sandbox: Sandbox, rows: Rows, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr("gazelle_sync.gazelle.client.TRIES", 1)
    stored = mirror(table).rows
    assert stored > 0
    sandbox.faults.add(Fault("forbidden", times=None, names=(OPTIONAL[table],)))
    before = len(sandbox.requests)
    report = mirror(table)
    assert (report.status, report.refused, report.proved, len(report.warnings)) == ("warning", True, False, 1)
    assert "does not let this key read the table" in report.warnings[0]
    assert (report.deleted, report.rows) == (0, stored)
    assert len(sandbox.requests) - before == 1
    sandbox.faults.clear()
    assert (mirror(table).status, mirror(table).unchanged) == ("success", stored)


def test_a_table_that_every_account_has_fails_where_it_is_refused(
    mirror: Mirror, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gazelle_sync.gazelle.client.TRIES", 1)
    sandbox.faults.add(Fault("forbidden", times=None, names=("allClients",)))
    with pytest.raises(Exception, match="not authorized"):
        mirror("clients")


@pytest.mark.parametrize("table", ["taxes", "master_service_groups", "recommendations"])
def test_a_list_that_is_empty_is_read_once_and_marks_nothing(
    mirror: Mirror, sandbox: Sandbox, rows: Rows, table: str
) -> None:
    full = copy.deepcopy(sandbox.account)
    sandbox.account.records(table).clear()
    before = len(sandbox.requests)
    report = mirror(table)
    assert (report.status, report.rows, len(sandbox.requests) - before) == ("success", 0, 1)
    sandbox.account = full
    count = mirror(table).rows
    assert count == len(full.records(table)) > 0
    sandbox.account.records(table).clear()
    for _ in range(2):
        report = mirror(table)
        assert (report.status, report.deleted, report.rows) == ("warning", 0, count)
        rows("UPDATE gazelle.deletion_candidates SET first_missing_at = first_missing_at - interval '1 day'")


# -- what a night costs ------------------------------------------------------------------------------------------------


def count_requests(table: Table, counts: dict[str, int]) -> int:
    """How many requests a read of a table takes, where no list is longer than what comes with its parent.

    `counts` is how many records each root list has.
    """
    read = table.read
    if isinstance(read, PlainList):
        return 1
    root = read if isinstance(read, Connection) else read.root
    size, left, pages = query.page_size(table), counts[root.field], 0
    while left > 0:
        asked, pages = size.first, pages + 1
        # The next page shows the last record once more.
        left -= asked - (left > asked)
        size.note(asked, asked, 0.1)
    # Each further list has a last page of its own.
    return max(pages, 1) + len(root.each) - 1


NIGHTLY = [table for table in TABLES.values() if table.every is Cadence.NIGHT]
LARGE = {
    "allClients": 4000,
    "allPianos": 1031,
    "allInvoices": 6000,
    "allEstimates": 1500,
    # Of the business days that a night reads.
    "allEventsBatched": 1200,
    "allTimelineEntries": 1000,
    "allScheduledMessages": 500,
    "allEventReservationsBatched": 200,
    "allEventCancelNotices": 200,
    "allLifecycles": 20,
}


def test_a_night_of_an_account_of_four_thousand_clients_takes_three_hundred_requests_at_most() -> None:
    assert sum(count_requests(table, LARGE) for table in NIGHTLY) <= 300


def test_a_night_takes_no_more_than_that_arithmetic_says(mirror: Mirror, sandbox: Sandbox) -> None:
    sandbox.page_cap = 1000
    sandbox.account = account = Account.generated(
        clients=400, invoices=600, estimates=150, measurements=500, timeline=500, today=TODAY
    )
    for name in TABLES:
        mirror(name)
    counts = {
        "allClients": len(account.clients),
        "allPianos": len(account.pianos),
        "allInvoices": len(account.invoices),
        "allEstimates": len(account.estimates),
        "allEventsBatched": len(account.events),
        "allTimelineEntries": len(account.timeline),
        "allScheduledMessages": len(account.scheduled_messages),
        "allEventReservationsBatched": len(account.event_reservations),
        "allEventCancelNotices": len(account.event_cancel_notices),
        "allLifecycles": len(account.lifecycles),
    }
    night = Scope(TORONTO, TODAY.replace(month=1, day=1), TODAY.replace(year=TODAY.year + 1))
    for table in NIGHTLY:
        before = len(sandbox.requests)
        assert mirror(table.name, night).status == "success"
        assert len(sandbox.requests) - before <= count_requests(table, counts), table.name
