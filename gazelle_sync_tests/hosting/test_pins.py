"""constraints.txt pins every dependency that people get, for every Python that is supported, within what is allowed."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from gazelle_sync_tests.project import SOURCE

PINS = [
    Requirement(line)
    for line in (SOURCE / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def declared() -> list[Requirement]:
    """What people get, and not what only developers do. Python 3.10 has no parser of TOML."""
    text = (SOURCE / "pyproject.toml").read_text()
    (always,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    (on_a_cluster,) = re.findall(r"^kubernetes = \[(.*)\]", text, re.MULTILINE)
    lines = [line.strip() for line in [*always.splitlines(), on_a_cluster]]
    return [Requirement(line.split('"')[1]) for line in lines if line.startswith('"')]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_dependency_has_one_pin_that_is_allowed(python: str) -> None:
    there = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    pinned: dict[str, str] = {}
    for pin in PINS:
        if pin.marker is None or pin.marker.evaluate(there):
            assert pin.name not in pinned
            (exactly,) = pin.specifier
            assert exactly.operator == "=="
            pinned[pin.name] = exactly.version
    wanted = declared()
    assert len(wanted) > 15
    for requirement in wanted:
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_no_address_of_a_registry_is_in_it() -> None:
    assert "://" not in (SOURCE / "constraints.txt").read_text()
