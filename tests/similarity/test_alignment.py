from __future__ import annotations

from math import cos, radians

import pytest
from tokens_by_hand import ByHand

from sprat.similarity import align


def test_each_word_is_shown_with_its_match_and_cosine() -> None:
    first, second = align("northeast near-east", "north", ByHand()).matches
    assert (first.word, first.start, first.end, first.matched) == ("northeast", 0, 9, "north")
    assert first.cosine == pytest.approx(cos(radians(30)))
    assert (second.word, second.matched) == ("near-east", "")  # the mark is nearer than any word


def test_the_words_that_lower_a_score_come_worst_first() -> None:
    assert [m.word for m in align("northeast west north", "north", ByHand()).lowest(0.9)] == ["west", "northeast"]


def test_neighbouring_words_without_support_are_one_span() -> None:
    text = "north west west north west"
    assert align(text, "north", ByHand()).spans(below=0.5) == [(6, 15), (22, 26)]


def test_an_empty_side_has_no_matches() -> None:
    assert align("", "north", ByHand()).matches == align("north", "", ByHand()).matches == ()


def test_a_word_of_several_static_pieces_is_shown_whole() -> None:
    text = "Zürich is snow-covered, überraschend!"
    found = align(text, text)
    assert [m.word for m in found.matches] == [text[m.start : m.end] for m in found.matches]
    assert {"Zürich", "überraschend", "snow"} <= {m.word for m in found.matches}
    assert min(m.cosine for m in found.matches) == pytest.approx(1.0, abs=1e-5)
