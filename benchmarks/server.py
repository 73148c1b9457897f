"""Serves an account's lists from memory, page by page, in a process of its own, so that its time does not count.

    python -m benchmarks.server FILE [--latency SECONDS] [--per-record SECONDS] [--added 20 40 60]

Prints its URL and serves until it is killed; GET says how many requests there were, and how long all answers took
together. `--added` names the requests before which an entry is added, anywhere in the list with types. Keep out: what
the lists are (`pages`), and faults (`sandbox`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.pages import Canned

# A part of a list, by its types or by its days, and what is left of the arguments without that; and lists of which only
# the count is asked for, each under a name of its own.
TYPES = re.compile(r",? *types: \[([A-Z_, ]*)\]")
DAYS = re.compile(r",? *\w+([GL])et: \"(\d{4}-\d\d-\d\d)\"")
BLANK = re.compile(r",? *filters: \{ *\}")
LISTED = re.compile(r"(\w+)\(first: \$first, after: \$after(?:, )?([^()]*)\) \{ totalCount page")
COUNTED = re.compile(r"(\w+): (\w+)(?:\(([^()]*)\))? \{ totalCount \}")


class Lists:
    """Answers to queries. `requests` and `seconds` count what was answered so far."""

    def __init__(self, canned: Canned, latency: float, per_record: float, added: list[int]) -> None:
        self.requests, self.seconds = 0, 0.0
        self._canned = {without_part(text): found for text, found in canned.items()}
        # By the arguments: every list of the same records can be counted.
        self._counted = {listed.groups(): text for text in self._canned if (listed := LISTED.search(text))}
        self._latency, self._per_record, self._added = latency, per_record, added
        self._parts: dict[tuple[str, tuple[str, ...]], list[bytes]] = {}
        self._edges: list[bytes] = []
        self._chance = Random(7)

    def answer(self, asked: Any) -> tuple[bytes | None, float]:
        """The body of an answer, and how long it takes."""
        self.requests += 1
        if self.requests in self._added:
            self._add()
        body, count = self._find(asked["query"], asked["variables"])
        seconds = self._latency + self._per_record * count
        self.seconds += seconds
        return body, seconds

    def _find(self, text: str, variables: dict[str, Any]) -> tuple[bytes | None, int]:
        if counted := COUNTED.findall(text):
            counts = {name: {"totalCount": self._count(field, given)} for name, field, given in counted}
            return json.dumps({"data": counts}).encode(), 0
        part, text = part_of(text), without_part(text)
        found = self._canned.get(text)
        if found is None or isinstance(found, bytes):
            return found, 0
        field, nodes, _ = found
        nodes = self._part(text, part)
        start = int(urlsafe_b64decode(variables["after"] + "==")) if variables.get("after") else 0
        page = nodes[start : start + variables["first"]]
        end = start + len(page)
        cursor = json.dumps(cursor_of(end) if page else None)
        more = json.dumps(end < len(nodes))
        edges = b""
        if "edges" in text:
            self._edges += [b'{"cursor":"%b"}' % cursor_of(at).encode() for at in range(len(self._edges) + 1, end + 1)]
            edges = b'"edges":[%b],' % b",".join(self._edges[start:end])
        info = f'"pageInfo":{{"hasNextPage":{more},"endCursor":{cursor}}}'
        head = f'{{"data":{{"{field}":{{"totalCount":{len(nodes)},{info},'.encode()
        return b'%b%b"nodes":[%b]}}}' % (head, edges, b",".join(page)), len(page)

    def _part(self, text: str, part: tuple[str, ...]) -> list[bytes]:
        _, nodes, kinds = self._canned[text]
        if not any(part) or not kinds:
            return nodes
        if (text, part) not in self._parts:
            types, first, last = part
            wanted = set(types.replace(" ", "").split(","))
            self._parts[text, part] = [
                node
                for node, kind in zip(nodes, kinds, strict=True)
                if (kind in wanted if types else first <= kind <= (last or kind))
            ]
        return self._parts[text, part]

    def _count(self, field: str, arguments: str) -> int:
        narrowed = f"{field}(first: $first, after: $after, {arguments}) {{ totalCount page"
        listed = LISTED.search(without_part(narrowed))
        assert listed
        return len(self._part(self._counted[listed.groups()], part_of(arguments)))

    def _add(self) -> None:
        [(_, nodes, kinds)] = [each for each in self._canned.values() if each[0] == "allTimelineEntries"]
        at = self._chance.randrange(len(nodes))
        nodes.insert(at, re.sub(rb'"id":"(t[lm]e_[^"]*)"', rb'"id":"\1added%d"' % self.requests, nodes[at], count=1))
        kinds.insert(at, kinds[at])
        self._parts.clear()


def part_of(text: str) -> tuple[str, ...]:
    """The types, the first day and the last that a query is narrowed to; empty for what it is not."""
    types, days = TYPES.search(text), dict(DAYS.findall(text))
    return (types[1] if types else "", days.get("G", ""), days.get("L", ""))


def without_part(text: str) -> str:
    return BLANK.sub("", DAYS.sub("", TYPES.sub("", text)).replace("{, ", "{").replace("(, ", "("))


def cursor_of(offset: int) -> str:
    return urlsafe_b64encode(str(offset).encode()).decode().rstrip("=")


class Connection(asyncio.Protocol):
    """One kept-alive connection. Only POST with a Content-Length is understood, and GET: `requests` sends no more."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        if head.startswith(b"GET"):
            self._received = rest
            told = {"requests": self._lists.requests, "seconds": self._lists.seconds}
            self._answer(json.dumps(told).encode())
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._received = rest[length:]
        body, seconds = self._lists.answer(json.loads(rest[:length]))
        if body is None:
            print("not canned:", rest[:length].decode(), flush=True)
        asyncio.get_running_loop().call_later(seconds, self._answer, body)

    def _answer(self, body: bytes | None) -> None:
        status = b"404 Not Found" if body is None else b"200 OK"
        body = body or b"no such page"
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
        )


async def serve(lists: Lists) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(lists), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--per-record", type=float, default=0.0)
    parser.add_argument("--added", type=int, nargs="*", default=[])
    given = parser.parse_args()
    asyncio.run(serve(Lists(pickle.loads(given.file.read_bytes()), given.latency, given.per_record, given.added)))


if __name__ == "__main__":
    main()
