"""What the documents say of the project is so: the tests they name, the files they send people to."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Engine

from gazelle_sync.cli.catalogue import render
from gazelle_sync.environment.settings import ROOT
from gazelle_sync.tables import TABLES, Table
from gazelle_sync.warehouse import VIEWS
from gazelle_sync_tests.conftest import query_rows
from gazelle_sync_tests.tables.test_declarations import CONTRACT

TESTS = ROOT / "gazelle_sync_tests"
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text()
CHANGES = dict(re.findall(r"^\| (?!---|what is to)(.*?) \| (.*?) \|", (ROOT / "docs/changing.md").read_text(), re.M))


def test_every_test_that_a_promise_names_exists() -> None:
    named = re.findall(r"\| `([\w/]+\.py)` `(test_\w+)` \|", RELIABILITY)
    assert len(named) > 60
    assert [(file, name) for file, name in named if f"def {name}(" not in (TESTS / file).read_text()] == []


def test_every_row_of_a_promise_names_a_test_and_a_result() -> None:
    rows = re.findall(r"^\| (?!---|promise|what they saw)(.*) \|$", RELIABILITY, re.M)
    assert [row for row in rows if not re.fullmatch(r".+ \| `[\w/]+\.py` `test_\w+` \| .+", row)] == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("the phone number of contacts is wrong", r'text\("phone", "defaultPhone\.phoneNumber"'),
        ("appointments are a day late", r'local_date\("appointment_date", "start"'),
        ("a message in Slack or an e-mail should read otherwise", r"The run of \{about\} failed on(.|\n)*a échoué le"),
        ("a new kind of alert", r"class Kind\(Enum\)"),
        ("Gazelle renamed a field", r'"companyName"'),
        ("a new setting", r"class Settings:"),
        ("what the command or an error says", r"Nothing to add(.|\n)*Rien à ajouter"),
        ("when a table counts as stale", r"timedelta\(hours="),
        ("how many deletions are too many to believe", r"ROWS_TO_REFUSE = \d+"),
    ],
)
def test_the_file_to_open_first_holds_what_is_to_be_changed(change: str, what: str) -> None:
    file = re.findall(r"`(gazelle_sync/[\w/]+\.py)`", CHANGES[change])[0]
    assert re.search(what, (ROOT / file).read_text())


def test_every_change_names_a_file_or_a_room_to_open_first() -> None:
    assert len(CHANGES) > 12
    rooms = {change: re.findall(r"`(gazelle_sync/[\w/]*(?:\.py)?)`", first) for change, first in CHANGES.items()}
    assert [change for change, named in rooms.items() if not named or not (ROOT / named[0]).exists()] == []


# -- the tables -------------------------------------------------------------------------------------------------------


PAGE = (ROOT / "docs" / "tables.md").read_text()
# A table that somebody has just added stands there after `make docs`; until then it fails nothing.
ON_THE_PAGE = {name: table for name, table in TABLES.items() if name in CONTRACT or f"\n## {name}\n" in PAGE}


def test_the_page_of_the_tables_is_as_the_declarations_are() -> None:
    assert render(ON_THE_PAGE) == PAGE, "run: make docs"


@pytest.mark.parametrize("table", ON_THE_PAGE.values(), ids=ON_THE_PAGE)
def test_the_page_has_every_column_of_a_table_with_what_it_is(table: Table) -> None:
    (section,) = re.findall(rf"^## {table.name}\n(.*?)(?=^##? |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert table.comment in section
    for column in table.all_columns:
        assert re.search(rf"^\| `{column.name}` \| [a-z\[\]]+ \| `.+` \| {re.escape(column.comment)}", section, re.M)


def test_the_query_that_is_shown_of_each_table_and_view_runs_and_is_of_that_one(engine: Engine) -> None:
    queries = dict(re.findall(r"^## (\w+)\n(?:(?!^## ).)*?```sql\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
    assert queries.keys() == {name for name, table in ON_THE_PAGE.items() if table.example} | {*VIEWS}
    assert CONTRACT.keys() <= queries.keys()
    for name, query in queries.items():
        assert re.search(rf"FROM gazelle\.{name}\b", query)
        query_rows(engine, query.replace("%", "%%"))
