from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.uncertainty import Alike, Entailment, Exact, cluster
from sprat.uncertainty.clusters import Draws, Rule, reassigning

ENTAILS, NEUTRAL, AGAINST = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)


@dataclass(frozen=True)
class Told:
    """An inference model of a few pairs; all others are neutral."""

    said: dict[tuple[str, str], tuple[float, float, float]] = field(default_factory=dict, hash=False)
    asked: list[tuple[str, str]] = field(default_factory=list, hash=False)

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        self.asked.extend(pairs)
        return np.array([self.said.get(p, NEUTRAL) for p in pairs])


# 0 is like 1 and 2; 1 is like 2 as well as 3, which 0 is not like.
CHAIN = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)


def test_a_draw_stays_in_the_first_cluster_that_takes_it() -> None:
    assert cluster(CHAIN).tolist() == [0, 0, 1, 2]
    taken = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)  # the third is like both others
    assert cluster(taken).tolist() == [0, 1, 0]


def test_the_authors_code_gives_it_to_the_last_one() -> None:
    taken = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)
    assert reassigning(taken).tolist() == [0, 1, 1]


@given(st.integers(1, 8).flatmap(lambda n: st.lists(st.integers(0, 3), min_size=n, max_size=n)))
def test_where_likeness_is_an_equivalence_both_are_its_classes(labels: list[int]) -> None:
    same = np.equal.outer(labels, labels)
    wanted = [sorted(set(labels), key=labels.index).index(x) for x in labels]
    assert cluster(same).tolist() == wanted
    assert np.array_equal(np.equal.outer(reassigning(same), reassigning(same)), same)


def test_exact_compares_settled_answers() -> None:
    found = Exact().same([Draws("q", ("The answer is (B).", "B", "1,200", "1200.0", "", ""))])[0]
    assert cluster(found).tolist() == [0, 0, 1, 1, 2, 3]  # empty answers are like nothing, not like each other


def test_alike_takes_one_that_stands_in_the_other_by_whole_words() -> None:
    asked = [Draws("q", ("Paris", "Paris, France", "Par", ""))]
    found = Alike(at_least=2.0).same(asked)[0]  # no cosine reaches 2: the words alone decide
    assert cluster(found).tolist() == [0, 0, 1, 2]


def test_alike_takes_a_cosine_of_at_least_the_threshold() -> None:
    asked = [Draws("q", ("a large dog", "a big dog", "tax law"))]
    likeness = Alike().likeness(asked)[0]
    threshold = float(likeness[0, 1]) - 1e-6
    assert Alike(at_least=threshold, containment=False).same(asked)[0][0].tolist() == [True, True, False]


def test_likeness_is_symmetric_with_a_diagonal_of_1() -> None:
    for equivalence in (Exact(), Alike(), Entailment(Told())):
        w = equivalence.likeness([Draws("q", ("a dog", "a cat", ""))])[0]
        assert np.array_equal(w, w.T)
        assert w.diagonal().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("rule", "one", "other", "same"),
    [
        ("strict", ENTAILS, ENTAILS, True),
        ("strict", ENTAILS, NEUTRAL, False),
        ("lax", ENTAILS, NEUTRAL, True),
        ("lax", NEUTRAL, NEUTRAL, False),
        ("lax", ENTAILS, AGAINST, False),
        ("either", ENTAILS, AGAINST, True),
        ("either", NEUTRAL, NEUTRAL, False),
    ],
)
def test_the_three_rules_of_inference(rule: Rule, one: tuple[float, ...], other: tuple[float, ...], same: bool) -> None:
    nli = Told({("a", "b"): one, ("b", "a"): other})  # type: ignore[dict-item]
    found = Entailment(nli, rule, with_question=False).same([Draws("q", ("a", "b"))])[0]
    assert bool(found[0, 1]) == bool(found[1, 0]) == same


def test_the_question_stands_before_both_and_each_pair_is_asked_once() -> None:
    nli = Told()
    Entailment(nli).same([Draws("Who?", ("a", "b", "a"))])
    assert sorted(nli.asked) == [("Who? a", "Who? b"), ("Who? b", "Who? a")]
