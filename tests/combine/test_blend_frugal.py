"""blend and FrugalGPT's search: their laws, and their decisions by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.combine import blend, frugal_cascade
from sprat.combine.frugal_cascade import search
from sprat.core import Reply, Request
from sprat.data import Lessons
from sprat.endpoints.toy import toy
from sprat.errors import BadInput
from sprat.signals import answer_features, logprob

LARGE = toy("large", "from the large one", cost=10.0, trusted=-0.1)


# blend


def test_blend_of_one_model_is_that_model():
    reply = blend(toy("a", "hello", cost=2.0))("q")
    assert (reply.text, reply.cost) == ("hello", 2.0)


class Longest:
    """A ranker for tests: longest first."""

    async def order(self, request, replies):
        return sorted(range(len(replies)), key=lambda i: -len(replies[i].text))


THREE = [toy("a", "x", cost=1.0), toy("b", "xxx", cost=1.0), toy("c", "xx", cost=1.0)]


def test_without_a_fuser_the_best_ranked_reply_is_given():
    reply = blend(*THREE, ranker=Longest())("q")
    assert (reply.text, reply.cost) == ("xxx", 3.0)


def test_the_fuser_reads_the_top_k_in_order():
    fuser = toy("f", lambda r: r.text, cost=5.0)
    reply = blend(*THREE, ranker=Longest(), fuser=fuser, k=2)("Say x.")
    assert reply.text.startswith("Instruction: Say x.\n\nCandidate 0: xxx\n\nCandidate 1: xx\n\n")
    assert "Candidate 2" not in reply.text
    assert reply.cost == 8.0


def test_any_signal_can_rank():
    models = [toy("a", "unsure", trusted=-2.0), toy("b", "sure", trusted=-0.1)]
    assert blend(*models, ranker=logprob())("q").text == "sure"


def test_blend_of_several_needs_a_ranker():
    with pytest.raises(BadInput, match="ranker"):
        blend(*THREE)


# FrugalGPT's search

QUALITY = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]], float)
COST = np.tile([1.0, 2.0, 10.0], (4, 1))
TRUST = np.array([[0.9, 0.2, 0.5], [0.1, 0.9, 0.5], [0.3, 0.1, 0.5], [0.8, 0.8, 0.5]])


def test_a_large_budget_gets_full_quality_at_the_least_cost():
    # 0 keeps rows 0 and 3 (trust >= .8); 1 keeps row 1; 2 answers row 2: (4 * 1 + 2 * 2 + 1 * 10) / 4 = 4.5.
    plan = search(QUALITY, COST, TRUST, 100.0)
    assert (plan.order, plan.quality, plan.cost) == ((0, 1, 2), 1.0, 4.5)
    assert 0.3 < plan.at_least[0] <= 0.8
    assert 0.1 < plan.at_least[1] <= 0.9


def test_a_budget_for_two_models_leaves_the_dear_one_out():
    # 0 keeps all but row 1, the least trusted: (4 * 1 + 1 * 2) / 4 = 1.5; right but for row 2.
    plan = search(QUALITY, COST, TRUST, 2.0)
    assert (plan.order, plan.quality, plan.cost) == ((0, 1), 0.75, 1.5)


def test_the_dearer_model_may_come_first():
    # Model 1 knows when it is right and 0 is right on the rest: 1 before 0 beats every order by price.
    quality = np.array([[0, 1], [0, 1], [0, 1], [1, 0]], float)
    trust = np.array([[0.5, 0.9], [0.5, 0.8], [0.5, 0.7], [0.5, 0.1]])
    plan = search(quality, np.tile([1.0, 2.0], (4, 1)), trust, 10.0)
    assert (plan.order, plan.quality) == ((1, 0), 1.0)


def test_no_list_within_the_budget_says_so():
    with pytest.raises(BadInput, match="at most"):
        search(QUALITY, COST, TRUST, 0.5)


@given(st.integers(0, 10_000))
def test_the_search_is_never_beaten_by_plain_enumeration(seed):
    rng = np.random.default_rng(seed)
    quality = rng.integers(0, 2, (8, 2)).astype(float)
    cost, trust = np.tile([1.0, 3.0], (8, 1)), rng.random((8, 2))
    plan = search(quality, cost, trust, 2.5, most=2, differ=0.0)
    for (a, b), cut in product([(0, 1), (1, 0)], rng.random(20)):
        kept = trust[:, a] >= cut
        if (cost[:, a] + ~kept * cost[:, b]).mean() <= 2.5:
            assert plan.quality >= np.where(kept, quality[:, a], quality[:, b]).mean() - 1e-9


def test_frugal_cascade_asks_the_dear_model_only_where_the_cheap_one_hedges():
    rng = np.random.default_rng(0)
    good = rng.random(80) < 0.6
    told = {
        "small": tuple(Reply("It is 3." if g else "Maybe it is 4?", "small") for g in good),
        "large": tuple(Reply("It is 3.", "large") for _ in good),
    }
    requests = tuple(Request.of(f"q{i}") for i in range(80))
    scores = np.column_stack([good, np.ones(80)]).astype(float)
    lessons = Lessons(requests, ("small", "large"), scores, np.tile([1.0, 10.0], (80, 1)), told)
    small = toy("small", lambda r: "It is 3." if r.text == "q1" else "Maybe it is 4?", cost=1.0)
    made = frugal_cascade(small, LARGE, lessons=lessons, budget=6.0, trust=answer_features())
    assert [made(q).model for q in ("q1", "q2")] == ["small", "large"]


def test_frugal_cascade_needs_known_costs():
    lessons = Lessons(
        (Request.of("q"),), ("small",), np.ones((1, 1)), np.full((1, 1), np.nan), {"small": (Reply("a"),)}
    )
    with pytest.raises(BadInput, match="cost"):
        frugal_cascade(toy("small"), lessons=lessons, budget=1.0)
