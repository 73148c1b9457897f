"""English and French say the same things, with the same values in them."""

from __future__ import annotations

import re
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
    assert Speech("fr")("gone", table="pianos", deleted=2, restored=1) == "pianos\u00a0: 2 supprimés, 1 rétabli"


def test_a_value_with_braces_is_said_as_it_is() -> None:
    assert Speech("en")("added", what="table {x}") == "added: table {x}"


@pytest.mark.parametrize(
    ("language", "count", "told"),
    [
        ("en", 0, "0 records could not be stored as they came: x"),
        ("en", 1, "1 record could not be stored as it came: x"),
        ("en", 2, "2 records could not be stored as they came: x"),
        ("fr", 0, "0 enregistrement n’a pas pu être enregistré tel quel\u00a0: x"),
        ("fr", 1, "1 enregistrement n’a pas pu être enregistré tel quel\u00a0: x"),
        ("fr", 2, "2 enregistrements n’ont pas pu être enregistrés tels quels\u00a0: x"),
    ],
)
def test_a_word_agrees_with_its_number(language: str, count: int, told: str) -> None:
    assert Speech(language)("rejected_records", count=count, shown="x") == told


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_puts_a_plural_after_every_number(name: str) -> None:
    for text in TEXTS[name]:
        assert not re.search(r"\w\(e?s\)", text)
        text = re.sub(r"\{\w+:(?:[^{}]|\{\w+\})*\|(?:[^{}]|\{\w+\})*\}", "", text)  # noqa: PLW2901
        assert not re.search(r"\{(count|more|tries|attempts|filled|waiting)\} [a-zé]+s\b", text)


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (0.04, "0.0 s", "0,0 s"),
        (2.44, "2.4 s", "2,4 s"),
        (48.2, "48 s", "48 s"),
        (192, "3 min 12 s", "3 min 12 s"),
        (3900, "1 h 05 min", "1 h 05 min"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, english: str, french: str) -> None:
    assert (Speech("en").duration(seconds), Speech("fr").duration(seconds)) == (english, french)
