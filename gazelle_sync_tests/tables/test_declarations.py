"""What the contract promises is declared, and another table takes one file."""

from __future__ import annotations

import itertools
import re
import sys
from graphlib import CycleError
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type, get_nullable_type, is_list_type

from gazelle_sync.sandbox.schema import schema
from gazelle_sync.tables import TABLES, Cadence, Column, Scope, Table, Type, declared, dependencies
from gazelle_sync.tables.columns import text
from gazelle_sync.tables.declaration import BY_DAY_CREATED, ById, Connection, Nested, PlainList, ReadAgain
from gazelle_sync_tests.conftest import ALL

STAMPS = "created_at:timestamptz updated_at:timestamptz"

# What is promised to others: these tables and columns stay, whatever is added to them. The PostgreSQL type stands where
# it is not text. `!` means that it can't be null.
CONTRACT = {
    "users": f"external_id! first_name last_name email status timezone is_schedulable:boolean color {STAMPS}",
    "clients": f"""
        external_id! company_name! first_name last_name email phone street1 street2 city region postal_code
        country_code status tags:text[]! client_type locale lifecycle_state preferred_technician_external_id
        personal_notes preference_notes referred_by no_contact_until:date no_contact_reason reason_inactive_code
        reason_inactive_details reference_id custom1 custom2 custom3 custom4 custom5 custom6 custom7 custom8 custom9
        custom10 {STAMPS}""",
    "contacts": f"""
        external_id! client_external_id first_name middle_name last_name suffix title role email phone street1
        street2 city region postal_code country_code latitude:numeric longitude:numeric is_default:boolean
        is_billing_default:boolean archived:boolean wants_email:boolean wants_phone:boolean wants_text:boolean
        {STAMPS}""",
    "pianos": f"""
        external_id! client_external_id make model serial_number type year:integer size location notes status
        tags:text[]! case_color case_finish has_ivory:boolean rental:boolean rental_contract_ends_on:date
        consignment:boolean needs_repair_or_rebuilding:boolean total_loss:boolean use_type
        service_interval_months:integer calculated_last_service:date calculated_next_service:date
        event_last_service:date manual_last_service:date next_service_override:date player_installed:boolean
        player_make player_model player_serial_number dampp_chaser_installed:boolean
        dampp_chaser_humidistat_model dampp_chaser_mfg_date:date potential_performance_level:integer
        lifecycle_state reference_id {STAMPS}""",
    "appointments": f"""
        external_id! client_external_id technician_external_id created_by_external_id title notes type status
        starts_at:timestamptz appointment_date:date appointment_time:time duration_minutes:integer
        is_all_day:boolean timezone address confirmed_by_client:boolean confirmed_at:timestamptz source
        travel_mode recurrence_id {STAMPS}""",
    "appointment_pianos": "appointment_external_id! piano_external_id! is_tuning:boolean",
    "timeline_entries": """
        external_id! client_external_id piano_external_id appointment_external_id technician_external_id
        invoice_external_id estimate_external_id occurred_at:timestamptz! type summary comment""",
    "invoices": f"""
        external_id! client_external_id contact_external_id assigned_to_external_id created_by_external_id
        number:integer status due_on:date net_days:integer sub_total:integer tax_total:integer tip_total:integer
        total:integer paid_total:integer due_total:integer currency tags:text[]! notes top_notes archived:boolean
        alt_billing_company_name alt_billing_first_name alt_billing_last_name alt_billing_email alt_billing_phone
        alt_billing_street1 alt_billing_street2 alt_billing_municipality alt_billing_region alt_billing_postal_code
        alt_billing_country_code client_url last_quickbooks_sync_at:timestamptz {STAMPS}""",
    "invoice_items": f"""
        external_id! invoice_external_id piano_external_id master_service_item_external_id sequence_number:integer
        type description quantity:integer amount:integer sub_total:integer tax_total:integer total:integer
        billable:boolean taxable:boolean taxes:jsonb {STAMPS}""",
    "invoice_payments": """
        external_id! invoice_external_id amount:integer tip_total:integer currency type status payment_source notes
        payment_details failure_reason is_stripe_payment:boolean was_initiated_by_client:boolean paid_at:timestamptz
        created_at:timestamptz""",
    "estimates": f"""
        external_id! client_external_id contact_external_id piano_external_id assigned_to_external_id
        created_by_external_id number:integer estimated_on:date expires_on:date is_archived:boolean notes
        current_performance_level:integer recommended_tier_total:integer locale tags:text[]! client_url {STAMPS}""",
    "estimate_tiers": f"""
        external_id! estimate_external_id recommendation_external_id sequence_number:integer is_primary:boolean notes
        target_performance_level:integer allow_self_schedule:boolean subtotal:integer tax_total:integer total:integer
        {STAMPS}""",
    "estimate_tier_items": f"""
        external_id! estimate_tier_external_id master_service_item_external_id group_name name description type
        sequence_number:integer quantity:integer amount:integer duration:integer is_tuning:boolean is_taxable:boolean
        subtotal:integer tax_total:integer total:integer taxes:jsonb {STAMPS}""",
    "piano_measurements": f"""
        external_id! piano_external_id taken_on:date humidity:integer temperature:integer a0_pitch:integer
        a1_pitch:integer a2_pitch:integer a3_pitch:integer a4_pitch:integer a5_pitch:integer a6_pitch:integer
        a7_pitch:integer a0_dip:integer a1_dip:integer a2_dip:integer a3_dip:integer a4_dip:integer a5_dip:integer
        a6_dip:integer a7_dip:integer d6_sustain_played:integer d6_sustain_plucked:integer g6_sustain_played:integer
        g6_sustain_plucked:integer c7_sustain_played:integer c7_sustain_plucked:integer {STAMPS}""",
    "master_service_groups": f"""
        external_id! name name_i18n:jsonb order:integer is_archived:boolean is_multi_choice:boolean {STAMPS}""",
    "master_service_items": f"""
        external_id! master_service_group_external_id name name_i18n:jsonb description description_i18n:jsonb type
        amount:integer duration:integer order:integer is_tuning:boolean is_taxable:boolean is_archived:boolean
        is_default:boolean is_self_schedulable:boolean is_any_user:boolean {STAMPS}""",
    "recommendations": """
        external_id! name name_i18n:jsonb explanation explanation_i18n:jsonb type is_archived:boolean""",
    "scheduled_messages": f"""
        external_id! client_external_id type subject template language send_at:timestamptz {STAMPS}""",
    "event_reservations": f"""
        external_id! client_external_id technician_external_id appointment_external_id status
        status_changed_at:timestamptz status_changed_by_external_id type source starts_at:timestamptz duration:integer
        timezone address notes changes:text[] piano_services:jsonb {STAMPS}""",
    "event_cancel_notices": f"external_id! appointment_external_id status {STAMPS}",
    "taxes": "external_id! name rate:integer default:boolean active_or_historical",
    "lifecycles": f"external_id! name conf_window_code {STAMPS}",
    "company": """
        external_id! name email phone street1 street2 city region postal_code country_code website is_parked:boolean
        parked_reason created_at:timestamptz""",
    "contact_emails": "external_id! contact_external_id email is_default:boolean",
    "contact_phones": f"""
        external_id! contact_external_id phone extension type confirmed_class is_default:boolean {STAMPS}""",
    "contact_locations": f"""
        external_id! contact_external_id usage_type location_type street1 street2 city region postal_code country_code
        latitude:numeric longitude:numeric what3words is_bad_address:boolean {STAMPS}""",
    "piano_photos": """
        external_id! piano_external_id url thumbnail_url mime_type size:integer notes taken_at:timestamptz
        created_at:timestamptz""",
}
WEEKLY = {"contact_emails", "contact_phones", "contact_locations", "piano_photos"}

REFERENCES = {
    "users": {},
    "clients": {"preferred_technician_external_id": "users"},
    "contacts": {"client_external_id": "clients"},
    "pianos": {"client_external_id": "clients"},
    "appointments": {
        "client_external_id": "clients",
        "technician_external_id": "users",
        "created_by_external_id": "users",
    },
    "appointment_pianos": {"appointment_external_id": "appointments", "piano_external_id": "pianos"},
    "timeline_entries": {
        "client_external_id": "clients",
        "piano_external_id": "pianos",
        "appointment_external_id": "appointments",
        "technician_external_id": "users",
        "invoice_external_id": "invoices",
        "estimate_external_id": "estimates",
    },
    "invoices": {
        "client_external_id": "clients",
        "contact_external_id": "contacts",
        "assigned_to_external_id": "users",
        "created_by_external_id": "users",
    },
    "invoice_items": {
        "invoice_external_id": "invoices",
        "piano_external_id": "pianos",
        "master_service_item_external_id": "master_service_items",
    },
    "invoice_payments": {"invoice_external_id": "invoices"},
    "estimates": {
        "client_external_id": "clients",
        "contact_external_id": "contacts",
        "piano_external_id": "pianos",
        "assigned_to_external_id": "users",
        "created_by_external_id": "users",
    },
    "estimate_tiers": {"estimate_external_id": "estimates", "recommendation_external_id": "recommendations"},
    "estimate_tier_items": {
        "estimate_tier_external_id": "estimate_tiers",
        "master_service_item_external_id": "master_service_items",
    },
    "piano_measurements": {"piano_external_id": "pianos"},
    "master_service_groups": {},
    "master_service_items": {"master_service_group_external_id": "master_service_groups"},
    "recommendations": {},
    "scheduled_messages": {"client_external_id": "clients"},
    "event_reservations": {
        "client_external_id": "clients",
        "technician_external_id": "users",
        "appointment_external_id": "appointments",
        "status_changed_by_external_id": "users",
    },
    "event_cancel_notices": {"appointment_external_id": "appointments"},
    "taxes": {},
    "lifecycles": {},
    "company": {},
    "contact_emails": {"contact_external_id": "contacts"},
    "contact_phones": {"contact_external_id": "contacts"},
    "contact_locations": {"contact_external_id": "contacts"},
    "piano_photos": {"piano_external_id": "pianos"},
}


def test_every_table_of_the_contract_is_declared():
    assert CONTRACT.keys() - TABLES.keys() == set()


@pytest.mark.parametrize("name", CONTRACT)
def test_a_table_has_the_columns_types_and_null_rules_of_the_contract(name: str):
    promised = {}
    for word in CONTRACT[name].split():
        column, _, kind = word.rstrip("!").partition(":")
        promised[column] = (kind or "text", not word.endswith("!"))
    declared_here = {column.name: (column.type.sql, column.nullable) for column in TABLES[name].all_columns}
    assert promised.items() - declared_here.items() == set()


@pytest.mark.parametrize("name", REFERENCES)
def test_a_relation_leads_to_the_table_that_the_contract_names(name: str):
    assert TABLES[name].references == REFERENCES[name]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_relation_is_named_after_what_it_leads_to(table: Table):
    assert [column for column in table.references if not column.endswith("_external_id")] == []


def test_what_changes_little_and_costs_much_is_read_every_week_and_the_rest_every_night():
    assert {name for name, table in TABLES.items() if table.every is Cadence.WEEK} == WEEKLY
    assert all(table.every is Cadence.NIGHT for name, table in TABLES.items() if name not in WEEKLY)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_table_and_column_says_what_it_is(table: Table):
    assert table.comment.endswith(".")
    assert [column.name for column in table.all_columns if not column.comment.endswith(".")] == []


def test_parents_come_before_their_children_and_appointments_after_contacts_and_pianos():
    order = list(TABLES)
    for table in TABLES.values():
        for parent in {*table.references.values(), *table.after} & TABLES.keys():
            assert order.index(parent) < order.index(table.name), f"{table.name} comes before {parent}"
    assert {"contacts", "pianos"} <= set(TABLES["appointments"].after)


def test_the_key_of_a_record_is_gazelles_id_and_of_a_piano_of_an_appointment_the_pair():
    keys = {table.key for table in TABLES.values() if table.name != "appointment_pianos"}
    assert keys == {("external_id",)}
    assert TABLES["appointment_pianos"].key == ("appointment_external_id", "piano_external_id")


def test_what_people_wrote_is_marked_as_personal():
    expected = {
        "clients": {"company_name", "email", "phone", "personal_notes", "custom1", "custom10"},
        "contacts": {"first_name", "suffix", "title", "role", "email", "phone", "street1", "latitude"},
        "timeline_entries": {"summary", "comment"},
        "event_reservations": {"address", "notes", "changes", "piano_services"},
    }
    for name, columns in expected.items():
        assert columns <= {column.name for column in TABLES[name].all_columns if column.personal}


# The kind of a field in Gazelle's schema → what a column may make of it. Coordinates are digits in a string.
FITTING = {
    "String": {Type.TEXT, Type.NUMERIC},
    "ID": {Type.TEXT},
    "Int": {Type.INTEGER},
    "Boolean": {Type.BOOLEAN},
    "CoreDate": {Type.DATE},
    "CoreDateTime": {Type.TIMESTAMP, Type.LOCAL_DATE, Type.LOCAL_TIME},
    "I18nString": {Type.TRANSLATED, Type.JSON},
    "an enum": {Type.TEXT},
    "a list": {Type.TEXT_ARRAY, Type.JSON},
}


def record_of(table: Table) -> GraphQLObjectType:
    """The type of a table's records in the published schema."""

    def below(owner: object, name: str) -> GraphQLObjectType:
        found = get_named_type(owner.fields[name].type)  # type: ignore[attr-defined]
        return below(found, "nodes") if "nodes" in getattr(found, "fields", {}) else found  # type: ignore[return-value]

    read = table.read
    found = below(schema().query_type, read.root.field if isinstance(read, Nested) else read.field)
    for level in read.levels if isinstance(read, Nested) else ():
        found = below(found, level.field)
    return found


def published_fields(table: Table, column: Column) -> list[GraphQLEnumType | str]:
    """What the published schema says of each field that fills a column: an enum, or the name of its kind."""
    kinds: list[GraphQLEnumType | str] = []
    for path in column.paths:
        names = path.split(".")
        if isinstance(table.read, Nested) and names[0] == table.read.parent_field:
            continue  # it is not asked for: the parent's id is known
        *above, last = names
        owner = record_of(table)
        for name in above:
            owner = get_named_type(owner.fields[name].type)  # type: ignore[assignment]
        found = owner.fields[last].type
        named = get_named_type(found)
        if is_list_type(get_nullable_type(found)):
            kinds.append("a list")
        else:
            kinds.append(named if isinstance(named, GraphQLEnumType) else named.name)
    return kinds


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_has_the_type_of_its_field(table: Table):
    for column in table.all_columns:
        for kind in published_fields(table, column):
            name = "an enum" if isinstance(kind, GraphQLEnumType) else kind
            assert column.type in FITTING[name], f"{column.name} is {name} in Gazelle's schema"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_values_that_a_comment_names_are_those_of_the_schema(table: Table):
    for column in table.all_columns:
        for kind in published_fields(table, column):
            if not isinstance(kind, GraphQLEnumType):
                continue
            named = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", column.comment))
            assert named <= kind.values.keys(), column.name
            assert not named or named == kind.values.keys() or "and so on" in column.comment, column.name


INVOICES = '''
"""invoices: what clients were billed."""

from gazelle_sync.tables.clients import CLIENTS
from gazelle_sync.tables.columns import integer, reference, tags, text
from gazelle_sync.tables.declaration import ById, Connection, Table

INVOICES = Table(
    name="invoices",
    comment="What clients were billed.",
    read=Connection("allInvoices"),
    deletion_proved_by=ById("invoice", "id"),
    columns=(
        reference("client", "client.id", "Who was billed.", to="clients"),
        integer("number", "number", "Number."),
        text("status", "status", "DRAFT, OPEN, PAID and so on."),
        tags("tags", "Tags."),
    ),
)
'''

counter = itertools.count()


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> dict[str, Table]:
    """What a package of those files declares."""
    name = f"tables_of_test_{next(counter)}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    for module, source in files.items():
        (folder / name / f"{module}.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return declared([str(folder / name)], name)


def small(name: str, *parents: str, after: tuple[str, ...] = ()) -> str:
    """The source of a table that refers to `parents`, and is `after` others."""
    columns = "".join(f"reference('{parent}', 'x.id', 'X.', to='{parent}'), " for parent in parents)
    return (
        "from gazelle_sync.tables.columns import *\nfrom gazelle_sync.tables.declaration import *\n"
        f"T = Table('{name}', 'X.', PlainList('{name}'), ReadAgain(), ({columns}), after={after})\n"
    )


def test_to_add_a_table_is_to_add_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clients = "from gazelle_sync.tables.clients import CLIENTS\n"
    # `invoices` sorts before `the_clients`, and imports CLIENTS: neither its order nor the import matters.
    found = package(tmp_path, monkeypatch, invoices=INVOICES, the_clients=clients)
    assert list(found) == ["clients", "invoices"]
    invoices = found["invoices"]
    assert [column.name for column in invoices.all_columns] == [
        "external_id",
        "client_external_id",
        "number",
        "status",
        "tags",
    ]
    assert invoices.references == {"client_external_id": "clients"}
    assert not invoices.column("tags").nullable


def test_tables_that_wait_for_each_other_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CycleError, match="depend on each other"):
        package(tmp_path, monkeypatch, a=small("a", after=("b",)), b=small("b", after=("a",)))


def test_a_reference_orders_nothing_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # A client that another client sent, and two tables that refer to each other.
    found = package(tmp_path, monkeypatch, a=small("a", "a", "b"), b=small("b", "a"), c=small("c", after=("a",)))
    assert {name: dependencies(table, found) for name, table in found.items()} == {"a": [], "b": [], "c": ["a"]}


def test_what_is_referred_to_comes_first_where_nothing_speaks_against_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert list(package(tmp_path, monkeypatch, a=small("a", "z"), z=small("z"))) == ["z", "a"]
    # A dependency is stronger than a reference.
    assert list(package(tmp_path, monkeypatch, a=small("a", "z"), z=small("z", after=("a",)))) == ["a", "z"]


def test_a_copied_file_whose_table_was_not_renamed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"two declarations .* 'a'"):
        package(tmp_path, monkeypatch, a=small("a"), copy_of_a=small("a", "b"))


def table_of(*columns: Column) -> Table:
    return Table("things", "Things.", PlainList("allThings"), ReadAgain(), columns)


@pytest.mark.parametrize("name", ["make", "external_id"])
def test_a_column_declared_twice_is_refused(name: str):
    with pytest.raises(ValueError, match="table things declares a column twice"):
        table_of(text("make", "make", "Maker."), text(name, "other", "Again."))


def test_a_type_names_its_postgresql_type():
    assert {kind.name: kind.sql for kind in Type} == {
        "TEXT": "text",
        "TEXT_ARRAY": "text[]",
        "INTEGER": "integer",
        "NUMERIC": "numeric",
        "BOOLEAN": "boolean",
        "DATE": "date",
        "TIMESTAMP": "timestamptz",
        "LOCAL_DATE": "date",
        "LOCAL_TIME": "time",
        "JSON": "jsonb",
        "TRANSLATED": "text",
    }


def test_a_scope_says_what_it_covers():
    month = Scope(ALL.zone, ALL.start.replace(year=2026, month=3), ALL.start.replace(year=2026, month=4))
    assert (ALL.whole, str(ALL)) == (True, "all")
    assert (month.whole, str(month)) == (False, "2026-03-01..2026-04-01")
    # Clocks go forward on 8 March 2026 in Toronto: the day before it begins five hours after UTC's, the day after four.
    assert month.start_of(month.start.replace(day=8)).isoformat() == "2026-03-08T05:00:00+00:00"
    assert month.start_of(month.start.replace(day=9)).isoformat() == "2026-03-09T04:00:00+00:00"


def test_a_table_without_an_id_of_its_own_has_no_external_id():
    assert "external_id" not in [column.name for column in TABLES["appointment_pianos"].all_columns]
    assert TABLES["clients"].read == Connection("allClients", "sortBy: [CREATED_AT_ASC]", parts=BY_DAY_CREATED)
    assert TABLES["clients"].deletion_proved_by == ById("client", "id")
