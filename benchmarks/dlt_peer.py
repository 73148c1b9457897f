"""dlt with the same lists: `python dlt_peer.py DATABASE_URL BASE_URL LISTS FOLDER`, in an environment of its own.

As its documentation has it: a resource per list, merged by upsert on the primary key. `LISTS` is the JSON of
`plain.List`s, `FOLDER` where it keeps its state. Keep out: any import of gazelle_sync.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
import plain
import requests


def resource(asked: plain.List, number: int, session: requests.Session, base_url: str) -> Any:
    def read() -> Iterator[list[dict[str, Any]]]:
        for _, found in plain.answers(session, base_url, asked):
            # A pair has no id of its own.
            yield [{"id": f"{row['event']['id']}/{row['piano']['id']}", **row} if "id" not in row else row
                   for row in plain.records(asked, found)]  # fmt: skip

    return dlt.resource(
        read,
        name=f"{asked.table}_{number}" if number else asked.table,
        table_name=asked.table,
        primary_key="id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        # Lists of tags stay in their row, as they do with the others.
        max_table_nesting=0,
    )


def main() -> None:
    database, base_url, lists, folder = sys.argv[1:]
    session = requests.Session()
    resources = [
        resource(plain.List(**each), number, session, base_url)
        for number, each in enumerate(json.loads(Path(lists).read_text(encoding="utf-8")))
    ]
    gc.freeze()
    began = time.perf_counter()
    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.postgres(database), dataset_name="dlt", pipelines_dir=folder
    )
    pipeline.run(resources)
    seconds = time.perf_counter() - began
    counts = pipeline.last_trace.last_normalize_info.row_counts
    plain.done(seconds, sum(count for name, count in counts.items() if not name.startswith("_dlt")))


if __name__ == "__main__":
    main()
