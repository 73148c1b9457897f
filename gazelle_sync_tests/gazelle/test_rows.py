"""Any JSON value in any field gives a row that PostgreSQL takes and gives back equal, or a reject; no exception."""

from __future__ import annotations

import copy
import math
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2 import sql
from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.gazelle.rows import Reject, Row, RowReader
from gazelle_sync.tables import TABLES, Table, Type
from gazelle_sync.tables.declaration import Nested
from gazelle_sync.warehouse.connection import transaction
from gazelle_sync.warehouse.rejects import to_jsonb
from gazelle_sync.warehouse.spool import Spool
from gazelle_sync_tests.conftest import TORONTO

Node = dict[str, Any]

SOUND: dict[Type, Any] = {
    Type.TEXT: "text",
    Type.TEXT_ARRAY: ["a", "b"],
    Type.INTEGER: 7,
    Type.NUMERIC: "45.5",
    Type.BOOLEAN: True,
    Type.DATE: "2024-02-29",
    Type.TIMESTAMP: "2024-03-01T03:30:00Z",
    Type.LOCAL_DATE: "2024-03-01T03:30:00Z",
    Type.LOCAL_TIME: "2024-03-01T03:30:00Z",
    # Both may be read of one field.
    Type.JSON: {"en_US": "text", "fr_CA": None},
    Type.TRANSLATED: {"en_US": "text", "fr_CA": None},
}


def put(node: Any, path: str, value: object) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node[name] = value


def sound(table: Table) -> Node:
    """A node with a good value in every field."""
    node: Node = {}
    for column in table.all_columns:
        for path in column.paths:
            put(node, path, copy.copy(SOUND[column.type]))
    return node


def converted(table: Table, node: object, zone: ZoneInfo = TORONTO) -> tuple[Row | None, list[Reject]]:
    """The row and the rejects; the same whether the node is converted alone or in a page of sound ones."""
    reader, pages = RowReader(table, zone), RowReader(table, zone)
    row = reader.row(node)
    page = [row for row in (reader.row(sound(table)), row, reader.row(sound(table))) if row is not None]
    assert list(zip(*pages.columns([sound(table), node, sound(table)]), strict=True)) == [tuple(row) for row in page]
    assert pages.rejects == reader.rejects
    return row, reader.rejects


def row_of(table: str, **fields: object) -> tuple[dict[str, Any] | None, str]:
    """The row of a sound node but for these fields (`__` for a dot), and the reason of its reject."""
    node = sound(TABLES[table])
    for name, value in fields.items():
        put(node, name.replace("__", "."), value)
    row, rejects = converted(TABLES[table], node)
    names = [column.name for column in TABLES[table].all_columns]
    return dict(zip(names, row, strict=True)) if row else None, "; ".join(reject.reason for reject in rejects)


# Any value anywhere

SPECIAL_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "a\x00b",
        "�",
        "x�",
        "\\N",
        "\\.",
        "\\",
        "\t\r\n",
        "NULL",
        "{}",
        '{"a,b"}',
        "'now'",
        "now",
        "infinity",
        "-infinity",
        "epoch",
        "NaN",
        "0000-00-00",
        "0001-01-01",
        "9999-12-31",
        "20225-01-01",
        "2024-02-30",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "2016-12-31T23:59:60Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T10:00:00",
        "2024-01-01T10:00:00.1234567Z",
        "2024-01-01T10:00:00+23:59",
        "2024-01-01T10:00:00-24:00",
        "1e5",
        "1e99",
        "1e999",
        "+5",
        "٣",
        "0x10",
        "1_0",
        "45.5",
        "\u202eright to left",
        "é",
        "𝄞",
        "\ufeff",
        "\u2028",
        "\x7f\x80\x1b",
        "9" * 600,
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**31 - 1, -(2**31), -(2**31) - 1, 2**63, 10**400, -(10**4000), 0])
    | st.floats()
    | st.sampled_from([1e308, 5e-324, -0.0, math.nan, math.inf, 1e22, 12.0])
    | SPECIAL_TEXTS
    | st.text(st.characters(), max_size=12)  # with NUL and lone surrogates
    | st.datetimes().map(lambda at: at.isoformat() + "Z")
    | st.dates().map(str)
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoilt(draw: st.DrawFn, table: Table) -> Any:
    """A node of the table with any JSON value at some of its paths, or on the way to them, or nothing there."""
    node: Any = sound(table)
    paths = sorted({path for column in table.all_columns for path in column.paths})
    for path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=4, unique=True)):
        names = path.split(".")
        depth = draw(st.integers(1, len(names)))
        parent = node
        for name in names[: depth - 1]:
            parent = parent[name] if isinstance(parent, dict) and name in parent else None
        if not isinstance(parent, dict):
            continue
        if draw(st.integers(0, 9)) == 0:
            parent.pop(names[depth - 1], None)
        else:
            parent[names[depth - 1]] = draw(JSON_VALUES)
    return node


def check(table: Table, node: Any) -> Row | None:
    """That there is a row or a reject, and that what is said is true."""
    row, rejects = converted(table, node)
    assert row is not None or rejects
    assert len(rejects) <= 1
    for reject in rejects:
        assert reject.reason
        assert reject.payload is node
        assert to_jsonb(reject.payload)
    if row is not None:
        assert len(row) == len(table.all_columns)
        empty = [column.name for column, value in zip(table.all_columns, row, strict=True) if value is None]
        assert [name for name in empty if not table.column(name).nullable] == []
    return row


@pytest.mark.parametrize("name", TABLES)
def test_a_sound_node_is_a_row_without_a_reject(name: str):
    row, rejects = converted(TABLES[name], sound(TABLES[name]))
    assert rejects == []
    assert row is not None
    assert None not in row


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_in_any_field_gives_a_row_or_a_reject(name: str, data: st.DataObject):
    check(TABLES[name], data.draw(spoilt(TABLES[name])))


@settings(max_examples=100, deadline=None)
@given(node=JSON_VALUES)
def test_any_value_in_the_place_of_a_node_gives_a_reject(node: Any):
    for table in TABLES.values():
        assert check(table, node) is None


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "America/Toronto", "Asia/Kathmandu"])
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"])
def test_the_ends_of_the_calendar_give_a_row_or_a_reject_in_every_zone(zone: str, at: str):
    table = TABLES["appointments"]
    node = sound(table)
    node["start"] = at
    row, rejects = converted(table, node, ZoneInfo(zone))
    assert row is not None
    starts, day = (
        row[[column.name for column in table.all_columns].index(name)] for name in ("starts_at", "appointment_date")
    )
    assert (starts is None or day is None) == bool(rejects)


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_postgresql_takes_every_row_and_gives_it_back_equal(engine: Engine, name: str, data: st.DataObject):
    table = TABLES[name]
    nodes = data.draw(st.lists(spoilt(table), min_size=20, max_size=40))
    rows = [row for node in nodes if (row := check(table, node)) is not None]
    assert comparable(table, stored(engine, table, rows)) == comparable(table, rows)


def comparable(table: Table, rows: list[Row]) -> list[Row]:
    """With numbers in JSON as what they are: jsonb writes 1e22 out, and Python then takes it for a whole number."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return Decimal(repr(value)) if isinstance(value, float) else value

    is_json = [column.type is Type.JSON for column in table.all_columns]
    return [[plain(value) if json else value for value, json in zip(row, is_json, strict=True)] for row in rows]


@pytest.fixture(scope="module")
def engine(database_url: str) -> Engine:
    """Without the schema: rows are copied into a temporary table."""
    return warehouse.connect(database_url)


def stored(engine: Engine, table: Table, rows: list[Row]) -> list[Row]:
    """The rows after their way through the spool, COPY and PostgreSQL."""
    columns = [column.name for column in table.all_columns]
    definitions = ", ".join(f'"{column.name}" {column.type.sql}' for column in table.all_columns)
    with transaction(engine) as cursor, Spool(table) as spool:
        spool.add(pandas.DataFrame(rows, columns=columns, dtype=object))
        cursor.execute(f"CREATE TEMP TABLE back ({definitions}) ON COMMIT DROP")
        cursor.copy_expert("COPY back FROM STDIN (ENCODING 'UTF8')", spool.rewind())
        cursor.execute(sql.SQL("SELECT * FROM back ORDER BY ctid"))
        return [list(row) for row in cursor.fetchall()]


def test_awkward_texts_come_back_as_they_were(engine: Engine):
    awkward = [
        "\\N",
        "\\.",
        "a\tb",
        "a\r\nb",
        "\\",
        "\\\\N",
        "",
        " ",
        '"',
        "'",
        "{}",
        "NULL",
        "\u202e",
        "𝄞",
        "x" * 200_000,
    ]
    tags = [["a,b", 'q"q', "{x}", "back\\slash", "NULL", "null", "", " ", "\t", "\n"], [], ["é"]]
    rows: list[Row] = []
    for number, text in enumerate(awkward):
        row, reason = row_of("pianos", notes=text, tags=tags[number % 3])
        assert row is not None
        assert reason == ""
        rows.append(list(row.values()))
    assert stored(engine, TABLES["pianos"], rows) == rows


# One value at a time

NOT_A_MOMENT = ": text, where a timestamp (ISO 8601 with a zone) is due"
NO_SUCH_MOMENT = ": a timestamp that is not in the calendar"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("0000-00-00", NOT_A_MOMENT),
        ("0000-00-00T00:00:00Z", NO_SUCH_MOMENT),
        ("20225-01-01T00:00:00Z", NOT_A_MOMENT),
        ("now", NOT_A_MOMENT),
        ("infinity", NOT_A_MOMENT),
        ("", NOT_A_MOMENT),
        ("01/02/2024", NOT_A_MOMENT),
        ("2024-01-01", NOT_A_MOMENT),
        ("2024-01-01T10:00:00", NOT_A_MOMENT),
        ("2024-01-01 10:00:00", NOT_A_MOMENT),
        ("2024-01-01T10:00:00Z\n", NOT_A_MOMENT),
        ("2024-02-30T10:00:00Z", NO_SUCH_MOMENT),
        ("2024-01-01T25:00:00Z", NO_SUCH_MOMENT),
        ("2016-12-31T23:59:60Z", NO_SUCH_MOMENT),
        ("2024-01-01T10:00:00+24:00", NO_SUCH_MOMENT),
        ("0001-01-01T00:00:00+01:00", NO_SUCH_MOMENT),
        (1704103200, ": a number, where a timestamp (ISO 8601 with a zone) is due"),
        (True, ": true or false, where a timestamp (ISO 8601 with a zone) is due"),
        ([], ": a list, where a timestamp (ISO 8601 with a zone) is due"),
        ({}, ": an object, where a timestamp (ISO 8601 with a zone) is due"),
    ],
)
def test_a_bad_moment_is_blank_in_its_own_column_only_and_said(value: object, reason: str):
    row, said = row_of("pianos", updatedAt=value)
    assert said == f"updated_at{reason}"
    assert row is not None
    assert [name for name, found in row.items() if found is None] == ["updated_at"]
    # Where a moment is needed, the record is set aside whole.
    row, said = row_of("timeline_entries", occurredAt=value)
    assert (row, said) == (None, f"occurred_at{reason}")


@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("2024-01-01T10:00:00Z", (2024, 1, 1, 10)),
        ("2024-01-01T10:00:00+00:00", (2024, 1, 1, 10)),
        ("2024-01-01T05:00:00-05:00", (2024, 1, 1, 10)),
        ("2024-01-01 05:00:00-05:00", (2024, 1, 1, 10)),
        ("2024-01-01T10:00:00.5Z", (2024, 1, 1, 10, 0, 0, 500_000)),
        ("2024-01-01T10:00:00.123456789Z", (2024, 1, 1, 10, 0, 0, 123_456)),
    ],
)
def test_a_moment_is_stored_in_utc_to_the_microsecond(value: str, utc: tuple[int, ...]):
    row, said = row_of("pianos", updatedAt=value)
    assert said == ""
    assert row is not None
    assert row["updated_at"] == datetime(*utc, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
    assert row["updated_at"].tzinfo is timezone.utc


@pytest.mark.parametrize(
    "value",
    [
        "0000-00-00",
        "20225-01-01",
        "2024-02-30",
        "2023-02-29",
        "now",
        "infinity",
        "",
        "01/02/2024",
        "2024-1-1",
        5,
        True,
        "2024-01-01T00:00:00Z",
        " 2024-01-01",
        "2024-01-01\n",
        "20240101",
        "2024-W01-1",
        "٢٠٢٤-٠١-٠١",
        [],
        {},
    ],
)
def test_a_bad_day_is_blank_and_said(value: object):
    row, said = row_of("pianos", damppChaserMfgDate=value)
    assert row is not None
    assert [name for name, found in row.items() if found is None] == ["dampp_chaser_mfg_date"]
    assert said.startswith("dampp_chaser_mfg_date: ")
    assert "date" in said


def test_a_good_day_is_that_day():
    row, said = row_of("pianos", damppChaserMfgDate="2024-02-29")
    assert row is not None
    assert (row["dampp_chaser_mfg_date"], said) == (date(2024, 2, 29), "")


@pytest.mark.parametrize(
    ("value", "stored", "reason"),
    [
        (2**31 - 1, 2**31 - 1, ""),
        (-(2**31), -(2**31), ""),
        (2**31, None, "year: a number too large for a PostgreSQL integer"),
        (-(2**31) - 1, None, "year: a number too large for a PostgreSQL integer"),
        (10**400, None, "year: a number too large for a PostgreSQL integer"),
        (True, None, "year: true or false, where a whole number is due"),
        (False, None, "year: true or false, where a whole number is due"),
        ("1912", None, "year: text, where a whole number is due"),
        (1912.5, None, "year: a number, where a whole number is due"),
        (math.nan, None, "year: a number, where a whole number is due"),
    ],
)
def test_a_whole_number_is_one_that_an_integer_holds(value: object, stored: object, reason: str):
    row, said = row_of("pianos", year=value)
    assert row is not None
    assert (row["year"], said) == (stored, reason)


@pytest.mark.parametrize(
    ("value", "stored", "is_sound"),
    [
        ("45.508900", Decimal("45.508900"), True),
        ("-73.5", Decimal("-73.5"), True),
        (45.5, Decimal("45.5"), True),
        (45, Decimal(45), True),
        ("", None, True),
        (None, None, True),
        ("abc", None, False),
        ("NaN", None, False),
        ("Infinity", None, False),
        ("1e999999", None, False),
        ("45,5", None, False),
        (math.inf, None, False),
        (math.nan, None, False),
        (True, None, False),
        ([45], None, False),
    ],
)
def test_a_coordinate_is_kept_to_the_last_digit(value: object, stored: Decimal | None, is_sound: bool):
    row, said = row_of("contacts", defaultLocation__latitude=value)
    assert row is not None
    assert row["latitude"] == stored
    assert str(row["latitude"]) == str(stored), "as many zeros as were sent"
    assert said.startswith("" if is_sound else "latitude: ")
    assert bool(said) != is_sound


@pytest.mark.parametrize("value", [0, 1, "true", "", [], {}])
def test_only_true_and_false_are_true_and_false(value: object):
    row, said = row_of("pianos", rental=value)
    assert row is not None
    assert row["rental"] is None
    assert "where true or false is due" in said


@pytest.mark.parametrize("value", ["GRAND_OF_THE_FUTURE", "", " ", "null"])
def test_an_enum_value_that_nobody_knows_yet_is_data(value: str):
    row, said = row_of("pianos", type=value)
    assert row is not None
    assert (row["type"], said) == (value, "")


def test_an_empty_text_is_not_null_and_null_is_not_an_empty_text():
    row, said = row_of("pianos", make="", model=None)
    assert row is not None
    assert (row["make"], row["model"], said) == ("", None, "")


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_postgresql_can_not_hold_in_a_text_is_replaced_and_said(text: str):
    row, said = row_of("pianos", notes=text, tags=[text, "fine"])
    assert row is not None
    assert (row["notes"], row["tags"]) == ("a\ufffdb", ["a\ufffdb", "fine"])
    problem = "a NUL or a lone surrogate, which PostgreSQL can't hold, was replaced"
    assert said == f"notes: {problem}; tags: {problem}"


@pytest.mark.parametrize("value", [None, "a", {}, 5, [None], ["a", 5], [["a"]]])
def test_tags_that_are_no_list_of_texts_set_the_record_aside(value: object):
    row, said = row_of("pianos", tags=value)
    assert row is None
    assert said.startswith("tags: ")


@pytest.mark.parametrize("name", TABLES)
def test_a_field_that_is_missing_sets_the_record_aside_whole(name: str):
    """Not asked, or not answered, is not null: storing null would blank what is stored."""
    table = TABLES[name]
    key = [table.column(column).paths[0] for column in table.key]
    for column in table.all_columns:
        for path in column.paths:
            node = sound(table)
            *parents, last = path.split(".")
            branch = node
            for parent in parents:
                branch = branch[parent]
            del branch[last]
            row, (reject,) = converted(table, node)
            assert row is None
            assert f"{column.name}: '{last}' is missing from the answer" in reject.reason
            assert (reject.key is None) == (path in key)


def test_null_on_the_way_to_a_field_is_null():
    row, said = row_of("clients", defaultContact=None, defaultClientLocalization=None, companyName="Accords")
    assert row is not None
    assert said == ""
    assert {row[name] for name in ("first_name", "email", "phone", "city", "locale")} == {None}


@pytest.mark.parametrize("value", [5, "x", [], True])
def test_another_shape_on_the_way_to_a_field_is_said(value: object):
    row, said = row_of("contacts", defaultLocation=value)
    assert row is not None
    assert (row["street1"], row["latitude"], row["first_name"]) == (None, None, "text")
    assert "street1: the answer is not of the shape that was asked for" in said


@pytest.mark.parametrize(
    ("company", "first", "last", "email", "name"),
    [
        ("École Vincent", "Ann", "Roy", "a@x", "École Vincent"),
        (None, "Ann", "Roy", "a@x", "Ann Roy"),
        ("", "Ann", "Roy", "a@x", "Ann Roy"),
        ("  \t", "Ann", "Roy", "a@x", "Ann Roy"),
        (None, " Ann ", "", "a@x", "Ann"),
        (None, None, "Roy", "a@x", "Roy"),
        (None, "", " ", "a@x", "a@x"),
        (None, None, None, "a@x", "a@x"),
        ("", None, None, "", "cli_1"),
        (None, None, None, " ", "cli_1"),
        (None, None, None, None, "cli_1"),
    ],
)
def test_a_client_is_called_by_company_then_contact_then_email_then_id(
    company: str | None, first: str | None, last: str | None, email: str | None, name: str
):
    contact = {"firstName": first, "lastName": last, "defaultEmail": {"email": email}}
    contact |= {"defaultPhone": None, "defaultLocation": None}
    row, said = row_of("clients", id="cli_1", companyName=company, defaultContact=contact)
    assert row is not None
    assert (row["company_name"], said) == (name, "")


def test_a_name_that_is_sound_is_stored_though_another_that_was_not_needed_is_not():
    contact = {"firstName": 5, "lastName": "Roy", "defaultEmail": None, "defaultPhone": None, "defaultLocation": None}
    row, said = row_of("clients", id="cli_1", companyName="École Vincent", defaultContact=contact)
    assert row is not None
    assert (row["company_name"], row["first_name"], row["last_name"]) == ("École Vincent", None, "Roy")
    assert "company_name: defaultContact.firstName: a number, where text is due" in said


def test_a_client_without_a_contact_and_a_name_is_called_by_its_id():
    row, said = row_of("clients", id="cli_1", companyName=None, defaultContact=None)
    assert row is not None
    assert (row["company_name"], said) == ("cli_1", "")


def test_the_local_day_and_time_are_the_companys():
    row, _ = row_of("appointments", start="2024-01-15T03:30:00Z")
    assert row is not None
    assert (row["appointment_date"], row["appointment_time"]) == (date(2024, 1, 14), time(22, 30))


def test_a_reason_never_shows_the_value():
    _, said = row_of("contacts", firstName=["Mélanie"], defaultEmail=["melanie@x"], createdAt="Mélanie", latitude="Rue")
    assert said
    assert "lanie" not in said


def test_a_nested_table_reads_its_parent_like_any_field():
    assert isinstance(TABLES["contacts"].read, Nested)
    row, said = row_of("contacts", client={"id": "cli_9"})
    assert row is not None
    assert (row["client_external_id"], said) == ("cli_9", "")
