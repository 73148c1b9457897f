"""A database of any earlier state arrives at the declared shape by additions alone."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Snapshot
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.columns import integer, reference, text, timestamp
from gazelle_sync.tables.declaration import Connection, ReadAgain, Table
from gazelle_sync.warehouse import WarehouseError
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync.warehouse.schema import metadata
from gazelle_sync_tests.conftest import ALL
from gazelle_sync_tests.warehouse.canned import Canned, clients

BESIDE = {table.name for table in metadata().tables.values()} - set(TABLES)


def test_the_first_use_makes_every_table_and_the_second_adds_nothing(empty_engine, ask):
    done = warehouse.migrate(empty_engine)
    assert done[0] == "schema gazelle"
    assert {line for line in done if line.startswith("table ")} == {f"table {name}" for name in {*TABLES, *BESIDE}}
    assert done[-1] == "view upcoming_appointment_changes"
    there = {row["tablename"] for row in ask("SELECT tablename FROM pg_tables WHERE schemaname = 'gazelle'")}
    assert there == {*TABLES, *BESIDE}
    assert warehouse.migrate(empty_engine) == []


CONTRACT = {
    "users": "first_name last_name email status timezone is_schedulable color created_at updated_at",
    "clients": "company_name first_name last_name email phone street1 street2 city region postal_code country_code "
    "status tags client_type locale lifecycle_state preferred_technician_external_id personal_notes preference_notes "
    "referred_by no_contact_until no_contact_reason reason_inactive_code reason_inactive_details reference_id custom1 "
    "custom2 custom3 custom4 custom5 custom6 custom7 custom8 custom9 custom10 created_at updated_at",
    "contacts": "client_external_id first_name middle_name last_name suffix title role email phone street1 street2 "
    "city region postal_code country_code latitude longitude is_default is_billing_default archived wants_email "
    "wants_phone wants_text created_at updated_at",
    "pianos": "client_external_id make model serial_number type year size location notes status tags case_color "
    "case_finish has_ivory rental rental_contract_ends_on consignment needs_repair_or_rebuilding total_loss use_type "
    "service_interval_months calculated_last_service calculated_next_service event_last_service manual_last_service "
    "next_service_override player_installed player_make player_model player_serial_number dampp_chaser_installed "
    "dampp_chaser_humidistat_model dampp_chaser_mfg_date potential_performance_level lifecycle_state reference_id "
    "created_at updated_at",
    "appointments": "client_external_id technician_external_id created_by_external_id title notes type status "
    "starts_at appointment_date appointment_time duration_minutes is_all_day timezone address confirmed_by_client "
    "confirmed_at source travel_mode recurrence_id created_at updated_at",
    "timeline_entries": "client_external_id piano_external_id appointment_external_id technician_external_id "
    "invoice_external_id estimate_external_id occurred_at type summary comment",
}
CONTRACT = {name: f"id external_id {columns} synced_at deleted_at" for name, columns in CONTRACT.items()} | {
    "appointment_pianos": "id appointment_external_id piano_external_id is_tuning synced_at deleted_at",
    "sync_log": "id run_id table_name scope status started_at finished_at fetched inserted updated unchanged deleted "
    "restored rejected api_requests api_retries error proved filled",
    "rejected_rows": "id table_name external_id reason payload first_seen_at last_seen_at resolved_at",
    "row_changes": "id run_id table_name external_id change changed changed_at",
}


@pytest.mark.parametrize("table", CONTRACT)
def test_a_table_has_the_columns_of_the_contract_and_no_others(engine, rows, table):
    found = rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'gazelle' AND table_name = %s", table
    )
    assert {row["column_name"] for row in found} == set(CONTRACT[table].split())


def test_types_and_nulls_are_those_of_the_contract(engine, rows):
    found = {
        f"{row['table_name']}.{row['column_name']}": (row["udt_name"], row["is_nullable"], row["identity_generation"])
        for row in rows("SELECT * FROM information_schema.columns WHERE table_schema = 'gazelle'")
    }
    for table in TABLES:
        assert found[f"{table}.id"] == ("int8", "NO", "BY DEFAULT")
        assert found[f"{table}.synced_at"] == found[f"{table}.deleted_at"] == ("timestamptz", "YES", None)
        if table != "appointment_pianos":
            assert found[f"{table}.external_id"] == ("text", "NO", None)
    assert found["clients.company_name"] == ("text", "NO", None)
    assert found["clients.tags"] == found["pianos.tags"] == ("_text", "NO", None)
    assert found["appointments.appointment_date"] == ("date", "YES", None)
    assert found["appointments.appointment_time"] == ("time", "YES", None)
    assert found["timeline_entries.occurred_at"][:2] == ("timestamptz", "NO")
    assert found["contacts.latitude"][0] == "numeric"
    assert found["rejected_rows.payload"] == found["row_changes.changed"] == ("jsonb", "NO", None)


FOREIGN_KEYS = {
    ("clients", "preferred_technician_external_id", "users"),
    ("contacts", "client_external_id", "clients"),
    ("pianos", "client_external_id", "clients"),
    ("appointments", "client_external_id", "clients"),
    ("appointments", "technician_external_id", "users"),
    ("appointments", "created_by_external_id", "users"),
    ("appointment_pianos", "appointment_external_id", "appointments"),
    ("appointment_pianos", "piano_external_id", "pianos"),
    ("timeline_entries", "client_external_id", "clients"),
    ("timeline_entries", "piano_external_id", "pianos"),
    ("timeline_entries", "appointment_external_id", "appointments"),
    ("timeline_entries", "technician_external_id", "users"),
}


def declared_keys(tables=TABLES):
    return {
        (name, column, parent)
        for name, table in tables.items()
        for column, parent in table.references.items()
        if parent in tables
    }


def foreign_keys(ask):
    return {
        (row["child"].removeprefix("gazelle."), row["name"], row["parent"].removeprefix("gazelle."))
        for row in ask("""
            SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent, attname AS name
            FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
            WHERE contype = 'f' AND connamespace = 'gazelle'::regnamespace
            """)
    }


def test_relations_are_foreign_keys_and_each_has_an_index(engine, rows):
    assert foreign_keys(rows) == declared_keys() >= FOREIGN_KEYS
    indexed = {
        (row["name"], row["first"])
        for row in rows("""
            SELECT c.relname AS name, a.attname AS first FROM pg_index i
            JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE c.relnamespace = 'gazelle'::regnamespace
            """)
    }
    wanted = {(child, column) for child, column, _ in declared_keys()}
    wanted |= {("appointments", "appointment_date"), ("timeline_entries", "occurred_at")}
    wanted |= {(name, table.key[0]) for name, table in TABLES.items()}
    assert wanted - indexed == set()


def test_tables_and_columns_are_commented_in_the_database(engine, rows):
    silent = rows("""
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0
        WHERE c.relnamespace = 'gazelle'::regnamespace AND c.relkind = 'r' AND NOT a.attisdropped
          AND c.relname = ANY (%s) AND col_description(c.oid, a.attnum) IS NULL
        """, list(TABLES))  # fmt: skip
    assert silent == []
    for name, table in TABLES.items():
        [said] = rows("SELECT obj_description(%s::regclass) AS comment", f"gazelle.{name}")
        assert said["comment"] == table.comment
        for column in table.all_columns:
            [said] = rows(
                "SELECT col_description(attrelid, attnum) AS comment FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attname = %s",
                f"gazelle.{name}",
                column.name,
            )
            assert said["comment"] == column.comment


def with_columns(name, *columns):
    return {**TABLES, name: dataclasses.replace(TABLES[name], columns=(*TABLES[name].columns, *columns))}


def test_a_column_that_a_declaration_gains_is_added_and_old_rows_are_kept(empty_engine, ask):
    warehouse.migrate(empty_engine)
    warehouse.load(empty_engine, Canned(TABLES["clients"], clients(range(3))), run_id="test")
    before = ask("SELECT * FROM gazelle.clients ORDER BY id")
    tables = with_columns(
        "clients",
        integer("score", "score", "How good."),
        reference("billed_by", "billedBy.id", "Who bills.", to="users"),
        dataclasses.replace(text("nick", "nick", "Nickname."), nullable=False),
        timestamp("seen_at", "seenAt", "When seen.", nullable=False),
    )
    assert set(warehouse.migrate(empty_engine, tables)) == {
        "column clients.score",
        "column clients.billed_by_external_id",
        "column clients.nick",
        "column clients.seen_at",
        "index clients_billed_by_external_id_idx",
        "foreign key clients.billed_by_external_id",
        "not null for clients.nick",
    }
    after = ask("SELECT * FROM gazelle.clients ORDER BY id")
    new = {"score": None, "billed_by_external_id": None, "seen_at": None}
    assert after == [{**row, **new, "nick": row["external_id"]} for row in before]
    [said] = ask(
        "SELECT col_description(attrelid, attnum) AS comment FROM pg_attribute "
        "WHERE attrelid = 'gazelle.clients'::regclass AND attname = 'score'"
    )
    assert said == {"comment": "How good."}
    assert warehouse.migrate(empty_engine, tables) == []


def test_nothing_is_dropped_or_renamed_and_a_type_that_holds_as_much_stays(empty_engine, ask):
    warehouse.migrate(empty_engine, with_columns("clients", text("former", "former", "No longer declared.")))
    ask("""
        ALTER TABLE gazelle.clients ADD theirs integer, ALTER custom1 TYPE varchar;
        ALTER TABLE gazelle.pianos ALTER year TYPE bigint, ALTER notes SET DEFAULT '-', DROP CONSTRAINT
            pianos_client_external_id_fkey, ADD CONSTRAINT their_name FOREIGN KEY (client_external_id)
            REFERENCES gazelle.clients (external_id) ON DELETE CASCADE;
        CREATE TABLE gazelle.their_table (id integer PRIMARY KEY, client text REFERENCES gazelle.clients (external_id));
        CREATE INDEX their_index ON gazelle.clients (lower(city)) WHERE theirs > 0;
        DROP INDEX gazelle.appointments_appointment_date_idx;
        CREATE INDEX appointments_appointment_date_idx ON gazelle.appointments (appointment_date, status);
        COMMENT ON COLUMN gazelle.clients.city IS 'their words';
        """)

    def everything():
        return ask("""
            SELECT c.relname, a.attname, a.atttypid::regtype::text, a.atttypmod, a.attnotnull,
                   pg_get_expr(d.adbin, d.adrelid) AS standard, col_description(c.oid, a.attnum) AS comment,
                   pg_get_indexdef(c.oid) AS definition
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d
              ON d.adrelid = c.oid AND d.adnum = a.attnum
            WHERE c.relnamespace = 'gazelle'::regnamespace ORDER BY 1, 2
            """), ask("SELECT pg_get_constraintdef(oid) AS is FROM pg_constraint ORDER BY conname")

    before = everything()
    assert warehouse.migrate(empty_engine) == []
    assert everything() == before


def test_a_table_that_is_declared_anew_gets_its_table_and_its_relations(empty_engine, ask):
    """As the README's example does, to which rows may already point."""
    before = with_columns("timeline_entries", reference("letter", "letter.id", "The letter.", to="letters"))
    entries = before["timeline_entries"]
    warehouse.migrate(empty_engine, before)
    entry = {"external_id": "tle_1", "occurred_at": ALL.start_of(ALL.start), "letter_external_id": "let_1"}
    warehouse.load(empty_engine, Canned(entries, [entry]), run_id="test", tables=before)
    letters = Table(
        name="letters",
        comment="Letters.",
        read=Connection("allLetters"),
        deletion_proved_by=ReadAgain(),
        columns=(
            reference("client", "client.id", "Whom it is for.", to="clients"),
            integer("number", "number", "Its number."),
        ),
    )
    tables = {**before, "letters": letters}
    assert set(warehouse.migrate(empty_engine, tables)) == {
        "table letters",
        "index letters_client_external_id_idx",
        "foreign key timeline_entries.letter_external_id",
    }
    assert (
        foreign_keys(ask)
        == declared_keys(tables)
        == declared_keys()
        | {
            ("timeline_entries", "letter_external_id", "letters"),
            ("letters", "client_external_id", "clients"),
        }
    )
    assert ask("SELECT relrowsecurity FROM pg_class WHERE oid = 'gazelle.letters'::regclass") == [
        {"relrowsecurity": True}
    ]
    for source in (
        Canned(entries, [{**entry, "comment": "edited"}]),
        Canned(letters, [{"external_id": "let_1", "client_external_id": "cli_1", "number": 7}]),
    ):
        warehouse.load(empty_engine, source, run_id="test", tables=tables)
    assert ask(
        "SELECT l.number, t.comment FROM gazelle.timeline_entries t JOIN gazelle.letters l "
        "ON l.external_id = t.letter_external_id"
    ) == [{"number": 7, "comment": "edited"}]
    assert warehouse.migrate(empty_engine, tables) == []


def test_two_that_migrate_at_once_both_succeed_and_one_of_them_adds(empty_engine, database_url):
    outcomes = []

    def migrate():
        outcomes.append(warehouse.migrate(warehouse.connect(database_url)))

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, outcomes))[:2] == [0, 0]
    assert len(max(outcomes, key=len)) > len(TABLES)


def test_a_migration_waits_for_a_load_and_a_load_for_a_migration(engine, rows):
    from gazelle_sync.warehouse.locks import LOCK_TABLE, lock_parameters

    ended = threading.Event()

    def migrate():
        warehouse.migrate(engine)
        ended.set()

    thread = threading.Thread(target=migrate)
    with transaction(engine) as cursor:
        cursor.execute(LOCK_TABLE, lock_parameters("clients"))
        thread.start()
        assert not ended.wait(0.4)
    assert ended.wait(10)
    thread.join()


@pytest.fixture
def plain_role(empty_engine, database_url, ask):
    """A role that owns schema `gazelle` and its tables, and may make neither a schema nor a role; as an engine."""
    warehouse.migrate(empty_engine)
    [database] = ask("SELECT current_database() AS name")
    role = f"{database['name']}_plain"
    ask(f"""
        CREATE ROLE {role} LOGIN PASSWORD 'plain-w0rd';
        REVOKE CREATE ON DATABASE {database["name"]} FROM PUBLIC;
        ALTER SCHEMA gazelle OWNER TO {role};
        DO $$ DECLARE name text; BEGIN
            FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'gazelle' LOOP
                EXECUTE 'ALTER TABLE gazelle.' || name || ' OWNER TO {role}';
            END LOOP;
            ALTER VIEW gazelle.upcoming_appointment_changes OWNER TO {role};
        END $$;
        """)
    url = make_url(database_url).set(username=role, password="plain-w0rd")
    yield warehouse.connect(url.render_as_string(hide_password=False))
    ask(f"DROP SCHEMA gazelle CASCADE; DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_role_that_may_not_create_in_the_database_syncs_what_exists(plain_role, client, ask):
    [may] = ask("SELECT has_database_privilege(%s, current_database(), 'CREATE') AS create", plain_role.url.username)
    assert may == {"create": False}
    assert warehouse.migrate(plain_role) == []
    report = warehouse.load(plain_role, Snapshot(client, TABLES["contacts"], ALL), run_id="test")
    assert (report.inserted, report.status) == (345, "success")
    assert warehouse.migrate(plain_role, with_columns("users", text("nick", "nick", "Nickname."))) == [
        "column users.nick"
    ]


def test_in_another_role_s_schema_nothing_is_noted_of_the_comparison_and_nothing_fails(plain_role, ask):
    ask(f"ALTER SCHEMA gazelle OWNER TO CURRENT_USER; GRANT ALL ON SCHEMA gazelle TO {plain_role.url.username}")
    warehouse.prepare(plain_role)
    assert ask("SELECT obj_description('gazelle'::regnamespace) AS told") == [{"told": None}]


def test_a_role_that_may_not_create_a_schema_is_told_what_it_lacks(plain_role, ask):
    ask("DROP SCHEMA gazelle CASCADE")
    with pytest.raises(WarehouseError) as caught:
        warehouse.migrate(plain_role)
    assert str(caught.value).startswith("Preparing the tables failed after 1 attempt: permission denied for database")
    assert "Give the role of SUPABASE_DB_URL that right" in str(caught.value)
    ask("CREATE SCHEMA gazelle")


def test_a_server_older_than_15_is_refused_by_name(empty_engine, database_url, ask):
    """A function of the same name, found before PostgreSQL's own, tells of an older version."""
    ask("""
        CREATE SCHEMA IF NOT EXISTS older;
        CREATE OR REPLACE FUNCTION older.current_setting(name text) RETURNS text LANGUAGE sql
        AS $$ SELECT CASE name WHEN 'server_version_num' THEN '140012' ELSE pg_catalog.current_setting(name) END $$;
        """)
    try:
        url = make_url(database_url).update_query_dict({"options": "-csearch_path=older,pg_catalog"})
        with pytest.raises(WarehouseError, match="PostgreSQL 14 is too old"):
            warehouse.migrate(warehouse.connect(url.render_as_string(hide_password=False)))
        assert ask("SELECT nspname FROM pg_namespace WHERE nspname = 'gazelle'") == []
    finally:
        ask("DROP SCHEMA older CASCADE")


def test_a_migration_that_fails_leaves_nothing_half_done(empty_engine, ask):
    ask("CREATE TYPE public.nothing AS (n integer); CREATE SCHEMA gazelle; CREATE SEQUENCE gazelle.users")
    with pytest.raises(WarehouseError, match="Preparing the tables failed after 1 attempt"):
        warehouse.migrate(empty_engine)
    assert ask("SELECT relname FROM pg_class WHERE relnamespace = 'gazelle'::regnamespace") == [{"relname": "users"}]
    ask("DROP TYPE public.nothing")
