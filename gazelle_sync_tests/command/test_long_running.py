"""`gazelle-sync sandbox` and `gazelle-sync dev`: they serve on this machine, and end in order when they are told to."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from click.testing import Result

from gazelle_sync_tests.command.conftest import said
from gazelle_sync_tests.conftest import folder_for_postgres
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
        done = machine.run("check")
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
        f"gazelle-sync: The sandbox can't serve on port {port} (Address already in use): give another one."
    )


# -- the UI -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ui(machine: Project) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    log = machine.home / "dev.log"
    with log.open("w") as file, running(machine.start("dev", "--port", str(port), stdout=file)) as process:
        yield f"http://127.0.0.1:{port}", process
    for left in processes_of(machine):
        os.kill(left, signal.SIGKILL)


def test_dev_opens_the_ui_with_the_seven_tables_in_it(ui: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = ui
    assert "dagster_webserver_version" in until_answered(f"{url}/server_info", process).json()
    question = "{ repositoriesOrError { ... on RepositoryConnection { nodes { assetNodes { assetKey { path } } } } } }"
    answer = requests.post(f"{url}/graphql", json={"query": question}, timeout=PATIENCE).json()
    (repository,) = answer["data"]["repositoriesOrError"]["nodes"]
    keys = {tuple(node["assetKey"]["path"]) for node in repository["assetNodes"]}
    assert keys >= {("gazelle", name) for name in ("users", "clients", "contacts", "pianos", "appointments")}


def test_dev_listens_on_this_machine_only(ui: tuple[str, subprocess.Popen[str]]) -> None:
    port = int(ui[0].rsplit(":", 1)[1])
    until_answered(f"{ui[0]}/server_info", ui[1])
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    bound = {line[1] for line in listening if line[3] == "0A" and line[1].endswith(f":{port:04X}")}
    assert bound == {f"0100007F:{port:04X}"}


def test_dev_ends_all_its_processes_on_sigterm(ui: tuple[str, subprocess.Popen[str]], machine: Project) -> None:
    url, process = ui
    until_answered(f"{url}/server_info", process)
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


def test_dev_too_leaves_nothing_outside_var(machine: Project) -> None:
    files = {path for path in machine.files() if not path.startswith("project/var/")}
    assert files == {"project-home/dev.log"}
