"""The clients table of the service before this one becomes the mirror's, with its rows, ids and people's own data."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from gazelle_sync import warehouse
from gazelle_sync.gazelle import Snapshot
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse.connection import WarehouseError, borrow
from gazelle_sync_tests.conftest import ALL, query_rows
from gazelle_sync_tests.warehouse.canned import Canned, clients, shown

OLD = """
    CREATE SCHEMA gazelle;
    CREATE TABLE gazelle.clients (
        id serial PRIMARY KEY, external_id text UNIQUE, company_name text, status text, tags text[],
        email text, phone text, city text, postal_code text, created_at timestamp, updated_at timestamp
    );
    ALTER TABLE gazelle.clients ADD crm_note text;
"""
CREATED = datetime(2017, 1, 5, 14, 30, tzinfo=timezone.utc)


@pytest.fixture
def rows(empty_engine):
    return lambda query, *parameters: query_rows(empty_engine, query, *parameters)


@pytest.fixture
def load(empty_engine):
    """Loads clients with these numbers; what the old service had in columns that Gazelle has empty may go."""
    return lambda numbers: warehouse.load(empty_engine, shown(numbers), run_id="test", allow_mass_delete=True)


@pytest.fixture
def old_service(rows):
    """Its table, with clients 0 to 4; the id of number n is n * 7."""

    def make(more="", table=OLD):
        rows(table)
        for n in range(5):
            rows(
                "INSERT INTO gazelle.clients (id, external_id, company_name, tags, created_at, crm_note) "
                "VALUES (%s, %s, %s, %s, '2017-01-05 14:30', 'theirs')",
                n * 7,
                f"cli_{n:04}",
                None if n == 2 else f"Client {n}",
                None if n == 3 else ["a", "b"],
            )
        rows("SELECT setval('gazelle.clients_id_seq', 100)")
        if more:
            rows(more)

    return make


def types(rows, table="clients"):
    return {
        row["column_name"]: (row["data_type"], row["is_nullable"] == "YES")
        for row in rows(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'gazelle' AND table_name = %s",
            table,
        )
    }


def test_rows_ids_and_the_column_that_people_added_are_kept(old_service, empty_engine, load, rows):
    old_service()
    warehouse.migrate(empty_engine)
    assert rows("SELECT id, external_id, crm_note, synced_at IS NULL AS waits FROM gazelle.clients ORDER BY id") == [
        {"id": n * 7, "external_id": f"cli_{n:04}", "crm_note": "theirs", "waits": False} for n in range(5)
    ]
    report = load(range(6))
    assert (report.inserted, report.updated, report.status) == (1, 5, "success")
    stored = rows("SELECT id, external_id, company_name, tags, crm_note FROM gazelle.clients ORDER BY external_id")
    assert stored[:5] == [
        {
            "id": n * 7,
            "external_id": f"cli_{n:04}",
            "company_name": f"Client {n}",
            "tags": [],
            "crm_note": "theirs",
        }
        for n in range(5)
    ]
    assert stored[5]["crm_note"] is None
    assert load(range(6)).unchanged == 6


def test_it_has_the_columns_constraints_and_indexes_of_a_new_table(old_service, empty_engine, rows):
    warehouse.migrate(empty_engine)
    new = types(rows)
    rows("DROP SCHEMA gazelle CASCADE")
    old_service()
    warehouse.migrate(empty_engine)
    taken_over = types(rows)
    # Its own number stays what it was.
    assert taken_over.pop("id") == ("integer", False)
    assert taken_over.pop("crm_note") == ("text", True)
    # A row of the old service need not have an id of Gazelle's; here all have.
    assert {**taken_over, "id": ("bigint", False)} == new
    assert warehouse.migrate(empty_engine) == []


def test_a_table_that_is_made_after_one_was_taken_over_has_no_default_of_the_old_one(old_service, empty_engine, rows):
    old_service()
    warehouse.migrate(empty_engine)
    rows("DROP SCHEMA gazelle CASCADE")
    warehouse.migrate(empty_engine)
    defaults = rows(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'gazelle' "
        "AND column_name = 'synced_at' AND column_default IS NOT NULL"
    )
    assert defaults == []


def test_timestamps_without_a_zone_are_taken_as_utc(old_service, empty_engine, rows, load):
    old_service()
    [database] = rows("SELECT current_database() AS name")
    rows(f"ALTER DATABASE {database['name']} SET timezone = 'Asia/Tokyo'")
    try:
        warehouse.migrate(empty_engine)
    finally:
        rows(f"ALTER DATABASE {database['name']} RESET timezone")
    assert types(rows)["created_at"][0] == "timestamp with time zone"
    assert {row["created_at"] for row in rows("SELECT created_at FROM gazelle.clients")} == {CREATED}
    given = clients(range(5), created_at=CREATED)
    source = Canned(TABLES["clients"], given)
    warehouse.load(empty_engine, source, run_id="test")
    assert {row["created_at"] for row in rows("SELECT created_at FROM gazelle.clients")} == {CREATED}


DEPENDING = {
    "a view": "CREATE VIEW gazelle.ages AS SELECT external_id, created_at FROM gazelle.clients",
    "a materialized view": "CREATE MATERIALIZED VIEW gazelle.ages AS SELECT created_at FROM gazelle.clients",
    "a policy": "CREATE POLICY ages ON gazelle.clients USING (created_at < now())",
    "a generated column": "ALTER TABLE gazelle.clients ADD year integer "
    "GENERATED ALWAYS AS (extract(year FROM created_at)) STORED",
    "an index on an expression": "CREATE INDEX ages ON gazelle.clients (date(created_at))",
    "a trigger": "CREATE FUNCTION public.aging() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
    "CREATE TRIGGER ages BEFORE UPDATE OF created_at ON gazelle.clients FOR EACH ROW EXECUTE FUNCTION public.aging()",
}


@pytest.mark.parametrize("depending", DEPENDING.values(), ids=DEPENDING)
def test_what_people_made_of_a_column_survives_and_the_sync_works_on(
    old_service, empty_engine, load, rows, depending, caplog
):
    old_service(depending)
    try:
        warehouse.migrate(empty_engine)
        assert "left as it is, without a time zone for clients.created_at" in caplog.text
        assert types(rows)["created_at"][0] == "timestamp without time zone"
        changed = datetime(2020, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
        source = Canned(TABLES["clients"], clients(range(6), created_at=changed))
        assert warehouse.load(empty_engine, source, run_id="test").updated == 5
        assert warehouse.load(empty_engine, source, run_id="test").unchanged == 6
        assert {row["created_at"] for row in rows("SELECT created_at FROM gazelle.clients")} == {
            datetime(2020, 2, 3, 4, 5, 6)
        }
        if "VIEW" in depending and "MATERIALIZED" not in depending:
            assert len(rows("SELECT * FROM gazelle.ages WHERE created_at = '2020-02-03 04:05:06'")) == 6
        assert warehouse.migrate(empty_engine) == []
    finally:
        rows("DROP FUNCTION IF EXISTS public.aging() CASCADE")


def test_rows_without_an_id_of_gazelle_stay_as_they_are(old_service, empty_engine, load, rows):
    old_service("INSERT INTO gazelle.clients (id, company_name, crm_note) VALUES (90, 'Ours', 'a'), (91, 'Ours', 'b')")
    warehouse.migrate(empty_engine)
    before = rows("SELECT * FROM gazelle.clients WHERE external_id IS NULL ORDER BY id")
    assert [row["id"] for row in before] == [90, 91]
    report = load(range(4))
    assert (report.updated, report.deleted, report.status) == (4, 1, "success")
    assert rows("SELECT * FROM gazelle.clients WHERE external_id IS NULL ORDER BY id") == before


def test_a_table_with_lengths_in_its_types_is_taken_over(old_service, empty_engine, load, rows):
    old_service(
        table=OLD.replace("external_id text", "external_id varchar(64)")
        .replace("status text", "status varchar(20)")
        .replace("email text", "email character varying")
        .replace("city text", "city char(8)")
        .replace("text[]", "varchar[]")
    )
    warehouse.migrate(empty_engine)
    source = Canned(TABLES["clients"], clients(range(6), status="ACTIVE", city="Montréal", tags=["x,y", "é"]))
    report = warehouse.load(empty_engine, source, run_id="test")
    assert (report.updated, report.inserted) == (5, 1)
    assert warehouse.load(empty_engine, source, run_id="test").unchanged == 6
    assert types(rows)["external_id"][0] == "character varying"
    pianos = [{"external_id": "ins_1", "client_external_id": "cli_0007", "tags": []}]
    warehouse.load(empty_engine, Canned(TABLES["pianos"], pianos), run_id="test")
    assert rows("SELECT external_id FROM gazelle.clients WHERE synced_at IS NULL") == [{"external_id": "cli_0007"}]


def test_an_id_that_is_unique_by_an_index_is_taken_over(old_service, empty_engine, load, rows):
    unique = "CREATE UNIQUE INDEX their_name ON gazelle.clients (external_id)"
    old_service(unique, OLD.replace("text UNIQUE", "text"))
    assert "constraint clients_external_id_key" not in warehouse.migrate(empty_engine)
    assert load(range(6)).inserted == 1
    assert rows("SELECT indexname FROM pg_indexes WHERE indexname = 'their_name'") != []
    assert warehouse.migrate(empty_engine) == []


def test_an_id_that_was_not_unique_is_made_so_before_anything_refers_to_it(old_service, empty_engine, load, rows):
    old_service("", OLD.replace("text UNIQUE", "text"))
    assert "constraint clients_external_id_key" in warehouse.migrate(empty_engine)
    assert load(range(6)).inserted == 1
    assert warehouse.migrate(empty_engine) == []


def test_null_tags_and_names_are_filled_so_that_they_can_not_be_null_again(old_service, empty_engine, rows):
    old_service()
    warehouse.migrate(empty_engine)
    assert rows("SELECT tags FROM gazelle.clients WHERE id = 21") == [{"tags": []}]
    assert rows("SELECT company_name FROM gazelle.clients WHERE id = 14") == [{"company_name": "cli_0002"}]
    rows("INSERT INTO gazelle.clients (external_id, company_name) VALUES ('cli_9', 'x')")
    assert rows("SELECT tags FROM gazelle.clients WHERE external_id = 'cli_9'") == [{"tags": []}]


def test_what_the_old_service_had_and_gazelle_has_not_is_marked_as_gone(old_service, empty_engine, load, rows):
    old_service()
    warehouse.migrate(empty_engine)
    report = load(range(3))
    assert (report.updated, report.deleted) == (3, 2)
    assert rows("SELECT change FROM gazelle.row_changes") == []


def test_a_whole_account_fits_into_a_database_that_was_taken_over(old_service, empty_engine, client, sandbox, rows):
    old_service("CREATE VIEW gazelle.ages AS SELECT external_id, created_at FROM gazelle.clients")
    warehouse.migrate(empty_engine)
    for table in reversed(TABLES.values()):
        report = warehouse.load(empty_engine, Snapshot(client, table, ALL), run_id="test", allow_mass_delete=True)
        assert report.status == "success", report.warnings
    assert rows("SELECT count(*) AS n FROM gazelle.clients WHERE deleted_at IS NULL AND synced_at IS NOT NULL") == [
        {"n": 150}
    ]
    assert rows("SELECT count(*) AS n FROM gazelle.ages") == [{"n": 155}]


def test_a_time_without_a_zone_that_stays_so_is_no_change_of_what_else_changes(old_service, empty_engine, rows, caplog):
    old_service("CREATE VIEW gazelle.ages AS SELECT external_id, created_at FROM gazelle.clients")
    warehouse.migrate(empty_engine)
    assert "rule _RETURN on view gazelle.ages depends on column" in caplog.text
    caplog.clear()
    for number, status in enumerate(("ACTIVE", "INACTIVE")):
        given = clients(range(5), created_at=CREATED, status=status)
        warehouse.load(empty_engine, Canned(TABLES["clients"], given), run_id=str(number), allow_mass_delete=True)
        warehouse.migrate(empty_engine)
    changed = rows("SELECT DISTINCT changed FROM gazelle.row_changes WHERE run_id = '1'")
    assert changed == [{"changed": {"status": ["ACTIVE", "INACTIVE"]}}]
    # It was said once.
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


# Column of contacts → the type that it was made with, what Gazelle has in it, and what such a column makes of that.
KEPT_AS = {
    "numeric(10,2)": ("latitude", 45.50884, Decimal("45.51")),
    "double precision": ("latitude", 45.50884, 45.50884),
    "integer": ("latitude", 45.5, 46),
    "timestamp": (
        "created_at",
        CREATED.replace(microsecond=250_000),
        CREATED.replace(microsecond=250_000, tzinfo=None),
    ),
    "timestamp(0)": ("created_at", CREATED.replace(microsecond=250_000), CREATED.replace(tzinfo=None)),
    "timestamptz(0)": ("created_at", CREATED.replace(microsecond=750_000), CREATED.replace(second=1)),
    "date": ("created_at", CREATED, CREATED.date()),
    "varchar(30)": ("email", "a@b.example", "a@b.example"),
    "char(30)": ("email", "a@b.example", "a@b.example".ljust(30)),
    'text collate "C"': ("email", "a@b.example", "a@b.example"),
}


@pytest.mark.parametrize("type_", KEPT_AS)
def test_what_a_column_makes_of_a_value_is_no_change_and_is_said_once(empty_engine, rows, type_, caplog):
    column, given, kept = KEPT_AS[type_]
    few = {name: TABLES[name] for name in ("users", "clients", "contacts")}
    rows(f"""
        CREATE SCHEMA gazelle;
        CREATE TABLE gazelle.contacts (id serial PRIMARY KEY, external_id text UNIQUE, {column} {type_}, title text);
        CREATE VIEW gazelle.theirs AS SELECT external_id, {column} FROM gazelle.contacts;
        """)
    warehouse.migrate(empty_engine, few)
    caplog.clear()
    for night, title in enumerate(("M.", "M.", "Dr", "Dr")):
        person = {"external_id": "con_1", "title": title, column: given}
        report = warehouse.load(empty_engine, Canned(TABLES["contacts"], [person]), run_id=str(night))
        warehouse.migrate(empty_engine, few)
        did = (report.inserted, report.updated, report.unchanged)
        assert did == ((1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1))[night]
        assert report.warnings == []
    assert rows(f"SELECT {column} AS kept FROM gazelle.theirs") == [{"kept": kept}]
    assert rows("SELECT run_id, changed FROM gazelle.row_changes") == [
        {"run_id": "2", "changed": {"title": ["M.", "Dr"]}}
    ]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


def test_grants_policies_and_views_on_the_old_table_stay_as_they_are(old_service, empty_engine, load, rows):
    named = "gazelle_test_reader"
    rows(f"CREATE ROLE {named}")
    theirs = """
        SELECT (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(relacl) AS acl) AS granted, relrowsecurity,
               (SELECT array_agg(polname::text) FROM pg_policy WHERE polrelid = pg_class.oid) AS policies
        FROM pg_class WHERE oid IN ('gazelle.clients'::regclass, 'gazelle.theirs'::regclass) ORDER BY relname
    """
    try:
        old_service(
            f"GRANT SELECT, UPDATE (crm_note) ON gazelle.clients TO {named}; "
            f"CREATE POLICY mine ON gazelle.clients TO {named} USING (true); "
            f"CREATE VIEW gazelle.theirs AS SELECT id, crm_note FROM gazelle.clients; "
            f"GRANT SELECT ON gazelle.theirs TO {named}"
        )
        before = rows(theirs)
        warehouse.migrate(empty_engine)
        load(range(5))
        assert rows(theirs) == before
        assert rows("SELECT count(*) AS n FROM gazelle.theirs WHERE crm_note = 'theirs'") == [{"n": 5}]
    finally:
        rows(f"DROP OWNED BY {named}; DROP ROLE {named}")


def test_while_the_old_script_runs_on_each_night_brings_back_what_gazelle_has(old_service, empty_engine, rows):
    old_service()
    warehouse.migrate(empty_engine)
    source = Canned(TABLES["clients"], clients(range(5), updated_at=CREATED))
    for night in range(2):
        warehouse.load(empty_engine, source, run_id=str(night), allow_mass_delete=True)
        # It is Gazelle's from then on, and no longer when a row was written.
        assert rows("SELECT DISTINCT updated_at, crm_note FROM gazelle.clients") == [
            {"updated_at": CREATED, "crm_note": "theirs"}
        ]
        # As the old script upserts.
        rows(
            "INSERT INTO gazelle.clients (external_id, company_name, tags, updated_at) VALUES ('cli_0001', 'Client 1', "
            "'{}', now()) ON CONFLICT (external_id) DO UPDATE SET updated_at = excluded.updated_at"
        )
    assert rows("SELECT count(*) AS n FROM gazelle.clients") == [{"n": 5}]
    report = warehouse.load(empty_engine, source, run_id="last")
    assert (report.inserted, report.updated, report.unchanged) == (0, 1, 4)


def test_no_check_calls_somebody_s_own_row_broken(old_service, empty_engine, load):
    old_service("INSERT INTO gazelle.clients (id, company_name) VALUES (90, 'Ours'), (91, 'Ours')")
    warehouse.migrate(empty_engine)
    load(range(5))
    results = warehouse.run_checks(empty_engine, list(warehouse.row_checks(TABLES["clients"], ALL.zone)))
    assert {name: result.examples for name, result in results.items() if result.broken} == {}
    assert warehouse.count_rows_in_scope(empty_engine, TABLES["clients"], ALL) == 5


def test_who_is_not_the_owner_of_what_has_to_be_altered_is_told_with_the_statement(old_service, empty_engine, rows):
    old_service()
    rows(
        "CREATE ROLE gazelle_test_sync; GRANT USAGE, CREATE ON SCHEMA gazelle TO gazelle_test_sync; "
        "GRANT ALL ON ALL TABLES IN SCHEMA gazelle TO gazelle_test_sync"
    )
    [me] = rows("SELECT current_user AS name")
    url = empty_engine.url.update_query_dict({"options": "-c role=gazelle_test_sync"})
    sync = warehouse.connect(url.render_as_string(hide_password=False))
    try:
        with pytest.raises(WarehouseError) as red:
            warehouse.check_privileges(sync)
        statement = "ALTER TABLE gazelle.clients OWNER TO gazelle_test_sync;"
        assert str(red.value).endswith(statement)
        rows(statement)
        # What is green, a sync can do.
        assert warehouse.check_privileges(sync) == "role gazelle_test_sync"
        warehouse.migrate(sync)
        assert warehouse.check_privileges(sync) == "role gazelle_test_sync"
    finally:
        rows(
            f'REASSIGN OWNED BY gazelle_test_sync TO "{me["name"]}"; DROP OWNED BY gazelle_test_sync; '
            "DROP ROLE gazelle_test_sync"
        )


def test_a_schema_for_dagster_s_records_that_can_not_be_made_is_told_with_its_variable(empty_engine, rows):
    rows("CREATE ROLE gazelle_test_records LOGIN PASSWORD 'geheim'")
    url = empty_engine.url.set(username="gazelle_test_records", password="geheim")
    text = url.render_as_string(hide_password=False)
    try:
        for work in (
            lambda: warehouse.make_schema(text, "dagster_test", variable="DAGSTER_POSTGRES_URL"),
            lambda: warehouse.check_schema_rights(
                warehouse.connect(text), "dagster_test", variable="DAGSTER_POSTGRES_URL"
            ),
        ):
            with pytest.raises(WarehouseError) as red:
                work()
            assert "of DAGSTER_POSTGRES_URL may not make tables in the schema dagster_test" in str(red.value)
            [statement] = re.findall("CREATE SCHEMA .*;", str(red.value))
        rows(statement)
        warehouse.check_schema_rights(warehouse.connect(text), "dagster_test", variable="DAGSTER_POSTGRES_URL")
        warehouse.make_schema(text, "dagster_test", variable="DAGSTER_POSTGRES_URL")
    finally:
        rows("DROP OWNED BY gazelle_test_records CASCADE; DROP ROLE gazelle_test_records")


def test_a_database_that_can_not_hold_every_text_is_red(empty_engine, rows):
    with borrow(empty_engine) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("CREATE DATABASE gazelle_test_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        other = empty_engine.url.set(database="gazelle_test_latin").render_as_string(hide_password=False)
        with pytest.raises(WarehouseError, match=r"encoded in LATIN1, .* ENCODING 'UTF8' TEMPLATE template0;"):
            warehouse.check_server(warehouse.connect(other))
    finally:
        with borrow(empty_engine) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("DROP DATABASE gazelle_test_latin WITH (FORCE)")
