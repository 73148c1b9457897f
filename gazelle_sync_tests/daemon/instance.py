"""Dagster's real processes in a copied project (webserver, daemon, code server), and the GraphQL that the UI speaks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil
import requests

from gazelle_sync_tests.project import COMMANDS, Project

T = TypeVar("T")
# On a busy machine; what works takes seconds.
PATIENCE = 300

JOB = """
mutation($tags: [ExecutionTag!], $assets: [AssetKeyInput!], $checks: [AssetCheckHandleInput!], $job: String!,
         $config: RunConfigData) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "gazelle_sync", repositoryName: "__repository__", jobName: $job,
               assetSelection: $assets, assetCheckSelection: $checks},
    executionMetadata: {tags: $tags}, runConfigData: $config
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message stack }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""

BACKFILL = """
mutation($assets: [AssetKeyInput!], $partitions: [String!]) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: $assets, partitionNames: $partitions, fromFailure: false, tags: []
  }) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message stack }
  }
}"""

BACKFILL_STATE = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status error { message } runs { id status } }
  }
}"""

RUN = """
query($id: ID!) {
  runOrError(runId: $id) {
    ... on Run {
      status jobName startTime endTime tags { key value }
      assetMaterializations {
        assetKey { path } partition metadataEntries {
          __typename label
          ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue }
          ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr }
          ... on TableMetadataEntry { table { records schema { columns { name } } } }
          ... on TableColumnLineageMetadataEntry { lineage { columnName columnDeps { columnName } } }
        }
      }
    }
  }
}"""

RUNS = """
query {
  runsOrError(limit: 100) { ... on Runs { results { runId status jobName tags { key value } } } }
}"""

CHECKS = """
query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetChecksOrError {
        ... on AssetChecks {
          checks {
            name blocking description
            executionForLatestMaterialization { runId status evaluation { success severity metadataEntries { label } } }
          }
        }
      }
    }
  }
}"""

TICKS = """
query($name: String!) {
  sensorOrError(sensorSelector: {
    repositoryLocationName: "gazelle_sync", repositoryName: "__repository__", sensorName: $name
  }) {
    ... on Sensor { sensorState { status ticks(limit: 50) {
      status timestamp error { message cause { message } } skipReason
    } } }
  }
}"""


class Instance:
    """`program` with `arguments` and a port, which serve the UI; `url` is where."""

    def __init__(self, project: Project, program: str, *arguments: str, folder: Path, **variables: str) -> None:
        self.project = project
        self.folder = folder
        self.command = (program, *arguments)
        self.variables = variables
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = project.home / "dagster.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Instance:
        program, *arguments = self.command
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [COMMANDS / program, *arguments, "--port", str(self.port)],
                cwd=self.folder,
                env={**self.project.variables, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait(self._loaded, "Dagster to load the definitions", self._alive)
        return self

    def stop(self) -> int:
        """As a service manager does. The exit code; nothing is left behind."""
        assert self._process is not None
        family = self.family()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(60)
        finally:
            kill(family)
        return code

    def crash(self) -> None:
        """As a power cut does: every process at once, without a word."""
        kill(self.family())
        assert self._process is not None
        self._process.wait(10)

    def family(self) -> list[psutil.Process]:
        """All processes that the command started, and itself."""
        assert self._process is not None
        try:
            process = psutil.Process(self._process.pid)
            return [*process.children(recursive=True), process]
        except psutil.NoSuchProcess:
            return []

    def ask(self, query: str, **variables: object) -> Any:
        """What the GraphQL API answers, without the outermost name."""
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60)
        document = answer.json()
        assert "errors" not in document, document["errors"]
        ((_, value),) = document["data"].items()
        assert value.get("__typename") != "PythonError", value
        return value

    def launch(
        self,
        *tables: str,
        tags: Mapping[str, str] | None = None,
        job: str = "sync",
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Launches a job of the tables, or all, as the UI does. The run's id."""
        launched = self.ask(
            JOB,
            job=job,
            assets=[{"path": ["gazelle", table]} for table in tables] or None,
            checks=None,
            tags=[{"key": key, "value": value} for key, value in (tags or {}).items()],
            config=config or {},
        )
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def backfill(self, table: str, *months: str) -> str:
        """Launches a backfill as the UI's dialog does. Its id."""
        launched = self.ask(BACKFILL, assets=[{"path": ["gazelle", table]}], partitions=months)
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def backfill_ended(self, backfill: str) -> Any:
        def ended() -> Any:
            state = self.ask(BACKFILL_STATE, id=backfill)
            return state if state["status"].startswith(("COMPLETED", "FAILED", "CANCELED")) else None

        return wait(ended, f"backfill {backfill} to end", self._alive)

    def run(self, run_id: str) -> Any:
        return self.ask(RUN, id=run_id)

    def run_ended(self, run_id: str) -> Any:
        def ended() -> Any:
            run = self.run(run_id)
            return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        return wait(ended, f"run {run_id} to end", self._alive)

    def run_has(self, run_id: str, status: str) -> None:
        wait(lambda: self.run(run_id)["status"] == status, f"run {run_id} to be {status}", self._alive)

    def runs(self) -> list[dict[str, Any]]:
        """The latest first."""
        return list(self.ask(RUNS)["results"])

    def checks(self, table: str) -> dict[str, dict[str, Any]]:
        node = self.ask(CHECKS, key={"path": ["gazelle", table]})
        return {check["name"]: check for check in node["assetChecksOrError"]["checks"]}

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        """The latest first."""
        return list(self.ask(TICKS, name=sensor)["sensorState"]["ticks"])

    def ticked(self, sensor: str) -> None:
        """Waits until the sensor has run, from beginning to end, after now."""
        now = time.time()

        def later() -> bool:
            return any(tick["timestamp"] > now and tick["status"] != "STARTED" for tick in self.ticks(sensor))

        wait(later, f"a tick of {sensor}", self._alive)

    def _loaded(self) -> bool:
        try:
            entry = self.ask(
                "query { workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError "
                "{ __typename ... on PythonError { message stack } } } } } }"
            )["locationEntries"]
        except (requests.ConnectionError, ValueError):
            return False
        for location in entry:
            error = location["locationOrLoadError"]
            assert error is None or error["__typename"] == "RepositoryLocation", error
        return bool(entry) and all(location["loadStatus"] == "LOADED" for location in entry)

    def _alive(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-5000:]


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    psutil.wait_procs(processes, timeout=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(look: Callable[[], T], what: str, alive: Callable[[], None] = lambda: None, patience: float = PATIENCE) -> T:
    """What `look` finds, as soon as it finds anything."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        alive()
        assert time.monotonic() < deadline, f"Waited {patience} s for {what}."
        time.sleep(0.2)
    return found


IN_HASTE = """
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._daemon import controller, sensor

controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2
sensor.MIN_INTERVAL_LOOP_TIME = 1
QueuedRunCoordinator.dequeue_interval_seconds = 1
"""


def in_haste(project: Project) -> None:
    """Makes the copy look every few seconds where it would take half a minute, and give up on Gazelle as soon.

    Nothing else differs.
    """
    package = project.root / "gazelle_sync"
    replace(package / "sensors.py", "minimum_interval_seconds=30", "minimum_interval_seconds=2")
    replace(package / "environment/connections.py", "patience: float = 120.0", "patience: float = 2.0")
    replace(project.root / "dagster.yaml", "poll_interval_seconds: 60", "poll_interval_seconds: 2")
    # What dagster.yaml names is the only code of ours that the daemon loads.
    with (project.root / "gazelle_sync/dagster_storage.py").open("a") as file:
        file.write(IN_HASTE)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file.name} has no {old}"
    file.write_text(text.replace(old, new))
