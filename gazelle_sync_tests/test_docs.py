"""What the documents point at exists."""

from __future__ import annotations

import re

from gazelle_sync.environment.settings import ROOT

TESTS = ROOT / "gazelle_sync_tests"
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text()


def test_every_test_that_a_promise_names_exists() -> None:
    named = re.findall(r"\| `([\w/]+\.py)` `(test_\w+)` \|", RELIABILITY)
    assert len(named) > 60
    assert [(file, name) for file, name in named if f"def {name}(" not in (TESTS / file).read_text()] == []


def test_every_row_of_a_promise_names_a_test_and_a_result() -> None:
    rows = re.findall(
        r"^\| (?!---|promise|what they saw)(.*) \|$", (ROOT / "docs" / "reliability.md").read_text(), re.M
    )
    assert [row for row in rows if not re.fullmatch(r".+ \| `[\w/]+\.py` `test_\w+` \| .+", row)] == []
