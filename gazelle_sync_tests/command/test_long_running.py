"""`gazelle-sync sandbox` and `gazelle-sync dev`: they serve on this machine, and end in order when they are told to."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
from click.testing import Result

from gazelle_sync.tables import TABLES
from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.conftest import folder_for_postgres
from gazelle_sync_tests.daemon.instance import free_port, wait
from gazelle_sync_tests.project import PATIENCE, Project, running


@pytest.fixture(scope="module")
def machine() -> Project:
    """One where nothing is configured."""
    return Project(folder_for_postgres() / "project")


def until_answered(url: str, process: subprocess.Popen[str]) -> requests.Response:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer: {process.poll()}")


def processes_of(project: Project) -> set[int]:
    """The processes whose environment is this project's; PostgreSQL's are the embedded server's own affair."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            environment, command = ((folder / name).read_bytes() for name in ("environ", "cmdline"))
        except OSError:  # no process, or one that just ended
            continue
        if f"PYTHONPATH={project.root}".encode() in environment.split(b"\0") and b"postgres" not in command[:200]:
            found.add(int(folder.name))
    return found


# -- the sandbox ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_the_sandbox_serves_is_found_by_a_sync_in_another_process_and_leaves_no_trace(
    machine: Project, sandbox_port: int
) -> None:
    announcement = machine.root / "var" / "sandbox.json"
    with running(machine.start("sandbox", "--port", str(sandbox_port))) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{sandbox_port}"
        assert process.stdout.readline() == f"The sandbox serves at {url} (API key: sandbox-api-key). Ctrl-C ends it.\n"
        assert json.loads(announcement.read_text()) == {"url": url, "api_key": "sandbox-api-key"}
        client = {"id": "cli_walkin", "companyName": "Walk-in", "localizationId": "loc_fr"}
        requests.post(f"{url}/sandbox/records/clients", json=client, timeout=PATIENCE).raise_for_status()

        synced = machine.run("sync", "--table", "clients", "--table", "users")
        assert synced.code == 0
        # One more than the account is made with: it is the sandbox of the other process that was read.
        assert re.search(r"^clients +151 +151 ", synced.out, re.MULTILINE)
        assert requests.get(f"{url}/sandbox/requests", timeout=PATIENCE).json()["count"] > 0

        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert not announcement.exists()


def test_a_sandbox_that_is_announced_and_gone_is_not_waited_for(machine: Project, sandbox_port: int) -> None:
    announcement = machine.root / "var" / "sandbox.json"
    announcement.write_text(json.dumps({"url": f"http://127.0.0.1:{sandbox_port}", "api_key": "sandbox-api-key"}))
    try:
        done = machine.run("check", "--quick")
    finally:
        announcement.unlink()
    assert done.code == 0
    assert "✓ Gazelle: sandbox" in done.out


def test_a_sandbox_on_a_port_that_is_taken_is_one_sentence_and_exit_2(command: Callable[..., Result]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = command("sandbox", "--port", str(port))
    assert result.exit_code == 2
    assert said(result) == (
        f"gazelle-sync: The sandbox can't serve on port {port} (something else listens there): give another one."
    )


def test_a_second_sandbox_says_where_the_first_one_is_and_leaves_it_announced(machine: Project) -> None:
    announcement = machine.root / "var" / "sandbox.json"
    with running(machine.start("sandbox")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        announced = announcement.read_text()
        second = machine.run("sandbox")
        assert second.code == 1
        url = json.loads(announced)["url"]
        assert second.text == f"gazelle-sync: A sandbox serves already, at {url}. Nothing was changed."
        assert announcement.read_text() == announced
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


# -- the UI -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ui(machine: Project) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = free_port()
    with dev_log(machine).open("w") as file, running(machine.start("dev", "--port", str(port), stdout=file)) as process:
        yield f"http://127.0.0.1:{port}", process
    for left in processes_of(machine):
        os.kill(left, signal.SIGKILL)


LAUNCH = """
mutation ($assets: [AssetKeyInput!]!) { launchRun(executionParams: {
  selector: { repositoryLocationName: "gazelle_sync", repositoryName: "__repository__", jobName: "__ASSET_JOB",
              assetSelection: $assets }
  runConfigData: {}, mode: "default"
}) { ... on LaunchRunSuccess { run { runId } } } }"""


def status_of(machine: Project, run: str) -> str:
    """A run's status, as Dagster has stored it."""
    history = sqlite3.connect(machine.root / "var/dagster/history/runs.db")
    return str(history.execute("SELECT status FROM runs WHERE run_id = ?", [run]).fetchone()[0])


def dev_log(machine: Project) -> Path:
    return machine.home / "dev.log"


def test_dev_opens_the_ui_with_every_table_in_it(ui: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = ui
    assert "dagster_webserver_version" in until_answered(f"{url}/server_info", process).json()
    question = "{ repositoriesOrError { ... on RepositoryConnection { nodes { assetNodes { assetKey { path } } } } } }"
    answer = requests.post(f"{url}/graphql", json={"query": question}, timeout=PATIENCE).json()
    (repository,) = answer["data"]["repositoriesOrError"]["nodes"]
    keys = {tuple(node["assetKey"]["path"]) for node in repository["assetNodes"]}
    assert keys >= {("gazelle", name) for name in TABLES}


def test_dev_listens_on_this_machine_only(ui: tuple[str, subprocess.Popen[str]]) -> None:
    port = int(ui[0].rsplit(":", 1)[1])
    until_answered(f"{ui[0]}/server_info", ui[1])
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    bound = {line[1] for line in listening if line[3] == "0A" and line[1].endswith(f":{port:04X}")}
    assert bound == {f"0100007F:{port:04X}"}


def test_dev_answers_no_foreign_host_or_page_and_runs_no_mutation_by_get(
    ui: tuple[str, subprocess.Popen[str]],
) -> None:
    url, process = ui
    until_answered(f"{url}/server_info", process)
    delete = {"query": 'mutation { deleteRun(runId: "x") { __typename } }'}
    assert requests.post(f"{url}/graphql", json=delete, timeout=PATIENCE).status_code == 200
    assert requests.get(f"{url}/graphql", params=delete, timeout=PATIENCE).status_code == 405
    for headers in ({"Origin": "https://elsewhere.example"}, {"Host": "rebound.example"}):
        assert requests.post(f"{url}/graphql", json=delete, headers=headers, timeout=PATIENCE).status_code == 403
        assert requests.get(f"{url}/status", headers=headers, timeout=PATIENCE).status_code == 403


@pytest.mark.parametrize(("origin", "status"), [("https://elsewhere.example", "403"), (None, "101")])
def test_dev_follows_runs_over_a_websocket_for_its_own_pages_only(
    ui: tuple[str, subprocess.Popen[str]], origin: str | None, status: str
) -> None:
    url, process = ui
    until_answered(f"{url}/server_info", process)
    host = url.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=PATIENCE) as connection:
        connection.sendall(
            f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin or url}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-ws\r\n\r\n".encode()
        )
        assert connection.recv(4096).decode().split()[1] == status


def test_dev_serves_the_status_page_as_of_now(ui: tuple[str, subprocess.Popen[str]], machine: Project) -> None:
    url, process = ui
    until_answered(f"{url}/server_info", process)
    runs = requests.get(f"{url}/status", timeout=PATIENCE).text.count("<g><title>")
    assert machine.run("sync", "--table", "users").code == 0
    page = requests.get(f"{url}/status", timeout=PATIENCE)
    assert page.headers["Content-Type"].startswith("text/html")
    # A bar in each of two plots.
    assert page.text.count("<g><title>") == runs + 2


def test_a_second_dev_says_where_the_first_one_is_and_touches_nothing(
    ui: tuple[str, subprocess.Popen[str]], machine: Project
) -> None:
    url, process = ui
    until_answered(f"{url}/server_info", process)
    announcement = (machine.root / "var" / "sandbox.json").read_text()
    for options in ((), ("--port", str(free_port()))):
        second = machine.run("dev", *options)
        assert second.code == 1
        assert second.text == f"gazelle-sync: it runs already, at {url}, in process {process.pid}. Nothing was changed."
    assert (machine.root / "var" / "sandbox.json").read_text() == announcement
    assert requests.get(f"{json.loads(announcement)['url']}/sandbox", timeout=PATIENCE).ok
    assert requests.get(f"{url}/server_info", timeout=PATIENCE).ok


def test_dev_says_little_and_nothing_of_what_is_deprecated_or_was_skipped(
    ui: tuple[str, subprocess.Popen[str]], machine: Project
) -> None:
    """After the tests above, in which sensors looked more than once."""
    lines = dev_log(machine).read_text().splitlines()
    assert f"The UI is at {ui[0]}, the status page at {ui[0]}/status. Ctrl-C ends both." in lines
    assert not [line for line in lines if re.search("superseded|deprecat|skip|Checking for new runs", line)]
    assert len(lines) < 10


def test_dev_ends_all_its_processes_on_sigterm_and_a_run_under_way_in_order(
    ui: tuple[str, subprocess.Popen[str]], machine: Project
) -> None:
    url, process = ui
    until_answered(f"{url}/server_info", process)
    # A run that goes on asking: Gazelle is away.
    bundled = json.loads((machine.root / "var" / "sandbox.json").read_text())["url"]
    fault = {"kind": "status", "status": 503, "times": None}
    requests.post(f"{bundled}/sandbox/faults", json=fault, timeout=PATIENCE).raise_for_status()
    question = {"query": LAUNCH, "variables": {"assets": [{"path": ["gazelle", "users"]}]}}
    launched = requests.post(f"{url}/graphql", json=question, timeout=PATIENCE).json()["data"]["launchRun"]
    run = launched["run"]["runId"]
    wait(lambda: status_of(machine, run) == "STARTED", "the run to start")
    time.sleep(2)
    assert len(processes_of(machine)) >= 4
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    deadline = time.monotonic() + 10
    while processes_of(machine) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(machine) == set()
    assert not (machine.root / "var" / "sandbox.json").exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/server_info", timeout=5)
    assert status_of(machine, run) in ("FAILURE", "CANCELED")


def test_dev_too_leaves_nothing_outside_var(machine: Project) -> None:
    files = {path for path in machine.files() if not path.startswith("project/var/")}
    assert files == {"project-home/dev.log"}


def test_a_port_that_is_taken_is_said_with_one_that_is_free_before_anything_is_started(machine: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = machine.run("dev", "--port", str(port))
    assert (done.code, done.out) == (2, "")
    said = re.fullmatch(
        rf"gazelle-sync: Port {port} can't be used \(something else listens there\)\. "
        r"Port (\d+) is free: gazelle-sync dev --port (\d+)\n",
        done.err,
    )
    assert said
    assert said[1] == said[2] != str(port)
    assert not (machine.root / "var" / "dev.json").exists()


# As what dies is found among the processes, by what it was started as; and what it is called.
PARTS = {
    "gazelle_sync.cli.ui": "the webserver",
    "dagster._daemon": "Dagster's daemon",
    # The proxy before it lives on, and would not notice.
    "grpc": "Dagster's code server",
    "dev": None,
}


@pytest.mark.parametrize("part", PARTS)
def test_when_a_part_of_dev_dies_the_others_end_and_its_code_is_not_0(hopeless_dev: Project, part: str) -> None:
    """With a database that is nowhere: what is watched over has nothing to do with it."""
    port = free_port()
    with running(hopeless_dev.start("dev", "--port", str(port))) as process:
        until_answered(f"http://127.0.0.1:{port}/server_info", process)
        time.sleep(1)  # until it has said that it serves, and watches
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        (victim,) = [member for member in family if part in member.cmdline()]
        victim.kill()
        _, err = process.communicate(timeout=PATIENCE)
    if named := PARTS[part]:
        assert process.returncode == 1
        assert f"gazelle-sync: {named} ended by itself" in err
    # The parent's own death leaves nobody behind either.
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []


@pytest.mark.parametrize(("command", "file"), [("dev", "dev.json"), ("sandbox", "sandbox.json")])
def test_a_folder_that_cannot_be_written_is_one_sentence_and_exit_2(machine: Project, command: str, file: str) -> None:
    obstacle = machine.root / "var" / f"{file}.lock"
    obstacle.unlink(missing_ok=True)
    obstacle.mkdir()
    try:
        done = machine.run(command)
    finally:
        obstacle.rmdir()
    assert done.code == 2
    assert done.text.startswith(f"gazelle-sync: {machine.root / 'var'} can't be written (it is a folder)")
