"""E-mail, by SMTP. Keep out: what is said (`wording`), when it is sent (`outbox`)."""

from __future__ import annotations

import base64
import re
import smtplib
import ssl
from collections.abc import Collection
from contextlib import suppress
from email.header import Header
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, getaddresses
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from gazelle_sync.alerts.channel import Message, NotSent
from gazelle_sync.redaction import one_line

# Seconds to wait for the server, at each step.
TIMEOUT = 15.0

# Without the quotes and brackets that the standard would allow, and nobody has.
ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"]+@[^\s@<>()\[\]\\,;:\"]+")


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
            raise self._failure("did not take the message", error) from None
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
                smtp = smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT, context=context)
            else:
                smtp = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT)
                smtp.ehlo_or_helo_if_needed()
                if smtp.has_extn("starttls"):
                    smtp.starttls(context=context)
                elif not local:
                    smtp.close()
                    raise NotSent(f"{self._server} offers no encryption (STARTTLS)", unreachable=True)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            if smtp is not None:
                smtp.close()
            raise self._failure("could not be reached", error, unreachable=True) from None
        if self._password:
            try:
                smtp.login(self._user, self._password)
            except (smtplib.SMTPException, OSError, ValueError) as error:
                smtp.close()
                # The answer is not shown: it may repeat what was sent.
                code = f"{error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
                raise NotSent(
                    f"{self._server} refused the login ({code or type(error).__name__})", unreachable=True
                ) from None
        return smtp

    @property
    def _server(self) -> str:
        return f"The mail server {self._host}:{self._port}"

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

    def _failure(self, what: str, error: Exception, *, unreachable: bool = False) -> NotSent:
        """What the server said, redacted; of other errors only the kind, since their text may hold anything."""
        said = type(error).__name__
        if isinstance(error, smtplib.SMTPResponseException):
            said = f"{error.smtp_code} {self._plain(error.smtp_error)}"
        elif isinstance(error, smtplib.SMTPServerDisconnected):
            said = "it hung up, or did not answer in time"
        elif isinstance(error, ssl.SSLCertVerificationError):
            said = f"its certificate is not trusted: {error.verify_message}"
        # smtplib's own errors are of OSError too.
        lost = isinstance(error, OSError) and not isinstance(error, smtplib.SMTPResponseException)
        return NotSent(f"{self._server} {what} ({said})", unreachable=unreachable or lost)

    def _refused(self, refused: dict[str, tuple[int, bytes]], to: list[str], taken_by: Collection[str]) -> NotSent:
        code, text = next(iter(refused.values()))
        taken = [*taken_by, *(address for address in to if address not in refused)]
        return NotSent(
            f"{self._server} refused {len(refused)} of {len(self._to)} recipients ({code} {self._plain(text)})",
            taken_by=taken,
        )

    def _plain(self, answer: bytes | str) -> str:
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
        return one_line(text, self.secrets, 100)


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
        raise ValueError(
            "SMTP_URL is not the address of a mail server. Write it as smtp://user:password@host:587 or "
            "smtps://user:password@host:465, with special characters of user and password percent-encoded (%40 for @)."
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if password and not user:
        raise ValueError("SMTP_URL has a password and no user. Write it as smtp://user:password@host:587.")
    if not (parts.hostname + user + password).isascii():
        raise ValueError("SMTP_URL has letters with accents in user, password or host, which can't be sent.")
    tls = parts.scheme == "smtps"
    return tls, parts.hostname, port or (465 if tls else 587), user, password


def recipients(text: str) -> list[str]:
    """The addresses of a list separated by commas, each once. Raises `ValueError`."""
    addresses = [address for _, address in getaddresses([text.strip().strip(",")])]
    if not addresses or not all(is_address(address) for address in addresses):
        raise ValueError(
            "ALERT_EMAIL_TO is not a list of e-mail addresses. Write one address, or several separated by commas."
        )
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
