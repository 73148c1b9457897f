"""The status page: one HTML file that needs nothing else.

Keep out: the figures (`status`), and when the page is written (`assets`, `cli`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

from gazelle_sync.files import PUBLIC, replace_file
from gazelle_sync.monitoring.status import Status
from gazelle_sync.translations import Speech
from gazelle_sync.warehouse import RunLine

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


def write_page(file: Path, status: Status, zone: ZoneInfo, say: Speech) -> None:
    """Writes the page to a file, which everybody may read; times are of `zone`."""
    replace_file(file, render_page(status, zone, say), mode=PUBLIC)


def render_page(status: Status, zone: ZoneInfo, say: Speech) -> str:
    def moment(at: datetime | None) -> str:
        return "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    def badge(state: str | None) -> str:
        if state is None:
            return f'<span class="quiet">{say("never")}</span>'
        return f'<span class="status" style="background:{COLOURS[state]}">{say(state)}</span>'

    tables = rows(
        (
            escape(table.table),
            number(table.rows),
            f"<time>{moment(table.finished_at)}</time>",
            {True: say("yes"), False: say("no"), None: ""}[status.fresh[table.table]],
            badge(table.status),
            f'<span class="quiet">{escape(table.error or "")}</span>',
        )
        for table in status.tables
    )
    rejects = rows(
        (
            escape(reject.table),
            escape(reject.external_id),
            escape(reject.reason),
            f"<time>{moment(reject.first_seen_at)}</time>",
        )
        for reject in status.rejects
    )
    return f"""<!doctype html>
<html lang="{say.language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gazelle-sync</title><style>{STYLE}</style></head><body>
<h1>gazelle-sync</h1>{name_account(status, say)}
<p class="quiet">{say("as_of", at=moment(datetime.now(timezone.utc)))} ({escape(zone.key)})</p>
<h2>{say("tables")}</h2>
<table><tr>{headings(say, "table", "rows", "last", "fresh", "status", "reason")}</tr>{tables}</table>
{name_off(status, say)}{list_refused(status, say)}
<h2>{say("rows_per_table")}</h2>{bars([(table.table, table.rows or 0) for table in status.tables])}
<h2>{say("recent_runs", count=len(status.runs))}</h2>{timeline(status.runs, moment, say)}
<h2>{say("open_rejects", count=len(status.rejects))}</h2>
{f"<table><tr>{headings(say, 'table', 'record', 'reason', 'since')}</tr>{rejects}</table>" if status.rejects else ""}
</body></html>
"""


def name_account(status: Status, say: Speech) -> str:
    if status.account is None:
        return ""
    return (
        f"<p>{escape(say('mirrored_account', company=status.account.company_name, id=status.account.company_id))}</p>"
    )


def name_off(status: Status, say: Speech) -> str:
    return f'<p class="quiet">{escape(say("tables_off", names=", ".join(status.off)))}</p>' if status.off else ""


def list_refused(status: Status, say: Speech) -> str:
    """The fields that Gazelle refuses; nothing where there are none."""
    if not status.refused:
        return ""
    lines = rows(
        (escape(each.table), escape(each.field), escape(", ".join(each.columns)), f"<time>{each.since}</time>")
        for each in status.refused
    )
    return (
        f"<h2>{say('refused_fields')}</h2>"
        f"<table><tr>{headings(say, 'table', 'field', 'kept_columns', 'since')}</tr>{lines}</table>"
    )


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
            seconds=run.seconds,
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
