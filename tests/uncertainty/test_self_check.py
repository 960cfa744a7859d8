from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
import pytest

from sprat.errors import BadInput, CannotDo
from sprat.nli.protocol import Worth
from sprat.similarity import Baseline, StaticTokens, bertscore
from sprat.uncertainty.self_check import by_bertscore, by_ngram, by_nli, prompt, self_checked, verdict


def test_unigrams_count_the_answer_and_the_samples() -> None:
    (found,) = by_ngram(["red car"], "red car", ["red bus", "red tram"])
    assert found.mean == pytest.approx(-(log(3 / 6) + log(1 / 6)) / 2)
    assert found.largest == pytest.approx(log(6))


def test_bigrams_are_joint_and_begin_at_the_sentence() -> None:
    (found,) = by_ngram(["red car"], "red car", ["red bus"], n=2)
    assert found.mean == pytest.approx(-(log(2 / 4) + log(1 / 4)) / 2)


def test_what_was_never_seen_counts_as_seen_once() -> None:
    (found,) = by_ngram(["blue"], "red car", ["red bus"])
    assert found.mean == pytest.approx(log(4))


def test_by_bertscore_takes_the_best_sentence_of_each_sample() -> None:
    said, samples = ["It rained."], [["Rain fell.", "It was cold."], ["Dogs bark."]]
    f = bertscore(["Rain fell.", "It was cold.", "Dogs bark."], said * 3).f
    wanted = 1 - (max(f[0], f[1]) + f[2]) / 2
    assert by_bertscore(said, samples, StaticTokens()) == pytest.approx([wanted], abs=1e-6)


def test_rescaled_it_is_one_less_the_rescaled_mean() -> None:
    said, samples = ["It rained."], [["Rain fell."]]
    raw = 1 - by_bertscore(said, samples, StaticTokens())[0]
    base = Baseline(0.4, 0.4, 0.4, 1, StaticTokens().name)
    assert by_bertscore(said, samples, StaticTokens(), base)[0] == pytest.approx(1 - (raw - 0.4) / 0.6)


def test_a_sample_without_sentences_supports_nothing() -> None:
    assert by_bertscore(["It rained."], [[]], StaticTokens()) == [1.0]


class Contradicts:
    name = "by hand"
    worth = Worth("made up")

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        return np.array([(0.2, 0.5, 0.3) if "not" in b else (0.6, 0.4, 0.0) for _, b in pairs])


def test_by_inference_leaves_neutral_out() -> None:
    assert by_nli(["It rained."], ["It did not.", "It did."], Contradicts()) == pytest.approx([(0.6 + 0) / 2])


class SaysOneThing:
    """A model of two labels: its "not" stands as neutral."""

    name = "two labels"
    worth = Worth("made up")

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        return np.array([(0.01, 0.99, 0.0)] * len(pairs))


def test_a_model_that_never_says_contradiction_is_refused() -> None:
    with pytest.raises(CannotDo, match="needs a model that says contradiction"):
        by_nli(["Rome is in France."], ["Rome is in Italy."], SaysOneThing())
    with pytest.raises(CannotDo, match="needs a model that says contradiction"):
        self_checked([["Rome is in France.", "Rome is in Italy."]], SaysOneThing())


def test_the_prompt_is_filled_in_one_pass() -> None:
    assert "Context: a {sentence} b\n" in prompt("said", "a {sentence}\nb")
    assert "Sentence: said\n" in prompt("said", "a")


@pytest.mark.parametrize(("text", "wanted"), [(" Yes, it is", 0), ("No.", 1), ("Perhaps", 0.5), ("", 0.5)])
def test_the_verdict_is_yes_no_or_neither(text: str, wanted: float) -> None:
    assert verdict(text) == wanted


def test_nothing_to_compare_with_is_refused() -> None:
    with pytest.raises(BadInput):
        by_ngram(["a"], "a", [])
