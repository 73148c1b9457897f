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


@dataclass(frozen=True)
class List:
    """One table's list: its query, where its nodes are, and, where it is nested, in which field of each."""

    table: str
    query: str
    field: str
    paged: bool
    nested: str | None
    back: str | None


def answers(session: requests.Session, base_url: str, asked: List) -> Iterator[tuple[bytes, Any]]:
    """The body of every page, and what it says."""
    after = None
    while True:
        variables = {"after": after} if asked.paged else {}
        response = session.post(base_url + "/graphql/private/", json={"query": asked.query, "variables": variables})
        response.raise_for_status()
        found = json.loads(response.content)["data"][asked.field]
        yield response.content, found
        if not asked.paged or not found["pageInfo"]["hasNextPage"]:
            return
        after = found["pageInfo"]["endCursor"]


def records(asked: List, found: Any) -> list[dict[str, Any]]:
    """A page's records; those of a nested list have their parent's id in the field `back`."""
    if not asked.paged:
        return found
    if asked.nested is None:
        return found["nodes"]
    return [
        {**child, asked.back: {"id": parent["id"]}}
        for parent in found["nodes"]
        for child in parent[asked.nested]["nodes"]
    ]


def done(seconds: float, rows: int) -> None:
    """Tells whoever measures. The peak is this program's own, without what it was forked from."""
    try:
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "rows": rows, "peak_mb": peak / 1024}))
