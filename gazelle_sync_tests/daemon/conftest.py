"""One instance for all tests of this folder: started as people start it, with an account, a database and alerts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gazelle_sync import warehouse
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.sandbox.faults import Fault
from gazelle_sync_tests.alerts.servers import HOOK, MailServer, Webhook
from gazelle_sync_tests.conftest import NOW, query_rows
from gazelle_sync_tests.daemon.instance import Instance, in_haste, wait
from gazelle_sync_tests.project import Project

# Short, since each partition costs a run 17 ms; and a month that the rolling range does not reach.
HISTORY_START = "2026-01-01" if NOW.year == 2026 else f"{NOW.year - 1}-01-01"
YEAR = int(HISTORY_START[:4])

DRY_RUN = """
mutation($name: String!) {
  scheduleDryRun(selectorData: {
    repositoryLocationName: "gazelle_sync", repositoryName: "__repository__", scheduleName: $name
  }, timestamp: %s) {
    __typename
    ... on PythonError { message stack }
    ... on DryRunInstigationTick { evaluationResult { error { message stack } runRequests { tags { key value } } } }
  }
}"""


@dataclass
class Installation:
    """What a company would have: the instance, its database, Gazelle, and where alerts and the heartbeat arrive."""

    instance: Instance
    sandbox: Sandbox
    database: Engine
    slack: Webhook
    mail: MailServer
    heartbeat: Webhook

    @property
    def project(self) -> Project:
        return self.instance.project

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        return query_rows(self.database, query, *parameters)

    def dry_run(self, schedule: str, at: float | None = None) -> dict[str, str]:
        """The tags of the run that a schedule would start, by the code server's own evaluation."""
        answer = self.instance.ask(DRY_RUN % (time.time() if at is None else at), name=schedule)
        result = answer["evaluationResult"]
        assert result["error"] is None, result["error"]
        (request,) = result["runRequests"]
        return {tag["key"]: tag["value"] for tag in request["tags"] if tag["key"] != "dagster/schedule_name"}

    @contextmanager
    def aged(self, by: str, *tables: str) -> Iterator[None]:
        """While it lasts, the log says that all it tells of these tables, or of all, was done so much earlier."""
        shift = (
            "UPDATE gazelle.sync_log SET started_at = started_at - %s::interval, "
            "finished_at = finished_at - %s::interval WHERE id <= %s AND (table_name = ANY (%s) OR %s)"
        )
        ((last,),) = (row.values() for row in self.rows("SELECT max(id) FROM gazelle.sync_log"))
        self.rows(shift, by, by, last, list(tables), not tables)
        try:
            yield
        finally:
            self.rows(shift, f"-{by}", f"-{by}", last, list(tables), not tables)

    @contextmanager
    def failing(self, **fault: Any) -> Iterator[None]:
        """While it lasts, Gazelle is down, or whatever is said."""
        self.sandbox.faults.add(Fault(**{"kind": "status", "times": None, **fault}))
        try:
            yield
        finally:
            self.sandbox.faults.clear()

    @contextmanager
    def slow(self, seconds: float = 0.5) -> Iterator[None]:
        self.sandbox.latency = seconds
        try:
            yield
        finally:
            self.sandbox.latency = 0

    def told(self, *words: str) -> list[str]:
        """The texts that Slack has, of those that hold all these words."""
        return [text for text in self.slack.texts if all(word in text for word in words)]

    def mailed(self, *words: str) -> list[str]:
        texts = [f"{mail['subject']}\n{mail.get_content()}" for mail in self.mail.mails]
        return [text for text in texts if all(word in " ".join(text.split()) for word in words)]

    def settle(self) -> None:
        """Waits until the daemon has looked once more, and sent what there was to send."""
        for sensor in ("watch", "deliver_alerts"):
            self.instance.ticked(sensor)

    def hears(self, *words: str) -> str:
        """Waits for a text in Slack."""
        return wait(lambda: self.told(*words), f"Slack to hear of {words}; it has {self.slack.texts}")[0]


@pytest.fixture(scope="package")
def installation(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Started by `gazelle-sync dev`, and mirrored whole by what the nightly schedule asks for."""
    slack, heartbeat, mail = Webhook(), Webhook(), MailServer()
    with own_database(server_url) as url, Sandbox(Account.typical(NOW)) as sandbox:
        project = Project(
            tmp_path_factory.mktemp("daemon") / "project",
            SUPABASE_DB_URL=url,
            GAZELLE_BASE_URL=sandbox.url,
            GAZELLE_API_KEY=sandbox.api_key,
            GAZELLE_REQUESTS_PER_SECOND="1000",
            GAZELLE_HISTORY_START=HISTORY_START,
            GAZELLE_SYNC_LANG="fr",
            SLACK_WEBHOOK_URL=slack.url,
            ALERT_EMAIL_TO="ann@example.org",
            SMTP_URL=mail.url,
            HEARTBEAT_URL=heartbeat.url,
        )
        in_haste(project)
        instance = Instance(project, "gazelle-sync", "dev", folder=project.home)
        project.variables["DAGSTER_UI_URL"] = instance.url
        try:
            instance.start()
            yield Installation(instance, sandbox, warehouse.connect(url), slack, mail, heartbeat)
        finally:
            instance.stop()
            for server in (slack, heartbeat, mail):
                server.stop()
    assert all(HOOK not in str(mail) for mail in mail.mails)


@pytest.fixture(scope="package")
def first_night(installation: Installation) -> dict[str, Any]:
    """The run that the nightly schedule asks for when nothing was mirrored yet, after it ended."""
    run = installation.instance.launch(tags=installation.dry_run("nightly"))
    ended = installation.instance.run_ended(run)
    wait(lambda: installation.heartbeat.texts, "the heartbeat after the first night")
    return {**ended, "id": run}


@pytest.fixture
def mirrored(installation: Installation, first_night: dict[str, Any]) -> Iterator[Installation]:
    """The installation after its first night, with nobody told of anything."""
    assert first_night["status"] == "SUCCESS"
    # What the test before has left to be told would else arrive in the midst of this one.
    installation.settle()
    installation.slack.texts.clear()
    installation.mail.mails.clear()
    installation.heartbeat.texts.clear()
    yield installation
    installation.sandbox.faults.clear()
    assert installation.slack.status == 200


@contextmanager
def own_database(server_url: str, template: str = "template1") -> Iterator[str]:
    url = make_url(server_url).set(drivername="postgresql")
    name = f"gazelle_test_{uuid.uuid4().hex[:8]}"
    admin = psycopg2.connect(url.render_as_string(hide_password=False))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.close()
