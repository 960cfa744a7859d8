"""How the small model reads a text."""

from __future__ import annotations

import pytest

from sprat.nli.words import read, split


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It isn't raining", ["it", "is", "not", "raining"]),
        ("I can't, and won't", ["i", "can", "not", ",", "and", "will", "not"]),
        ("Seven of 1,000 dogs", ["7", "of", "1000", "dogs"]),
        ("the U.S. army's 3.5 km", ["the", "us", "army", "3.5", "km"]),
        ("we’re here", ["we", "are", "here"]),
        ("", []),
    ],
)
def test_words_have_one_canonical_form(text: str, wanted: list[str]) -> None:
    assert [w for w, _ in split(text)] == wanted


def test_a_capital_is_a_name_unless_a_sentence_begins_there() -> None:
    assert [w for w, name in split("The cat met Ana. Dogs saw I and Bo.") if name] == ["ana", "bo"]


def test_a_text_without_words_has_one_empty_word() -> None:
    assert [len(t.forms) for t in read(["", "  ", "a b"]).texts] == [1, 1, 2]


def test_equal_words_have_one_form_in_all_texts_read_together() -> None:
    first, second = read(["7 dogs", "seven Dogs"]).texts
    assert first.forms.tolist() == second.forms.tolist()
