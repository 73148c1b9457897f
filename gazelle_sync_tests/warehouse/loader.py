"""A process of its own that loads, to be killed or to compete: `python -m gazelle_sync_tests.warehouse.loader URL`.

Reads commands, a line each, and answers each with a line. `once RUN` loads in a child and says its report, or
`failed` and why; `forever RUN` says the process id of a child that loads until it is killed. Forking is quicker
than starting Python anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from gazelle_sync import warehouse
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.warehouse.canned import Canned, Rejected, clients

ROWS = 600


def sources(number: int) -> Iterator[Canned]:
    """What Gazelle has in a round: every record differs from the round before, some are new, some gone, one is bad."""
    mark = f"round {number}"
    first = number * 10
    numbers = range(first, first + ROWS)
    reject = Rejected((f"cli_{first:04}",), mark, {"mark": mark}, loaded=True)
    yield Canned(TABLES["clients"], clients(numbers, personal_notes=mark), rejects=[reject])
    # Some of their clients are not there yet.
    pianos: list[dict[str, Any]] = [
        {"external_id": f"ins_{n:04}", "client_external_id": f"cli_{n + 5:04}", "tags": [], "notes": mark}
        for n in numbers
    ]
    yield Canned(TABLES["pianos"], pianos)


def main() -> None:
    engine = warehouse.connect(sys.argv[1])
    for line in sys.stdin:
        command, number = line.split()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            with os.fdopen(write, "w") as answer:
                if command == "once":
                    answer.write(once(engine, int(number)))
                else:
                    rounds = int(number)
                    while True:
                        for source in sources(rounds):
                            warehouse.load(engine, source, run_id=str(rounds), allow_mass_delete=True)
                        rounds += 1
            os._exit(0)
        os.close(write)
        if command == "forever":
            print(child, flush=True)
        with os.fdopen(read) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        if command == "once":
            print(said, flush=True)


def once(engine: Any, number: int) -> str:
    try:
        reports = [
            warehouse.load(engine, source, run_id=str(number), allow_mass_delete=True) for source in sources(number)
        ]
    except Exception as error:
        return f"failed {error!r}"
    return "; ".join(map(str, reports))


if __name__ == "__main__":
    main()
