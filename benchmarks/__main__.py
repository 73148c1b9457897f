"""Measures all that docs/performance.md tells, and writes its table and its plot: `make bench`.

    python -m benchmarks [--rounds 5] [--only compare command distance growth latency nightly parts slow]

Figures land in var/bench/results.json, part by part, so that one part can be measured anew. Keep out: how a thing is
measured (`measure`), who is measured (`contenders`, `dlt_peer`), how it is shown (`report`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.account import SCOPES, lists
from benchmarks.measure import MIRRORED, ROOT, Database, Distant, Run, serving, timed, told
from gazelle_sync import warehouse
from gazelle_sync.gazelle.account import WHOSE

CACHE = ROOT / "var" / "bench"
DLT = "dlt[postgres]==1.31.0"
# 34,891 records, 40,905 rows.
SIZE = {"clients": 4000, "timeline": 27436}
GROWTH = {100_000: 5, 300_000: 15, 1_000_000: 50}
# What the command imports, in the way it does, and nothing else.
IMPORTS = """
from gazelle_sync.cli import main
from gazelle_sync.cli.command import freeze_imports
with freeze_imports():
    from gazelle_sync.cli import job_run, progress, sync
"""
# Milliseconds to the database and back: on this machine; from one end of a continent to the other.
DISTANCES = (0, 40)


def pages(name: str, **options: object) -> Path:
    """Rendered once; later runs find them in the cache, as long as the project sends the same queries."""
    queries = "".join(asked.query for scope in SCOPES.values() for asked in lists(scope)) + WHOSE
    file = CACHE / f"{name}-{sha256(queries.encode()).hexdigest()[:8]}.pickle"
    if not file.exists():
        given = [f"--{option}={value}" for option, value in options.items()]
        subprocess.run([sys.executable, "-m", "benchmarks.pages", file, *given], cwd=ROOT, check=True)
    return file


def dlt_python() -> Path:
    folder = CACHE / "dlt"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", DLT], check=True)
        (folder / "installed").touch()
    return python


def contender(database: Database, name: str, url: str) -> Run:
    return database.measured([sys.executable, "-m", "benchmarks.contenders", name, database.url, url])


def dlt(database: Database, url: str) -> Run:
    return database.measured(dlt_argv(database, url))


def dlt_argv(database: Database, url: str) -> list[str | Path]:
    file = CACHE / "lists.json"
    file.write_text(json.dumps([asdict(each) for each in lists(SCOPES["all"])]))
    return [dlt_python(), ROOT / "benchmarks" / "dlt_peer.py", database.url_with_host, url, file, CACHE / "dlt-state"]


def compare(database: Database, rounds: int) -> dict[str, Any]:
    """The same account by everybody: empty, again unchanged, again with 1 % changed."""
    before = pages("account", **SIZE)
    after = pages("account-changed", **SIZE, changed=0.01)
    found: list[dict[str, Any]] = []
    with serving(before) as url, serving(after) as changed_url:
        for number in range(rounds):
            database.empty()
            one: dict[str, Any] = {"floor": asdict(contender(database, "floor", url))}
            one["first"] = asdict(contender(database, "project", url))
            database.settle()
            versions, position = database.versions(), database.position()
            one["again"] = asdict(contender(database, "project", url))
            one["again_table_wal"] = asdict(database.table_wal_since(position))
            one["again_dead"] = database.dead("gazelle")
            one["again_versions_changed"] = sum(a != b for a, b in zip(versions, database.versions(), strict=True))
            database.execute("CHECKPOINT")
            began, position = database.one("SELECT now()"), database.position()
            one["changed"] = asdict(contender(database, "project", changed_url))
            one["changed_table_wal"] = asdict(database.table_wal_since(position))
            one["changed_bytes"] = database.changed_bytes(began)
            shutil.rmtree(CACHE / "dlt-state", ignore_errors=True)
            one["dlt_first"] = asdict(dlt(database, url))
            database.settle()
            one["dlt_again"] = asdict(dlt(database, url))
            one["dlt_again_dead"] = database.dead("dlt")
            database.execute("CHECKPOINT")
            one["dlt_changed"] = asdict(dlt(database, changed_url))
            if number == 0:
                # Once: it is so slow that five rounds would tell nothing more.
                database.empty()
                one["row_by_row"] = asdict(contender(database, "row_by_row", url))
                database.settle()
                one["row_by_row_again"] = asdict(contender(database, "row_by_row", url))
                one["row_by_row_again_dead"] = database.dead("gazelle")
            found.append(one)
    return {"rounds": found}


def command(database: Database, rounds: int) -> dict[str, Any]:
    """`gazelle-sync sync` as a whole process when nothing changed; its imports, and the load path of the same lists,
    alone; and dlt as a whole process."""
    found: dict[str, list[dict[str, float]]] = {}
    mirrored(database)
    for kind, contending in (("window", "nightly"), ("full", "project")):
        found[kind] = []
        with installation(database.url, kind) as (argv, environment):
            url = environment["GAZELLE_BASE_URL"]
            if kind == "full":
                shutil.rmtree(CACHE / "dlt-state", ignore_errors=True)
                dlt(database, url)
                database.settle()
            for _ in range(rounds):
                one = {"path": contender(database, contending, url).seconds, "whole": timed(argv, environment)}
                one["imports"] = timed([sys.executable, "-c", IMPORTS], environment)
                if kind == "full":
                    one["dlt"] = timed(dlt_argv(database, url), environment)
                found[kind].append(one)
    return {"rounds": found["window"], "full": found["full"]}


def distance(database: Database, rounds: int) -> dict[str, Any]:
    """The nightly run when nothing changed, with a database on this machine and with one that is far away."""
    found = []
    mirrored(database)
    for _ in range(rounds):
        one: dict[str, Any] = {}
        for milliseconds in DISTANCES:
            with Distant(database, milliseconds) as far, installation(far.url, "window") as (argv, environment):
                seconds = timed(argv, environment)
            one[str(milliseconds)] = {"seconds": seconds, "connections": far.connections}
        found.append(one)
    return {"rounds": found}


def mirrored(database: Database) -> None:
    """The account is in the database already; the command was never run."""
    shutil.rmtree(CACHE / "dagster", ignore_errors=True)
    with serving(pages("account", **SIZE)) as url:
        database.empty()
        contender(database, "project", url)
        database.settle()


@contextmanager
def installation(database_url: str, kind: str) -> Iterator[tuple[list[str | Path], dict[str, str]]]:
    """The command and its environment. Its months, unless `full`, are those of the nightly run, named, so that the
    canned pages fit on any day."""
    home = CACHE / "dagster"
    # The project's own instance, somewhere else.
    for folder in ("dagster", "logs"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    instance = (ROOT / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(instance.replace(": var/", f": {home}/"), encoding="utf-8")
    window = SCOPES["nightly"]
    assert window.end is not None
    months = ["--from", window.start.isoformat(), "--to", (window.end - timedelta(days=1)).isoformat()]
    name, scope, options = {
        "window": ("account-nightly", "nightly", months),
        "full": ("account", "all", ["--full"]),
    }[kind]
    with serving(pages(name, **SIZE, scope=scope)) as url:
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "SUPABASE_DB_URL": database_url,
            "GAZELLE_BASE_URL": url,
            "GAZELLE_API_KEY": "-",
            "GAZELLE_REQUESTS_PER_SECOND": "1000000",
            "GAZELLE_HISTORY_START": SCOPES["all"].start.isoformat(),
            "GAZELLE_TIMEZONE": SCOPES["all"].zone.key,
        }
        yield [Path(sys.executable).with_name("gazelle-sync"), "sync", *options], environment


def growth(database: Database, rounds: int) -> dict[str, Any]:
    """The timeline alone, at three sizes; the tables that it refers to are there already."""
    found: dict[str, list[dict[str, Any]]] = {str(size): [] for size in GROWTH}
    for _ in range(rounds):
        for size, copies in GROWTH.items():
            with serving(pages(f"timeline-{size}", clients=4000, timeline=20_000, copies=copies)) as url:
                database.empty()
                contender(database, "parents", url)
                database.settle()
                first = contender(database, "timeline", url)
                database.settle()
                again = contender(database, "timeline", url)
                found[str(size)].append({"first": asdict(first), "again": asdict(again)})
    return {"sizes": found}


def latency(database: Database, rounds: int) -> dict[str, Any]:
    """A first load from a server that takes 200 ms for every answer."""
    found = []
    file = pages("account-small", clients=1000, timeline=7000)
    with serving(file, latency=0.2) as url:
        for _ in range(rounds):
            database.empty()
            first = contender(database, "project", url)
            requests = database.one("SELECT sum(api_requests)::int FROM gazelle.sync_log")
            found.append({"first": asdict(first), "requests": requests})
    return {"rounds": found, "latency": 0.2}


def slow(database: Database, rounds: int) -> dict[str, Any]:
    """A timeline of 30,000 from a server that takes half a second for an answer, and a millisecond for a record."""
    file = pages("timeline-slow", clients=1000, timeline=30_000)
    takes = {"latency": 0.5, "per_record": 0.001}
    # Requests before which an entry comes.
    added = [8, 16, 24]
    whole = 30_000 + len(added)
    runs = {"parts": ("polite", {}), "one_by_one": ("polite_one_by_one", {}), "added": ("polite", {"added": added}),
            "added_one_by_one": ("polite_one_by_one", {"added": added})}  # fmt: skip
    database.empty()
    with serving(file) as url:
        contender(database, "parents", url)
    found = []
    for _ in range(rounds):
        one: dict[str, Any] = {}
        for name, (who, options) in runs.items():
            forget_timeline(database)
            with serving(file, **takes, **options) as url:
                run = contender(database, who, url)
                one[name] = {**asdict(run), "server": told(url)}
            one[name]["proved"] = database.one("SELECT proved FROM gazelle.sync_log ORDER BY id DESC LIMIT 1")
            one[name]["stored"] = database.one("SELECT count(*) FROM gazelle.timeline_entries")
            one[name]["whole"] = one[name]["stored"] == (whole if "added" in options else whole - len(added))
        found.append(one)
    return {"rounds": found}


def forget_timeline(database: Database) -> None:
    """As if it had never been loaded: of a table that was, a load notes every row as a change as well, and one that was
    emptied keeps the keys and indexes that are built after its first rows."""
    database.execute("DROP TABLE gazelle.timeline_entries CASCADE")
    database.execute("DELETE FROM gazelle.sync_log WHERE table_name = 'timeline_entries'")
    warehouse.migrate(warehouse.connect(database.url), loads_follow=True)
    database.settle()


def parts(database: Database, rounds: int) -> dict[str, Any]:
    """A timeline of 300,000 that comes at once, in parts and in one piece."""
    found = []
    with serving(pages("timeline-300000", clients=4000, timeline=20_000, copies=15)) as url:
        database.empty()
        contender(database, "parents", url)
        for _ in range(rounds):
            one = {}
            for name in ("timeline", "timeline_one_by_one"):
                forget_timeline(database)
                one[name] = asdict(contender(database, name, url))
            found.append(one)
    return {"rounds": found}


def nightly(database: Database, rounds: int) -> dict[str, Any]:
    """What the nightly run asks for, table by table."""
    del rounds  # the number of requests is the same in each
    with serving(pages("account", **SIZE)) as url:
        database.empty()
        contender(database, "project", url)
        database.execute("DELETE FROM gazelle.sync_log")
    with serving(pages("account-nightly", **SIZE, scope="nightly")) as url:
        contender(database, "nightly", url)
    lines = database.execute("SELECT table_name, scope, api_requests, fetched, inserted + updated + deleted "
                             "FROM gazelle.sync_log ORDER BY id")  # fmt: skip
    assert len(lines) == len(MIRRORED)
    names = ("table", "scope", "requests", "fetched", "written")
    return {"tables": [dict(zip(names, line, strict=True)) for line in lines]}


PARTS = {part.__name__: part for part in (compare, command, distance, growth, latency, nightly, parts, slow)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    database = Database(CACHE)
    file = CACHE / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    for name in given.only:
        print(f"measuring {name} …", flush=True)
        results[name] = {**PARTS[name](database, given.rounds), **report.circumstances(database.version)}
        file.write_text(json.dumps(results, indent=1))
    if len(results) == len(PARTS):
        report.write(results)
    print(report.bars(results))


if __name__ == "__main__":
    main()
