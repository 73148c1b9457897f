"""E-mail over real SMTP: what arrives, encryption, login, refusals, and which addresses are understood."""

from __future__ import annotations

import socket
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from threading import Thread

import pytest

from gazelle_sync.alerts import Email, NotSent, Slack, channels_from, mail
from gazelle_sync.alerts.channel import Message
from gazelle_sync_tests.alerts.servers import LOGIN, USER, Dripping, MailServer
from gazelle_sync_tests.conftest import AT_ONCE

AT = datetime(2026, 3, 16, 6, 14, tzinfo=timezone.utc)
SUBJECT = "L’exécution de «\u00a0sync\u00a0» a échoué"
BODY = f"{SUBJECT} le 1er mars.\nPourquoi\u00a0: " + "déjà " * 60 + "\n.\nOù regarder\u00a0: http://x/" + "y" * 200
# aiosmtpd warns of a server that is as careless as the test wants it.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")

MESSAGE = Message("f00d", AT, SUBJECT, BODY)


@pytest.fixture
def named(monkeypatch):
    """Makes mail.test, which is no name of this machine's own, lead to it all the same."""
    found = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **named: found("127.0.0.1" if host == "mail.test" else host, *more, **named),
    )


@pytest.fixture
def server():
    """A function that starts a mail server, which ends with the test."""
    started = []

    def start(*args, **options):
        started.append(MailServer(*args, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def test_a_mail_arrives_as_it_was_written(mail_server):
    Email(mail_server.url, "ann@example.org, Bob <bob@example.org>").send(MESSAGE)
    (arrived,) = mail_server.mails
    assert arrived["Subject"] == f"[gazelle-sync] {SUBJECT}"
    assert arrived["From"] == "gazelle-sync <gazelle-sync@localhost>"
    assert arrived["To"] == "ann@example.org, bob@example.org"
    assert arrived["Message-ID"] == "<f00d@localhost>"
    assert arrived["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(arrived["Date"]) == AT
    assert arrived.get_content() == BODY
    assert mail_server.recipients == [["ann@example.org", "bob@example.org"]]


def test_with_starttls_the_login_and_the_mail_are_encrypted(named, server, tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    encrypting = server(tls, login=True)
    Email(f"smtp://{LOGIN}@mail.test:{encrypting.port}", "ann@example.org").send(MESSAGE)
    assert encrypting.encrypted == [True]
    assert encrypting.mails[0]["From"] == f"gazelle-sync <{USER}>"


def test_smtps_is_encrypted_from_the_start(named, server, tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    encrypting = server(tls, tls_at_once=True, login=True)
    Email(f"smtps://{LOGIN}@mail.test:{encrypting.port}", "ann@example.org").send(MESSAGE)
    assert len(encrypting.mails) == 1


@pytest.mark.parametrize("at_once", [False, True])
def test_a_certificate_that_nobody_vouches_for_is_refused(named, server, tls, at_once):
    encrypting = server(tls, tls_at_once=at_once, login=True)
    scheme = "smtps" if at_once else "smtp"
    with pytest.raises(NotSent, match=r"could not be reached \(its certificate is not trusted: self.signed") as caught:
        Email(f"{scheme}://{LOGIN}@mail.test:{encrypting.port}", "ann@example.org").send(MESSAGE)
    assert caught.value.unreachable
    assert encrypting.mails == []


def test_beyond_this_machine_nothing_is_sent_unencrypted(named, server):
    plain = server(login=True)
    with pytest.raises(NotSent, match="offers no encryption") as caught:
        Email(f"smtp://{LOGIN}@mail.test:{plain.port}", "ann@example.org").send(MESSAGE)
    assert caught.value.unreachable
    assert plain.mails == []


@pytest.mark.parametrize("encrypted", [False, True])
def test_on_this_machine_any_certificate_will_do_and_none_as_well(server, tls, encrypted):
    local = server(tls if encrypted else None, login=True)
    Email(f"smtp://{LOGIN}@127.0.0.1:{local.port}", "ann@example.org").send(MESSAGE)
    assert local.encrypted == [encrypted]


def test_a_wrong_password_is_said_without_the_server_s_words(server):
    local = server(login=True)
    with pytest.raises(NotSent, match=rf"^The mail server 127.0.0.1:{local.port} refused the login \(535\)$") as caught:
        Email(f"smtp://alerts%40example.org:MARKwrong@127.0.0.1:{local.port}", "ann@example.org").send(MESSAGE)
    assert caught.value.unreachable
    assert caught.value.__suppress_context__


def test_when_every_recipient_is_refused_nobody_has_it(mail_server):
    mail_server.unknown = {"ann@example.org", "bob@example.org"}
    with pytest.raises(NotSent, match=r"refused 2 of 2 recipients \(550 5.1.1 <\*\*\*> is unknown here\)") as caught:
        Email(mail_server.url, "ann@example.org,bob@example.org").send(MESSAGE)
    assert list(caught.value.taken_by) == []
    assert mail_server.mails == []


def test_a_recipient_who_has_it_does_not_get_it_again(mail_server):
    email = Email(mail_server.url, "ann@example.org,bob@example.org")
    email.send(MESSAGE, ["ann@example.org"])
    email.send(MESSAGE, ["ann@example.org", "bob@example.org"])
    assert mail_server.recipients == [["bob@example.org"]]


def test_a_message_that_the_server_does_not_take_is_a_failure_of_that_message(mail_server):
    mail_server.answer_to_data = "554 5.7.1 looks like spam, says bob@example.org"
    with pytest.raises(NotSent, match=r"did not take the message \(554 5.7.1 looks like spam, says \*\*\*\)") as caught:
        Email(mail_server.url, "ann@example.org").send(MESSAGE)
    assert not caught.value.unreachable


def test_a_goodbye_that_goes_wrong_does_not_make_a_taken_message_a_failure(mail_server):
    mail_server.answer_to_quit = "500 I don't know that word"
    Email(mail_server.url, "ann@example.org").send(MESSAGE)
    assert len(mail_server.mails) == 1


def test_a_server_that_hangs_or_hangs_up_is_given_up(monkeypatch):
    monkeypatch.setattr(mail, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        email = Email(f"smtp://127.0.0.1:{silent.getsockname()[1]}", "ann@example.org")
        with pytest.raises(NotSent, match=r"could not be reached \(it hung up, or did not answer in time\)") as caught:
            email.send(MESSAGE)
        assert caught.value.unreachable
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up() -> None:
            rude.accept()[0].close()

        Thread(target=hang_up, daemon=True).start()
        email = Email(f"smtp://127.0.0.1:{rude.getsockname()[1]}", "ann@example.org")
        with pytest.raises(NotSent, match="could not be reached") as caught:
            email.send(MESSAGE)
        assert caught.value.unreachable


@pytest.mark.parametrize(
    ("beginning", "more"),
    [(b"", b"2"), (b"220 mail.test\r\n250-", b"x"), (b"220 mail.test\r\n", b"250-AUTH\r\n"), (b"220-", b"x" * 500)],
    ids=["greeting", "answer", "lines", "a long line"],
)
def test_a_byte_now_and_then_and_lines_without_end_are_no_answer(monkeypatch, beginning, more):
    monkeypatch.setattr(mail, "WHOLE_TIMEOUT", 0.5)
    slow = Dripping(beginning, more, 0.05)
    began = time.monotonic()
    with pytest.raises(NotSent, match=r"could not be reached \((it hung up, or did not|SMTPRes|500)") as caught:
        Email(f"smtp://127.0.0.1:{slow.port}", "ann@example.org").send(MESSAGE)
    slow.stop()
    assert caught.value.unreachable
    assert time.monotonic() - began < AT_ONCE


def test_no_more_is_kept_of_what_a_server_says_without_end_than_a_talk_takes():
    endless = Dripping(b"220 mail.test\r\n", b"250-AUTH\r\n" * 5000)
    began = time.monotonic()
    with pytest.raises(NotSent, match="could not be reached"):
        Email(f"smtp://127.0.0.1:{endless.port}", "ann@example.org").send(MESSAGE)
    endless.stop()
    # Long before its time is up.
    assert time.monotonic() - began < AT_ONCE
    assert endless.sent < 20_000_000


@pytest.mark.parametrize(
    ("answer", "lasting"), [("451 4.7.1 Greylisted, try again", False), ("554 5.7.1 looks like spam", True)]
)
def test_greylisting_passes_by_itself_and_a_refusal_does_not(mail_server, answer, lasting):
    mail_server.answer_to_data = answer
    with pytest.raises(NotSent) as caught:
        Email(mail_server.url, "ann@example.org").send(MESSAGE)
    assert caught.value.lasting is lasting


@pytest.mark.parametrize(
    ("url", "server", "sender"),
    [
        ("smtp://mail.example.org", (False, "mail.example.org", 587), "gazelle-sync@mail.example.org"),
        ("smtps://mail.example.org/", (True, "mail.example.org", 465), "gazelle-sync@mail.example.org"),
        ("smtp://localhost:25", (False, "localhost", 25), "gazelle-sync@localhost"),
        ("smtp://[::1]:25", (False, "::1", 25), "gazelle-sync@localhost"),
        ("smtp://10.0.0.1", (False, "10.0.0.1", 587), "gazelle-sync@[10.0.0.1]"),
        ("smtp://apikey:p%40ss@mail.example.org", (False, "mail.example.org", 587), "gazelle-sync@mail.example.org"),
        ("smtp://a%40b.org:p@mail.example.org", (False, "mail.example.org", 587), "a@b.org"),
        ("smtp://a@b.org:p@mail.example.org", (False, "mail.example.org", 587), "a@b.org"),
        ("smtp://a%40b.org@localhost", (False, "localhost", 587), "a@b.org"),
    ],
)
def test_the_address_says_server_and_sender(url, server, sender):
    assert mail.server(url)[:3] == server
    assert Email(url, "ann@example.org")._from == sender


@pytest.mark.parametrize(
    "url",
    [
        "MARK",
        "http://MARK",
        "smtp://",
        "smtp://u:MARK/x@mail.example.org",
        "smtp://u:12/MARK@mail.example.org",
        "smtp://u:MARK#x@mail.example.org",
        "smtp://u:MARK?x@mail.example.org",
        "smtp://[MARK",
        "smtp://:MARK@mail.example.org",
        "smtp://u:MARKé@mail.example.org",
        "smtp://mail.example.org:MARK",
    ],
)
def test_an_address_that_can_not_be_meant_is_refused_without_being_shown(url):
    with pytest.raises(ValueError, match=r"^SMTP_URL ") as caught:
        Email(url, "ann@example.org")
    assert "MARK" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "to", ["ann", "ann@", "@example.org", "a@b.org;c@d.org", " , ", "a b@c.org", "zoé@exemple.org"]
)
def test_what_is_no_recipient_is_refused(to):
    with pytest.raises(ValueError, match="ALERT_EMAIL_TO is not a list of e-mail addresses"):
        Email("smtp://mail.example.org", to)


def test_recipients_are_separated_by_commas_and_each_counts_once():
    text = " ann@example.org,Bob <bob@example.org> , ann@example.org,"
    assert mail.recipients(text) == ["ann@example.org", "bob@example.org"]


# -- which channels are on --------------------------------------------------------------------------------------------


def test_each_channel_is_off_while_unset():
    assert channels_from("", "", "") == []
    assert [type(channel) for channel in channels_from("https://hooks.example/x", "", "")] == [Slack]
    assert [type(channel) for channel in channels_from("", "ann@example.org", "smtp://localhost")] == [Email]
    assert len(channels_from("https://hooks.example/x", "ann@example.org", "smtp://localhost")) == 2


def test_half_of_e_mail_is_an_error_that_names_the_other_half():
    with pytest.raises(ValueError, match=r"^SMTP_URL is not set, though ALERT_EMAIL_TO is"):
        channels_from("", "ann@example.org", "")
    with pytest.raises(ValueError, match=r"^ALERT_EMAIL_TO is not set, though SMTP_URL is"):
        channels_from("", "", "smtp://u:MARK@localhost")
