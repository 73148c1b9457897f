"""A real browser, and `gazelle-sync dev` in a copied project with nothing configured but where to send alerts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gazelle_sync_tests.alerts.servers import Webhook
from gazelle_sync_tests.daemon.instance import Instance, in_haste
from gazelle_sync_tests.project import SOURCE, Project

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMEDRIVER = shutil.which("chromedriver")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1400,900",
    # A name that somebody else owns, and has made point to this machine.
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
)


@dataclass(frozen=True)
class Desk:
    """Where a person sits: the instance whose UI is open, what Slack shows, and the sandbox within reach."""

    instance: Instance
    slack: Webhook

    def sandbox(self, method: str, path: str, **fault: Any) -> None:
        """Asks the control surface of the sandbox that `gazelle-sync dev` runs."""
        announced = json.loads((self.instance.project.root / "var/sandbox.json").read_text())
        requests.request(
            method, f"{announced['url']}/sandbox/{path}", json=fault or None, timeout=10
        ).raise_for_status()


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    if not CHROMIUM or not CHROMEDRIVER:
        pytest.skip("There is no browser here: the packages chromium and chromium-driver (Debian) are not installed.")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    driver = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture(scope="package")
def desk(browser: Chrome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    slack = Webhook()
    project = Project(
        tmp_path_factory.mktemp("browser") / "project",
        SLACK_WEBHOOK_URL=slack.url,
        # Short, since each partition costs a run 17 ms.
        GAZELLE_HISTORY_START="2026-01-01",
    )
    in_haste(project)
    instance = Instance(project, "gazelle-sync", "dev", folder=project.home)
    project.variables["DAGSTER_UI_URL"] = instance.url
    try:
        instance.start()
        yield Desk(instance, slack)
    finally:
        instance.stop()
        slack.stop()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: the README's own with `UPDATE_SCREENSHOTS=1`, or nowhere."""
    folder = SOURCE / "docs/images" if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path_factory.mktemp("images")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
