"""The views say what the tables hold: with names, in local time, of live rows, in whole units of money."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import VIEWS
from gazelle_sync.warehouse.views import in_zone
from gazelle_sync_tests.answers.conftest import Ask, today
from gazelle_sync_tests.conftest import TORONTO

After = Callable[[str, str], list[tuple[Any, ...]]]
CONTRACT = {
    "agenda": "appointment_external_id appointment_date appointment_time ends_at_time duration_minutes status type "
    "title notes is_all_day confirmed_by_client technician_external_id technician client_external_id client "
    "client_tags contact phone email address city pianos piano_count",
    "pianos_due": "piano_external_id make model serial_number location due_on days_overdue last_service_on "
    "service_interval_months next_appointment_on client_external_id client phone email city preferred_technician",
    "service_history": "timeline_entry_external_id occurred_at occurred_on type summary comment technician "
    "client_external_id client piano_external_id piano appointment_external_id invoice_external_id",
    "client_overview": "client_external_id client status tags locale phone email city client_since last_visit_on "
    "next_visit_on piano_count next_due_on invoiced_total open_balance currency",
    "unpaid_invoices": "invoice_external_id number status due_on days_overdue total due_total currency "
    "client_external_id client phone email assigned_to",
    "revenue_by_month": "month currency invoices invoiced taxes tips paid",
    "upcoming_appointment_changes": "changed_at change appointment_external_id title client_external_id client_name "
    "starts_before starts_after technician_before_external_id technician_after_external_id technician_before "
    "technician_after",
}
LIVE = "deleted_at IS NULL AND synced_at IS NOT NULL"


@pytest.mark.parametrize("name", CONTRACT)
def test_a_view_has_the_columns_of_the_contract_of_the_declared_types_each_with_its_meaning(
    ask_mirror: Ask, name: str
) -> None:
    found = ask_mirror(
        "SELECT attname, format_type(atttypid, atttypmod) AS type, col_description(attrelid, attnum) AS comment "
        "FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        f"gazelle.{name}",
    )
    assert [row["attname"] for row in found] == CONTRACT[name].split()
    short = {"timestamp with time zone": "timestamptz", "time without time zone": "time"}
    there = [(row["attname"], short.get(row["type"], row["type"]), row["comment"]) for row in found]
    assert there == [(column.name, column.type, column.comment) for column in VIEWS[name].columns]
    assert all(column.comment for column in VIEWS[name].columns)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_reads_what_it_is_declared_to_read(ask_mirror: Ask, view: warehouse.View) -> None:
    found = ask_mirror(
        "SELECT DISTINCT relname FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid "
        "JOIN pg_class ON pg_class.oid = refobjid WHERE ev_class = %s::regclass AND refobjid <> ev_class",
        f"gazelle.{view.name}",
    )
    assert {row["relname"] for row in found} == {*view.reads}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_what_is_checked_of_a_view_holds_on_the_bundled_account(mirrored: Engine, view: warehouse.View) -> None:
    found = warehouse.run_checks(mirrored, [*warehouse.view_checks(view, TORONTO)])
    assert {name: result.examples for name, result in found.items() if result.broken} == {}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_query_to_begin_with_runs(ask_mirror: Ask, view: warehouse.View) -> None:
    assert f"gazelle.{view.name}" in view.example
    ask_mirror(in_zone(view.example, TORONTO).replace("%", "%%"))


# -- what is in them --------------------------------------------------------------------------------------------------


def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["external_id"]: row for row in rows}


def name_of(user: dict[str, Any] | None) -> str | None:
    return " ".join(part for part in (user["first_name"], user["last_name"]) if part) if user else None


@pytest.fixture
def stored(ask_mirror: Ask) -> Callable[[str], list[dict[str, Any]]]:
    """The live rows of a table."""
    return lambda table: ask_mirror(f"SELECT * FROM gazelle.{table} WHERE {LIVE}")


def test_the_agenda_names_technician_client_and_every_piano_and_says_when_it_ends(
    ask_mirror: Ask, stored: Callable[[str], list[dict[str, Any]]]
) -> None:
    clients, users, pianos = (by_id(stored(table)) for table in ("clients", "users", "pianos"))
    visited = defaultdict(set)
    for link in stored("appointment_pianos"):
        visited[link["appointment_external_id"]].add((link["piano_external_id"], link["is_tuning"]))
    agenda = {row["appointment_external_id"]: row for row in ask_mirror("SELECT * FROM gazelle.agenda")}
    appointments = by_id(stored("appointments"))
    assert agenda.keys() == appointments.keys()
    for key, row in agenda.items():
        stored_row = appointments[key]
        client = clients.get(stored_row["client_external_id"])
        assert row["technician"] == name_of(users.get(stored_row["technician_external_id"]))
        assert row["client"] == (client and client["company_name"])
        assert (row["phone"], row["city"]) == ((client["phone"], client["city"]) if client else (None, None))
        assert {(each["id"], each["is_tuning"]) for each in row["pianos"]} == visited[key]
        assert row["piano_count"] == len(visited[key]) == len(row["pianos"])
        assert all(pianos[each["id"]]["serial_number"] == each["serial_number"] for each in row["pianos"])
        ends = stored_row["starts_at"] + timedelta(minutes=stored_row["duration_minutes"])
        assert row["ends_at_time"] == ends.astimezone(TORONTO).time()
    assert max(row["piano_count"] for row in agenda.values()) == 25


def test_pianos_due_are_the_active_ones_of_active_clients_with_their_next_appointment(
    ask_mirror: Ask, stored: Callable[[str], list[dict[str, Any]]]
) -> None:
    clients = {key: row for key, row in by_id(stored("clients")).items() if row["status"] == "ACTIVE"}
    booked = defaultdict(list)
    days = {
        key: row["appointment_date"]
        for key, row in by_id(stored("appointments")).items()
        if row["status"] == "ACTIVE" and row["appointment_date"] >= today()
    }
    for link in stored("appointment_pianos"):
        if link["appointment_external_id"] in days:
            booked[link["piano_external_id"]].append(days[link["appointment_external_id"]])
    expected = {}
    for key, piano in by_id(stored("pianos")).items():
        due = piano["next_service_override"] or piano["calculated_next_service"]
        if piano["status"] == "ACTIVE" and piano["client_external_id"] in clients and due and due <= today():
            expected[key] = (due, (today() - due).days, min(booked[key], default=None))
    found = ask_mirror("SELECT * FROM gazelle.pianos_due")
    assert expected
    assert {
        row["piano_external_id"]: (row["due_on"], row["days_overdue"], row["next_appointment_on"]) for row in found
    } == expected


def test_the_history_has_services_measurements_and_comments_on_their_local_day(
    ask_mirror: Ask, stored: Callable[[str], list[dict[str, Any]]]
) -> None:
    pianos, users = by_id(stored("pianos")), by_id(stored("users"))
    found = {row["timeline_entry_external_id"]: row for row in ask_mirror("SELECT * FROM gazelle.service_history")}
    kinds = ("SERVICE_ENTRY_MANUAL", "SERVICE_ENTRY_AUTOMATED", "PIANO_MEASUREMENT", "USER_COMMENT")
    entries = {key: row for key, row in by_id(stored("timeline_entries")).items() if row["type"] in kinds}
    assert found.keys() == entries.keys()
    assert {row["type"] for row in found.values()} == {*kinds}
    other_day = 0
    for key, row in found.items():
        entry = entries[key]
        assert row["occurred_on"] == entry["occurred_at"].astimezone(TORONTO).date()
        other_day += row["occurred_on"] != entry["occurred_at"].date()
        piano = pianos.get(entry["piano_external_id"])
        assert row["piano"] == (piano and (" ".join(filter(None, (piano["make"], piano["model"]))).strip(" ") or None))
        assert row["technician"] == name_of(users.get(entry["technician_external_id"]))
    assert other_day > 10


def test_a_client_is_shown_since_its_first_sign_with_visits_pianos_and_money(
    ask_mirror: Ask, stored: Callable[[str], list[dict[str, Any]]]
) -> None:
    signs, visits, owned, owed = (defaultdict(list) for _ in range(4))
    for entry in stored("timeline_entries"):
        signs[entry["client_external_id"]].append(entry["occurred_at"])
    for appointment in stored("appointments"):
        signs[appointment["client_external_id"]].append(appointment["starts_at"])
        visits[appointment["client_external_id"]].append(appointment)
    for piano in stored("pianos"):
        owned[piano["client_external_id"]].append(piano)
    for invoice in stored("invoices"):
        if invoice["status"] not in ("DRAFT", "DELETED", "CANCELED"):
            owed[invoice["client_external_id"]].append(invoice)
    [now] = ask_mirror("SELECT now()")
    found = {row["client_external_id"]: row for row in ask_mirror("SELECT * FROM gazelle.client_overview")}
    clients = by_id(stored("clients"))
    assert found.keys() == clients.keys()
    for key, row in found.items():
        first = min([clients[key]["created_at"], *signs[key]])
        assert row["client_since"] == first.astimezone(TORONTO).date()
        gone = [v for v in visits[key] if v["starts_at"] <= now["now"] and v["status"] in ("ACTIVE", "COMPLETE")]
        coming = [v for v in visits[key] if v["starts_at"] > now["now"] and v["status"] == "ACTIVE"]
        assert row["last_visit_on"] == max((v["appointment_date"] for v in gone), default=None)
        assert row["next_visit_on"] == min((v["appointment_date"] for v in coming), default=None)
        assert row["piano_count"] == len(owned[key])
        due = [
            p["next_service_override"] or p["calculated_next_service"] for p in owned[key] if p["status"] == "ACTIVE"
        ]
        assert row["next_due_on"] == min(filter(None, due), default=None)
        currencies = {invoice["currency"] for invoice in owed[key]}
        if len(currencies) > 1:
            assert (row["invoiced_total"], row["open_balance"], row["currency"]) == (None, None, None)
            continue
        assert row["currency"] == (currencies.pop() if currencies else None)
        assert row["invoiced_total"] == Decimal(sum(each["total"] for each in owed[key])) / 100
        still = [each["due_total"] for each in owed[key] if each["status"] in ("OPEN", "OVERDUE")]
        assert row["open_balance"] == Decimal(sum(still)) / 100


def test_what_is_owed_is_told_in_units_of_the_currency_with_days_since_it_was_due(
    ask_mirror: Ask, stored: Callable[[str], list[dict[str, Any]]]
) -> None:
    expected = {
        invoice["external_id"]: (Decimal(invoice["due_total"]) / 100, max((today() - invoice["due_on"]).days, 0))
        for invoice in stored("invoices")
        if invoice["status"] in ("OPEN", "OVERDUE") and invoice["due_total"] > 0
    }
    found = ask_mirror("SELECT * FROM gazelle.unpaid_invoices")
    assert {row["invoice_external_id"]: (row["due_total"], row["days_overdue"]) for row in found} == expected
    assert len(expected) > 10


def test_revenue_is_by_the_month_of_the_invoice_and_of_the_payment(
    ask_mirror: Ask, stored: Callable[[str], list[dict[str, Any]]]
) -> None:
    invoiced, paid, count = Counter(), Counter(), Counter()
    for invoice in stored("invoices"):
        if invoice["status"] not in ("DRAFT", "DELETED", "CANCELED"):
            day = invoice["created_at"].astimezone(TORONTO).date()
            if invoice["due_on"] and invoice["net_days"] is not None:
                day = invoice["due_on"] - timedelta(days=invoice["net_days"])
            invoiced[day.replace(day=1), invoice["currency"]] += invoice["total"]
            count[day.replace(day=1), invoice["currency"]] += 1
    for payment in stored("invoice_payments"):
        if payment["status"] == "SUCCEEDED":
            day = (payment["paid_at"] or payment["created_at"]).astimezone(TORONTO).date()
            paid[day.replace(day=1), payment["currency"]] += payment["amount"]
    found = {(row["month"], row["currency"]): row for row in ask_mirror("SELECT * FROM gazelle.revenue_by_month")}
    assert found.keys() == invoiced.keys() | paid.keys()
    for key, row in found.items():
        assert (row["invoices"], row["invoiced"] * 100, row["paid"] * 100) == (count[key], invoiced[key], paid[key])


@pytest.mark.parametrize("gone", ["deleted_at = now()", "synced_at = NULL"], ids=["deleted", "a placeholder"])
@pytest.mark.parametrize("name", [name for name in VIEWS if name not in ("upcoming_appointment_changes",)])
def test_what_is_deleted_or_not_read_yet_is_not_shown(after: After, name: str, gone: str) -> None:
    tables = ["invoices", "invoice_payments"] if name == "revenue_by_month" else [VIEWS[name].tables[0]]
    statements = ";".join(f"UPDATE gazelle.{table} SET {gone}" for table in tables)
    assert after(statements, f"SELECT count(*) FROM gazelle.{name}") == [(0,)]


@pytest.mark.parametrize(
    ("view", "check", "damage"),
    [
        (
            "agenda",
            "technicians_have_names_of_their_own",
            "UPDATE gazelle.users SET first_name = 'Jean', last_name = 'Roy'",
        ),
        (
            "client_overview",
            "totals_agree_with_invoices",
            "CREATE OR REPLACE VIEW gazelle.client_overview AS SELECT client_external_id, client, status, tags, "
            "locale, phone, email, city, client_since, last_visit_on, next_visit_on, piano_count, next_due_on, "
            "2 * invoiced_total AS invoiced_total, open_balance, currency FROM public.before",
        ),
        (
            "client_overview",
            "rows_are_unique",
            "CREATE OR REPLACE VIEW gazelle.client_overview AS SELECT * FROM public.before UNION ALL "
            "SELECT * FROM public.before",
        ),
    ],
)
def test_a_check_sees_what_is_wrong_with_a_view(after: After, view: str, check: str, damage: str) -> None:
    [found] = [each for each in warehouse.view_checks(VIEWS[view], TORONTO) if each.name == check]
    kept = f"CREATE TABLE public.before AS SELECT * FROM gazelle.{view}"
    broken = after(f"{kept}; {damage}", found.breaking.as_string(None))  # type: ignore[arg-type]
    assert broken


def test_every_table_that_a_view_reads_is_one_of_ours() -> None:
    assert {name for view in VIEWS.values() for name in view.reads} - {*TABLES} == {"row_changes"}
