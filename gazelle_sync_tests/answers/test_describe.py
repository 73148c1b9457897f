"""`gazelle-sync describe`: all that there is, in two forms, and nothing of the account."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from gazelle_sync.cli import main
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import VIEWS
from gazelle_sync.warehouse.questions import QUESTIONS


@pytest.fixture
def described(bare: pytest.MonkeyPatch) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["describe", "--json"])
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def columns(told: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {f"{each['name']}.{column['name']}": column for each in told[kind] for column in each["columns"]}


def test_every_table_and_view_is_there_with_every_column_and_its_meaning(described: dict[str, Any]) -> None:
    tables, views = columns(described, "tables"), columns(described, "views")
    for name, table in TABLES.items():
        for column in table.all_columns:
            told = tables[f"{name}.{column.name}"]
            assert (told["type"], told["meaning"]) == (column.type.sql, column.comment)
        assert {f"{name}.synced_at", f"{name}.deleted_at"} <= tables.keys()
    for name, view in VIEWS.items():
        assert [f"{name}.{column.name}" for column in view.columns] == [
            key for key in views if key.startswith(f"{name}.")
        ]
    assert all(column["meaning"] for column in (*tables.values(), *views.values()))


def test_relations_and_the_published_values_of_enumerations_are_told(described: dict[str, Any]) -> None:
    tables, views = columns(described, "tables"), columns(described, "views")
    assert {"from": "pianos.client_external_id", "to": "clients.external_id"} in described["relations"]
    assert tables["pianos.client_external_id"]["references"] == "clients.external_id"
    assert tables["clients.status"]["values"] == ["ACTIVE", "INACTIVE", "PROSPECT", "NEW"]
    # In a list inside of a list.
    assert "CREDIT_CARD" in tables["invoice_payments.type"]["values"]
    assert len(tables["timeline_entries.type"]["values"]) == 28
    assert views["agenda.status"]["values"] == ["ACTIVE", "CANCELED", "NO_SHOW", "COMPLETE"]
    assert views["unpaid_invoices.status"]["values"] == ["OPEN", "OVERDUE"]
    assert "values" not in tables["clients.city"]
    assert tables["clients.personal_notes"]["personal"] is True


def test_markdown_says_the_same_with_the_questions_and_what_is_off(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("GAZELLE_TABLES_OFF", "invoices")
    bare.setenv("GAZELLE_TIMEZONE", "Europe/Paris")
    text = CliRunner().invoke(main, ["describe"]).stdout
    for name in (*TABLES, *VIEWS):
        assert f"\n## {name}\n" in text
    for each in QUESTIONS:
        assert each.question in text
    assert "(now() AT TIME ZONE 'Europe/Paris')::date" in text
    assert "{today}" not in text
    assert text.count("Not read any more, and as it was read last: invoices.") == 4


def test_it_asks_neither_the_database_nor_gazelle(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("SUPABASE_DB_URL", "postgresql://someone:geheim@127.0.0.1:9/nowhere")
    bare.setenv("GAZELLE_API_KEY", "geheim")
    bare.setenv("GAZELLE_BASE_URL", "http://127.0.0.1:9")
    result = CliRunner().invoke(main, ["describe"])
    assert result.exit_code == 0
    assert "geheim" not in result.output
