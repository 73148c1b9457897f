"""English and French say the same things, with the same values in them."""

from __future__ import annotations

import string

import pytest

from gazelle_sync.translations import TEXTS, Speech


def blanks(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_there_in_both_languages_with_the_same_blanks(name: str) -> None:
    english, french = TEXTS[name]
    assert english.strip()
    assert french.strip()
    assert blanks(english) == blanks(french)


def test_what_is_said_has_its_values_in_it() -> None:
    assert Speech("fr")("gone", table="pianos", deleted=2, restored=1) == "pianos\u00a0: 2 supprimés, 1 rétablis"


def test_a_value_with_braces_is_said_as_it_is() -> None:
    assert Speech("en")("added", what="table {x}") == "added: table {x}"
