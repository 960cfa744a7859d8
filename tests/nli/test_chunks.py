"""Chunks by the authors' rules, and their scores by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nli_by_hand import ByHand

from sprat.errors import BadInput
from sprat.nli.checks import supports
from sprat.nli.chunks import alignscore, even_chunks, full_chunks, minicheck

FIVE = "One a b. Two a b. Three a b. Four a b. Five a b."


def cut(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[a:b] for a, b in spans]


def test_even_chunks_hold_as_many_sentences_each() -> None:
    # 15 words by 6 are 2 chunks and one more; 5 sentences by 3 are one each.
    assert cut(FIVE, even_chunks(FIVE, 6)) == ["One a b.", "Two a b.", "Three a b.", "Four a b.", "Five a b."]
    # 15 words by 10: 2 chunks, of 2 sentences each, and the rest.
    assert cut(FIVE, even_chunks(FIVE, 10)) == ["One a b. Two a b.", "Three a b. Four a b.", "Five a b."]


def test_full_chunks_are_filled_up_to_the_limit() -> None:
    assert cut(FIVE, full_chunks(FIVE, 6)) == ["One a b. Two a b.", "Three a b. Four a b.", "Five a b."]
    assert cut(FIVE, full_chunks(FIVE, 2)) == ["One a b.", "Two a b.", "Three a b.", "Four a b.", "Five a b."]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 40))
def test_full_chunks_keep_every_sentence_once_and_the_limit(lengths: list[int], words: int) -> None:
    text = " ".join("Ab" + " b" * (n - 1) + "." for n in lengths)
    found = cut(text, full_chunks(text, words))
    assert " ".join(found) == text
    assert all(len(c.split()) <= words or c.count(".") == 1 for c in found)


NLI = ByHand(
    {
        ("One a b. Two a b.", "It is one."): (0.9, 0.1, 0.0),
        ("Three a b. Four a b.", "It is one."): (0.2, 0.1, 0.7),
        ("One a b. Two a b.", "It is six."): (0.1, 0.1, 0.8),
        ("Five a b.", "It is six."): (0.3, 0.1, 0.6),
        ("Five a b.", "It is one. It is six."): (0.4, 0.3, 0.3),
    }
)
PAIR = (FIVE, "It is one. It is six.")


def test_alignscore_is_the_mean_of_the_best_chunks() -> None:
    (found,) = alignscore(NLI, words=10).check([PAIR])
    assert found.score == pytest.approx((0.9 + 0.3) / 2)
    assert found.unsupported()[0].evidence_text == "Five a b."


def test_the_evidence_is_the_sentence_of_the_best_chunk_that_has_most_of_the_claims_words() -> None:
    (found,) = alignscore(NLI, words=10).check([PAIR])
    assert [s.evidence_text for s in found.sentences] == ["One a b.", "Five a b."]


def test_minicheck_is_the_best_chunk_of_the_least_supported_sentence() -> None:
    (found,) = minicheck(NLI, words=6).check([PAIR])
    assert found.score == pytest.approx(0.3)


def test_minicheck_may_judge_the_text_whole_as_the_authors_do() -> None:
    (found,) = minicheck(NLI, words=6, split=False).check([PAIR])
    assert found.score == pytest.approx(0.4)
    assert len(found.sentences) == 1


def test_claims_have_their_supports_in_one_call() -> None:
    nli = ByHand(NLI.known)
    assert supports(["It is one.", "It is six."], FIVE, minicheck(nli, words=6)) == pytest.approx([0.9, 0.3])
    assert len(nli.asked) == 1


def test_a_chunk_without_words_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one word"):
        alignscore(NLI, words=0)
