"""What people are told, through the daemon's sensors and from the command line, over real HTTP and SMTP."""

from __future__ import annotations

import sqlite3
from typing import Any

import psutil
import pytest

from gazelle_sync_tests.alerts.servers import HOOK
from gazelle_sync_tests.daemon.conftest import YEAR, Installation
from gazelle_sync_tests.daemon.instance import wait

NIGHTLY = {"gazelle-sync/nightly": "true"}


def test_a_failed_run_is_told_once_and_once_that_it_is_well_again(mirrored: Installation) -> None:
    instance = mirrored.instance
    with mirrored.failing(status=503):
        run_id = instance.launch("clients", "contacts")
        assert instance.run_ended(run_id)["status"] == "FAILURE"
        text = mirrored.hears("clients", "a échoué")
        # Another run that fails for the same reason, as the next night's would.
        assert instance.run_ended(instance.launch("clients"))["status"] == "FAILURE"
    mirrored.settle()
    # `contacts` was not run, since what it builds on failed: there is nothing to say of it.
    assert len(mirrored.slack.texts) == 1
    assert f"{instance.url}/runs/{run_id}" in text
    assert "503" in text
    for part in ("Pourquoi", "Que faire", "depuis"[:2]):
        assert part in text
    (mail,) = mirrored.mailed()
    assert "L’exécution de « clients » a échoué" in " ".join(mail.replace("\xa0", " ").split())

    assert instance.run_ended(instance.launch("clients"))["status"] == "SUCCESS"
    mirrored.hears("clients", "réussit")
    mirrored.settle()
    assert (len(mirrored.slack.texts), len(mirrored.mail.mails)) == (2, 2)
    everything = " ".join([*mirrored.slack.texts, *mirrored.mailed()])
    assert not {word for word in (HOOK, mirrored.sandbox.api_key, "@") if word in everything}
    # Nothing but a nightly run is the outside watcher's business.
    assert mirrored.heartbeat.texts == []


def test_a_check_that_fails_is_told_and_the_run_is_none_the_worse(mirrored: Installation) -> None:
    """An old appointment is broken behind the sync's back; a run that does not read that month finds it."""
    (row,) = mirrored.rows(
        "SELECT external_id, duration_minutes FROM gazelle.appointments WHERE appointment_date < %s LIMIT 1",
        f"{YEAR}-03-01",
    )
    change = "UPDATE gazelle.appointments SET duration_minutes = %s WHERE external_id = %s"
    mirrored.rows(change, 0, row["external_id"])
    march = {f"dagster/asset_partition_range_{end}": f"{YEAR}-03-01" for end in ("start", "end")}
    try:
        run = mirrored.instance.run_ended(mirrored.instance.launch("appointments", "appointment_pianos", tags=march))
        assert run["status"] == "SUCCESS"
        text = mirrored.hears("appointments: end_after_they_start")
        assert row["external_id"] in text
    finally:
        mirrored.rows(change, row["duration_minutes"], row["external_id"])
    mirrored.settle()
    assert len(mirrored.slack.texts) == 1
    assert mirrored.instance.run_ended(mirrored.instance.launch("appointments", tags=march))["status"] == "SUCCESS"
    mirrored.hears("appointments: end_after_they_start", "réussit")
    mirrored.settle()
    assert (len(mirrored.slack.texts), len(mirrored.mail.mails)) == (2, 2)


def test_a_stale_table_is_told_and_the_backfill_of_an_old_month_makes_it_no_fresher(mirrored: Installation) -> None:
    with mirrored.aged("30 hours", "timeline_entries"):
        mirrored.hears("timeline_entries", "à jour")
        backfill = mirrored.instance.backfill("timeline_entries", f"{YEAR}-03-01")
        assert mirrored.instance.backfill_ended(backfill)["status"] == "COMPLETED_SUCCESS"
        check = mirrored.instance.checks("timeline_entries")["read_within_26_hours"]
        assert check["executionForLatestMaterialization"]["status"] == "FAILED"
        mirrored.hears("timeline_entries: read_within_26_hours")
        mirrored.settle()
        assert len(mirrored.told("timeline_entries", "à jour")) == 1
    wait(lambda: len(mirrored.told("timeline_entries", "à jour")) == 2, "the news that the table is up to date")


def test_a_message_is_kept_while_slack_is_down_and_the_failure_to_send_is_seen(mirrored: Installation) -> None:
    mirrored.slack.status = 500
    try:
        with mirrored.aged("30 hours", "users"):
            wait(lambda: mirrored.mailed("users"), "the mail")

            def failed() -> list[Any]:
                return [tick for tick in mirrored.instance.ticks("deliver_alerts") if tick["status"] == "FAILURE"]

            tick = wait(failed, "a failed tick")[0]
            why = tick["error"]["cause"]["message"]
            assert "slack\xa0: 1 alerte n’a pas pu être envoyée et est gardée pour la prochaine fois" in why
            assert HOOK not in str(tick)
            assert mirrored.slack.texts == []
            mirrored.slack.status = 200
            mirrored.hears("users")
    finally:
        mirrored.slack.status = 200
    mirrored.settle()
    assert (
        len(mirrored.told("users", "pas été mise à jour")) == len(mirrored.mailed("users", "mise à jour depuis")) == 1
    )


def test_the_outside_watcher_hears_of_a_good_nightly_run_alone(mirrored: Installation) -> None:
    instance = mirrored.instance
    with mirrored.failing(status=401):
        assert instance.run_ended(instance.launch("users", tags=NIGHTLY))["status"] == "FAILURE"
    mirrored.settle()
    assert mirrored.heartbeat.texts == []
    assert instance.run_ended(instance.launch("users", tags=NIGHTLY))["status"] == "SUCCESS"
    wait(lambda: mirrored.heartbeat.texts, "the heartbeat")
    mirrored.settle()
    assert len(mirrored.heartbeat.texts) == 1


def worker(installation: Installation, run_id: str) -> psutil.Process:
    """The process that works on a run, by what the run itself says of it."""
    event = installation.instance.ask(
        """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { __typename
        ... on MessageEvent { message } ... on EngineEvent { metadataEntries { label
        ... on TextMetadataEntry { text } } } } } } }""",
        id=run_id,
    )
    pids = [
        int(entry["text"])
        for each in event["events"]
        for entry in each.get("metadataEntries", ())
        if entry["label"] == "pid"
    ]
    return psutil.Process(pids[-1])


def test_a_run_whose_process_dies_is_tried_again_and_told_of_when_that_dies_too(mirrored: Installation) -> None:
    instance = mirrored.instance
    with mirrored.slow(1.5):
        first = instance.launch("users", "clients", "contacts")
        instance.run_has(first, "STARTED")
        worker(mirrored, first).kill()
        assert instance.run_ended(first)["status"] == "FAILURE"
        second = str(wait(lambda: instance.runs()[0]["runId"] != first and instance.runs()[0], "the retry")["runId"])
        instance.run_has(second, "STARTED")
        mirrored.settle()
        assert mirrored.slack.texts == []
        worker(mirrored, second).kill()
        assert instance.run_ended(second)["status"] == "FAILURE"
    text = mirrored.hears("a échoué")
    assert second in text
    mirrored.settle()
    assert (len(mirrored.slack.texts), len(mirrored.mail.mails)) == (1, 1)
    assert instance.run_ended(instance.launch("users"))["status"] == "SUCCESS"
    mirrored.hears("réussit")


@pytest.fixture
def crashed(mirrored: Installation) -> tuple[Installation, str]:
    """Everything died while a run was under way."""
    with mirrored.slow(1.5):
        run_id = mirrored.instance.launch("users", "clients")
        mirrored.instance.run_has(run_id, "STARTED")
        mirrored.instance.crash()
    return mirrored, run_id


def test_a_run_left_hanging_by_a_crash_is_told_of_and_a_limit_clears_the_way(
    crashed: tuple[Installation, str],
) -> None:
    installation, run_id = crashed
    instance = installation.instance

    def begun_earlier(seconds: int) -> None:
        """Time does not pass faster for a test; the run's own record says that it began so much earlier."""
        with sqlite3.connect(installation.project.root / "var/dagster/history/runs.db") as records:
            records.execute("UPDATE runs SET start_time = start_time - ? WHERE run_id = ?", (seconds, run_id))

    # Meanwhile cron's command works all the same, and tells people by itself, once.
    with installation.failing(status=401):
        ended = installation.project.run("sync", "--table", "users")
        assert ended.code == 1, ended.text
    assert len(installation.told("users", "a échoué")) == len(installation.slack.texts) == 1
    ended = installation.project.run("sync", "--table", "users")
    assert ended.code == 0, ended.text
    assert len(installation.told("users", "réussit")) == 1
    assert installation.heartbeat.texts == []
    ended = installation.project.run("sync")
    assert ended.code == 0, ended.text
    assert len(installation.heartbeat.texts) == 1

    begun_earlier(4000)
    instance.start()
    installation.hears("« sync »".replace(" ", "\xa0"), "signe de vie")
    waiting = instance.launch("users")
    installation.settle()
    assert (instance.run(run_id)["status"], instance.run(waiting)["status"]) == ("STARTED", "QUEUED")
    # What the command had said, the daemon does not say again.
    assert len(installation.told("« users »".replace(" ", "\xa0"))) == 2, installation.slack.texts
    begun_earlier(4000)
    assert instance.run_ended(run_id)["status"] == "FAILURE"
    assert instance.run_ended(waiting)["status"] == "SUCCESS"
    # What was cut short is done again, as after any crash, and so there is no failure to tell of.
    again = [
        run["runId"] for run in instance.runs() if {"key": "dagster/parent_run_id", "value": run_id} in run["tags"]
    ]
    assert [instance.run_ended(each)["status"] for each in again] == ["SUCCESS"]
    installation.hears("sync", "n’est plus bloquée")
    installation.settle()
    assert installation.told("« sync »".replace(" ", "\xa0"), "a échoué") == []


def test_between_ticks_no_connection_to_the_mirror_s_database_stays_open(mirrored: Installation) -> None:
    """Poolers have few places, and the sensors look twice a minute, for ever."""
    mirrored.settle()
    here = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gazelle-sync'"
    # The one that asks.
    wait(lambda: len(mirrored.rows(f"SELECT {here}")) == 1, "the sensors to let go of their connection")
