"""A newcomer's first day in the Dagster UI, in a real browser: one story, in the order in which it is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gazelle_sync.partitions import MONTHS_AHEAD, months_later
from gazelle_sync.tables import TABLES
from gazelle_sync.tables.declaration import Group
from gazelle_sync_tests.browser.conftest import Desk
from gazelle_sync_tests.conftest import NOW
from gazelle_sync_tests.daemon.instance import wait

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from gazelle_sync_tests.browser.ui import Ui

DIALOG = "//*[@role='dialog']"
MONTHS = "[2026-03-01...2026-05-01]"
# What a README can carry.
LARGEST = 200_000

STALE = """
query { repositoryOrError(repositorySelector: {
  repositoryLocationName: "gazelle_sync", repositoryName: "__repository__"
}) { ... on Repository { assetNodes { assetKey { path } staleStatus staleCauses { reason } } } } }"""
DATED = {name for name, table in TABLES.items() if table.partitioned_by}

BACKFILLS = """
query { partitionBackfillsOrError(limit: 10) { ... on PartitionBackfills { results {
  id status partitionNames assetSelection { path } runs { id status } } } } }"""


@pytest.fixture(scope="module")
def ui(desk: Desk, browser: Chrome) -> Ui:
    from gazelle_sync_tests.browser.ui import Ui

    return Ui(browser, desk.instance.url)


def newest_backfill(desk: Desk, before: int) -> str:
    """The one that was just launched, when there were so many before."""

    def launched() -> str | None:
        backfills = desk.instance.ask(BACKFILLS)["results"]
        return str(backfills[0]["id"]) if len(backfills) > before else None

    found = wait(launched, "the backfill to be launched")
    assert found is not None
    return found


def test_everything_is_materialized_from_the_asset_graph(desk: Desk, ui: Ui) -> None:
    ui.open("/asset-groups")
    ui.shows("Global asset lineage", *(group.value for group in Group), "monitoring")
    ui.click("Materialize all")
    ui.shows("Launch runs to materialize", "Showing the last 90 days", "0 partitions")
    ui.click("Show all partitions", DIALOG)
    ui.click("All", DIALOG)
    ui.click("Launch", DIALOG)
    ended = desk.instance.backfill_ended(newest_backfill(desk, 0))
    assert (ended["status"], {run["status"] for run in ended["runs"]}) == ("COMPLETED_SUCCESS", {"SUCCESS"})
    ui.open("/runs")
    ui.shows("partitions", "Success")


def test_a_backfill_of_march_to_may_of_one_table_is_launched_in_its_dialog(desk: Desk, ui: Ui) -> None:
    ui.open("/assets/gazelle/appointments")
    ui.click("Materialize…")
    # It opens on the last 90 days, with nothing selected.
    ui.shows("Launch runs to materialize gazelle / appointments", "0 partitions")
    ui.click("Show all partitions", DIALOG)
    ui.type(MONTHS, "[role=dialog] input[type=text]")
    ui.shows("3 partitions", "Backfills all partitions in a single run.")
    ui.click("Launch", DIALOG)
    backfill = newest_backfill(desk, 1)
    ended = desk.instance.backfill_ended(backfill)
    assert (ended["status"], len(ended["runs"])) == ("COMPLETED_SUCCESS", 1)
    run = desk.instance.run(ended["runs"][0]["id"])
    assert [each["partition"] for each in run["assetMaterializations"]] == ["2026-03-01", "2026-04-01", "2026-05-01"]
    ui.open(f"/runs/b/{backfill}")
    ui.shows("2026-03-01...2026-05-01", "gazelle / appointments", "100% completed")


def test_sync_now_is_a_link_and_a_button_and_does_what_the_night_does(desk: Desk, ui: Ui) -> None:
    ui.open("/locations/gazelle_sync/jobs/sync")
    ui.click("Sync now")
    ui.click("Launch Run")
    # The UI asks whether it is meant to have no partition.
    ui.click("Confirm")
    ui.wait(lambda: "/runs/" in ui.driver.current_url, "the run's page")
    run = desk.instance.run_ended(ui.driver.current_url.split("/runs/")[1].split("?")[0])
    assert run["status"] == "SUCCESS"
    found = {each["assetKey"]["path"][-1]: each["partition"] for each in run["assetMaterializations"]}
    assert {name: found.get(name, "none") for name in TABLES} == {
        name: f"{months_later(NOW, MONTHS_AHEAD)}" if name in DATED else None for name in TABLES
    }


def test_a_run_of_the_command_is_among_the_job_s_with_what_it_read(desk: Desk, ui: Ui) -> None:
    assert desk.instance.project.run("sync", "--table", "taxes").code == 0
    ui.open("/locations/gazelle_sync/jobs/sync/runs")
    ui.shows("gazelle-sync/read: taxes", "Success")


def test_nothing_is_called_unsynced_where_nothing_changed(desk: Desk, ui: Ui) -> None:
    """After a run of everything, one of the hourly tables and months, and tables alone."""
    coming = {"start": months_later(NOW, 0), "end": months_later(NOW, 2)}
    tags = {f"dagster/asset_partition_range_{name}": f"{month}" for name, month in coming.items()}
    for run in (desk.instance.launch(job="hourly", tags=tags), desk.instance.launch("contacts", "pianos")):
        assert desk.instance.run_ended(run)["status"] == "SUCCESS"
    nodes = desk.instance.ask(STALE)["assetNodes"]
    assert {node["assetKey"]["path"][-1]: node["staleCauses"] for node in nodes if node["staleStatus"] == "STALE"} == {}
    assert len(nodes) > len(TABLES)
    ui.open(f"/locations/gazelle_sync/asset-groups/{Group.PEOPLE.value}")
    ui.shows("contact_emails", "scheduled_messages")
    assert "Unsynced" not in ui.text


def test_the_result_of_a_check_is_shown_with_what_it_found(ui: Ui) -> None:
    ui.open("/assets/gazelle/appointments?view=checks&checkDetail=count_agrees_with_gazelle")
    ui.shows("There are as many records as Gazelle counts", "Passed", "in Gazelle", "here")


def test_an_assets_page_plots_what_its_loads_did(ui: Ui, pictures: Path) -> None:
    ui.open("/assets/gazelle/appointments")
    ui.shows("Row count", "Columns", "Freshness policy", "gazelle.appointments")
    for above in ("Status", "Description", "Columns"):
        ui.click(above)
    ui.click("Plots")
    ui.wait(lambda: len(ui.canvases()) >= 10, "the plots")
    ui.shows("dagster/row_count", "inserted", "unchanged", "seconds")
    ui.picture(pictures / "asset.png")
    assert (pictures / "asset.png").stat().st_size < LARGEST


def test_the_status_page_needs_nothing_but_itself(desk: Desk, ui: Ui, pictures: Path) -> None:
    page = desk.instance.project.root.parent / "status.html"
    assert desk.instance.project.run("status", "--html", str(page)).code == 0
    ui.driver.get(page.as_uri())
    ui.shows("gazelle-sync", *TABLES, "The last")
    assert len(ui.driver.find_elements("tag name", "svg")) == 2
    assert ui.driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    ui.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        assert ui.driver.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        ui.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    ui.driver.set_window_size(1400, 1250)
    ui.picture(pictures / "status.png")
    assert (pictures / "status.png").stat().st_size < LARGEST


def test_the_graph_shows_each_group_and_what_it_waits_for(ui: Ui, pictures: Path) -> None:
    ui.driver.set_window_size(1400, 900)
    ui.open("/asset-groups")
    ui.click("Hide navigation")
    ui.open("/asset-groups")
    ui.shows(*(group.value for group in Group), "monitoring")
    ui.wait(lambda: len(ui.driver.find_elements("css selector", "svg path")) > len(Group), "the arrows")
    ui.wait(lambda: "fetching statuses" not in ui.driver.page_source, "what each group's tables are")
    ui.picture(pictures / "assets.png")
    assert (pictures / "assets.png").stat().st_size < LARGEST


@pytest.mark.parametrize("group", Group, ids=lambda group: group.value)
def test_a_group_shows_its_tables(ui: Ui, group: Group) -> None:
    ui.open(f"/locations/gazelle_sync/asset-groups/{group.value}/list")
    ui.shows(*(f"gazelle / {name}" for name, table in TABLES.items() if table.group is group))


def test_a_run_that_fails_is_seen_with_its_reason_and_told_in_slack(desk: Desk, ui: Ui) -> None:
    desk.sandbox("POST", "faults", kind="status", status=503, times=None)
    try:
        ui.open("/assets/gazelle/pianos")
        ui.click("Materialize")
        text = wait(lambda: desk.slack.texts, "the alert")[0]
    finally:
        desk.sandbox("DELETE", "faults")
    assert "The run of “pianos” failed" in text
    (address,) = [word for word in text.split() if "/runs/" in word]
    ui.open(address.removeprefix(desk.instance.url))
    ui.shows("Failure", "STEP_FAILURE", "503")
