"""A page of another origin, open in the browser of somebody whose UI runs: it tries what such a page can try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from gazelle_sync.tables import TABLES
from gazelle_sync_tests.browser.conftest import Desk

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

# Each way ends with what became of it, so that nothing is looked at too early. `no-cors` and a form need no leave of
# the server; an image and a script are sent without an origin.
ATTACK = """
const [url, mutation, done] = arguments;
const graphql = `${url}/graphql`;
const body = JSON.stringify({query: mutation});
const asked = `${graphql}?query=${encodeURIComponent(mutation)}`;
const ended = (element, parent) => new Promise(resolve => {
  element.onload = () => resolve("loaded"); element.onerror = () => resolve("error"); parent.append(element);
});
const socket = () => new Promise(resolve => {
  const opened = new WebSocket(graphql.replace("http", "ws"), "graphql-ws");
  opened.onopen = () => resolve("open"); opened.onerror = () => resolve("error");
});
const form = () => {
  const frame = Object.assign(document.createElement("iframe"), {name: "target"});
  const sent = ended(frame, document.body);
  const made = Object.assign(document.createElement("form"), {method: "post", action: asked, target: "target"});
  document.body.append(made); made.submit();
  return sent;
};
const shown = address => ended(Object.assign(document.createElement("iframe"), {src: address}), document.body);
const told = promise => promise.then(answer => answer.type ?? answer, error => "error");
const json = {method: "POST", headers: {"Content-Type": "application/json"}, body};
(async () => done({
  json: await told(fetch(graphql, json)),
  plain: await told(fetch(graphql, {method: "POST", mode: "no-cors", body})),
  "query string": await told(fetch(asked, {method: "POST", mode: "no-cors"})),
  get: await told(fetch(asked, {mode: "no-cors"})),
  image: await ended(Object.assign(new Image(), {src: asked}), document.body),
  script: await ended(Object.assign(document.createElement("script"), {src: asked}), document.body),
  form: await form(),
  frame: await shown(`${url}/runs`),
  read: await told(fetch(`${url}/status`)),
  socket: await socket(),
}))();
"""
SCHEDULES = """
query { repositoriesOrError { ... on RepositoryConnection { nodes {
  schedules { name scheduleState { id status } } } } } }
"""
STOP = "mutation {{ stopRunningSchedule(id: {id}) {{ __typename }} }}"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of a page of another origin."""
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title><body>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def nightly(desk: Desk) -> dict[str, Any]:
    (repository,) = desk.instance.ask(SCHEDULES)["nodes"]
    (schedule,) = [each for each in repository["schedules"] if each["name"] == "nightly"]
    return dict(schedule["scheduleState"])


def test_a_page_of_another_origin_can_neither_stop_the_schedule_nor_read(
    desk: Desk, browser: Chrome, elsewhere: str
) -> None:
    before = nightly(desk)
    assert before["status"] == "RUNNING"
    browser.set_script_timeout(60)
    browser.get(elsewhere)
    mutation = STOP.format(id=json.dumps(before["id"]))
    told = browser.execute_async_script(ATTACK, desk.instance.url, mutation)
    assert nightly(desk) == before
    # What it could not be kept from sending was refused, and nothing that was answered is readable.
    assert told["socket"] == told["json"] == told["read"] == told["script"] == told["image"] == "error"
    assert {told["plain"], told["query string"], told["get"]} == {"opaque"}
    for frame in browser.find_elements("tag name", "iframe"):
        browser.switch_to.frame(frame)
        assert browser.find_elements("id", "root") == []
        browser.switch_to.default_content()


def test_what_it_tried_is_what_our_own_page_can_do(desk: Desk, browser: Chrome) -> None:
    """Or the test above would pass whatever the guard did."""
    before = nightly(desk)
    mutation = STOP.format(id=json.dumps(before["id"]))
    browser.get(desk.instance.url)
    answered = browser.execute_async_script(
        "const [body, done] = arguments; fetch('/graphql', {method: 'POST', body, headers: "
        "{'Content-Type': 'application/json'}}).then(answer => answer.json()).then(done)",
        json.dumps({"query": mutation}),
    )
    assert answered["data"]["stopRunningSchedule"]["__typename"] == "ScheduleStateResult"
    assert nightly(desk)["status"] == "STOPPED"
    desk.instance.ask(
        "mutation ($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename } }",
        selector={
            "repositoryLocationName": "gazelle_sync",
            "repositoryName": "__repository__",
            "scheduleName": "nightly",
        },
    )
    assert nightly(desk)["status"] == "RUNNING"


def test_a_name_that_somebody_made_point_to_this_machine_shows_nothing(desk: Desk, browser: Chrome) -> None:
    browser.get(f"http://rebound.example:{desk.instance.port}/status")
    assert "Refused: this UI answers at http://127.0.0.1:" in browser.page_source
    assert "<table" not in browser.page_source


def test_a_link_from_elsewhere_opens_the_ui(desk: Desk, browser: Chrome, elsewhere: str) -> None:
    """As one in an alert does."""
    browser.get(elsewhere)
    browser.execute_script("location.href = arguments[0]", f"{desk.instance.url}/status")
    assert desk.instance.url in browser.current_url
    assert browser.find_element("tag name", "h1").text == "gazelle-sync"


def test_the_status_page_is_one_click_from_its_asset(desk: Desk, browser: Chrome) -> None:
    from gazelle_sync_tests.browser.ui import Ui

    ui = Ui(browser, desk.instance.url)
    ui.open("/assets/status_page")
    address = f"{desk.instance.url}/status"
    before = browser.window_handles
    ui.click(address)
    for opened in set(browser.window_handles) - set(before):
        browser.switch_to.window(opened)
    ui.wait(lambda: browser.current_url == address, "the status page")
    ui.shows("gazelle-sync", *TABLES)
    if browser.window_handles != before:
        browser.close()
        browser.switch_to.window(before[0])
