"""From figures to what people read: the tables and the plot of docs/performance.md.

Keep out: measuring.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from math import log10
from pathlib import Path
from statistics import median
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "performance.md"
PLOT = DOCS / "performance.svg"
BEGIN, END = "<!-- written by make bench: -->", "<!-- until here -->"

Results = Mapping[str, Any]
WHO = {
    "floor": "floor: read, parse, COPY the JSON",
    "project": "gazelle-sync",
    "dlt": "dlt, merge by upsert",
    "row_by_row": "an upsert per row, each committed",
}


def circumstances(postgres: str) -> dict[str, str]:
    """The machine and the versions, as figures of two machines can't be compared."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("dagster", "pandas", "psycopg2-binary", "requests"))
    return {
        "machine": f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()} {platform.release()}",
        "versions": f"{postgres}, Python {platform.python_version()}, {packages}, dlt 1.31.0",
        "day": date.today().isoformat(),
    }


def middle(rounds: Sequence[Any], figure: Callable[[Any], float]) -> float:
    return median(figure(one) for one in rounds)


def command_bars(part: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    above = middle(part["rounds"], lambda one: one["whole"] - one["path"])
    alone = middle(part["rounds"], lambda one: one["whole"] - one["path"] - one["imports"])
    full = middle(part["full"], lambda one: one["whole"] - one["path"])
    slower = middle(part["full"], lambda one: one["dlt"] / one["whole"])
    return [
        (
            "`gazelle-sync sync` (nightly months), unchanged, above the load path",
            "≤ 4 s",
            f"{above:.1f} s",
            above <= 4,
        ),
        ("the same, imports aside", "≤ 0.7 s", f"{alone:.1f} s", alone <= 0.7),
        ("`gazelle-sync sync --full`, unchanged, above the load path", "", f"{full:.1f} s", True),
        ("the same, whole: dlt's whole process ÷ ours", "≥ 2", f"{slower:.2f}", slower >= 2),
    ]


def bars(results: Results) -> str:
    """The bars of the issue, and what was measured."""
    lines: list[tuple[str, str, str, bool]] = []
    if "compare" in results:
        rounds = results["compare"]["rounds"]
        first = middle(rounds, lambda one: one["first"]["seconds"] / one["floor"]["seconds"])
        peer = middle(rounds, lambda one: one["dlt_first"]["seconds"] / one["first"]["seconds"])
        again = middle(rounds, lambda one: one["again"]["seconds"] / one["floor"]["seconds"])
        wal = max(one["again_table_wal"]["with_pages"] for one in rounds)
        dead = max(one["again_dead"] for one in rounds)
        versions = max(one["again_versions_changed"] for one in rounds)
        share = middle(rounds, lambda one: one["changed_table_wal"]["records"] / one["changed_bytes"])
        paged = middle(rounds, lambda one: one["changed_table_wal"]["with_pages"] / one["changed_bytes"])
        lines += [
            ("first load ÷ floor", "≤ 1.7", f"{first:.2f}", first <= 1.7),
            ("dlt's first load ÷ first load", "≥ 3", f"{peer:.2f}", peer >= 3),
            ("unchanged ÷ floor", "≤ 1.3", f"{again:.2f}", again <= 1.3),
            ("unchanged: WAL of the mirrored tables", "< 100 kB", f"{wal / 1000:.1f} kB", wal < 100_000),
            ("unchanged: dead tuples; tables with a row version changed", "0; 0", f"{dead}; {versions}",
             dead + versions == 0),
            ("1 % changed: WAL ÷ bytes of the changed rows", "≤ 5", f"{share:.1f}", share <= 5),
            ("the same with the images of whole pages that follow a checkpoint", "", f"{paged:.1f}", True),
        ]  # fmt: skip
    if "command" in results:
        lines += command_bars(results["command"])
    if "distance" in results:
        near, far = (middle(results["distance"]["rounds"], lambda one, at=at: one[at]["seconds"]) for at in ("0", "40"))
        opened = max(one["40"]["connections"] for one in results["distance"]["rounds"])
        lines += [
            (
                "`gazelle-sync sync` (nightly months), unchanged, whole; database 40 ms away (0 ms, by the same proxy)",
                "≤ 5 s",
                f"{far:.1f} s ({near:.1f} s)",
                far <= 5,
            ),
            ("connections to the database that it opens", "", str(opened), True),
        ]
    if "growth" in results:
        sizes = results["growth"]["sizes"]
        least, most = min(map(int, sizes)), max(map(int, sizes))

        def per_row(size: int, which: str) -> float:
            return middle(sizes[str(size)], lambda one: one[which]["seconds"]) / size

        def peak(size: int) -> float:
            return max(one[which]["peak_mb"] for one in sizes[str(size)] for which in ("first", "again"))

        for which, name in (("first", "first load"), ("again", "unchanged")):
            worst = max(per_row(int(size), which) / per_row(least, which) for size in sizes)
            lines.append((f"timeline to 1,000,000, {name}: seconds a row ÷ those at 100,000", "≤ 1.15", f"{worst:.2f}",
                          worst <= 1.15))  # fmt: skip
        more, highest = peak(most) - peak(least), peak(most)
        lines += [
            ("peak memory at 1,000,000 above that at 100,000", "≤ 30 MB", f"{more:.1f} MB", more <= 30),
            ("peak memory at 1,000,000", "< 300 MB", f"{highest:.0f} MB", highest < 300),
        ]
    if "latency" in results:
        part = results["latency"]
        slow = middle(part["rounds"], lambda one: one["first"]["seconds"] / (one["requests"] * part["latency"]))
        lines.append(
            ("200 ms a request: seconds ÷ (requests × latency ÷ 1 in flight)", "≤ 1.1", f"{slow:.2f}", slow <= 1.1)
        )
    if "slow" in results:
        rounds = results["slow"]["rounds"]

        def share(one: Mapping[str, Any], who: str) -> float:
            return float(one[who]["seconds"] / one[who]["server"]["seconds"])

        def more(one: Mapping[str, Any], who: str, without: str) -> float:
            return float(one[who]["server"]["requests"] / one[without]["server"]["requests"])

        four, alone = (middle(rounds, lambda one, who=who: share(one, who)) for who in ("parts", "one_by_one"))
        cost = middle(rounds, lambda one: more(one, "added", "parts"))
        cost_alone = middle(rounds, lambda one: more(one, "added_one_by_one", "one_by_one"))
        proved = all(one["added"]["proved"] and one["added"]["whole"] for one in rounds)
        lines += [
            ("slow server, 30,000 entries, 4 in flight: seconds ÷ sum of all answers", "≤ 0.35", f"{four:.2f}",
             four <= 0.35),
            ("the same, 1 in flight", "≤ 1.05", f"{alone:.2f}", alone <= 1.05),
            ("three entries added meanwhile: requests ÷ those without; proved, and whole", "≤ 1.15; yes",
             f"{cost:.2f}; {'yes' if proved else 'no'}", cost <= 1.15 and proved),
            ("the same, 1 in flight", "", f"{cost_alone:.2f}", True),
        ]  # fmt: skip
    if "parts" in results:
        rounds = results["parts"]["rounds"]
        ratio = middle(rounds, lambda one: one["timeline"]["seconds"] / one["timeline_one_by_one"]["seconds"])
        peak_of_parts = max(one["timeline"]["peak_mb"] for one in rounds)
        lines += [
            ("300,000 entries at no latency: seconds in parts ÷ in one piece", "≤ 1.05", f"{ratio:.2f}", ratio <= 1.05),
            ("peak memory", "< 160 MB", f"{peak_of_parts:.0f} MB", peak_of_parts < 160),
        ]
    rows = [
        f"| {what} | {bar} | {found} | {'' if not bar else 'yes' if met else '**no**'} |"
        for what, bar, found, met in lines
    ]
    return "\n".join(["| what | bar | measured | met |", "| --- | --- | --- | --- |", *rows])


def figures(results: Results) -> str:
    """Who took what, for one account."""
    rounds = results["compare"]["rounds"]
    lines = ["| who, what | seconds | rows/s | ÷ floor | peak memory | WAL of the whole server | dead tuples |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for key, name, dead in (
        ("floor", f"{WHO['floor']}", ""),
        ("first", f"{WHO['project']}, first load", ""),
        ("again", f"{WHO['project']}, unchanged", "again_dead"),
        ("changed", f"{WHO['project']}, 1 % changed", ""),
        ("dlt_first", f"{WHO['dlt']}, first load", ""),
        ("dlt_again", f"{WHO['dlt']}, unchanged", "dlt_again_dead"),
        ("dlt_changed", f"{WHO['dlt']}, 1 % changed", ""),
        ("row_by_row", f"{WHO['row_by_row']}, first load (once)", ""),
        ("row_by_row_again", f"{WHO['row_by_row']}, unchanged (once)", "row_by_row_again_dead"),
    ):
        runs = [one[key] for one in rounds if key in one]
        seconds = median(run["seconds"] for run in runs)
        ratio = median(one[key]["seconds"] / one["floor"]["seconds"] for one in rounds if key in one)
        tuples = f"{max(one[dead] for one in rounds if dead in one):,}" if dead else ""
        lines.append(
            f"| {name} | {seconds:.2f} | {runs[0]['rows'] / seconds:,.0f} | {ratio:.2f} | "
            f"{median(run['peak_mb'] for run in runs):.0f} MB | {median(run['wal'] for run in runs) / 1e6:.1f} MB | "
            f"{tuples} |"
        )
    growing = ["| timeline entries | first load | unchanged | µs a row, first | peak memory |",
               "| ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for size, runs in results["growth"]["sizes"].items():
        first, again = (middle(runs, lambda one, which=which: one[which]["seconds"]) for which in ("first", "again"))
        peak = max(one[which]["peak_mb"] for one in runs for which in ("first", "again"))
        growing.append(
            f"| {int(size):,} | {first:.1f} s | {again:.1f} s | {first / int(size) * 1e6:.0f} | {peak:.0f} MB |"
        )
    asked = ["| nightly run | requests | records |", "| --- | ---: | ---: |"]
    tables = results["nightly"]["tables"]
    asked += [f"| {line['table']} ({line['scope']}) | {line['requests']} | {line['fetched']:,} |" for line in tables]
    asked.append(f"| all | {sum(t['requests'] for t in tables)} | {sum(t['fetched'] for t in tables):,} |")
    return "\n\n".join("\n".join(part) for part in (lines, growing, asked))


def write(results: Results) -> None:
    """Renews the part of docs/performance.md between the marks, and the plot."""
    about = results["compare"]
    measured = ("compare", "command", "distance", "latency", "parts", "slow")
    rounds = {part: len(results[part]["rounds"]) for part in measured}
    rounds["growth"] = min(map(len, results["growth"]["sizes"].values()))
    told = ", ".join(f"{part} {count}" for part, count in rounds.items())
    text = (
        f"{BEGIN}\n\nOn {about['machine']}; {about['versions']}; {about['day']}. Medians; a ratio is taken within each "
        f"round. Rounds: {told}.\n\n{bars(results)}\n\n"
        f"![Seconds of each contender, and growth with the timeline](performance.svg)\n\n{figures(results)}\n\n{END}"
    )
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else f"{BEGIN}{END}\n"
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + text + rest.split(END)[1], encoding="utf-8")
    PLOT.write_text(plot(results), encoding="utf-8")


def plot(results: Results) -> str:
    """Left: seconds of each, first load and unchanged, on a logarithmic scale. Right: the timeline's growth."""
    rounds = results["compare"]["rounds"]
    drawn = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 330" font-family="sans-serif" font-size="12">',
             '<rect width="960" height="330" fill="white"/>',
             '<text x="20" y="24" font-weight="bold">40,905 rows, server latency near zero: seconds, each line tenfold'
             "</text>"]  # fmt: skip
    left, decade = 230, 120
    for seconds in (1, 10, 100):
        x = left + decade * (["0.1", "1", "10", "100"].index(str(seconds)))
        drawn.append(f'<line x1="{x}" y1="36" x2="{x}" y2="300" stroke="#ddd"/>')
        drawn.append(f'<text x="{x}" y="316" text-anchor="middle" fill="#666">{seconds} s</text>')
    y = 50
    for label, key, colour in (
        ("floor", "floor", "#999"),
        ("gazelle-sync, first load", "first", "#1f6feb"),
        ("gazelle-sync, unchanged", "again", "#79b0ff"),
        ("dlt, first load", "dlt_first", "#c2571a"),
        ("dlt, unchanged", "dlt_again", "#e8a77f"),
        ("upsert per row, first load", "row_by_row", "#6b4a9e"),
        ("upsert per row, unchanged", "row_by_row_again", "#b39ad6"),
    ):
        seconds = median(one[key]["seconds"] for one in rounds if key in one)
        width = decade * max(log10(seconds * 10), 0.05)
        drawn.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{label}</text>')
        drawn.append(f'<rect x="{left}" y="{y}" width="{width:.0f}" height="20" fill="{colour}"/>')
        drawn.append(f'<text x="{left + width + 6:.0f}" y="{y + 14}">{seconds:.2f}</text>')
        y += 35
    sizes = results["growth"]["sizes"]
    x0, y0, wide, high = 680, 290, 230, 220
    most = max(map(int, sizes))
    tallest = max(middle(runs, lambda one: one["first"]["seconds"]) for runs in sizes.values())
    drawn.append('<text x="660" y="24" font-weight="bold">Timeline entries: seconds, peak MB</text>')
    drawn.append(f'<polyline points="{x0},{y0 - high} {x0},{y0} {x0 + wide},{y0}" fill="none" stroke="#666"/>')
    for which, colour, name, below in (
        ("first", "#1f6feb", "first load", -8),
        ("again", "#79b0ff", "unchanged", 68),
    ):
        points = [(0.0, 0.0)] + [
            (int(size) / most, middle(runs, lambda one, which=which: one[which]["seconds"]) / tallest)
            for size, runs in sizes.items()
        ]
        placed = [(x0 + x * wide, y0 - y * (high - 20)) for x, y in points]
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in placed)
        drawn.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"/>' for x, y in placed[1:]]
        x, y = placed[-1]
        seconds = points[-1][1] * tallest
        drawn.append(f'<text x="{x:.0f}" y="{y + below:.0f}" text-anchor="end">{name} {seconds:.0f} s</text>')
    for size, runs in sizes.items():
        x = x0 + int(size) / most * wide
        peak = max(one[which]["peak_mb"] for one in runs for which in ("first", "again"))
        drawn.append(f'<text x="{x:.0f}" y="{y0 + 16}" text-anchor="middle" fill="#666">{int(size) // 1000}k</text>')
        drawn.append(f'<text x="{x:.0f}" y="{y0 + 31}" text-anchor="middle" fill="#666">{peak:.0f}</text>')
    return "\n".join([*drawn, "</svg>\n"])
