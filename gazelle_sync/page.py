"""The monitoring page: one HTML file that needs nothing else, and the figures that `gazelle-sync status` prints.

Keep out: where the figures come from (`warehouse`), and when the page is written (`assets`, `cli`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from gazelle_sync import warehouse
from gazelle_sync.language import Speech
from gazelle_sync.tables import TABLES
from gazelle_sync.warehouse import OpenReject, RunLine, TableStatus

# A day, and time for the run itself and for a retry.
FRESH_FOR = timedelta(hours=26)

COLOURS = {"success": "#2e9d6a", "warning": "#d9a21b", "error": "#cf4a4a"}

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1.05rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
time { white-space: nowrap; }
th, td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; } .quiet { opacity: .65; }
.status { border-radius: 1rem; color: #fff; padding: .05rem .6rem; white-space: nowrap; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; }
"""


@dataclass(frozen=True)
class Overview:
    """What there is to see. `fresh` says of each table whether a load that covered its day is recent enough."""

    states: list[TableStatus]
    fresh: dict[str, bool | None]
    runs: list[RunLine]
    rejects: list[OpenReject]


def overview(engine: Engine) -> Overview:
    """Raises `WarehouseError`."""
    covered = warehouse.covered(engine, TABLES)
    now = datetime.now(timezone.utc)
    return Overview(
        warehouse.status(engine, TABLES),
        {name: None if at is None else now - at <= FRESH_FOR for name, at in covered.items()},
        warehouse.recent_runs(engine),
        warehouse.open_rejects(engine),
    )


def write(file: Path, seen: Overview, zone: ZoneInfo, say: Speech) -> None:
    """Replaces the file at once, so that nobody sees half a page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(html(seen, zone, say), encoding="utf-8")
    beside.replace(file)


def html(seen: Overview, zone: ZoneInfo, say: Speech) -> str:
    def moment(at: datetime | None) -> str:
        return "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    def badge(status: str | None) -> str:
        if status is None:
            return f'<span class="quiet">{say("never")}</span>'
        return f'<span class="status" style="background:{COLOURS[status]}">{say(status)}</span>'

    tables = rows(
        (
            escape(state.table),
            number(state.rows),
            f"<time>{moment(state.finished_at)}</time>",
            {True: say("yes"), False: say("no"), None: ""}[seen.fresh[state.table]],
            badge(state.status),
            f'<span class="quiet">{escape(state.error or "")}</span>',
        )
        for state in seen.states
    )
    rejects = rows(
        (
            escape(reject.table),
            escape(reject.external_id),
            escape(reject.reason),
            f"<time>{moment(reject.first_seen_at)}</time>",
        )
        for reject in seen.rejects
    )
    return f"""<!doctype html>
<html lang="{say("code")}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gazelle-sync</title><style>{STYLE}</style></head><body>
<h1>gazelle-sync</h1><p class="quiet">{say("as_of", at=moment(datetime.now(timezone.utc)))} ({escape(zone.key)})</p>
<h2>{say("tables")}</h2>
<table><tr>{headings(say, "table", "rows", "last", "fresh", "status", "reason")}</tr>{tables}</table>
<h2>{say("rows_per_table")}</h2>{bars([(state.table, state.rows or 0) for state in seen.states])}
<h2>{say("recent_runs", count=len(seen.runs))}</h2>{timeline(seen.runs, moment, say)}
<h2>{say("open_rejects", count=len(seen.rejects))}</h2>
{f"<table><tr>{headings(say, 'table', 'record', 'reason', 'since')}</tr>{rejects}</table>" if seen.rejects else ""}
</body></html>
"""


def headings(say: Speech, *names: str) -> str:
    return "".join(f'<th class="{"number" if name == "rows" else ""}">{say(name)}</th>' for name in names)


def rows(lines: Iterable[Sequence[str]]) -> str:
    return "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)


def number(value: int | None) -> str:
    return "" if value is None else f'<div class="number">{value}</div>'


def bars(figures: Sequence[tuple[str, int]]) -> str:
    """A horizontal bar for each figure, with its name and value."""
    greatest = max((value for _, value in figures), default=0) or 1
    lines = [
        f'<text x="0" y="{22 * n + 15}">{escape(name)}</text>'
        f'<rect x="150" y="{22 * n + 4}" width="{max(540 * value / greatest, 1):.1f}" height="14" fill="#4a7fcf"/>'
        f'<text x="{158 + 540 * value / greatest:.1f}" y="{22 * n + 15}">{value}</text>'
        for n, (name, value) in enumerate(figures)
    ]
    return f'<svg viewBox="0 0 760 {22 * len(figures) + 6}" role="img">{"".join(lines)}</svg>'


def timeline(runs: Sequence[RunLine], moment: Callable[[datetime], str], say: Speech) -> str:
    """A bar for each run, as high as it took long, in the colour of how it ended; its story on hovering."""
    if not runs:
        return f'<p class="quiet">{say("never")}</p>'
    longest = max(run.seconds for run in runs) or 1
    width = 720 / max(len(runs), 10)
    lines = []
    for n, run in enumerate(runs):
        height = max(100 * run.seconds / longest, 2)
        told = say(
            "run_told",
            at=moment(run.started_at),
            status=say(run.status),
            seconds=f"{run.seconds:.1f}",
            fetched=run.fetched,
            changed=run.changed,
        )
        lines.append(
            f'<rect x="{40 + n * width:.1f}" y="{110 - height:.1f}" width="{width * 0.8:.1f}" height="{height:.1f}" '
            f'fill="{COLOURS[run.status]}"><title>{escape(told)}</title></rect>'
        )
    axis = (
        f'<text x="0" y="16">{longest:.1f} s</text><text x="40" y="126">{moment(runs[0].started_at)}</text>'
        f'<text x="760" y="126" text-anchor="end">{moment(runs[-1].started_at)}</text>'
    )
    return f'<svg viewBox="0 0 760 132" role="img">{"".join(lines)}{axis}</svg>'
