"""Poor words are found wherever they stand, and words that only look like them are left alone."""

from __future__ import annotations

import pytest

from local.commands.words import find


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("# The job is started anew.", "anew"),
        ("anew = restart_ladder.made_anew(last)", "anew"),
        ("class MadeAnew:", "Anew"),
        ("with leased() as hands_off:", "hands_off"),
        ('"""Nobody else may."""', "Nobody"),
        ("SELECT mine.code FROM trade AS mine", "mine"),
        ("def lettered(self):", "lettered"),
        ("fates = [fate(record)]", "fates"),
        ('raise HourError(f"{text!r} is no hour")', " is no "),
        ("`x` is no number", " is no "),
    ],
)
def test_a_poor_word_is_found_in_names_and_texts(text: str, word: str) -> None:
    found = list(find(text, "plugins/x.py"))
    assert found[0].word == word
    assert (found[0].line, found[0].package) == (1, "plugins")
    assert found[0].instead


@pytest.mark.parametrize(
    "text",
    [
        "upbit_ingester_dead_lettered_total",
        "undetermined, undoubtedly, fatal, manewton, Toldo, examined",
        "There is no job; it is no longer there.",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert list(find(text)) == []


def test_each_finding_names_its_line() -> None:
    assert [finding.line for finding in find("a\nanew\nb\ntold nobody\n")] == [2, 4, 4]
