"""The status page: one HTML file that needs nothing else. It answers first, and then shows why.

Keep out: the figures (`status`), and when the page is written (`assets`, `cli`, `ui`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

from gazelle_sync.files import PUBLIC, replace_file
from gazelle_sync.jobs import NIGHTLY_AT
from gazelle_sync.monitoring.status import Status
from gazelle_sync.translations import Speech
from gazelle_sync.warehouse import Change, RunLine, TableStatus

Moment = Callable[[datetime | None], str]

# White on each of them has a contrast of 4.5 at least, and each of them on white and on black one of 3 (WCAG 2, AA).
COLOURS = {"success": "#1a7f52", "warning": "#9a6700", "error": "#c93c37"}
# A value that is longer is cut.
LONGEST = 80
# As PostgreSQL writes one in JSON.
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?[+-]\d\d:\d\d$")

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
td, li, p { overflow-wrap: anywhere; }
h1 { font-size: 1rem; font-weight: 400; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.answer { font-size: 1.35rem; font-weight: 600; line-height: 1.35; margin: .75rem 0; padding: .1rem 0 .1rem .9rem;
  border-left: .4rem solid; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
tbody th { font-weight: 400; }
time, .whole { white-space: nowrap; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #8886; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; } .quiet { color: light-dark(#595959, #ababab); }
.status { border-radius: 1rem; color: #fff; padding: .05rem .6rem; white-space: nowrap; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 12px; fill: currentColor; }
summary { cursor: pointer; } :focus-visible { outline: 3px solid #4a7fcf; outline-offset: 2px; }
li { margin: .5rem 0; } figure { margin: 1rem 0; } figcaption { font-weight: 600; margin-bottom: .3rem; }
@media (max-width: 40rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody { display: block; }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid #8886; }
  th, td { display: flex; gap: .8rem; justify-content: space-between; border: 0; padding: .1rem 0; text-align: left; }
  tbody th { font-weight: 600; } td:empty { display: none; }
  td::before { content: attr(data-name); color: light-dark(#595959, #ababab); flex: none; }
  svg text { font-size: 20px; }
}
"""


def write_page(file: Path, status: Status, zone: ZoneInfo, say: Speech) -> None:
    """Writes the page to a file, which everybody may read; times are of `zone`."""
    replace_file(file, render_page(status, zone, say), mode=PUBLIC)


def render_page(status: Status, zone: ZoneInfo, say: Speech) -> str:
    now = datetime.now(timezone.utc)

    def moment(at: datetime | None) -> str:
        return "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    state, answer = find_answer(status, zone, say, now, moment)
    parts = [
        show_changes(status, say, moment),
        show_problems(status, say, moment),
        show_tables(status, say, moment),
        show_runs(status.runs, say, moment),
    ]
    account = f"{say('colon')}{status.account.company_name} ({status.account.company_id})" if status.account else ""
    return f"""<!doctype html>
<html lang="{say.language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{say("page_title")}</title><style>{STYLE}</style></head><body><main>
<h1>gazelle-sync{escape(account)}</h1>
<p class="answer" role="status" style="border-color:{COLOURS[state]}">{escape(answer)}</p>
<p class="quiet">{say("as_of", at=moment(now))} ({escape(zone.key)})</p>
{"".join(parts)}</main></body></html>
"""


# -- the answer -------------------------------------------------------------------------------------------------------


def find_answer(status: Status, zone: ZoneInfo, say: Speech, now: datetime, moment: Moment) -> tuple[str, str]:
    """Whether all is well, in one sentence, and as what it counts: `success`, `warning` or `error`."""
    failed = [table for table in status.tables if table.status == "error"]
    stale = list_stale(status)
    warned = [table.table for table in status.tables if table.status == "warning"]
    rejected, checked = ([each.table for each in found] for found in (status.rejects, status.failed_checks))
    odd = list(dict.fromkeys([*warned, *rejected, *checked]))
    if all(table.status is None for table in status.tables):
        return "warning", say("answer_never")
    if failed:
        since = min(table.since for table in failed if table.since)
        return "error", say("answer_failed", names=join(failed), since=moment(since))
    if stale:
        return "error", say("answer_stale", names=join(stale), count=len(stale))
    if odd:
        return "warning", say("answer_warned", count=len(odd), names=", ".join(odd))
    local = now.astimezone(zone)
    due = datetime.combine(local.date(), NIGHTLY_AT, zone)
    due = due if due > local else due + timedelta(days=1)
    told = [say(f"counted_{change}", table=table, count=count) for (table, change), count in count_of(status)]
    changes = ", ".join(told) or say("nothing_changed")
    return "success", say("answer_well", changes=changes, next=say("clock", hour=due.hour, minute=due.minute))


def count_of(status: Status) -> Iterator[tuple[tuple[str, str], int]]:
    """In the order of the tables."""
    for table in status.tables:
        for change in ("insert", "update", "delete", "restore"):
            if count := status.change_counts.get((table.table, change)):
                yield (table.table, change), count


def list_stale(status: Status) -> list[TableStatus]:
    return [table for table in status.tables if table.status != "error" and status.fresh[table.table] is False]


def join(tables: Iterable[TableStatus]) -> str:
    return ", ".join(table.table for table in tables)


# -- what changed, and what is wrong ----------------------------------------------------------------------------------


def show_changes(status: Status, say: Speech, moment: Moment) -> str:
    if not status.changes:
        return ""
    count = sum(status.change_counts.values())
    told = say("changes_shown", shown=len(status.changes), count=count) if count > len(status.changes) else ""
    left_out = "" if status.names else say("names_left_out")
    lines = [show_change(change, say, moment) for change in status.changes]
    return f"""<section aria-labelledby="changes"><h2 id="changes">{say("what_changed")}</h2>
{make_table(say, ("table", "record", "change", "when"), lines, of="changes")}
<p class="quiet">{escape(f"{told} {left_out}".strip())}</p></section>"""


def show_change(change: Change, say: Speech, moment: Moment) -> Sequence[str]:
    kind = say(f"change_{change.change}")
    told = [
        f"{column}{say('colon')}{show_value(old, moment)} → {show_value(new, moment)}"
        for column, (old, new) in change.columns.items()
    ]
    if change.change == "update" and not told:
        told = [say("personal_only")]
    what = "<br>".join([f"<strong>{escape(kind)}</strong>", *map(escape, told)])
    return change.table, escape(change.external_id), f"<span>{what}</span>", f"<time>{moment(change.at)}</time>"


def show_value(value: object, moment: Moment) -> str:
    """A value of JSON, as a person reads it; a timestamp in the company's zone."""
    if value is None or value in ("", []):
        return "∅"
    if isinstance(value, str) and TIMESTAMP.match(value):
        return moment(datetime.fromisoformat(value))
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def show_problems(status: Status, say: Speech, moment: Moment) -> str:
    problems = [
        f"<li><strong>{escape(table.table)}</strong> {badge(table.status, say)} "
        f'<span class="quiet">{say("wrong_since", at=moment(table.since))}</span><br>{escape(table.error)}</li>'
        for table in sorted(status.tables, key=lambda table: table.status != "error")
        if table.error and table.status in ("error", "warning")
    ]
    problems += [
        f"<li><strong>{escape(table.table)}</strong>{say('colon')}{escape(say('remedy_stale', table=table.table))}</li>"
        for table in list_stale(status)
    ]
    problems += [
        f"<li><strong>{escape(each.table)}</strong>{say('colon')}{escape(each.text)}</li>"
        for each in status.failed_checks
    ]
    rejects = [
        (
            reject.table,
            escape(reject.external_id),
            escape(reject.reason),
            f"<time>{moment(reject.first_seen_at)}</time>",
        )
        for reject in status.rejects
    ]
    shown = f"<ul>{''.join(problems)}</ul>" if problems else ""
    if rejects:
        shown += f"<h3>{say('open_rejects', count=len(rejects))}</h3><p>{escape(say('remedy_no_row_is_set_aside'))}</p>"
        shown += make_table(say, ("table", "record", "reason", "since"), rejects, of="problems")
    if status.refused:
        refused = [
            (each.table, escape(each.field), escape(", ".join(each.columns)), f"<time>{each.since}</time>")
            for each in status.refused
        ]
        shown += f"<h3>{say('refused_fields')}</h3>"
        shown += make_table(say, ("table", "field", "kept_columns", "since"), refused, of="problems")
    return (
        f'<section aria-labelledby="problems"><h2 id="problems">{say("what_is_wrong")}</h2>{shown}</section>'
        if shown
        else ""
    )


# -- tables and plots -------------------------------------------------------------------------------------------------


def show_tables(status: Status, say: Speech, moment: Moment) -> str:
    lines = [
        (
            escape(table.table),
            "" if table.rows is None else str(table.rows),
            f"<time>{moment(table.finished_at)}</time>" if table.finished_at else "",
            {True: say("yes"), False: say("no"), None: ""}[status.fresh[table.table]],
            badge(table.status, say),
        )
        for table in status.tables
    ]
    off = f'<p class="quiet">{escape(say("tables_off", names=", ".join(status.off)))}</p>' if status.off else ""
    return f"""<section aria-labelledby="tables"><h2 id="tables">{say("tables")}</h2>
{make_table(say, ("table", "rows", "last", "fresh", "status"), lines, of="tables")}{off}</section>"""


def show_runs(runs: Sequence[RunLine], say: Speech, moment: Moment) -> str:
    if not runs:
        return ""
    lines = [
        (
            f"<time>{moment(run.started_at)}</time>",
            badge(run.status, say),
            say.duration(run.seconds),
            str(run.fetched),
            str(run.changed),
        )
        for run in reversed(runs)
    ]
    table = make_table(say, ("when", "status", "time", "fetched", "updated"), lines, of="runs")
    return f"""<section aria-labelledby="runs"><h2 id="runs">{say("recent_runs", count=len(runs))}</h2>
{plot(say("duration_of_runs"), runs, lambda run: run.seconds, say.duration, say, moment)}
{plot(say("changes_of_runs"), runs, lambda run: run.changed, lambda value: f"{value:.0f}", say, moment)}
<details><summary>{say("as_a_table")}</summary>{table}</details></section>"""


def plot(
    title: str,
    runs: Sequence[RunLine],
    value_of: Callable[[RunLine], float],
    show: Callable[[float], str],
    say: Speech,
    moment: Moment,
) -> str:
    """A bar for each run, as high as its value, with its story on hovering. A failed one is seen however short."""
    most = max(map(value_of, runs)) or 1
    width = 720 / max(len(runs), 10)
    bars = []
    for n, run in enumerate(runs):
        told = say(
            "run_told",
            at=moment(run.started_at),
            status=say(run.status),
            seconds=run.seconds,
            fetched=run.fetched,
            changed=run.changed,
        )
        height = max(100 * value_of(run) / most, 2)
        at = f'x="{n * width:.1f}" width="{width * 0.8:.1f}" fill="{COLOURS[run.status]}"'
        behind = f'<rect {at} y="24" height="100" opacity=".3"/>' if run.status == "error" else ""
        mark = f'<text x="{(n + 0.4) * width:.1f}" y="18" text-anchor="middle">✕</text>' if behind else ""
        bars.append(
            f"<g><title>{escape(told)}</title>{behind}{mark}"
            f'<rect {at} y="{124 - height:.1f}" height="{height:.1f}"/></g>'
        )
    first, last = moment(runs[0].started_at), moment(runs[-1].started_at)
    label = say(
        "plot_told",
        title=title,
        first=first,
        last=last,
        most=show(most),
        failed=sum(run.status == "error" for run in runs),
    )
    axis = f'<text x="0" y="146">{first}</text><text x="720" y="146" text-anchor="end">{last}</text>'
    return (
        f"<figure><figcaption>{title} (≤ {show(most)})</figcaption>"
        f'<svg viewBox="0 0 720 152" role="img" aria-label="{escape(label)}">{"".join(bars)}{axis}</svg></figure>'
    )


def badge(state: str | None, say: Speech) -> str:
    if state is None:
        return f'<span class="quiet">{say("never")}</span>'
    return f'<span class="status" style="background:{COLOURS[state]}">{say(state)}</span>'


def make_table(say: Speech, names: Sequence[str], lines: Iterable[Sequence[str]], *, of: str) -> str:
    """A table whose first column names its rows. On a narrow screen each row is a card, and each cell has its name."""
    numbers = {"rows", "fetched", "updated", "time"}
    kinds = ["number" if name in numbers else "" for name in names]
    # Its roles are said, as a browser forgets them when the table is shown as cards.
    head = "".join(
        f'<th scope="col" role="columnheader" class="{kind}">{say(name)}</th>'
        for name, kind in zip(names, kinds, strict=True)
    )
    body = []
    for first, *rest in lines:
        cells = "".join(
            f'<td role="cell" class="{kind}" data-name="{say(name)}">{cell}</td>'
            for name, kind, cell in zip(names[1:], kinds[1:], rest, strict=True)
        )
        body.append(f'<tr role="row"><th scope="row" role="rowheader">{first}</th>{cells}</tr>')
    return (
        f'<table role="table" aria-labelledby="{of}"><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(body)}</tbody></table>'
    )
