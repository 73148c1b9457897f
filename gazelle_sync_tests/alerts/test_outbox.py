"""Once, never lost, never twice: what is queued, what is kept, and what several processes make of one file."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event, Thread

import pytest

from gazelle_sync.alerts import Alerts, Email, Kind, Slack, channels_from
from gazelle_sync.files import hold_lock
from gazelle_sync_tests.alerts.conftest import INCIDENT, TORONTO
from gazelle_sync_tests.alerts.servers import HOOK, LOGIN, MailServer, Webhook
from gazelle_sync_tests.conftest import AT_ONCE

# -- once -------------------------------------------------------------------------------------------------------------


def test_a_failure_is_told_once_on_each_channel_however_often_it_is_raised(alerts, webhook, mail_server, incident):
    assert alerts.open(incident()) is True
    assert alerts.open(incident(why="the same, one retry later")) is False
    assert alerts.deliver() == []
    assert alerts.open(incident()) is False
    assert alerts.deliver() == []
    assert len(webhook.texts) == len(mail_server.mails) == 1


def test_well_again_is_told_once_with_how_long_it_lasted(alerts, webhook, mail_server, incident):
    alerts.open(incident())
    assert alerts.resolve(INCIDENT.key, INCIDENT.since + timedelta(hours=3, minutes=4)) is True
    assert alerts.resolve(INCIDENT.key) is False
    alerts.deliver()
    assert len(webhook.texts) == len(mail_server.mails) == 2
    assert "passes again. That lasted 3 hours and 4 minutes, since 16 March 2026 at 02:14" in webhook.texts[1]
    assert "passes again" in mail_server.mails[1]["Subject"]


def test_what_was_never_wrong_is_not_said_to_be_well(alerts, webhook):
    assert alerts.resolve("run:sync") is False
    assert alerts.deliver() == []
    assert webhook.requests == []


def test_after_it_was_well_the_same_failure_is_told_again(alerts, webhook, incident):
    for _ in range(2):
        alerts.open(incident())
        alerts.resolve(INCIDENT.key)
    alerts.deliver()
    assert len(webhook.texts) == 4


def test_different_keys_are_different_failures_told_in_order(alerts, webhook, incident):
    for table in ("clients", "pianos", "users"):
        alerts.open(incident(key=f"stale:{table}", kind=Kind.TABLE_STALE, about=table))
    alerts.deliver()
    assert [text.split("“")[1].split("”")[0] for text in webhook.texts] == ["clients", "pianos", "users"]


def test_what_is_open_can_be_asked_for(alerts, incident):
    alerts.open(incident())
    alerts.open(incident(key="run:sync", since=INCIDENT.since - timedelta(days=1)))
    assert [opened.key for opened in alerts.open_incidents()] == ["run:sync", INCIDENT.key]
    assert alerts.open_incidents()[1] == INCIDENT
    alerts.resolve("run:sync")
    assert [opened.key for opened in alerts.open_incidents()] == [INCIDENT.key]


def test_a_channel_configured_later_hears_of_what_is_still_wrong_and_the_others_not_again(
    webhook, mail_server, state, incident
):
    alone = Alerts([Slack(webhook.url)], state, "en", TORONTO)
    alone.open(incident())
    alone.deliver()
    both = Alerts(channels_from(webhook.url, "ann@example.org", mail_server.url), state, "en", TORONTO)
    assert both.open(incident()) is True
    both.deliver()
    assert (len(webhook.texts), len(mail_server.mails)) == (1, 1)


def test_with_no_channel_what_is_wrong_is_remembered_and_told_when_there_is_one(webhook, state, incident):
    silent = Alerts([], state, "en", TORONTO)
    assert silent.open(incident()) is False
    assert silent.deliver() == []
    speaking = Alerts([Slack(webhook.url)], state, "en", TORONTO)
    assert speaking.open(incident()) is True
    speaking.deliver()
    assert len(webhook.texts) == 1


def test_a_channel_that_never_heard_of_it_is_not_told_that_it_is_well(webhook, state, incident):
    Alerts([], state, "en", TORONTO).open(incident())
    alerts = Alerts([Slack(webhook.url)], state, "en", TORONTO)
    alerts.resolve(INCIDENT.key)
    alerts.deliver()
    assert webhook.requests == []


# -- never lost -------------------------------------------------------------------------------------------------------


def test_while_the_servers_are_down_messages_are_kept_and_sent_at_the_next_call(
    alerts, webhook, mail_server, state, incident
):
    alerts.open(incident())
    webhook.stop()
    mail_server.stop()
    slack, email = alerts.deliver()
    assert str(slack) == (
        "slack: 1 alert could not be sent and is kept for the next time (tried 1 time): "
        "Slack gave no answer (ConnectionError)"
    )
    assert email.why == f"The mail server 127.0.0.1:{mail_server.port} could not be reached (ConnectionRefusedError)"
    assert alerts.deliver()[0].tries == 2
    back, mail_back = Webhook(webhook.port), MailServer(port=mail_server.port)
    later = Alerts(channels_from(back.url, "ann@example.org", mail_back.url), state, "en", TORONTO)
    assert [failure.tries for failure in later.unsent()] == [2, 2]
    assert later.deliver() == []
    assert later.deliver() == []
    assert (len(back.texts), len(mail_back.mails)) == (1, 1)
    back.stop()
    mail_back.stop()


def test_one_channel_that_fails_does_not_hold_back_the_other_nor_have_it_told_twice(
    alerts, webhook, mail_server, incident
):
    webhook.status = 503
    alerts.open(incident())
    for _ in range(2):
        assert [failure.channel for failure in alerts.deliver()] == ["slack"]
    assert len(mail_server.mails) == 1
    webhook.status = 200
    assert alerts.deliver() == []
    assert (len(webhook.texts), len(mail_server.mails)) == (1, 1)


def test_a_server_in_trouble_is_asked_once_per_call_and_order_is_kept(alerts, webhook, incident):
    webhook.status = 429
    webhook.headers["Retry-After"] = "30"
    for number in range(3):
        alerts.open(incident(key=f"{number}", about=f"number {number}"))
    failure = alerts.deliver()[0]
    assert (failure.waiting, failure.tries, len(webhook.requests)) == (3, 1, 1)
    assert "HTTP 429" in failure.why
    webhook.status = 200
    alerts.deliver()
    assert [number in text for number, text in zip("012", webhook.texts, strict=True)] == [True] * 3


def test_a_message_that_is_refused_for_itself_is_kept_and_does_not_hold_back_the_next(alerts, webhook, incident):
    webhook.judge = lambda text: 400 if "poison" in text else 200
    alerts.open(incident(key="a", about="poison"))
    alerts.open(incident(key="b", about="fine"))
    failure = alerts.deliver()[0]
    assert failure.waiting == 1
    assert ["fine" in text for text in webhook.texts] == [True]
    webhook.judge = lambda text: 200
    assert alerts.deliver() == []


def test_what_waits_for_a_channel_that_is_switched_off_is_kept_until_it_is_on_again(webhook, state, incident):
    alerts = Alerts([Slack(webhook.url)], state, "en", TORONTO)
    alerts.open(incident())
    off = Alerts([], state, "en", TORONTO)
    assert (off.deliver(), off.unsent()) == ([], [])
    alerts.deliver()
    assert len(webhook.texts) == 1


def test_a_channel_that_keeps_failing_is_told_of_on_the_other_and_so_is_its_recovery(
    alerts, webhook, mail_server, incident
):
    webhook.status, webhook.answer = 404, "no_service"
    alerts.open(incident())
    for _ in range(5):
        alerts.deliver()
    subjects = [mail["Subject"] for mail in mail_server.mails]
    assert subjects == [
        "[gazelle-sync] The check “gazelle/pianos: parents_known” fails",
        "[gazelle-sync] Alerts do not get through by “slack”",
    ]
    assert "Why: Slack answered HTTP 404: no_service" in mail_server.mails[1].get_content()
    webhook.status = 200
    assert alerts.deliver() == []
    assert mail_server.mails[2]["Subject"] == "[gazelle-sync] Alerts get through by “slack” again"
    assert len(webhook.texts) == 1


def test_one_recipient_who_is_refused_waits_alone(webhook, mail_server, state, incident):
    mail_server.unknown = {"bob@example.org"}
    to = "ann@example.org, bob@example.org, cleo@example.org"
    alerts = Alerts([Email(mail_server.url, to)], state, "en", TORONTO)
    alerts.open(incident())
    for _ in range(2):
        (failure,) = alerts.deliver()
        assert "refused 1 of 3 recipients (550 5.1.1 <***> is unknown here)" in failure.why
    assert mail_server.recipients == [["ann@example.org", "cleo@example.org"]]
    mail_server.unknown = set()
    assert alerts.deliver() == []
    assert mail_server.recipients[1:] == [["bob@example.org"]]


def test_a_recipient_who_was_misspelt_gets_what_waits_under_the_right_name(mail_server, state, incident):
    mail_server.unknown = {"bbo@example.org"}
    wrong = Alerts([Email(mail_server.url, "ann@example.org,bbo@example.org")], state, "en", TORONTO)
    wrong.open(incident())
    wrong.deliver()
    right = Alerts([Email(mail_server.url, "ann@example.org,bob@example.org")], state, "en", TORONTO)
    assert right.deliver() == []
    assert mail_server.recipients == [["ann@example.org"], ["bob@example.org"]]


# -- the file ---------------------------------------------------------------------------------------------------------


def test_only_its_owner_can_read_the_file(alerts, state, incident):
    alerts.open(incident())
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def test_asking_does_not_write(alerts, state, incident):
    alerts.open(incident())
    before = state.stat().st_ino
    alerts.open_incidents()
    alerts.unsent()
    alerts.open(incident())
    assert state.stat().st_ino == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"open": {}}',
        b'{"open": [], "waiting": {}}',
        b'{"open": {}, "waiting": {"slack": [{"message": 7}]}}',
        b'{"open": {"a": {"kind": "no such", "key": "a"}}, "waiting": {}}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_can_not_be_understood_is_set_aside_and_said_and_alerts_go_on(
    alerts, webhook, mail_server, state, incident, content, caplog
):
    state.parent.mkdir()
    state.write_bytes(content)
    assert alerts.open(incident()) is True
    assert alerts.deliver() == []
    (kept,) = state.parent.glob("alerts.json.unreadable-*")
    assert kept.read_bytes() == content
    assert "could not be understood" in caplog.text
    assert kept.name in webhook.texts[0]
    assert "could not be read" in webhook.texts[0]
    assert [len(webhook.texts), len(mail_server.mails)] == [2, 2]


def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(alerts, state, incident, monkeypatch):
    alerts.open(incident())
    before = state.read_text()
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        alerts.open(incident(key="another"))
    assert state.read_text() == before
    assert sorted(path.name for path in state.parent.iterdir() if "lock" not in path.name) == ["alerts.json"]


PROCESS = """
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from threading import Thread
from zoneinfo import ZoneInfo
from gazelle_sync.alerts import Alerts, Incident, Kind, Slack
url, state, only = sys.argv[1:]
alerts = Alerts([Slack(url)], Path(state), "en", ZoneInfo("America/Toronto"))
for n in range(15):
    for key in (f"shared{n}", f"{only}{n}"):
        alerts.open(Incident(Kind.RUN_FAILED, key, key, datetime.now(timezone.utc), "why"))
    if n % 5 == 4:
        assert alerts.deliver() == []
"""


def test_two_processes_that_share_the_file_tell_each_failure_once_between_them(webhook, state):
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, webhook.url, str(state), only]) for only in ("a", "b")
    ]
    assert [process.wait(30) for process in processes] == [0, 0]
    told = sorted(text.split("“")[1].split("”")[0] for text in webhook.texts)
    assert told == sorted(f"{name}{n}" for n in range(15) for name in ("shared", "a", "b"))


def test_others_can_raise_while_a_server_takes_its_time(alerts, webhook, incident):
    def raise_meanwhile(text):
        alerts.open(incident(key="another"))
        return 200

    webhook.judge = raise_meanwhile
    alerts.open(incident())
    assert alerts.deliver() == []
    # What came up on the way was sent in the same go.
    assert len(webhook.texts) == 2


def test_two_that_send_at_the_same_time_send_each_message_once(webhook, state, incident):
    def slowly(text):
        time.sleep(0.05)
        return 200

    webhook.judge = slowly
    both = [Alerts([Slack(webhook.url)], state, "en", TORONTO) for _ in range(2)]
    for number in range(4):
        both[0].open(incident(key=f"{number}"))
    threads = [Thread(target=alerts.deliver) for alerts in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(webhook.texts) == 4


def test_whoever_comes_while_a_listener_takes_its_time_waits_for_nobody(webhook, state, incident):
    held = Event()

    def slowly(text):
        held.wait(60)
        return 200

    webhook.judge = slowly
    first, second = (Alerts([Slack(webhook.url)], state, "en", TORONTO) for _ in range(2))
    first.open(incident(key="0"))
    sending = Thread(target=first.deliver)
    sending.start()
    while not webhook.requests:
        time.sleep(0.01)
    began = time.monotonic()
    second.open(incident(key="1"))
    assert second.deliver() == []
    assert second.open_incidents()
    assert time.monotonic() - began < AT_ONCE
    held.set()
    sending.join()
    # What the second left was sent by the first.
    assert len(webhook.texts) == 2
    assert not second.is_waiting()


@pytest.mark.parametrize("until", [timedelta(seconds=-1), timedelta(days=2)], ids=["lapsed", "by a clock ahead"])
def test_a_claim_that_a_crash_left_or_a_clock_that_was_ahead_holds_nothing_up(webhook, state, incident, until):
    alerts = Alerts([Slack(webhook.url)], state, "en", TORONTO)
    alerts.open(incident())
    document = json.loads(state.read_text())
    document["sending"] = {"slack": (datetime.now(timezone.utc) + until).isoformat()}
    state.write_text(json.dumps(document))
    alerts.deliver()
    assert len(webhook.texts) == 1


def test_a_lock_that_is_kept_is_said_in_one_line_and_not_waited_for_without_end(state, incident, monkeypatch):
    monkeypatch.setattr("gazelle_sync.alerts.state.PATIENCE", 0.2)
    alerts = Alerts([], state, "en", TORONTO)
    with hold_lock(state, timeout=0), pytest.raises(OSError, match=r"^\[Errno \d+\] another process has kept .*\.json"):
        alerts.open(incident())


# -- no secrets -------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_the_file_the_logs_the_messages_or_the_failures(webhook, state, incident, tls, caplog):
    caplog.set_level(logging.DEBUG)
    mail_server = MailServer(tls, login=True)
    smtp_url = f"smtp://{LOGIN}@127.0.0.1:{mail_server.port}"
    key = "MARK-key-of-gazelle"
    channels = channels_from(webhook.url, "ann@example.org", smtp_url)
    alerts = Alerts(channels, state, "en", TORONTO, secrets=[key])
    spoken = incident(
        about=f"sync {key}",
        why=f"{'x' * 285} {key} {webhook.url} {HOOK} {smtp_url} MARK/pass:word@MARK "
        "postgresql://postgres:MARK@p@ss@db.example.org:5432/postgres carol@example.org",
        link=f"http://127.0.0.1/{key}",
    )
    seen = ""
    for status in (500, 302, 200):
        # A server that repeats what it was sent.
        webhook.status, webhook.answer = status, f"no such hook: /services/T01/B01/{HOOK} and {HOOK}"
        webhook.headers = {"Location": f"/elsewhere/{HOOK}"}
        mail_server.answer_to_data = "250 OK" if status == 200 else f"550 MARK/pass:word@MARK {LOGIN}"
        alerts.open(spoken)
        alerts.open(incident(key="short", why=f"{key} carol@example.org"))
        seen += "\n".join(map(str, alerts.deliver())) + state.read_text()
    webhook.stop()
    alerts.resolve("short")
    seen += "\n".join(map(str, alerts.deliver())) + state.read_text()
    mail_server.stop()
    seen += "\n".join(webhook.texts) + "\n".join(f"{mail['Subject']}{mail.get_content()}" for mail in mail_server.mails)
    assert len(webhook.texts) == 2
    assert "Why: *** ***" in seen
    # The mail server of the test logs what it says itself.
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name != "mail.log")
    assert "POST ***" in logged
    for text in (seen, logged):
        assert "MARK" not in text
        assert "carol@" not in text


def test_a_secret_is_not_betrayed_by_being_cut_in_the_middle(alerts, state, incident, webhook):
    for length in range(285, 300):
        alerts.open(incident(key=f"{length}", why=f"{'x' * length}{HOOK}"))
    alerts.deliver()
    assert "MARK" not in state.read_text() + "".join(webhook.texts)


def test_what_is_kept_is_readable_by_a_person(alerts, state, incident):
    alerts.open(incident())
    document = json.loads(state.read_text())
    assert document["open"][INCIDENT.key]["told"] == ["slack", "email"]
    assert document["waiting"]["slack"][0]["tries"] == 0


def test_a_time_without_a_zone_is_refused(incident):
    with pytest.raises(ValueError, match="needs a time with a zone"):
        incident(since=datetime(2026, 3, 16))


def test_a_language_without_messages_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no messages in 'de'"):
        Alerts([], tmp_path / "alerts.json", "de", timezone.utc)
