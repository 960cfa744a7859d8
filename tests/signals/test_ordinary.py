"""What ordinary prompts read like, and the part of a text that does not; by hand, and that nothing can be read out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.signals.ordinary import FEWEST, LONGEST, SHARED, Ordinary, contrast

TALK = ["please tell me what the weather is today", "please tell me how the weather was", "tell me what the time is"]
ORDINARY = Ordinary.of([[text] for text in TALK * 4])


def test_a_words_kinds_are_follows_known_and_unknown() -> None:
    follows, known, unknown = ORDINARY.bits
    # "weather tell" is no pair, "zq" no word, and the second "me" says the one before it again.
    words = ["please", "tell", "me", "weather", "tell", "zq", "me", "me"]
    assert list(ORDINARY.surprises(words)) == [follows, follows, follows, known, known, unknown, known, unknown]


def test_a_surprise_is_the_binary_logarithm_of_how_often_it_is_so() -> None:
    # 4 times 8 + 7 + 7 words, of which all follow, and one of each kind to begin with.
    assert Ordinary.of([["a b"]] * 4).bits == pytest.approx([-np.log2(9 / 11), -np.log2(1 / 11), -np.log2(1 / 11)])


def test_the_contrast_is_the_difference_of_means_by_the_root_of_both_counts() -> None:
    sums = np.cumsum([0.0, 1, 1, 1, 1, 4, 4])
    found = contrast(sums, np.array([4, 0]), np.array([6, 3]))
    assert found == pytest.approx([(4 - 1) * np.sqrt(2 * 4 / 6), (1 - 3) * np.sqrt(3 * 3 / 6)])


@pytest.mark.parametrize(("first", "last"), [(TALK[0], ""), ("", TALK[0]), (TALK[0], TALK[1])])
def test_what_was_put_into_a_text_is_the_part_that_stands_out(first: str, last: str) -> None:
    nonsense = "zq xv kj wp qx vx jk pw"
    best = max(ORDINARY.parts(f"{first} {nonsense} {last}".strip()), key=lambda part: part.contrast)
    # The word after it goes with it, since it does not follow on nonsense in ordinary prompts.
    assert best.rest.split() == [*first.split(), *last.split()[1:]]


def test_a_word_that_few_prompts_hold_leaves_no_trace() -> None:
    plain = [[text] for text in TALK * 4]
    secret = "please tell me what the weather hunter2 is today"
    once, shared = Ordinary.of([*plain, *[[secret]] * (SHARED - 1)]), Ordinary.of([*plain, *[[secret]] * SHARED])
    assert np.array_equal(once.known, ORDINARY.known)
    assert not np.array_equal(shared.known, ORDINARY.known)


def test_texts_that_belong_together_count_as_one() -> None:
    assert not Ordinary.of([["hunter2 hunter2 hunter2"] * 50]).known.any()


@given(st.text(max_size=300))
def test_a_part_and_what_is_left_have_enough_words(text: str) -> None:
    for part in ORDINARY.parts(text):
        assert part.last - part.first >= FEWEST
        assert part.words - (part.last - part.first) >= FEWEST
        assert np.isfinite(part.contrast)


def test_of_a_long_prompt_both_ends_are_looked_at() -> None:
    long = " ".join(TALK) * (2 * LONGEST // len(" ".join(TALK)))
    best = max(ORDINARY.parts(f"{long} " + "zq xv " * 500), key=lambda part: part.contrast)
    assert best.last == best.words
    assert len(best.rest) < LONGEST
