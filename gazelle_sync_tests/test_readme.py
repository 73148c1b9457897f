"""What the README says is executed here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gazelle_sync.cli import main
from gazelle_sync.environment.settings import ROOT
from gazelle_sync.sandbox import Account, Sandbox
from gazelle_sync.tables import TABLES, dependencies
from gazelle_sync_tests.conftest import HISTORY_START, NOW, query_rows

READMES = ["README.md", "README.fr.md"]
README = (ROOT / "README.md").read_text()


def test_adding_the_file_that_the_readme_shows_adds_a_table(
    tmp_path: Path, empty_engine: Engine, database_url: str
) -> None:
    project = tmp_path / "project"
    for name in ("gazelle_sync", "var/logs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.log*"))
    shutil.copy(ROOT / "dagster.yaml", project)
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (project / "gazelle_sync" / "tables" / "localizations.py").write_text(shown)
    account = Account.typical(NOW)
    with Sandbox(account) as sandbox:
        ended = subprocess.run(
            [sys.executable, "-c", "from gazelle_sync.cli import main; main()", "sync"],
            cwd=project,
            env={
                **os.environ,
                "PYTHONPATH": str(project),
                "DAGSTER_HOME": str(project),
                "SUPABASE_DB_URL": database_url,
                "GAZELLE_BASE_URL": sandbox.url,
                "GAZELLE_API_KEY": sandbox.api_key,
                "GAZELLE_REQUESTS_PER_SECOND": "1000",
                "GAZELLE_HISTORY_START": HISTORY_START.isoformat(),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    stored = query_rows(empty_engine, "SELECT external_id, locale, is_client_default FROM gazelle.localizations")
    assert {row["external_id"]: (row["locale"], row["is_client_default"]) for row in stored} == {
        key: (each["locale"], each["isClientDefault"]) for key, each in account.localizations.items()
    }


@pytest.mark.parametrize("readme", READMES)
def test_every_command_is_in_the_readme_and_every_command_in_the_readme_exists(readme: str) -> None:
    shown = set(re.findall(r"`gazelle-sync (\w+)", (ROOT / readme).read_text()))
    assert shown == set(main.commands)


# -- the picture of the house -----------------------------------------------------------------------------------------


def drawn(readme: str) -> dict[str, set[str]]:
    """Each file and room of the picture, and what is named below it: `{"cli/": {"sync.py", …}, …}`."""
    picture = re.search(r"```\ngazelle_sync/\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)
    assert picture
    found: dict[str, set[str]] = {}
    for line in picture[1].splitlines():
        if line.startswith("    "):
            found[next(reversed(found))] |= set(line.split())
        else:
            found[line.split()[0]] = set()
    return found


def modules(folder: Path) -> set[str]:
    """The modules and rooms in a folder."""
    rooms = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    return {path.name for path in folder.glob("*.py")} - {"__init__.py"} | rooms


@pytest.mark.parametrize("readme", READMES)
def test_the_picture_of_the_house_names_every_file_and_room_there_is(readme: str) -> None:
    package = ROOT / "gazelle_sync"
    there = {name: modules(package / name) if name.endswith("/") else set() for name in modules(package)}
    # A table has a file of its own, and is not drawn.
    there["tables/"] = {"columns.py", "declaration.py"}
    assert drawn(readme) == there


@pytest.mark.parametrize("readme", READMES)
def test_the_graph_of_the_tables_is_drawn_as_it_is(readme: str) -> None:
    (graph,) = re.findall(r"```mermaid\ngraph LR\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)
    chains = [line.split(" --> ") for line in graph.split("\n") if line.strip()]
    chains = [[name.strip() for name in chain] for chain in chains]
    arrows = {pair for chain in chains for pair in pairwise(chain)}
    drawn_tables = {name for chain in chains for name in chain}
    assert arrows == {(parent, name) for name in drawn_tables for parent in dependencies(TABLES[name], TABLES)}


# -- two languages ----------------------------------------------------------------------------------------------------


def outline(readme: str) -> list[tuple[object, ...]]:
    """What must be the same in both languages: headings, blocks of code, rows of tables, links, pictures."""
    text = (ROOT / readme).read_text()
    found: list[tuple[object, ...]] = []
    pattern = r"^(?P<level>#+) |^```(?P<kind>\w*)\n(?P<code>.*?)^```|^\| (?P<first>[^|]*) \||\]\((?P<link>[^)]*)\)"
    for each in re.finditer(pattern, text, re.DOTALL | re.MULTILINE):
        if each["level"]:
            found.append(("heading", each["level"]))
        elif each["code"] is not None:
            code = re.sub(r"#.*", "", each["code"]) if each["kind"] == "sh" else each["code"]
            # What is said beside a file of the house is translated; another test compares the files.
            found.append(
                (each["kind"], "the house" if not each["kind"] else [line.rstrip() for line in code.split("\n")])
            )
        elif each["link"]:
            found.append(("link", each["link"].replace(".fr.md", ".md")))
        else:
            found.append(("row", re.findall(r"`[^`]*`", each["first"])))
    return found


def test_both_languages_have_the_same_headings_code_tables_links_and_pictures() -> None:
    english, french = (outline(readme) for readme in READMES)
    other = [("link", "README.md")]  # each points at the other, where it says so
    assert [each for each in english if each not in other] == [each for each in french if each not in other]


def test_operations_are_the_same_pages_in_both_languages() -> None:
    english, french = (outline(f"docs/operations{ending}.md") for ending in ("", ".fr"))
    other = ("link", "operations.md")
    # What a message says is translated; what is typed, and where it is, is not.
    assert [each for each in english if each != other] == [each for each in french if each != other]
    in_order = [
        re.findall(r"`([^`\n]+)`", (ROOT / f"docs/operations{ending}.md").read_text()) for ending in ("", ".fr")
    ]
    assert {*in_order[0]} ^ {*in_order[1]} <= {"gazelle-sync status --html FILE", "gazelle-sync status --html FICHIER"}


@pytest.mark.parametrize("page", ["README.fr.md", "docs/setup.fr.md", "docs/readers.fr.md", "docs/operations.fr.md"])
def test_french_has_no_break_spaces_where_its_typography_wants_them(page: str) -> None:
    prose = re.sub(
        r"```(?!\ngazelle_sync).*?```|`[^`\n]+`|\]\([^)]*\)", "x", (ROOT / page).read_text(), flags=re.DOTALL
    )
    assert re.findall(r".{0,20} [:;!?»](?=\s)|.{0,20}\w[;!?](?=\s)|« .{0,20}|.{0,20}'\w+", prose) == []
    assert prose.count("\N{NO-BREAK SPACE}") > 20


@pytest.mark.parametrize("readme", READMES)
def test_every_page_of_the_documentation_is_reached_from_the_readme(readme: str) -> None:
    reached, waiting = set(), [ROOT / readme]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = {(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#:]+\.md)\)", page.read_text())}
        waiting += links - reached
    assert set((ROOT / "docs").glob("*.md")) - reached == set()
