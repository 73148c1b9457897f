"""The bytes of an answer, and what becomes of them on their way: cut off, dripping, without end, blown up.

What an answer says must stay out (`spoiling.py`). None of these takes more memory than a page does.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from typing import Any

from starlette.responses import Response, StreamingResponse

from gazelle_sync.sandbox.faults import Fault

_GATEWAY_PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
_JSON = "application/json"
_FOUR_GIB = 4 * 2**30
_BLANKS = 2**26


class _Dropped(Response):
    """Announces the whole body and sends half: the server then closes the connection, as a broken one does."""

    def __init__(self, body: bytes, status: int) -> None:
        announced = {"Content-Length": str(len(body))}
        super().__init__(body[: len(body) // 2], status, announced, _JSON)


def response(status: int, answer: dict[str, Any], faults: Iterable[Fault]) -> Response:
    """The answer as an HTTP response, as the faults that strike it leave it."""
    # UTF-8 as Gazelle sends it; a lone surrogate, which UTF-8 has no bytes for, goes as its JSON escape.
    body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace")
    by_kind = {fault.kind: fault for fault in faults}
    if "html" in by_kind:
        return Response(_GATEWAY_PAGE, media_type="text/html")
    if "truncated" in by_kind:
        body = body[: len(body) // 2]
    if "dropped" in by_kind:
        return _Dropped(body, status)
    if fault := by_kind.get("dripping"):
        return StreamingResponse(_drip(body, fault.seconds), status, media_type=_JSON)
    if fault := by_kind.get("endless_body"):
        return StreamingResponse(_endless(fault.size), status, media_type=_JSON)
    if fault := by_kind.get("gzip_bomb"):
        packed = {"Content-Encoding": "gzip"}
        return StreamingResponse(_bomb(body, fault.size or _FOUR_GIB), status, packed, _JSON)
    return Response(body, status, media_type=_JSON)


async def _drip(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for place in range(len(body)):
        yield body[place : place + 1]
        await asyncio.sleep(seconds)


async def _endless(size: int | None) -> AsyncIterator[bytes]:
    yield b'{"data": {"x": "'
    piece, sent = b"x" * 2**16, 0
    while size is None or sent < size:
        yield piece
        sent += len(piece)
        await asyncio.sleep(0)


async def _bomb(body: bytes, size: int) -> AsyncIterator[bytes]:
    # A gzip file may be several one after the other (RFC 1952): one of blanks, which JSON may begin with, is made
    # once and sent again and again.
    for _ in range(size // _BLANKS):
        yield _blanks()
        await asyncio.sleep(0)
    yield _gzip(body)


@lru_cache(maxsize=1)
def _blanks() -> bytes:
    return _gzip(b" " * _BLANKS)


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(level=9, wbits=31)
    return packer.compress(content) + packer.flush()
