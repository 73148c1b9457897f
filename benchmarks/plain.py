"""Reading Gazelle with nothing but `requests`, as the peers of the project do. Runs in dlt's environment too.

Keep out: any import of gazelle_sync.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

# How many records of a list are asked for inside each record of another.
NESTED = 20


@dataclass(frozen=True)
class List:
    """One of a table's lists: its query, where its nodes are, and how many are asked for.

    `levels` are the lists inside of each other, of which the last has the table's records: in which field each is, in
    which field its records name their parent, and whether it comes in pages.
    """

    table: str
    query: str
    field: str
    paged: bool
    first: int
    levels: tuple[tuple[str, str, bool], ...]


def answers(session: requests.Session, base_url: str, asked: List) -> Iterator[tuple[bytes, Any]]:
    """The body of every page, and what it says."""
    after = None
    while True:
        variables: dict[str, Any] = {"first": asked.first, "after": after} if asked.paged else {}
        if asked.levels and asked.levels[0][2]:
            variables["nested"] = NESTED
        response = session.post(base_url + "/graphql/private/", json={"query": asked.query, "variables": variables})
        response.raise_for_status()
        found = json.loads(response.content)["data"][asked.field]
        yield response.content, found
        if not asked.paged or not found["pageInfo"]["hasNextPage"]:
            return
        after = found["pageInfo"]["endCursor"]


def records(asked: List, found: Any) -> list[dict[str, Any]]:
    """A page's records; those of a nested list have their parent's id."""
    if not asked.paged:
        return found if isinstance(found, list) else [found]
    nodes: list[dict[str, Any]] = found["nodes"]
    for field, back, paged in asked.levels:
        nodes = [
            {back: {"id": parent["id"]}, **child}
            for parent in nodes
            for child in (parent[field]["nodes"] if paged else parent[field] or ())
        ]
    return nodes


def done(seconds: float, rows: int) -> None:
    """Tells whoever measures. The peak is this program's own, without what it was forked from."""
    try:
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "rows": rows, "peak_mb": peak / 1024}))
