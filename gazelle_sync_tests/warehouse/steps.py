"""A process of its own that loads step by step: `python -m gazelle_sync_tests.warehouse.steps URL`.

Each line that it reads is a load, as JSON: table, run, rows, `exists` (the rows of records that are there when asked
for by id), `days` (the first and the last but one) and `doubts`. It answers `reading` when the load has begun to read,
and `asking` when records are asked for; each time it waits for a line. At the end it answers with the report, as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import date, datetime
from typing import Any

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES, Scope, Type
from gazelle_sync_tests.conftest import ALL, TORONTO
from gazelle_sync_tests.warehouse.canned import Canned

PARSERS = {Type.LOCAL_DATE: date.fromisoformat, Type.TIMESTAMP: datetime.fromisoformat}


def pause(step: str) -> None:
    print(step, flush=True)
    sys.stdin.readline()


def source(order: dict[str, Any]) -> Canned:
    table = TABLES[order["table"]]
    parsers = {column.name: PARSERS[column.type] for column in table.all_columns if column.type in PARSERS}

    def parse(row: dict[str, Any]) -> dict[str, Any]:
        return {name: parsers[name](value) if value and name in parsers else value for name, value in row.items()}

    return Canned(
        table,
        [parse(row) for row in order["rows"]],
        scope=Scope(TORONTO, *map(date.fromisoformat, order["days"])) if order.get("days") else ALL,
        doubts=order.get("doubts", []),
        exists={(row["external_id"],): parse(row) for row in order.get("exists", [])},
        reading=lambda: pause("reading"),
        asking=lambda: pause("asking"),
    )


def main() -> None:
    engine = warehouse.connect(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        report = warehouse.load(engine, source(order), run_id=order["run"])
        print(json.dumps(dataclasses.asdict(report)), flush=True)


if __name__ == "__main__":
    main()
