"""An instance of Dagster with runs in it, made in this process, and alerts that arrive over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, instance_for_test
from sqlalchemy import Engine

from gazelle_sync.alerts import Alerts, channels_from
from gazelle_sync.monitoring.heartbeat import give_sign_of_life
from gazelle_sync.monitoring.incidents import Watcher
from gazelle_sync_tests.alerts.servers import Webhook
from gazelle_sync_tests.conftest import TORONTO


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.stop()


@pytest.fixture
def heartbeat() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.stop()


@pytest.fixture
def instance(request: pytest.FixtureRequest) -> Iterator[DagsterInstance]:
    """With what a test sets of `dagster.yaml`, as the fixture's parameter."""
    with instance_for_test(overrides=getattr(request, "param", {})) as instance:
        yield instance


@pytest.fixture
def look(
    instance: DagsterInstance, engine: Engine, webhook: Webhook, heartbeat: Webhook, tmp_path: Path
) -> Callable[[], list[str]]:
    """Looks, sends, and returns what was sent by this look."""
    alerts = Alerts(channels_from(webhook.url, "", ""), tmp_path / "alerts.json", "en", TORONTO)
    watch = Watcher(instance, lambda: engine, alerts, tmp_path / "watch.json", "http://ui.test/")

    def look() -> list[str]:
        before = len(webhook.texts)
        try:
            watch.look()
            give_sign_of_life(tmp_path / "watch.json", heartbeat.url)
        finally:
            assert alerts.deliver() == []
        return webhook.texts[before:]

    return look
