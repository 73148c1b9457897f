"""A webhook and a mail server on loopback, both real, and both able to fail the way such servers do."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from gazelle_sync_tests.conftest import close_for_all

# Planted in every address, so that a leak shows.
HOOK = "MARKhookMARKhookMARKhook"
USER = "alerts@example.org"
PASSWORD = "MARK/pass:word@MARK"
LOGIN = "alerts%40example.org:MARK%2Fpass%3Aword%40MARK"


class Webhook:
    """Answers `status`, or whatever `judge` says of a text; remembers the texts that it took, and every request."""

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.answer = "ok"
        self.headers: dict[str, str] = {}
        self.judge: Callable[[str], int] = lambda text: self.status
        self.texts: list[str] = []
        self.requests: list[tuple[str, str]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                webhook.requests.append((self.command, self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                text = json.loads(body)["text"] if body else ""
                status = webhook.judge(text)
                if status == 200:
                    webhook.texts.append(text)
                self.send_response(status)
                for name, value in webhook.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(webhook.answer.encode())

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/services/T01/B01/{HOOK}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailServer:
    """Takes mail from everybody, or with `login` from `USER` alone; refuses the recipients that are `unknown`."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, tls_at_once: bool = False, login: bool = False, port: int = 0
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.encrypted: list[bool] = []
        self.unknown: set[str] = set()
        self.answer_to_data = "250 OK"
        self.answer_to_quit = "221 Bye"
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
            # `handled` would say that this function has answered a wrong one.
            return AuthResult(success=right, handled=right)

        def session() -> SMTP:
            return SMTP(
                self,
                hostname="mail.test",
                enable_SMTPUTF8=True,
                tls_context=None if tls_at_once else tls,
                require_starttls=tls is not None and not tls_at_once,
                auth_required=login,
                auth_require_tls=tls is not None and not tls_at_once,
                authenticator=authenticate if login else None,
                loop=self._loop,
            )

        async def listen() -> asyncio.Server:
            return await self._loop.create_server(session, "127.0.0.1", port, ssl=tls if tls_at_once else None)

        self._server = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.unknown:
            return f"550 5.1.1 <{address}> is unknown here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer_to_data.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.recipients.append(envelope.rcpt_tos)
            self.encrypted.append(session.ssl is not None)
        return self.answer_to_data

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        return self.answer_to_quit

    def stop(self) -> None:
        if not self._loop.is_running():
            return

        async def close() -> None:
            self._server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Dripping:
    """Says `beginning` to whoever connects, and then `more`, again and again, every so many seconds."""

    def __init__(self, beginning: bytes, more: bytes, pause: float = 0.0) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/services/T01/B01/{HOOK}"
        self.sent = 0

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.sendall(beginning)
                while True:
                    connection.sendall(more)
                    self.sent += len(more)
                    time.sleep(pause)

        def listen() -> None:
            with suppress(OSError):
                while True:
                    Thread(target=talk, args=(self._listening.accept()[0],), daemon=True).start()

        Thread(target=listen, daemon=True).start()

    def stop(self) -> None:
        close_for_all(self._listening)
