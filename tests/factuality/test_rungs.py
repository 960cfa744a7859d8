"""What each rung reads, by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

import sprat
from sprat.core import Reply
from sprat.drivers import drive
from sprat.factuality.checks import Check, Spent
from sprat.factuality.rungs import Asked, Inference
from sprat.factuality.surface import Alignment, Unigram, missing, places

DOCUMENT = "Ada Low taught chemistry in Bonn for 12 years. She was not paid."


def read(claim: str, document: str = DOCUMENT) -> dict[str, float]:
    rows, spent = drive(Unigram().read([Check(claim, document)]))
    assert spent[0].dollars == 0.0
    return dict(zip(Unigram.names, rows[0].tolist(), strict=True))


def test_words_numbers_and_names_that_the_document_lacks_are_counted() -> None:
    found = read("Ada Low taught physics in Ulm for 13 years.")
    # telling words: Ada, Low, taught, physics, Ulm, 13, years
    assert found["words found"] == pytest.approx(4 / 7)
    assert found["log words missing"] == pytest.approx(log(4))
    assert (found["a number missing"], found["numbers missing"], found["names missing"]) == (1, 1, 1)


def test_an_ending_does_not_make_another_word() -> None:
    found = read("Ada paid 12 year.")
    assert found["words found"] < found["stems found"]


def test_negation_is_compared_with_the_nearest_sentence() -> None:
    assert read("She was paid.")["negation differs"] == 1
    assert read("She was not paid.")["negation differs"] == 0


def test_what_stands_there_word_for_word_lacks_nothing() -> None:
    found = read("Ada Low taught chemistry in Bonn.")
    assert (found["words found"], found["pairs of words found"], found["words in one sentence"]) == (1, 1, 1)


def test_empty_texts_have_finite_numbers() -> None:
    checks = [Check("", ""), Check("a b", ""), Check("", "a b"), Check("...", "...")]
    for one in (Unigram(), Alignment()):
        rows, _ = drive(one.read(checks))
        assert rows.shape == (4, len(one.names))
        assert np.isfinite(rows).all()


def test_a_copied_claim_is_wholly_aligned() -> None:
    rows, _ = drive(
        Alignment().read([Check("Ada Low taught chemistry.", DOCUMENT), Check("Tax law changed.", DOCUMENT)])
    )
    assert rows[0][:3] == pytest.approx([1, 1, 1], abs=1e-5)
    assert rows[1][0] < rows[0][0]


def test_the_places_of_what_is_missing_are_joined() -> None:
    check = Check("Ada Low taught quantum physics in Bonn.", DOCUMENT)
    assert [check.claim[a:b] for a, b in missing(check)] == ["quantum", "physics"]
    (one,) = places(check)
    assert (one.text, check.claim[one.start : one.end]) == ("quantum physics", "quantum physics")


class Nli:
    """Entails where the hypothesis' last word stands in the premise."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def probabilities(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        self.asked += pairs
        return np.array([[0.9, 0.1, 0.0] if h.split()[-1] in p else [0.1, 0.3, 0.6] for p, h in pairs])


def test_the_worst_sentence_of_the_claim_counts() -> None:
    rows, _ = drive(Inference(Nli()).read([Check("She was paid. She flew.", "She was not paid. It rained.")]))
    found = dict(zip(Inference.names, rows[0].tolist(), strict=True))
    assert found == {
        "entailed, worst": 0.1,
        "entailed, mean": 0.5,
        "contradicted, worst": 0.6,
        "contradicted, mean": 0.3,
        "entailed less contradicted": -0.5,
    }


def test_a_pair_is_asked_once_and_only_near_sentences_are() -> None:
    nli = Nli()
    document = " ".join(f"Sentence number {i} speaks of thing{i}." for i in range(30))
    drive(Inference(nli, nearest=3).read([Check("Of thing7.", document)] * 2))
    assert len(nli.asked) == len(set(nli.asked)) == 3


def test_a_model_gives_the_chance_of_true_and_its_price() -> None:
    sure = Reply("True", "m", top_logprobs=({"True": log(0.8), "False": log(0.2)},), cost=0.5)
    rows, spent = drive(Asked(sprat.toy("m", lambda r: sure)).read([Check("It rained.", DOCUMENT)]))
    assert rows[0, 0] == pytest.approx(0.8)
    assert spent == [Spent(0.5, 0.0)]
