"""Views come and go with the version, and never over what people made."""

from __future__ import annotations

import dataclasses
import logging
from zoneinfo import ZoneInfo

import pytest

from gazelle_sync import warehouse
from gazelle_sync.warehouse import VIEWS
from gazelle_sync.warehouse import view_migrations as module
from gazelle_sync.warehouse.views.declaration import made
from gazelle_sync_tests.conftest import TORONTO

PARIS = ZoneInfo("Europe/Paris")
AGENDA = VIEWS["agenda"]
# Fewer columns, of other types: it can't be replaced in place.
OTHER = dataclasses.replace(
    AGENDA, query="SELECT external_id::varchar AS appointment_external_id FROM gazelle.appointments",
    columns=(made("appointment_external_id", "character varying", "Its id."),),
)  # fmt: skip
# One column more.
LONGER = dataclasses.replace(
    AGENDA, query=AGENDA.query.replace("visited.piano_count\n", "visited.piano_count, 1 AS one\n"),
    columns=(*AGENDA.columns, made("one", "integer", "One.")),
)  # fmt: skip


class Changed:
    """A transaction in which views are brought to a version, and people do what they do; taken back at the end."""

    def __init__(self, connection):
        self.connection = connection

    def replace(self, view, zone=TORONTO):
        """What was done, in words."""
        return module.replace_views(self.connection, zone, {view.name: view})

    def run(self, statements):
        self.connection.exec_driver_sql(statements.replace("%", "%%"))

    def rows(self, query):
        return [dict(row) for row in self.connection.exec_driver_sql(query).mappings()]


@pytest.fixture
def changed(engine):
    with engine.connect() as connection:
        yield Changed(connection)
        connection.rollback()


@pytest.fixture
def replace(changed):
    return changed.replace


@pytest.fixture
def run(changed):
    return changed.run


@pytest.fixture
def rows(changed):
    return changed.rows


def columns(rows):
    found = rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'gazelle.agenda'::regclass AND attnum > 0 ORDER BY attnum"
    )
    return [row["attname"] for row in found]


def test_a_view_is_replaced_when_a_version_changes_it_and_only_then(replace, rows):
    assert replace(AGENDA) == []
    assert replace(LONGER) == ["view agenda"]
    assert columns(rows)[-1] == "one"
    assert replace(LONGER) == []


def test_one_that_lost_columns_is_made_anew_with_the_grants_that_it_had(replace, rows, run):
    run(
        "CREATE ROLE gazelle_test_a; CREATE ROLE gazelle_test_b; GRANT SELECT ON gazelle.agenda TO gazelle_test_a; "
        "GRANT SELECT (appointment_external_id) ON gazelle.agenda TO gazelle_test_b WITH GRANT OPTION"
    )
    assert replace(OTHER) == ["view agenda"]
    assert columns(rows) == ["appointment_external_id"]
    assert rows(
        "SELECT has_table_privilege('gazelle_test_a', 'gazelle.agenda', 'SELECT') AS whole, "
        "has_column_privilege('gazelle_test_b', 'gazelle.agenda', 'appointment_external_id', "
        "'SELECT WITH GRANT OPTION') AS part"
    ) == [{"whole": True, "part": True}]


THEIRS = {
    "a view": "DROP VIEW gazelle.agenda; CREATE VIEW gazelle.agenda AS SELECT 1 AS theirs",
    "a table": "DROP VIEW gazelle.agenda; CREATE TABLE gazelle.agenda (theirs integer)",
    "a materialized view": "DROP VIEW gazelle.agenda; CREATE MATERIALIZED VIEW gazelle.agenda AS SELECT 1 AS theirs",
    "ours, altered": "ALTER VIEW gazelle.agenda RENAME TO old; CREATE VIEW gazelle.agenda AS SELECT *, 1 AS theirs "
    "FROM gazelle.old; DO $$ BEGIN EXECUTE format('COMMENT ON VIEW gazelle.agenda IS %L', "
    "obj_description('gazelle.old'::regclass)); END $$",
}


@pytest.mark.parametrize("made_by_people", THEIRS.values(), ids=THEIRS)
def test_what_people_made_or_altered_is_left_to_them_and_that_is_said(replace, rows, run, caplog, made_by_people):
    run(made_by_people)
    with caplog.at_level(logging.WARNING):
        assert replace(LONGER) == []
    assert "theirs" in columns(rows)
    assert "gazelle.agenda is not of this version, and was made or altered by somebody" in caplog.text


def test_a_view_that_people_s_views_are_made_of_stays_as_it_is(replace, rows, run, caplog):
    run("CREATE VIEW gazelle.theirs AS SELECT client, pianos FROM gazelle.agenda")
    assert replace(LONGER) == ["view agenda"]
    with caplog.at_level(logging.WARNING):
        assert replace(OTHER) == []
    assert columns(rows)[-1] == "one"
    assert "left out: the view gazelle.agenda" in caplog.text


LACKING = {
    "a column of another type": "ALTER TABLE gazelle.appointments ALTER duration_minutes TYPE text",
    "a time without a zone": "ALTER TABLE gazelle.appointments ALTER starts_at TYPE timestamp",
    "no such column": "ALTER TABLE gazelle.pianos DROP location",
    "no such table": "DROP TABLE gazelle.appointment_pianos",
}


@pytest.mark.parametrize("lacking", LACKING.values(), ids=LACKING)
def test_a_view_is_left_out_where_the_tables_are_not_as_declared_and_that_is_said(replace, rows, run, caplog, lacking):
    """One on a column of a wrong type would stand in the way of the statement that mends it."""
    run("".join(f"DROP VIEW gazelle.{name};" for name in VIEWS) + lacking)
    with caplog.at_level(logging.WARNING):
        assert replace(AGENDA) == []
    assert "left out: the view gazelle.agenda" in caplog.text
    assert rows("SELECT to_regclass('gazelle.agenda') AS there") == [{"there": None}]


def test_dates_follow_the_zone_and_without_one_views_stay_as_they_are(changed, replace, rows):
    def definition():
        return rows("SELECT pg_get_viewdef('gazelle.pianos_due'::regclass) AS text")[0]["text"]

    before, due = definition(), VIEWS["pianos_due"]
    assert replace(due, None) == []
    assert definition() == before
    assert module.list_lacking_views(changed.connection, PARIS, {"pianos_due": due}) == ["view pianos_due"]
    assert replace(due, PARIS) == ["view pianos_due"]
    assert "Europe/Paris" in definition()


def test_what_a_sync_would_make_is_told_before(engine, changed, run):
    assert warehouse.list_missing(engine) == []
    run("DROP VIEW gazelle.agenda")
    assert module.list_lacking_views(changed.connection, TORONTO) == ["view agenda"]
    assert module.list_lacking_views(changed.connection, None) == []
