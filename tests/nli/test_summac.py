"""SummaC zero-shot against sums done by hand."""

from __future__ import annotations

from math import isnan

import pytest
from nli_by_hand import ByHand

from sprat.errors import BadInput
from sprat.nli import small
from sprat.nli.summac import pieces_of, summac

DOCUMENT = "The red cat sat down. The old dog ran off."
SUMMARY = "A cat sat. A dog slept."
NLI = ByHand(
    {
        ("The red cat sat down.", "A cat sat."): (0.8, 0.1, 0.1),
        ("The old dog ran off.", "A cat sat."): (0.2, 0.2, 0.6),
        ("The red cat sat down.", "A dog slept."): (0.3, 0.7, 0.0),
        ("The old dog ran off.", "A dog slept."): (0.1, 0.4, 0.5),
    }
)


def test_the_worst_contradiction_is_taken_from_the_best_entailment_wherever_each_stands() -> None:
    (found,) = summac(NLI).check([(DOCUMENT, SUMMARY)])
    assert found.score == pytest.approx(((0.8 - 0.6) + (0.3 - 0.5)) / 2)
    assert found.support == pytest.approx(0.5)


def test_together_one_sentence_has_to_entail_and_not_contradict() -> None:
    (found,) = summac(NLI, against="together").check([(DOCUMENT, SUMMARY)])
    assert found.score == pytest.approx(((0.8 - 0.1) + (0.3 - 0.0)) / 2)


def test_without_contradiction_and_by_the_least() -> None:
    (found,) = summac(NLI, against="none", over="min").check([(DOCUMENT, SUMMARY)])
    assert found.score == found.support == pytest.approx(0.3)


def test_unsupported_sentences_say_where_they_stand_and_what_came_closest() -> None:
    (found,) = summac(NLI).check([(DOCUMENT, SUMMARY)])
    (worst,) = found.unsupported(0.5)
    assert SUMMARY[worst.start : worst.end] == worst.text == "A dog slept."
    assert worst.support == pytest.approx((0.3 - 0.5 + 1) / 2)
    assert worst.evidence is not None
    assert DOCUMENT[slice(*worst.evidence)] == worst.evidence_text == "The red cat sat down."


def test_everything_is_asked_in_one_call_and_each_pair_once() -> None:
    nli = ByHand({})
    summac(nli).check([(DOCUMENT, SUMMARY), (DOCUMENT, "A cat sat."), (DOCUMENT, SUMMARY)])
    assert [len(call) for call in nli.asked] == [4]


def test_a_text_that_says_nothing_is_unknown_and_a_document_that_says_nothing_supports_nothing() -> None:
    nothing, unsupported = summac(NLI).check([(DOCUMENT, " "), ("", SUMMARY)])
    assert isnan(nothing.score)
    assert nothing.sentences == ()
    assert (unsupported.score, unsupported.support) == (-1.0, 0.0)
    assert unsupported.sentences[0].evidence is None


def test_pieces_of_a_document() -> None:
    text = "One two three four. Five six seven eight.\n\nNine ten eleven. Hm."
    told = {g: [text[a:b] for a, b in pieces_of(text, g)] for g in ("sentence", "two_sentences", "paragraph")}
    assert told["sentence"] == ["One two three four.", "Five six seven eight.", "Nine ten eleven."]
    assert told["two_sentences"][0] == "One two three four. Five six seven eight."
    assert told["paragraph"] == ["One two three four. Five six seven eight.", "Nine ten eleven. Hm."]


def test_ten_thousand_words_are_cut_to_a_hundred_pieces() -> None:
    text = "This is a sentence of words. " * 2_000
    assert len(pieces_of(text, "sentence")) == 100
    (found,) = summac(small()).check([(text, "This is a sentence of words.")])
    assert found.support > 0.5


def test_a_choice_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="apart, together or none"):
        summac(NLI, over="median")  # type: ignore[arg-type]
