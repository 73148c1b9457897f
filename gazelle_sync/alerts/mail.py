"""E-mail, by SMTP. Keep out: what is said (`wording`), when it is sent (`outbox`)."""

from __future__ import annotations

import base64
import io
import re
import smtplib
import ssl
import time
from collections.abc import Collection
from contextlib import suppress
from email.header import Header
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, getaddresses
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

from gazelle_sync.alerts.channel import Message, NotSent
from gazelle_sync.deadline import Until
from gazelle_sync.redaction import one_line
from gazelle_sync.translations import say

# Seconds to wait for the server, at each step and in all.
TIMEOUT = 15.0
WHOLE_TIMEOUT = 45.0
# Bytes of all that a server says while it takes a message.
LONGEST_TALK = 1 << 16

# Without the quotes and brackets that the standard would allow, and nobody has.
ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"]+@[^\s@<>()\[\]\\,;:\"]+")


class Talk(smtplib.SMTP):
    """A talk with a mail server that ends in time, whatever the server says and however slowly."""

    def connect(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        self._deadline = time.monotonic() + WHOLE_TIMEOUT
        return super().connect(*args, **options)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            received = self.sock.makefile("rb")
            self.file = io.BufferedReader(Until(received, self.sock, self._deadline, LONGEST_TALK))
        return super().getreply()


class EncryptedTalk(smtplib.SMTP_SSL, Talk):
    """The same, encrypted from the start."""


class Email:
    """Mail through one server, `smtp://user:password@host:587` or `smtps://host:465`, to one or more recipients.

    User and password are percent-encoded; without a password there is no login. Mail comes from the user where
    that is an address. What leaves this machine is encrypted, or not sent.
    """

    name = "email"

    def __init__(self, smtp_url: str, to: str) -> None:
        """Raises `ValueError`, which says what is wrong and shows neither the address nor a part of it."""
        self._tls, self._host, self._port, self._user, self._password = server(smtp_url)
        self._to = recipients(to)
        self._from = self._user if is_address(self._user) else f"gazelle-sync@{domain(self._host)}"
        login = f"\0{self._user}\0{self._password}"
        # The last two are how a login is sent, which a server might repeat.
        self.secrets = (
            (smtp_url, self._password, urlsplit(smtp_url).password or "", in_base64(self._password), in_base64(login))
            if self._password
            else ()
        )

    def send(self, message: Message, taken_by: Collection[str] = ()) -> None:
        """To all at once, and each of them once. Raises `NotSent`."""
        to = [address for address in self._to if address not in taken_by]
        if not to:
            return
        smtp = self._connect()
        try:
            refused = smtp.send_message(self._mail(message), self._from, to)
        except smtplib.SMTPRecipientsRefused as failure:
            smtp.close()
            raise self._refused(failure.recipients, to, taken_by) from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            smtp.close()
            raise self._failure("mail_not_taken", error) from None
        # The server has it by now: whatever goes wrong with the goodbye must not have it sent again.
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        if refused:
            raise self._refused(refused, to, taken_by)

    def _connect(self) -> smtplib.SMTP:
        """A connection that may be written to: encrypted, and logged in where there is a password."""
        local = is_loopback(self._host)
        context = ssl.create_default_context()
        if local:
            # Nobody is in between, and what a mail server on this machine shows is mostly made by itself.
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        smtp: smtplib.SMTP | None = None
        try:
            if self._tls:
                smtp = EncryptedTalk(self._host, self._port, timeout=TIMEOUT, context=context)
            else:
                smtp = Talk(self._host, self._port, timeout=TIMEOUT)
                smtp.ehlo_or_helo_if_needed()
                if smtp.has_extn("starttls"):
                    smtp.starttls(context=context)
                elif not local:
                    smtp.close()
                    raise NotSent(say("mail_not_encrypted", server=self._server), unreachable=True, lasting=True)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if smtp is not None:
                smtp.close()
            raise self._failure("mail_unreachable", error, unreachable=True) from None
        if self._password:
            try:
                smtp.login(self._user, self._password)
            except (smtplib.SMTPException, OSError, ValueError) as error:
                smtp.close()
                # The answer is not shown: it may repeat what was sent.
                code = error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None
                raise NotSent(
                    say("mail_login_refused", server=self._server, why=code or type(error).__name__),
                    unreachable=True,
                    lasting=is_lasting(code),
                ) from None
        return smtp

    @property
    def _server(self) -> str:
        return say("the_mail_server", address=f"{self._host}:{self._port}")

    def _mail(self, message: Message) -> MIMEText:
        # Not EmailMessage: that of Python 3.13.0 puts a space too many into a subject with accents.
        mail = MIMEText(message.body, "plain", "utf-8")
        mail["From"] = formataddr(("gazelle-sync", self._from))
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = Header(f"[gazelle-sync] {message.subject}", "utf-8", header_name="Subject").encode()
        mail["Date"] = format_datetime(message.at)
        # The same at each try: where it isn't known whether the server took it, the mailbox shows it once.
        mail["Message-ID"] = f"<{message.id}@{domain(self._host)}>"
        # So that nobody's notice of absence answers.
        mail["Auto-Submitted"] = "auto-generated"
        return mail

    def _failure(self, text: str, error: Exception, *, unreachable: bool = False) -> NotSent:
        """What the server said, redacted; of other errors only the kind, since their text may hold anything."""
        why, lasting = type(error).__name__, False
        if isinstance(error, smtplib.SMTPResponseException):
            why, lasting = f"{error.smtp_code} {self._plain(error.smtp_error)}", is_lasting(error.smtp_code)
        elif isinstance(error, (smtplib.SMTPServerDisconnected, TimeoutError)):
            why = say("mail_hung_up")
        elif isinstance(error, ssl.SSLCertVerificationError):
            why, lasting = say("mail_not_trusted", why=error.verify_message), True
        # smtplib's own errors are of OSError too.
        lost = isinstance(error, OSError) and not isinstance(error, smtplib.SMTPResponseException)
        return NotSent(say(text, server=self._server, why=why), unreachable=unreachable or lost, lasting=lasting)

    def _refused(self, refused: dict[str, tuple[int, bytes]], to: list[str], taken_by: Collection[str]) -> NotSent:
        code, text = next(iter(refused.values()))
        taken = [*taken_by, *(address for address in to if address not in refused)]
        why = f"{code} {self._plain(text)}"
        return NotSent(
            say("mail_recipients_refused", server=self._server, count=len(refused), all=len(self._to), why=why),
            # Greylisting is a refusal that passes by itself.
            lasting=all(is_lasting(code) for code, _ in refused.values()),
            taken_by=taken,
        )

    def _plain(self, answer: bytes | str) -> str:
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
        return one_line(text, self.secrets, 100)


def is_lasting(code: int | None) -> bool:
    """Whether a server's answer will be the same the next time (RFC 5321, 4.2.1: 5yz)."""
    return code is not None and code >= 500


def server(url: str) -> tuple[bool, str, int, str, str]:
    """Whether TLS begins at once, host, port, user and password. Raises `ValueError` without the address."""
    try:
        parts = urlsplit(url)
        port = parts.port
        fine = parts.scheme in ("smtp", "smtps") and port != 0
    except ValueError:
        fine = False
    # What comes after the host is part of a password that holds a slash and is not encoded.
    if not fine or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(say("smtp_url_not_understood"))
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if password and not user:
        raise ValueError(say("smtp_url_without_user"))
    if not (parts.hostname + user + password).isascii():
        raise ValueError(say("smtp_url_with_accents"))
    tls = parts.scheme == "smtps"
    return tls, parts.hostname, port or (465 if tls else 587), user, password


def recipients(text: str) -> list[str]:
    """The addresses of a list separated by commas, each once. Raises `ValueError`."""
    addresses = [address for _, address in getaddresses([text.strip().strip(",")])]
    if not addresses or not all(is_address(address) for address in addresses):
        raise ValueError(say("alert_email_not_understood"))
    return list(dict.fromkeys(addresses))


def is_address(text: str) -> bool:
    """Accents need a server that knows of them, and whoever has such an address has another one too: they are none."""
    return text.isascii() and ADDRESS.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def domain(host: str) -> str:
    """What stands after the @ of an address on that host."""
    if is_loopback(host):
        return "localhost"
    try:
        ip = ip_address(host)
    except ValueError:
        return host
    return f"[{'IPv6:' if ip.version == 6 else ''}{ip}]"


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
