"""Runs through Dagster's real processes: what a click, a backfill, a schedule and the command line do."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from gazelle_sync.partitions import MONTHS_AHEAD, months_later
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import VIEWS
from gazelle_sync_tests.conftest import NIGHTLY, NOW, TORONTO
from gazelle_sync_tests.daemon.conftest import HISTORY_START, YEAR, Installation
from gazelle_sync_tests.daemon.instance import wait
from gazelle_sync_tests.project import running

RANGE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SPRING = (f"{YEAR}-03-01", f"{YEAR}-04-01", f"{YEAR}-05-01")

WHAT_THERE_IS = """
query {
  repositoryOrError(repositorySelector: {repositoryLocationName: "gazelle_sync", repositoryName: "__repository__"}) {
    ... on Repository {
      jobs { name } sensors { name sensorState { status } } schedules { name cronSchedule executionTimezone
      scheduleState { status } } assetNodes { assetKey { path } isPartitioned description }
    }
  }
}"""


def materialized(run: dict[str, Any]) -> dict[str, list[str | None]]:
    """The partitions of each asset that a run materialized."""
    found: dict[str, list[str | None]] = {}
    for event in run["assetMaterializations"]:
        found.setdefault(event["assetKey"]["path"][-1], []).append(event["partition"])
    return found


def span(run: dict[str, Any]) -> tuple[float, float]:
    return run["startTime"], run["endTime"]


def test_everything_is_there_and_on_but_the_hourly_schedule(installation: Installation) -> None:
    there = installation.instance.ask(WHAT_THERE_IS)
    assert {job["name"] for job in there["jobs"]} >= {"sync", "hourly"}
    schedules = {
        each["name"]: (each["cronSchedule"], each["executionTimezone"], each["scheduleState"]["status"])
        for each in there["schedules"]
    }
    assert schedules == {
        "nightly": ("0 2 * * *", "America/Toronto", "RUNNING"),
        "weekly": ("0 3 * * 0", "America/Toronto", "RUNNING"),
        "hourly": ("0 7-21 * * *", "America/Toronto", "STOPPED"),
    }
    assert {each["sensorState"]["status"] for each in there["sensors"]} == {"RUNNING"}
    assets = {node["assetKey"]["path"][-1]: node["isPartitioned"] for node in there["assetNodes"]}
    dated = {name: bool(table.partitioned_by) for name, table in TABLES.items()}
    assert assets == {**dated, **dict.fromkeys(VIEWS, False), "status_page": False, "gazelle_api": False}


def test_the_first_night_reads_every_table_whole_and_records_each_month(
    installation: Installation, first_night: dict[str, Any]
) -> None:
    assert first_night["status"] == "SUCCESS"
    tags = {tag["key"]: tag["value"] for tag in first_night["tags"]}
    whole = HISTORY_START, months_later(NOW, MONTHS_AHEAD).isoformat()
    assert tuple(tags[name] for name in RANGE) == whole
    found = materialized(first_night)
    assert set(found) == {*TABLES, *VIEWS}
    assert found["pianos"] == [None]
    assert (found["appointments"][0], found["appointments"][-1]) == whole
    log = installation.rows("SELECT scope FROM gazelle.sync_log WHERE run_id = %s", first_night["id"])
    assert [row["scope"] for row in log] == ["all"] * len(TABLES)
    assert installation.rows("SELECT count(*) AS n FROM gazelle.appointments")[0]["n"] > 0


def test_the_status_page_is_renewed_after_the_night(mirrored: Installation) -> None:
    page = mirrored.project.root / "var/status.html"
    wait(page.exists, "the status page")
    assert "timeline_entries" in page.read_text()


def test_every_check_passes_on_good_data(mirrored: Installation) -> None:
    results = {
        f"{table}: {name}": (check["executionForLatestMaterialization"] or {}).get("status")
        for table in TABLES
        for name, check in mirrored.instance.checks(table).items()
    }
    assert {name: status for name, status in results.items() if status != "SUCCEEDED"} == {}


def test_the_nightly_run_reaches_from_60_days_back_to_the_last_month(mirrored: Installation) -> None:
    tags = mirrored.dry_run("nightly")
    first = (NOW - timedelta(days=60)).replace(day=1).isoformat()
    assert tuple(tags[name] for name in RANGE) == (first, months_later(NOW, MONTHS_AHEAD).isoformat())


def test_after_days_without_a_run_the_first_one_back_covers_what_was_missed(mirrored: Installation) -> None:
    with mirrored.aged("40 days"):
        first = (NOW - timedelta(days=100)).replace(day=1).isoformat()
        assert mirrored.dry_run("nightly")[RANGE[0]] == max(first, HISTORY_START)


def test_the_weekly_run_reads_all_history(mirrored: Installation) -> None:
    tags = mirrored.dry_run("weekly")
    assert tuple(tags[name] for name in RANGE) == (HISTORY_START, months_later(NOW, MONTHS_AHEAD).isoformat())


def test_a_backfill_of_three_months_is_one_run_and_one_pass_over_them_alone(mirrored: Installation) -> None:
    within = "appointment_date >= %s AND appointment_date < %s"
    spring = date(YEAR, 3, 1), date(YEAR, 6, 1)
    mirrored.rows("UPDATE gazelle.appointments SET source = 'altered'")
    inside = mirrored.rows(f"SELECT count(*) AS n FROM gazelle.appointments WHERE {within}", *spring)[0]["n"]
    before = len(mirrored.sandbox.requests)

    backfill = mirrored.instance.backfill("appointments", *SPRING)
    state = mirrored.instance.backfill_ended(backfill)
    assert state["status"] == "COMPLETED_SUCCESS"
    (only,) = state["runs"]
    run = mirrored.instance.run(only["id"])
    assert materialized(run) == {"appointments": list(SPRING)}
    asked = mirrored.sandbox.requests[before:]
    # One list, a page at a time: no request begins it anew. Single records may be asked for by id besides.
    pages = [request for request in asked if "allEventsBatched" in request.query]
    assert [request.variables["after"] is None for request in pages] == [True] + [False] * (len(pages) - 1)
    assert f'"{spring[0]}"' in pages[0].query

    altered = mirrored.rows(
        f"SELECT {within} AS spring, count(*) AS n FROM gazelle.appointments WHERE source = 'altered' GROUP BY 1",
        *spring,
    )
    assert inside > 0
    assert [row["spring"] for row in altered if row["spring"]] == []
    assert [row["n"] > 0 for row in altered if row["spring"] is False] == [True]
    checks = mirrored.instance.checks("appointments")
    assert {check["executionForLatestMaterialization"]["runId"] for check in checks.values()} == {only["id"]}


def test_one_table_is_materialized_alone_with_its_checks(mirrored: Installation) -> None:
    before = len(mirrored.sandbox.requests)
    run_id = mirrored.instance.launch("pianos")
    run = mirrored.instance.run_ended(run_id)
    assert (run["status"], materialized(run)) == ("SUCCESS", {"pianos": [None]})
    # Whose account it is, and the table.
    asked = {request.query.split()[1].split("(")[0] for request in mirrored.sandbox.requests[before:]}
    assert asked <= {"account", "pianos"}
    checks = mirrored.instance.checks("pianos")
    assert {check["executionForLatestMaterialization"]["runId"] for check in checks.values()} == {run_id}


def test_two_runs_of_the_same_table_wait_for_each_other(mirrored: Installation) -> None:
    """One of them the hourly one, which reads clients, pianos, and the appointments of three months."""
    noon = datetime.combine(NOW, time(12), TORONTO).timestamp()
    first = mirrored.instance.launch(job="hourly", tags=mirrored.dry_run("hourly", noon))
    second = mirrored.instance.launch("clients")
    runs = [mirrored.instance.run_ended(run_id) for run_id in (first, second)]
    assert [run["status"] for run in runs] == ["SUCCESS", "SUCCESS"]
    earlier, later = sorted(span(run) for run in runs)
    assert earlier[1] <= later[0]
    coming = [months_later(NOW, ahead).isoformat() for ahead in range(3)]
    assert materialized(runs[0]) == {
        "clients": [None],
        "pianos": [None],
        "appointments": coming,
        "appointment_pianos": coming,
    }


def test_the_command_and_the_daemon_may_load_the_same_tables_at_the_same_time(mirrored: Installation) -> None:
    """The command passes the queue by: the lock in the database keeps one from writing while the other does."""
    (last,) = mirrored.rows("SELECT max(id) AS id FROM gazelle.sync_log")
    before = len(mirrored.sandbox.requests)

    def both_read() -> bool:
        return sum("allUsers" in request.query for request in mirrored.sandbox.requests[before:]) == 2

    # Which of them starts sooner is the machine's affair. Neither can end while every answer takes so long.
    with running(mirrored.project.start("sync")) as command:
        with mirrored.slow(1.5):
            run_id = mirrored.instance.launch(tags=mirrored.dry_run("nightly"))
            wait(both_read, "the command and the run to read side by side")
        out, err = command.communicate(timeout=90)
        assert (command.returncode, err) == (0, ""), out
        assert mirrored.instance.run_ended(run_id)["status"] == "SUCCESS"
    spans = mirrored.rows(
        "SELECT min(started_at) AS began, max(finished_at) AS ended, count(*) AS n FROM gazelle.sync_log "
        "WHERE id > %s AND status <> 'error' GROUP BY run_id ORDER BY 1",
        last["id"],
    )
    # The command leaves the weekly tables to their turn; the run is of all.
    assert sorted(each["n"] for each in spans) == [len(NIGHTLY), len(TABLES)]
    assert spans[1]["began"] < spans[0]["ended"], "They did not meet."
