"""`check` tries on the account what a sync will do, says what is missing and what it costs, and changes nothing."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Engine

from gazelle_sync.cli import trial
from gazelle_sync.environment.settings import ROOT
from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.conftest import query_rows

Command = Callable[..., Result]
FEW = ("users", "clients", "contacts", "timeline_entries", "estimates")


@pytest.fixture(autouse=True)
def healthy(live: Sandbox) -> Iterator[None]:
    before = dict(live.account.company)
    yield
    live.faults.clear()
    live.account.company.update(before)


@pytest.fixture
def check(command: Command, database_url: str, empty_engine: Engine, live: Sandbox) -> Command:
    """On a database without our schema; only a few tables are wanted unless told otherwise."""

    def check(*arguments: str, tables: tuple[str, ...] = FEW, **variables: str) -> Result:
        given = {
            "SUPABASE_DB_URL": database_url,
            "GAZELLE_BASE_URL": live.url,
            "GAZELLE_API_KEY": live.api_key,
            "GAZELLE_REQUESTS_PER_SECOND": "1000",
            "GAZELLE_TABLES_OFF": ",".join(name for name in TABLES if name not in tables),
        }
        return command("check", *arguments, **{**given, **variables})

    return check


def lines(result: Result) -> dict[str, list[str]]:
    """What of a table's row → its mark, records, page size, seconds, and requests and minutes of both runs."""
    rows = re.findall(rf"^([✓✗]) ({'|'.join(TABLES)}) +(\S.*)$", result.output, re.MULTILINE)
    return {name: [mark, *rest.split()] for mark, name, rest in rows}


def test_a_good_day(check: Command, live: Sandbox, empty_engine: Engine) -> None:
    before = len(live.requests)
    result = check(tables=tuple(TABLES))
    assert result.exit_code == 0
    assert "✗" not in result.output
    user = live.account.users[min(live.account.users)]
    assert re.search(r"✓ who is asking: \w+ \w+", result.output), user
    assert "✓ parked: no\n" in result.output
    assert "✓ maintenance: none is announced\n" in result.output
    assert "✓ schema: has all that is asked for\n" in result.output
    assert re.search(r"✓ queries: \d+ were sent, and all of them are answered as a sync needs it\n", result.output)
    rows = lines(result)
    assert list(rows) == list(TABLES)
    mark, records, page, seconds, *costs = rows["clients"]
    assert (mark, records, page) == ("✓", str(len(live.account.clients)), "200")
    assert float(seconds) > 0
    assert costs == ["2", "0.0", "2", "0.0"], "two pages of the 100 that are served at most"
    assert len(rows["contact_emails"]) == 6, "Sunday's run reads it, and no night"
    nightly, _, full, _ = re.search(r"^in all, about +(\d+) +(\S+) +(\d+) +(\S+)", result.output, re.M).groups()  # type: ignore[union-attr]
    assert 27 < int(nightly) < int(full)
    assert len(live.requests) - before < 120, "at five a second, half a minute"
    assert query_rows(empty_engine, "SELECT to_regnamespace('gazelle')::text AS made") == [{"made": None}]


@pytest.mark.parametrize("hidden", [False, True], ids=["introspection", "no introspection"])
def test_a_field_that_is_gone_is_named_with_its_columns_also_without_introspection(
    check: Command, live: Sandbox, hidden: bool
) -> None:
    live.faults.add(Fault("missing", names=["PrivateClient.referredBy"]))
    if hidden:
        live.faults.add(Fault("no_introspection"))
    result = check()
    assert result.exit_code == 1
    told = said(result)
    assert "✗ clients: Gazelle refuses the field referredBy since " in told
    assert "so these columns keep what they have: referred_by." in told
    assert told.count("referredBy") == 1
    assert "something is missing for clients" in told
    schema = (
        "✓ schema: can't be looked at"
        if hidden
        else "✗ schema: lacks something that is asked for, or has it otherwise: 1, named below"
    )
    assert schema in told
    rows = lines(result)
    assert {name: row[0] for name, row in rows.items()} == {name: "✗" if name == "clients" else "✓" for name in rows}
    assert rows["clients"][1] == str(len(live.account.clients)), "what is left is counted all the same"


def test_since_when_a_field_is_refused_is_what_the_syncs_remember(
    check: Command, live: Sandbox, engine: Engine
) -> None:
    live.faults.add(Fault("missing", names=["PrivateClient.referredBy"]))
    query_rows(
        engine,
        "INSERT INTO gazelle.refused_fields (table_name, field, columns, since) "
        "VALUES ('clients', 'referredBy', '{referred_by}', '2026-03-01')",
    )
    query_rows(engine, "INSERT INTO gazelle.page_sizes (table_name, first, nested) VALUES ('timeline_entries', 80, 0)")
    result = check()
    assert "Gazelle refuses the field referredBy since 2026-03-01" in said(result)
    assert lines(result)["timeline_entries"][2] == "80", "where the next sync begins"


@pytest.mark.parametrize("day", ["good", "bad"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_set_up_page_shows_what_is_printed(check: Command, live: Sandbox, language: str, day: str) -> None:
    if day == "bad":
        live.faults.add(Fault("technician"))
        live.faults.add(Fault("french"))
        live.faults.add(Fault("missing", names=["PrivateClient.referredBy"]))
        live.faults.add(Fault("forbidden", names=["allEstimates"]))
    result = check(GAZELLE_SYNC_LANG=language)
    assert result.exit_code == (0 if day == "good" else 1)
    page = (ROOT / "docs" / ("setup.md" if language == "en" else "setup.fr.md")).read_text()
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)[day == "bad"]
    printed = without_figures(result.output)
    for part in re.split(r"…\n|\n(?=[✓✗])", shown):
        assert without_figures(part).removesuffix(" …") in printed
    assert ("✗" in result.output) == (day == "bad")


def without_figures(text: str) -> str:
    """In one line; what differs from account to account is no more than a sign."""
    text = re.sub(r"https?://\S+|\([a-z]+_\w+\)", "@", re.sub(r"-?\b\d+(?:[.,-]\d+)*", "0", text))
    return re.sub(r"(asking|demande) ?: \S+ \S+", r"\1: @", " ".join(text.split()))


def test_an_account_that_is_parked_and_a_maintenance_are_told(check: Command, live: Sandbox) -> None:
    notice = {"message": "We move to new servers", "startsAt": "2026-12-01T03:00:00Z"}
    live.account.company.update(isParked=True, parkedReason="CARD_EXPIRED", upcomingMaintenanceNotice=notice)
    result = check("--quick")
    assert result.exit_code == 1
    assert "✗ parked: the account is parked (CARD_EXPIRED)" in said(result)
    assert "✓ maintenance: announced for 2026-12-01T03:00:00Z: We move to new servers" in said(result)
    assert lines(result) == {}


def test_a_currency_that_is_not_counted_in_hundredths_is_told(check: Command, live: Sandbox) -> None:
    currency = live.account.currencies["CAD"]
    before = dict(currency)
    currency.update(code="JPY", divisor=1)
    try:
        result = check("--quick")
    finally:
        currency.update(before)
    assert result.exit_code == 1
    assert "✗ currency: JPY, of which 1 make one unit." in said(result)


def test_what_gazelle_does_not_say_of_the_account_is_said_to_be_so(check: Command, live: Sandbox) -> None:
    names = ["PrivateUser.firstName", "PrivateCompany.isParked", "PrivateCompany.upcomingMaintenanceNotice"]
    names += ["CompanyLocalizationSettings.defaultCurrency"]
    live.faults.add(Fault("missing", names=names))
    result = check("--quick")
    for name in ("who is asking", "parked", "maintenance", "currency"):
        # What can't be known is not well.
        assert f"? {name}: Gazelle does not say" in said(result)


def test_after_a_minute_what_was_not_tried_is_not_said_to_be_well(
    check: Command, live: Sandbox, bare: pytest.MonkeyPatch
) -> None:
    bare.setattr(trial, "TIME", 0.0)
    result = check()
    assert result.exit_code == 1
    assert said(result).count("not tried to its end, as the minute was over") == len(FEW)


def test_without_a_key_nothing_is_tried(check: Command, live: Sandbox) -> None:
    result = check(GAZELLE_API_KEY="sesame")
    assert "✗ queries: not checked, because of the above" in said(result)
    assert lines(result) == {}


# -- the report -------------------------------------------------------------------------------------------------------


def values(record: Any) -> Iterator[str]:
    """Every text of the account: names, addresses, notes, telephones, ids."""
    if isinstance(record, dict):
        for each in record.values():
            yield from values(each)
    elif isinstance(record, (list, tuple)):
        for each in record:
            yield from values(each)
    elif isinstance(record, str):
        yield record


def all_values(sandbox: Sandbox) -> set[str]:
    account = vars(sandbox.account)
    found = {
        text for part in account.values() for text in values(list(part.values()) if isinstance(part, dict) else part)
    }
    # Words that the schema has as well (ADMIN, Piano) are nobody's.
    return {text for text in found if len(text) > 3 and not re.fullmatch(r"[A-Z_]+|[A-Za-z]{1,8}|[\d-]+", text)}


def test_the_report_has_shapes_and_no_value_of_the_account_and_only_its_owner_may_read_it(
    check: Command, live: Sandbox, tmp_path: Path, database_url: str
) -> None:
    file = tmp_path / "report.json"
    file.write_text("older")
    file.chmod(0o644)
    live.faults.add(Fault("missing", names=["PrivateClient.referredBy"]))
    live.faults.add(Fault("forbidden", names=["allEstimates"]))
    result = check("--report", str(file), tables=tuple(TABLES))
    assert result.exit_code == 1
    assert f"The report is in {file}" in said(result).replace("\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    secret = {live.api_key, live.url, database_url, str(tmp_path)}
    private = all_values(live)
    assert len(private) > 3000
    # What a maintainer may know: the setting, and in which languages there are texts.
    private -= {"America/Toronto", "en_US", "fr_CA"}
    assert [each for each in private | secret if json.dumps(each, ensure_ascii=False)[1:-1] in text] == []
    assert [each["firstName"] for each in live.account.users.values() if f'"{each["firstName"]}"' in text] == []

    report = json.loads(text)
    assert report["versions"]["gazelle-sync"]
    assert report["differences"] == [
        {"table": "clients", "kind": "field", "name": "PrivateClient.referredBy", "columns": ["referred_by"]}
    ]
    assert list(report["tables"]) == list(TABLES)
    clients, estimates = report["tables"]["clients"], report["tables"]["estimates"]
    assert clients["refused"] == [{"field": "referredBy", "columns": ["referred_by"]}]
    assert estimates["error"] == {"kind": "Unanswered", "fields": ["allEstimates"]}
    listed = clients["queries"][0]
    assert listed["seconds"] > 0
    shape = listed["shape"]["fields"]["allClients"]["fields"]
    assert shape["totalCount"] == "integer"
    assert shape["nodes"]["each"]["fields"]["createdAt"] == "time in UTC"
    assert report["answers"]["statuses"].keys() == {"200"}
    assert report["answers"]["headers"]["content-type"] == {
        "application/json": sum(report["answers"]["statuses"].values())
    }


def test_the_report_of_a_day_on_which_gazelle_does_not_answer_is_written_as_well(
    check: Command, live: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    assert check("--report", str(file), GAZELLE_API_KEY="sesame-open").exit_code == 1
    report = json.loads(file.read_text())
    assert {"what": "Gazelle", "good": False} in report["findings"]
    assert "sesame" not in file.read_text()


def test_a_quick_report_is_none(check: Command, tmp_path: Path) -> None:
    assert check("--quick", "--report", str(tmp_path / "report.json")).exit_code == 2
