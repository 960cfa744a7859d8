"""Signals that read the reply: hand-computed cases, and what all of them share."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.combine import cascade, vote
from sprat.core import Reply, Request, Usage
from sprat.data import Lessons
from sprat.drivers import drive_costed
from sprat.endpoints.toy import toy
from sprat.errors import BadInput, CannotDo
from sprat.signals import agreement, agreement_cells, answer_features, automix, frugal, logprob, pairrank
from sprat.signals.agreement_cells import pattern
from sprat.signals.heads import fit_linear, fit_trees
from sprat.signals.reply_features import NAMES, checked_sums, features


class Letters:
    """A tiny encoder: how often each of eight letters occurs."""

    name, dim = "letters", 8

    def encode(self, texts):
        return np.array([[t.count(c) + 0.1 for c in "abcdefgh"] for t in texts], np.float32)


def lessons(n: int = 60, seed: int = 0) -> Lessons:
    """The small model is right where it does not hedge and its peer agrees; the large one always."""
    rng = np.random.default_rng(seed)
    good = rng.random(n) < 0.5
    requests = tuple(Request.of(f"How many is {i} and {i}?") for i in range(n))
    small = tuple(Reply(f"It is {i}." if g else f"Maybe it might be {i + 1}?", "small") for i, g in enumerate(good))
    large = tuple(Reply(f"It is {i}.", "large") for i in range(n))
    scores = np.column_stack([good, np.ones(n)]).astype(float)
    costs = np.tile([1.0, 10.0], (n, 1))
    return Lessons(requests, ("small", "large"), scores, costs, {"small": small, "large": large, "peer": large}, 3)


PEER = toy("peer", "It is 3.", cost=0.5)
LEARNING = {
    "agreement_cells": agreement_cells(PEER),
    "answer_features": answer_features(PEER),
    "answer_features, trees": answer_features(kind="trees"),
    "answer_features, mean": answer_features(kind="mean", label="gain"),
    "frugal": frugal(Letters()),
    "automix": automix(toy("small", "The AI generated answer is Correct."), k=2, meta="pomdp"),
    "pairrank": pairrank(PEER, encoder=Letters()),
}


@pytest.mark.parametrize("name", LEARNING)
def test_an_unfitted_signal_says_so(name):
    with pytest.raises(BadInput, match="has not learned yet"):
        LEARNING[name]("What is 3?", "It is 3.")


@pytest.mark.parametrize("name", LEARNING)
def test_a_fitted_signal_gives_the_same_trust_in_0_1_each_time(name):
    first, second = (LEARNING[name].fit(lessons()) for _ in range(2))
    for text in ("It is 3.", "Maybe?", "", "####", "1,0,0 = = 3" * 50):
        assert 0 <= first("What is 3?", text) <= 1
        assert first("What is 3?", text) == second("What is 3?", text)


@pytest.mark.parametrize("name", ["agreement_cells", "answer_features", "answer_features, trees", "frugal", "pairrank"])
def test_what_is_learned_tells_good_replies_from_bad(name):
    signal = LEARNING[name].fit(lessons())
    assert signal("How many is 3 and 3?", "It is 3.") > signal("How many is 3 and 3?", "Maybe it might be 4?") + 0.2


@pytest.mark.parametrize("name", LEARNING)
def test_too_few_rows_say_so(name):
    with pytest.raises(BadInput, match="20"):
        LEARNING[name].fit(lessons(10))


@pytest.mark.parametrize("signal", [agreement(PEER), agreement_cells(PEER), answer_features(PEER)])
def test_what_a_signal_asks_is_in_the_tree_with_its_cost(signal):
    fitted = signal.fit(lessons()) if hasattr(signal, "fit") else signal
    small, large = toy("small", "It is 3.", cost=1.0), toy("large", "It is 3.", cost=10.0)
    reply = cascade(small, large, trust=fitted, at_least=1e-6)("What is 3?")
    assert [(r.model, r.cost) for r in reply.leaves()][:2] == [("small", 1.0), ("peer", 0.5)]


# log-probability


@given(st.lists(st.floats(-30, 0), min_size=1, max_size=20), st.sampled_from(["mean", "min", "sum"]))
def test_logprob_is_in_0_1(logprobs, how):
    assert 0 <= logprob(how)("q", Reply("x", logprobs=tuple(logprobs))) <= 1


@pytest.mark.parametrize(
    ("how", "first", "level"), [("mean", 0, -2.0), ("min", 0, -3.0), ("sum", 0, -6.0), ("mean", 2, -1.5)]
)
def test_logprob_by_hand(how, first, level):
    assert logprob(how, first)("q", Reply("abc", logprobs=(-1.0, -2.0, -3.0))) == pytest.approx(math.exp(level))


def test_logprob_says_when_a_reply_has_none():
    with pytest.raises(CannotDo, match="log-probabilities"):
        logprob()("q", "abc")


# agreement


def test_agreement_is_the_share_of_peers_with_the_same_answer():
    peers = [toy(f"p{i}", text) for i, text in enumerate(["The answer is (B)", "B", "C", ""])]
    assert agreement(*peers)("q", "I say the answer is (B).") == 0.5


def test_a_reply_without_an_answer_agrees_with_none():
    assert agreement(toy("p", ""))("q", "") == 0.0


def test_agreement_reads_the_votes_of_a_vote():
    said = vote(toy("a", "B"), toy("b", "C"), toy("c", "B"), enough=False)("q")
    assert agreement()("q", said) == pytest.approx(2 / 3)


def test_agreement_draws_numbered_samples_of_a_model():
    model = toy("m", lambda r: ["A", "B", "B"][r.sample])
    assert agreement(model, samples=2, temperature=1.0)("q", "B") == 1.0


@given(st.lists(st.sampled_from("AB"), min_size=1, max_size=6), st.floats(0.05, 1))
def test_stopping_early_falls_on_the_same_side(answers, decide):
    peers = [toy(f"p{i}", a) for i, a in enumerate(answers)]
    whole, early = agreement(*peers)("q", "A"), agreement(*peers, decide=decide)("q", "A")
    assert early <= whole
    assert (early >= decide) == (whole >= decide)


def test_stopping_early_leaves_the_rest_unasked():
    peers = [toy(f"p{i}", "A", cost=1.0) for i in range(4)]
    ((value, node),) = drive_costed([agreement(*peers, decide=0.5).trust(Request.of("q"), Reply("A"))])
    assert (value, node.cost) == (0.5, 2.0)


def test_a_failed_peer_is_left_out_of_the_share():
    def fails(_):
        raise CannotDo("no")

    assert agreement(toy("a", "A"), toy("b", fails))("q", "A") == 1.0


def test_pattern_says_who_agrees_and_whether_outvoted():
    assert [pattern("A", o) for o in (["A", "B"], ["B", "A"], ["B", "B"], ["B", "C"], ["A", "A"])] == [1, 2, 4, 0, 3]
    assert pattern("", ["", "B"]) == 4


def test_cells_are_shrunken_means_by_hand():
    # 24 replies, all short, no groups: 16 agreed with (12 right), 8 not (2 right); prior of 4 rows.
    right = np.array([1] * 12 + [0] * 4 + [1] * 2 + [0] * 6, float)
    requests = tuple(Request.of(f"q{i}") for i in range(24))
    peer = tuple(Reply("A" if i < 16 else "B", "p") for i in range(24))
    told = {"s": tuple(Reply("A", "s") for _ in range(24)), "p": peer}
    data = Lessons(requests, ("s",), right[:, None], np.ones((24, 1)), told)
    cells = agreement_cells(toy("p"), prior=4.0).fit(data).cells
    mean = 14 / 24
    assert cells[-1, :2, 0] == pytest.approx([(2 + 4 * mean) / 12, (12 + 4 * mean) / 20])


def test_a_logistic_regression_on_counts_misses_what_cells_see():
    # Right if exactly one of two peers agrees: no line through the agreement bits tells it, a cell per pattern does.
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (400, 2))
    right = (bits.sum(axis=1) == 1).astype(float)
    told = {"s": tuple(Reply("A", "s") for _ in bits)}
    told |= {f"p{j}": tuple(Reply("A" if b else f"B{j}", f"p{j}") for b in bits[:, j]) for j in range(2)}
    data = Lessons(tuple(Request.of(f"q{i}") for i in range(400)), ("s",), right[:, None], np.ones((400, 1)), told)
    cells = agreement_cells(toy("p0"), toy("p1")).fit(data).cells[-1, :4, 0]
    assert cells[1] > 0.8 < cells[2]
    assert cells[0] < 0.2 > cells[3]
    line = fit_linear(bits.astype(float), right, 0).predict(np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]))
    assert np.ptp(line) < 0.3


def test_unknown_groups_lean_on_all_groups():
    signal = agreement_cells(PEER).fit(lessons())
    assert signal(Request(({"role": "user", "content": "q"},), group="new"), "It is 3.") == signal.cells[-1, 1, 0]


# features and heads


def test_sums_are_checked():
    assert checked_sums("2 + 3 = 5, so 3 * $4.50 = $13.50; 10% = x; 7 - 2 = 4. <<2*(1+1)=4>>4") == [
        True,
        True,
        False,
        True,
    ]


def test_a_long_row_of_digits_is_read_at_once():
    assert checked_sums("1234567890 " * 1000 + "x" * 1000 + "1+" * 5000) == []


@given(st.text(max_size=300), st.text(max_size=60))
def test_features_are_finite_for_any_text(said, asked):
    found = features(Request.of(asked), Reply(said))
    assert found.shape == (len(NAMES),)
    assert np.isfinite(found).all()


def test_a_letter_with_a_billed_length_can_be_read():
    short, long = (features(Request.of("q"), Reply("B", usage=Usage(None, n))) for n in (10, 500))
    assert long[NAMES.index("log tokens")] > short[NAMES.index("log tokens")]


def test_trees_predict_as_scikit_learn_does():
    from sklearn.ensemble import GradientBoostingClassifier

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = (x[:, 0] * x[:, 1] > 0).astype(float)
    order = np.argsort(-y, kind="stable")  # the order in which ours hands the rows over
    ours = fit_trees(x, y, 5)
    theirs = GradientBoostingClassifier(
        n_estimators=120, learning_rate=0.06, max_depth=3, subsample=0.5, min_samples_leaf=15, random_state=5
    ).fit(x[order], y[order])
    assert np.allclose(ours.predict(x), theirs.predict_proba(x)[:, 1], atol=1e-12)
    again = rng.normal(size=(2000, 4))
    assert np.mean((ours.predict(again) > 0.5) == (again[:, 0] * again[:, 1] > 0)) > 0.85


def test_trees_of_one_label_give_that_label():
    x = np.zeros((30, 2))
    assert fit_trees(x, np.ones(30), 0).predict(x) == pytest.approx(0.999, abs=1e-3)


def test_logistic_matches_scikit_learn_at_the_same_penalty():
    from sklearn.linear_model import LogisticRegression

    from sprat.signals.heads import _newton

    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    y = (x[:, 0] + rng.normal(size=200) > 0).astype(float)
    theirs = LogisticRegression(C=1 / 3.0, tol=1e-10, max_iter=500).fit(x, y)
    ours = _newton(x, y, 3.0, True, True)
    assert ours == pytest.approx([*theirs.coef_[0], theirs.intercept_[0]], abs=1e-4)


def test_a_head_without_intercept_changes_sign_with_its_row():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3))
    head = fit_linear(x, (x[:, 0] > 0).astype(float), 0, intercept=False)
    assert head.raw(-x) == pytest.approx(-head.raw(x))
