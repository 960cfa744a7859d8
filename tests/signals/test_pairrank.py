"""PairRanker by hand: the orders from comparison matrices, and what only a pairwise comparator can tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.core import Reply, Request
from sprat.data import Lessons
from sprat.drivers import drive
from sprat.errors import CannotDo
from sprat.signals.pairrank import bubble, max_logits, pairrank


class Letters:
    """A tiny encoder: how often each of eight letters occurs."""

    name, dim = "letters", 8

    def encode(self, texts):
        return np.array([[t.count(c) + 0.1 for c in "abcdefgh"] for t in texts], np.float32)


# a beats b clearly, b beats c, c beats a by a little: a has the largest sum, but loses its last bubble.
CYCLE = np.array([[0, 3, -0.5], [-3, 0, 1], [0.5, -1, 0]])


def test_max_logits_takes_the_largest_sum():
    assert max_logits(CYCLE) == [0, 2, 1]


def test_bubble_takes_who_wins_the_comparisons_it_makes():
    # In the order b, c, a: a loses to c, then c to b; a has the largest sum all the same.
    turned = CYCLE[np.ix_([1, 2, 0], [1, 2, 0])]
    assert (bubble(turned, 1)[0], max_logits(turned)[0]) == (0, 2)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6, unique=True))
def test_both_orders_sort_what_has_an_order(strength):
    wins = np.subtract.outer(strength, strength)
    best = sorted(range(len(strength)), key=lambda i: -strength[i])
    assert bubble(wins) == best


def rock_paper_scissors() -> Lessons:
    """Short and marked beats long and marked beats short and unmarked, ... judged two at a time."""
    rng = np.random.default_rng(0)
    kinds = ("a " * 2 + "answer is 1", "a " * 40 + "answer is 1", "b " * 10)
    beats = {(0, 1), (1, 2), (2, 0)}
    replies: list[list[Reply]] = []
    scores: list[list[float]] = []
    for _ in range(240):
        i, j = rng.choice(3, 2, replace=False)
        replies.append([Reply(kinds[i], "x"), Reply(kinds[j], "y")])
        scores.append([1.0, 0.0] if (i, j) in beats else [0.0, 1.0])
    told = {m: tuple(r[k] for r in replies) for k, m in enumerate("xy")}
    requests = tuple(Request.of(f"q{i}") for i in range(240))
    return Lessons(requests, ("x", "y"), np.array(scores), np.ones((240, 2)), told)


def test_a_cycle_is_learned_which_no_score_per_reply_can_show():
    ranker = pairrank(encoder=Letters()).fit(rock_paper_scissors())
    kinds = [Reply(t) for t in ("a " * 2 + "answer is 1", "a " * 40 + "answer is 1", "b " * 10)]
    wins = drive(ranker.compare(Request.of("q"), kinds))
    assert wins[0, 1] > 0 < wins[1, 2]
    assert wins[2, 0] > 0


def test_the_comparator_changes_sign_when_the_replies_change_places():
    ranker = pairrank(encoder=Letters()).fit(rock_paper_scissors())
    one, other = Reply("a maybe 3"), Reply("bcd answer is 7")
    forth, back = (drive(ranker.compare(Request.of("q"), pair)) for pair in ([one, other], [other, one]))
    assert forth[0, 1] == pytest.approx(-back[0, 1])
    assert forth == pytest.approx(-forth.T)


def test_one_reply_alone_is_not_judged():
    with pytest.raises(CannotDo, match="peers"):
        pairrank(encoder=Letters()).fit(rock_paper_scissors())("q", "a")
