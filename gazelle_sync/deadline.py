"""Connections whose timeout is for the whole answer: elsewhere it is for each byte, so that a body of a byte every five
seconds would never end.

Keep out: what is sent, and what follows from a timeout.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Until(io.RawIOBase):
    """What a socket receives until a moment of the monotonic clock, or until so many bytes.

    From then on, reading raises `TimeoutError` or `OSError`.
    """

    def __init__(self, received: Any, sock: Any, deadline: float, limit: int | None = None) -> None:
        super().__init__()
        self._received = received
        self._sock = sock
        self._deadline = deadline
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        if self._left is not None and self._left <= 0:
            raise OSError("the answer did not end")
        self._sock.settimeout(min(left, self._sock.gettimeout() or left))
        count: int | None = self._received.raw.readinto(buffer)
        if self._left is not None:
            self._left -= count or 0
        return count

    def close(self) -> None:
        # The socket counts who reads from it, and is not closed before they are.
        self._received.close()
        super().close()


class Answer(http.client.HTTPResponse):
    """An answer that has to be there, headers and body, within the socket's timeout."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        timeout = sock.gettimeout()
        if timeout is not None:
            self.fp = io.BufferedReader(Until(self.fp, sock, time.monotonic() + timeout))


class PlainConnection(HTTPConnection):
    response_class = Answer


class TlsConnection(HTTPSConnection):
    response_class = Answer


class PlainPool(HTTPConnectionPool):
    ConnectionCls = PlainConnection


class TlsPool(HTTPSConnectionPool):
    ConnectionCls = TlsConnection


POOLS = {"http": PlainPool, "https": TlsPool}


class DeadlineAdapter(HTTPAdapter):
    """The adapter of `requests`, with such connections, also through a proxy of HTTP."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = POOLS
        return manager
