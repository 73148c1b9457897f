"""Serves canned pages from memory, in a process of its own, so that its time does not count.

    python -m benchmarks.server FILE [--latency SECONDS]

Prints its URL and serves until it is killed. Keep out: what the pages are (`pages`), and faults (`sandbox`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.pages import Pages


class Connection(asyncio.Protocol):
    """One kept-alive connection. Only POST with a Content-Length is understood: `requests` sends nothing else."""

    def __init__(self, pages: Pages, latency: float) -> None:
        self._pages = pages
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._received = rest[length:]
        asyncio.get_running_loop().call_later(self._latency, self._answer, rest[:length])

    def _answer(self, asked: bytes) -> None:
        request = json.loads(asked)
        body = self._pages.get((request["query"], request["variables"].get("after")))
        status = b"200 OK" if body else b"404 Not Found"
        body = body or b"no such page: " + asked
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
        )


async def serve(pages: Pages, latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pages, latency), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(serve(pickle.loads(given.file.read_bytes()), given.latency))


if __name__ == "__main__":
    main()
