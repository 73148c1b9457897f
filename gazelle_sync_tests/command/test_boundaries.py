"""Whatever breaks, and wherever: one line in place of a traceback, people are told, and what is committed counts."""

from __future__ import annotations

import errno
import importlib
import re
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gazelle_sync_tests.alerts.servers import Webhook
from gazelle_sync_tests.command.conftest import said

Command = Callable[..., Result]
Stored = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.usefixtures("definitions")

# Where something may break that nobody thought of: a module, and what is in it.
BEFORE_A_RUN = {
    "the files of settings": "gazelle_sync.cli.command:load_files",
    "the settings": "gazelle_sync.cli.command:read_settings",
    "what is due": "gazelle_sync.cli.job_run:find_due",
    "the progress that is shown": "gazelle_sync.cli.progress:show_progress",
    "Dagster's instance": "gazelle_sync.cli.job_run:DagsterInstance.get",
    "the mark of what is under way": "gazelle_sync.cli.job_run:mark_under_way",
}
# Each of these tables meets the break beside it, and the next one does not meet it any more.
DURING_A_RUN = {
    "company": "gazelle_sync.warehouse:prepare",
    "lifecycles": "gazelle_sync.warehouse:read_page_sizes",
    "master_service_groups": "gazelle_sync.warehouse:load",
    "master_service_items": "gazelle_sync.warehouse.spool:Spool.add",
    "recommendations": "gazelle_sync.warehouse.staging:stage",
    "taxes": "gazelle_sync.io_managers:column_lineage",
}
AFTER_THE_COMMIT = {
    "the sample of rows": "gazelle_sync.warehouse:read_sample",
    "the checks": "gazelle_sync.warehouse:run_checks",
    "old runs": "gazelle_sync.cli.job_run:forget_old_runs",
}


@pytest.fixture(scope="module")
def slack() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.stop()


@pytest.fixture
def sync(command: Command, variables: dict[str, str], slack: Webhook, root: Path) -> Callable[..., Result]:
    """A sync of some tables, where nobody was told of anything yet."""
    for name in ("alerts.json", "watch.json"):
        (root / "var" / name).unlink(missing_ok=True)
    slack.texts.clear()
    return lambda *tables: command(
        "sync",
        *(word for table in tables or ("company",) for word in ("--table", table)),
        **{**variables, "SLACK_WEBHOOK_URL": slack.url},
    )


@pytest.fixture
def broken(bare: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes what is at these places raise, always or once."""
    with bare.context() as patch:

        def break_at(*places: str, error: Exception | None = None, once: bool = False) -> None:
            for place in places:
                module, _, path = place.partition(":")
                # Commands have the names of their modules.
                *owners, name = path.split(".")
                owner = reduce(getattr, owners, importlib.import_module(module))
                patch.setattr(owner, name, fail(getattr(owner, name), error or LookupError(f"no\n{name}"), once))

        yield break_at


def fail(work: Callable[..., Any], error: Exception, once: bool) -> Callable[..., Any]:
    met: list[Exception] = []

    def work_or_fail(*arguments: Any, **options: Any) -> Any:
        if once and met:
            return work(*arguments, **options)
        met.append(error)
        raise error

    return work_or_fail


@pytest.mark.parametrize("place", BEFORE_A_RUN.values(), ids=BEFORE_A_RUN)
def test_what_nobody_foresaw_is_one_line_and_is_told(
    sync: Callable[..., Result],
    slack: Webhook,
    broken: Callable[..., None],
    bare: pytest.MonkeyPatch,
    root: Path,
    place: str,
) -> None:
    broken(place, error=LookupError("nobody thought of\nthis"))
    result = sync()
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if "thought" in line]
    assert "LookupError: nobody thought of this" in line
    (text,) = slack.texts
    assert "nobody thought of this" in text
    assert "LookupError: nobody thought of" in (root / "var" / "logs" / "gazelle-sync.log").read_text()


def test_each_step_that_breaks_says_so_in_one_line_for_its_table_and_the_others_go_on(
    sync: Callable[..., Result], slack: Webhook, broken: Callable[..., None], stored: Stored
) -> None:
    broken(*DURING_A_RUN.values(), once=True)
    full = OSError(errno.ENOSPC, "No space left on device")
    broken("gazelle_sync.warehouse.spool:Spool._open", error=full, once=True)
    result = sync(*DURING_A_RUN, "clients")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert re.search(r"^clients +150 .* done *$", result.output, re.MULTILINE)
    lines = [line.rstrip() for line in result.output.splitlines()]
    told = " ".join(lines)
    names = [place.rpartition(":")[2].rpartition(".")[2] for place in DURING_A_RUN.values()]
    for name in names:
        assert len(re.findall(rf"\b\w+: (?:LookupError: )?no {name}\b", told)) == 1
    # A disk without a file's name is the one that rows wait on.
    assert re.search(r"\w+: WarehouseError: Rows wait in \S+ while .* the disk is full\. Make room there", told)
    # The last one failed after it was committed: its line says so, and the reason stands beside it.
    late = re.findall(r"(\w+): no column_lineage", told)
    assert re.search(rf"^{late[0]} +\d+ .* done *$", result.output, re.MULTILINE)
    assert stored("SELECT status FROM gazelle.sync_log WHERE table_name = %s", late[0]) == [{"status": "success"}]
    for name in names:
        assert any(f"no {name}" in text for text in slack.texts), name


def test_what_decorates_a_load_never_fails_it_and_is_said(
    sync: Callable[..., Result], slack: Webhook, broken: Callable[..., None], stored: Stored
) -> None:
    broken(*AFTER_THE_COMMIT.values())
    result = sync()
    assert result.exit_code == 0, result.output
    assert re.search(r"^company +1 .* done *$", result.output, re.MULTILINE)
    for place in AFTER_THE_COMMIT.values():
        assert f"no {place.rpartition(':')[2]}" in said(result)
    assert "Traceback" not in result.output
    assert stored("SELECT status FROM gazelle.sync_log ORDER BY id DESC LIMIT 1") == [{"status": "success"}]
    # A check that can't be made is told as one that fails.
    assert any("company: " in text and "no run_checks" in text for text in slack.texts)


def test_a_table_that_was_loaded_is_never_shown_as_not_run(
    sync: Callable[..., Result], broken: Callable[..., None]
) -> None:
    """Also when the log can't be read any more: Dagster knows of it, and of what was begun."""
    broken("gazelle_sync.warehouse:read_run_log")
    broken("gazelle_sync.warehouse.staging:stage", once=True)
    result = sync("company", "taxes")
    (failed,) = re.findall(r"^(\w+) +failed *$", result.output, re.MULTILINE)
    (loaded,) = {"company", "taxes"} - {failed}
    assert re.search(rf"^{loaded} +\d.* done *$", result.output, re.MULTILINE)
    assert f"{failed}: no stage" in said(result)
    assert "sync_log could not be read (Something went wrong that is not foreseen (LookupError: no" in said(result)
    assert "not run" not in result.output.split("\nFailed")[0]


def test_alerts_that_break_hide_neither_the_summary_nor_the_fault(
    sync: Callable[..., Result], broken: Callable[..., None]
) -> None:
    broken("gazelle_sync.environment.connections:make_alerts")
    well = sync()
    broken("gazelle_sync.cli.sync:make_summary")
    ill = sync()
    assert well.exit_code == 0
    assert "An alert could not be sent" in said(well)
    assert re.search(r"^company +1 .* done *$", well.output, re.MULTILINE)
    assert ill.exit_code == 1
    assert "no make_summary" in said(ill)
    assert "no make_alerts" in said(ill)
    assert "Traceback" not in well.output + ill.output


@pytest.mark.parametrize("name", ["status", "check", "migrate"])
def test_no_command_shows_a_traceback(
    command: Command, variables: dict[str, str], broken: Callable[..., None], name: str
) -> None:
    broken("gazelle_sync.environment.connections:make_engine")
    result = command(name, **variables)
    assert result.exit_code == 1
    assert "no make_engine" in said(result)
    assert "Traceback" not in result.output


def test_a_setting_that_is_refused_is_told_by_what_can_be_read(
    command: Command, variables: dict[str, str], slack: Webhook
) -> None:
    slack.texts.clear()
    result = command("sync", **{**variables, "SLACK_WEBHOOK_URL": slack.url, "GAZELLE_TIMEZONE": "Mars/Olympus"})
    assert result.exit_code == 2
    (text,) = slack.texts
    assert "GAZELLE_TIMEZONE" in text
