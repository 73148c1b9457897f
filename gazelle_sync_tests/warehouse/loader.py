"""A process of its own that works, to be killed or to compete: `python -m gazelle_sync_tests.warehouse.loader URL`.

Reads commands, a line each, and answers each with a line. `once RUN` loads in a child and says its report, or
`failed` and why. The others say the process id of a child that goes on until it is killed: `forever RUN` loads,
`migrate` adds what the database lacks, `renew URL APP SECRET PLACE` renews an OAuth token that is kept in a file, or
in `postgres`. Forking is quicker than starting Python anew.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.gazelle import OAuth, TokenFile
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync.tables import TABLES
from gazelle_sync_tests.warehouse.canned import Canned, Rejected, clients

ROWS = 600
# Enough for a migration of several steps, and quick.
FEW = {name: TABLES[name] for name in ("users", "clients", "contacts")}


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
        command, *arguments = line.split()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            with os.fdopen(write, "w") as answer:
                if command == "once":
                    answer.write(once(engine, int(arguments[0])))
                else:
                    GOES_ON[command](engine, *arguments)
                    signal.pause()
            os._exit(0)
        os.close(write)
        if command in GOES_ON:
            print(child, flush=True)
        with os.fdopen(read) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        if command == "once":
            print(said, flush=True)


def load_forever(engine: Engine, number: str) -> None:
    rounds = int(number)
    while True:
        for source in sources(rounds):
            warehouse.load(engine, source, run_id=str(rounds), allow_mass_delete=True)
        rounds += 1


def migrate(engine: Engine) -> None:
    warehouse.migrate(engine, FEW)


def renew_forever(engine: Engine, url: str, client_id: str, client_secret: str, place: str) -> None:
    store = warehouse.TokenTable(engine) if place == "postgres" else TokenFile(Path(place))
    oauth = OAuth(Transport(url, requests_per_second=1000), client_id, client_secret, store)
    while True:
        oauth.renew(oauth.headers())


GOES_ON: dict[str, Callable[..., None]] = {"forever": load_forever, "migrate": migrate, "renew": renew_forever}


def once(engine: Engine, number: int) -> str:
    try:
        reports = [
            warehouse.load(engine, source, run_id=str(number), allow_mass_delete=True) for source in sources(number)
        ]
    except Exception as error:
        return f"failed {error!r}"
    return "; ".join(map(str, reports))


if __name__ == "__main__":
    main()
