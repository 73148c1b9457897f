"""The file that `gazelle-sync check --report` writes for whoever maintains this: what the API is like on this account.

Versions, settings, differences, shapes and timings; no value of a record, no message of a server, no name of a host.
Keep out: finding it (`trial`).
"""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from gazelle_sync.cli.findings import Finding
from gazelle_sync.cli.trial import AccountTrial
from gazelle_sync.environment.settings import DEFAULTS, Settings
from gazelle_sync.files import PRIVATE, replace_file
from gazelle_sync.gazelle.transport import Exchange
from gazelle_sync.gazelle.trial import Outcome, describe_refusal

PACKAGES = ("gazelle-sync", "dagster", "graphql-core", "requests", "psycopg2-binary", "SQLAlchemy", "pandas")
# Of an answer's headers: what sent it and on which way, how it is packed, and every guise of a rate limit.
HEADERS = re.compile(
    r"content-type|content-encoding|server|via|retry-after|x-runtime|x-powered-by|(x-)?rate-?limit.*", re.IGNORECASE
)


def write_report(file: Path, settings: Settings, findings: Sequence[Finding], trial: AccountTrial) -> None:
    """Only its owner may read it. Raises `OSError`."""
    report = make_report(settings, findings, trial)
    replace_file(file, json.dumps(report, indent=1, ensure_ascii=False) + "\n", mode=PRIVATE)


def make_report(settings: Settings, findings: Sequence[Finding], trial: AccountTrial) -> dict[str, Any]:
    texts = "; ".join(finding.text for finding in findings)
    server = re.search(r"PostgreSQL \d+(\.\d+)?", texts)
    return {
        "made": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "versions": {
            **{name: version_of(name) for name in PACKAGES},
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "database": server[0] if server else None,
        },
        "settings": {
            "usual address": settings.base_url == DEFAULTS["GAZELLE_BASE_URL"],
            "api key": bool(settings.api_key),
            "zone": settings.zone.key,
            "requests per second": settings.requests_per_second,
            "tables off": list(settings.tables_off),
        },
        "findings": [{"what": finding.what, "good": finding.good} for finding in findings],
        "schema": "not read" if trial.differences is None else "read",
        "differences": [
            {"table": each.table, "kind": each.kind.value, "name": each.name, "columns": each.columns}
            for each in trial.differences or ()
        ],
        "tables": {outcome.table.name: describe_outcome(outcome) for outcome in trial.outcomes},
        "answers": describe_exchanges(trial.watch.exchanges),
    }


def describe_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "finished": outcome.is_finished,
        "error": describe_refusal(outcome.error) if outcome.error else None,
        "refused": [gap._asdict() for gap in outcome.gaps],
        "gone by id though listed": outcome.is_misleading,
        "records": outcome.records,
        "page": outcome.page,
        "seconds a page": outcome.seconds and round(outcome.seconds, 3),
        "queries": [
            {"query": each.query, "first": each.first, "seconds": round(each.seconds, 3), "shape": each.shape}
            for each in outcome.answers
        ],
    }


def describe_exchanges(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """How the answers came: their statuses, and each value of the headers that matter, with how often it came."""
    statuses: Counter[str] = Counter()
    headers: dict[str, Counter[str]] = {}
    for exchange in exchanges:
        statuses[str(exchange.status)] += 1
        for name, value in exchange.headers.items():
            if HEADERS.fullmatch(name):
                headers.setdefault(name.lower(), Counter())[value[:80]] += 1
    return {
        "statuses": dict(statuses),
        "headers": {name: dict(values.most_common(5)) for name, values in sorted(headers.items())},
    }


def version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
