"""People are told before a command ends, whatever ended it, and by the next command where that was not possible."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.alerts.servers import Webhook
from gazelle_sync_tests.command.test_failures import until
from gazelle_sync_tests.project import COMMANDS, PATIENCE, Ended, Project, running
from gazelle_sync_tests.test_files import IN_A_NAMESPACE, needs_mounts

Stored = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def slack() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.stop()


@pytest.fixture(scope="module")
def told_project(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str], slack: Webhook) -> Project:
    """A configured copy of the project, with Slack and without a daemon."""
    return Project(tmp_path_factory.mktemp("told") / "project", **variables, SLACK_WEBHOOK_URL=slack.url)


@pytest.fixture
def project(told_project: Project, slack: Webhook, live: Sandbox) -> Iterator[Project]:
    """The same, where nothing is wrong and nobody was told of anything."""
    slack.judge, slack.status = lambda text: slack.status, 200
    for name in ("alerts.json", "watch.json", "dagster", "runs"):
        subprocess.run(["rm", "-rf", str(told_project.root / "var" / name)], check=True)
    slack.texts.clear()
    slack.requests.clear()
    yield told_project
    live.faults.clear()


def refuse(live: Sandbox) -> None:
    live.faults.add(Fault("status", status=403, times=None, match="allUsers"))


def why(text: str) -> str:
    return text.split("Why: ")[1].split("\n", maxsplit=1)[0]


# -- one chance to tell -----------------------------------------------------------------------------------------------


def test_a_short_outage_of_slack_is_waited_for(project: Project, slack: Webhook, live: Sandbox) -> None:
    refuse(live)
    down = time.monotonic() + 3
    tried: list[int] = []

    def judge(text: str) -> int:
        tried.append(503 if not tried or time.monotonic() < down else 200)
        return tried[-1]

    slack.judge = judge
    ended = project.run("sync", "--table", "users")
    assert ended.code == 1
    assert len(slack.texts) == 1
    assert tried[0] == 503
    assert "could not be sent" not in ended.text


def test_what_could_not_be_sent_is_sent_by_the_next_command_of_any_kind(
    project: Project, slack: Webhook, live: Sandbox
) -> None:
    refuse(live)
    # What a person has to put right is not waited for.
    slack.status = 404
    began = time.monotonic()
    ended = project.run("sync", "--table", "users")
    assert time.monotonic() - began < 60
    assert "An alert could not be sent; it is kept for the next run: slack: 1 alert" in ended.text
    live.faults.clear()
    for number, arguments in enumerate((["status"], ["check", "--quick"], ["migrate"])):
        slack.status = 404
        assert "could not be sent" in project.run(*arguments).text
        assert len(slack.texts) == number
        slack.status = 200
        ended = project.run(*arguments)
        assert ended.code == 0, ended.text
        assert len(slack.texts) == number + 1
        refuse(live)
        slack.status = 404
        (project.root / "var" / "alerts.json").unlink()
        assert project.run("sync", "--table", "users").code == 1
        live.faults.clear()


# -- whatever ends a command ------------------------------------------------------------------------------------------


def only_line(ended: Ended) -> str:
    assert "Traceback" not in ended.text
    (line,) = ended.err.strip().splitlines()
    return line


def damaged_records(project: Project) -> dict[str, str]:
    history = project.root / "var" / "dagster" / "history"
    history.mkdir(parents=True, exist_ok=True)
    (history / "runs.db").write_bytes(b"what a dying disk left " * 500)
    return {}


def locked_records(project: Project) -> dict[str, str]:
    """A file that is no database, in the place of the folder."""
    history = project.root / "var" / "dagster" / "history"
    history.parent.mkdir(parents=True, exist_ok=True)
    history.write_text("no folder")
    return {}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (damaged_records, "Dagster's records under var/dagster can't be used: file is not a database"),
        (locked_records, "var/dagster/history"),
        (lambda _: {"DAGSTER_HOME": "not/absolute"}, "DAGSTER_HOME is not an absolute path"),
        (lambda _: {"DAGSTER_HOME": "/is/not/there"}, "DAGSTER_HOME is not an absolute path"),
        (lambda _: {"SUPABASE_DB_URL": "postgresql://u:p@ss@host/db"}, "SUPABASE_DB_URL is not a connection string"),
        (lambda _: {"DAGSTER_POSTGRES_URL": "postgresql://u:p@ss@host/db"}, "DAGSTER_POSTGRES_URL is not a connection"),
    ],
    ids=["damaged records", "no folder for records", "a relative home", "no home", "database", "records' database"],
)
def test_what_keeps_a_sync_from_running_is_one_line_and_is_told(
    project: Project, slack: Webhook, fault: Callable[[Project], dict[str, str]], said: str
) -> None:
    log = project.root / "var" / "logs" / "gazelle-sync.log"
    dagster = project.root / "var" / "dagster"
    aside = dagster.with_name("aside")
    if dagster.exists():
        dagster.rename(aside)
    try:
        ended = project.run("sync", "--table", "users", **fault(project))
    finally:
        subprocess.run(["rm", "-rf", str(dagster)], check=True)
        if aside.exists():
            aside.rename(dagster)
    assert ended.code in (1, 2)
    assert said in only_line(ended)
    (text,) = slack.texts
    assert said in why(text)
    if "records" in said and "DAGSTER_POSTGRES" not in said:
        assert "Traceback (most recent call last)" in log.read_text()


def test_a_file_of_settings_that_is_not_utf8_is_one_line_and_exit_2(project: Project) -> None:
    (project.root / ".env").write_bytes("GAZELLE_API_KEY=x\n".encode("utf-16"))
    try:
        ended = project.run("status")
    finally:
        (project.root / ".env").unlink()
    assert ended.code == 2
    assert ".env can't be read: it is not a text in UTF-8" in only_line(ended)


def test_a_check_shows_all_its_lines_whatever_one_of_them_meets(project: Project) -> None:
    whole = project.run("check", "--quick")
    broken = project.run("check", "--quick", REQUESTS_CA_BUNDLE="/is/not/there", GAZELLE_BASE_URL="https://127.0.0.1:9")
    assert broken.code == 1
    assert "Traceback" not in broken.text
    assert "/is/not/there" in broken.text
    assert len(broken.out.splitlines()) >= len(whole.out.splitlines()) - 1


def test_a_list_of_certificates_that_is_not_there_is_no_traceback_of_the_alerts(
    project: Project, live: Sandbox
) -> None:
    refuse(live)
    ended = project.run(
        "sync",
        "--table",
        "users",
        SLACK_WEBHOOK_URL="https://127.0.0.1:9/services/x",
        REQUESTS_CA_BUNDLE=str(project.root / "nothing.pem"),
    )
    assert ended.code == 1
    assert "Traceback" not in ended.text


# -- a run that is cut short ------------------------------------------------------------------------------------------


def started(project: Project, live: Sandbox, *tables: str) -> tuple[subprocess.Popen[str], Fault]:
    """A sync of these tables that waits for the last one."""
    query = {"pianos": "allPianos", "users": "allUsers"}[tables[-1]]
    fault = live.faults.add(Fault("delay", times=None, match=query, seconds=30))
    return project.start("sync", *(word for name in tables for word in ("--table", name))), fault


def test_sigterm_is_told_by_the_run_itself_within_its_grace_time(
    project: Project, slack: Webhook, live: Sandbox
) -> None:
    process, fault = started(project, live, "users", "pianos")
    with running(process):
        until(lambda: fault.struck > 0)
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        out, err = process.communicate(timeout=PATIENCE)
        seconds = time.monotonic() - asked
    assert process.returncode == 1, out + err
    assert "Traceback" not in out + err
    # Docker kills after ten, of which six are for sending. A busy machine needs some for itself.
    assert seconds < 20
    assert any("interrupted" in why(text) for text in slack.texts), slack.texts


def test_sigterm_while_slack_is_slow_is_told_by_the_next_command(
    project: Project, slack: Webhook, live: Sandbox
) -> None:
    process, fault = started(project, live, "users", "pianos")

    def slowly(text: str) -> int:
        time.sleep(60)
        return 503

    slack.judge = slowly
    with running(process):
        until(lambda: fault.struck > 0)
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        process.communicate(timeout=PATIENCE)
        assert time.monotonic() - asked < 20
    slack.judge = lambda text: 200
    # The channel is claimed by the process that is gone, until that lapses.
    state = project.root / "var" / "alerts.json"
    state.write_text(state.read_text().replace('"sending": {', '"sending_before": {'))
    project.run("status")
    assert any("interrupted" in why(text) for text in slack.texts), slack.texts


def test_sigterm_before_the_run_began_is_told_too(project: Project, slack: Webhook, stored: Stored) -> None:
    """While it waits for the database."""
    silent = "postgresql://u:p@127.0.0.1:{}/db"
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = silent.format(server.getsockname()[1])
        with running(project.start("sync", SUPABASE_DB_URL=url)) as process:
            server.settimeout(PATIENCE)
            connection, _ = server.accept()
            process.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            connection.close()
            out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "Traceback" not in out + err
    assert time.monotonic() - asked < 20
    (text,) = slack.texts
    assert "interrupted" in why(text)


def test_a_run_that_is_killed_is_told_by_the_next_sync_with_what_it_did_not_run(
    project: Project, slack: Webhook, live: Sandbox
) -> None:
    process, fault = started(project, live, "users", "pianos")
    with running(process):
        until(lambda: fault.struck > 0)
        process.kill()
        process.communicate()
    live.faults.clear()
    assert slack.texts == []
    ended = project.run("sync", "--table", "users")
    assert ended.code == 0, ended.text
    first, second = slack.texts
    assert why(first) == "it broke off, and its process is gone; not run: pianos"
    assert "The run of “sync” succeeds again" in second
    with sqlite3.connect(project.root / "var/dagster/history/runs.db") as records:
        assert records.execute("SELECT count(*) FROM runs WHERE status = 'STARTED'").fetchone() == (0,)


@needs_mounts
@pytest.mark.parametrize("size", ["1500k", "2500k"], ids=["before its first step", "in the midst of it"])
def test_what_was_not_run_when_the_disk_of_the_records_filled_is_said_by_the_next_good_run(
    project: Project, slack: Webhook, size: str
) -> None:
    """Dagster's records are on a small disk of their own, which fills during a run: its own output goes there, too."""
    slack.texts.clear()
    records = project.root / "var" / "dagster"
    records.mkdir(exist_ok=True)
    mount = f'mount -t tmpfs -o size={size} t "{records}" && exec "$0" "$@"'
    ended = subprocess.run(
        [*IN_A_NAMESPACE, "sh", "-c", mount, str(COMMANDS / "gazelle-sync"), "sync"],
        cwd=project.home,
        env=project.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 1
    assert "gazelle-sync: Dagster's records under var/dagster can't be used" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    first = slack.texts[0]
    assert "The run of “sync” failed" in first
    assert "disk" in why(first)
    slack.texts.clear()
    ended_well = project.run("sync", "--table", "users")
    assert ended_well.code == 0, ended_well.text
    left, well = slack.texts
    assert "it broke off, and its process is gone; not run: " in why(left)
    assert set(why(left).split("not run: ")[1].rstrip("…").split(", ")[:-1]) <= set(TABLES)
    assert "succeeds again" in well
