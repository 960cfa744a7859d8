"""Words and stems as texts are compared by them."""

from __future__ import annotations

import pytest

from sprat.words import stem, words


def test_words_are_in_lower_case_with_their_apostrophes() -> None:
    assert words("It's 3 o'clock, Ana!") == ["it's", "3", "o'clock", ",", "ana", "!"]


@pytest.mark.parametrize(
    "forms", [("Dance", "dances", "danced", "dancing"), ("run", "runs", "running"), ("pay", "pays", "paying")]
)
def test_inflected_words_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(w) for w in forms}) == 1


def test_a_short_word_is_its_own_stem() -> None:
    assert stem("Is") == "is"


def test_a_light_stem_loses_one_ending_and_nothing_more() -> None:
    assert [stem(w, light=True) for w in ("Number", "running", "planes", "paying")] == ["number", "runn", "plan", "pay"]
