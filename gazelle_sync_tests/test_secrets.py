"""Marked secrets are planted, and everything that a run leaves behind is searched for them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from gazelle_sync.sandbox import Fault, Sandbox
from gazelle_sync_tests.alerts.servers import Webhook
from gazelle_sync_tests.conftest import query_rows
from gazelle_sync_tests.project import Ended, Project

PASSWORD = "MARK-of-the-database"
SLACK = "MARK-of-the-webhook"
# Where secrets are meant to be.
THEIR_PLACES = ("config/token.json", ".env")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A Slack that knows of no such hook, and repeats what it was asked for."""
    webhook = Webhook()
    webhook.status, webhook.answer = 404, f"no hook /services/{SLACK}"
    yield webhook
    webhook.stop()


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox, empty_engine: Engine, database_url: str, webhook: Webhook) -> Project:
    url = make_url(database_url)
    if url.password is None:
        # The server trusts whoever comes from this machine, so any password will do.
        url = url.set(password=PASSWORD)
    return Project(
        tmp_path / "project",
        GAZELLE_BASE_URL=sandbox.url,
        GAZELLE_CLIENT_ID=sandbox.client_id,
        GAZELLE_CLIENT_SECRET=sandbox.client_secret,
        GAZELLE_REQUESTS_PER_SECOND="1000",
        GAZELLE_HISTORY_START="2026-01-01",
        SUPABASE_DB_URL=url.render_as_string(hide_password=False),
        SLACK_WEBHOOK_URL=f"http://127.0.0.1:{webhook.port}/services/{SLACK}",
    )


@pytest.fixture
def token(project: Project, sandbox: Sandbox) -> dict[str, object]:
    reply = sandbox.authorize()
    (project.root / "config").mkdir()
    (project.root / "config" / "token.json").write_text(json.dumps(reply))
    return reply


def left_behind(project: Project, engine: Engine, *ended: Ended) -> Iterator[tuple[str, bytes]]:
    """Name and content of all that a run can leave: what it said, its files, and what it wrote into the database."""
    for process in ended:
        yield "what it said", process.text.encode()
    for name in project.files():
        path = project.root.parent / name
        if path.is_file() and not name.endswith(THEIR_PLACES):
            yield name, path.read_bytes()
    for table in ("sync_log", "rejected_rows", "row_changes"):
        yield table, str(query_rows(engine, f"SELECT * FROM gazelle.{table}")).encode()


def assert_nowhere(secrets: list[str], found: Iterator[tuple[str, bytes]]) -> None:
    places = list(found)
    # The search would find something: the runs, their history and the log are there.
    assert any(name.endswith(".db") for name, _ in places)
    assert any(name.endswith(".log") and content for name, content in places)
    assert [(secret, name) for name, content in places for secret in secrets if secret.encode() in content] == []


def test_good_and_failed_runs_leave_no_secret_behind(
    project: Project, sandbox: Sandbox, token: dict[str, object], empty_engine: Engine
) -> None:
    good = project.run("sync", "--table", "users")
    assert good.code == 0, good.text
    # The old token expires, and so another pair is issued; and an answer that breaks off in the midst of it.
    sandbox.expire_tokens()
    sandbox.faults.add(Fault("truncated", path="/developer/oauth/token"))
    renewal_lost = project.run("sync", "--table", "users")
    assert renewal_lost.code == 1
    assert "gazelle-sync login" in renewal_lost.text
    (project.root / "config" / "token.json").write_text(json.dumps(fresh := sandbox.authorize()))
    sandbox.faults.add(Fault("status", status=403, times=None, match="allUsers"))
    refused = project.run("sync", "--table", "users")
    assert refused.code == 1
    other_key = project.run("check", GAZELLE_API_KEY="MARK-of-the-key")
    assert other_key.code == 1
    told = [good, renewal_lost, refused, other_key, project.run("status")]
    secrets = [sandbox.client_secret, PASSWORD, SLACK, "MARK-of-the-key"]
    secrets += [str(pair[part]) for pair in (token, fresh) for part in ("access_token", "refresh_token")]
    assert_nowhere(secrets, left_behind(project, empty_engine, *told))


def test_files_that_hold_secrets_are_for_their_owner_only(
    project: Project, sandbox: Sandbox, token: dict[str, object]
) -> None:
    sandbox.expire_tokens()
    before = os.umask(0)
    try:
        assert project.run("sync", "--table", "users").code == 0
    finally:
        os.umask(before)
    # Dagster's records have samples of rows in them, and the log says what there is.
    for path in (project.root / "var").rglob("*"):
        if path.is_file() and path.name != ".gitignore":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    file = project.root / "config" / "token.json"
    assert json.loads(file.read_text())["access_token"] != token["access_token"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = project.root / "var" / "alerts.json"
    assert not kept.exists() or stat.S_IMODE(kept.stat().st_mode) == 0o600
