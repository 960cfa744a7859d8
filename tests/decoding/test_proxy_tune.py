"""Proxy-tuning by hand on four tokens, and its laws: alpha 0 is the large model, an equal pair changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as when
from hypothesis import strategies as st

import sprat
from decoding_doubles import chances, given, scores, terms
from sprat.decoding import proxy_tune
from sprat.errors import BadInput

LARGE, TUNED, UNTUNED = given("large", [1, 0, 2, 0]), given("tuned", [0, 3, 0, 0]), given("untuned", [0, 1, 1, 0])
ROW = st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4)


@pytest.mark.parametrize(("alpha", "by_hand"), [(1, [1, 2, 1, 0]), (0.5, [1, 1, 1.5, 0]), (-1, [1, -2, 3, 0])])
def test_by_hand(alpha: float, by_hand: list[float]) -> None:
    assert scores(proxy_tune(LARGE, tuned=TUNED, untuned=UNTUNED, alpha=alpha)) == pytest.approx(by_hand)


@when(ROW, ROW, ROW, st.floats(-3, 3))
def test_it_is_the_weighted_sum(large: list[float], tuned: list[float], untuned: list[float], alpha: float) -> None:
    b, t, u = given("b", large), given("t", tuned), given("u", untuned)
    assert scores(proxy_tune(b, tuned=t, untuned=u, alpha=alpha)) == pytest.approx(
        scores(b + alpha * (t - u)), abs=1e-3
    )


@when(ROW, ROW)
def test_an_equal_pair_changes_nothing(large: list[float], small: list[float]) -> None:
    b, s = given("b", large), given("s", small)
    assert scores(proxy_tune(b, tuned=s, untuned=s)) == pytest.approx(np.float32(large), abs=1e-5)


@when(ROW, ROW)
def test_a_large_model_that_is_the_untuned_one_becomes_the_tuned(small: list[float], tuned: list[float]) -> None:
    s, t = given("s", small), given("t", tuned)
    assert chances(proxy_tune(s, tuned=t, untuned=s)) == pytest.approx(chances(t), abs=1e-5)


def test_alpha_0_asks_the_large_model_alone() -> None:
    small = given("small", [0, 0, 0, 0])
    assert scores(proxy_tune(LARGE, tuned=small, untuned=small, alpha=0)) == pytest.approx([1, 0, 2, 0])
    assert small.fed == []


def test_token_by_token_it_writes_what_the_sum_writes() -> None:
    big, small, fry = sprat.tiny("mackerel"), sprat.tiny("sprat"), sprat.tiny("fry")
    asked = ["sort 31 4 15:", "12+7=", "max 3 9:", "reverse abc:"]
    proxied = proxy_tune(big, tuned=small, untuned=fry, alpha=0.3).batch(asked)
    summed = (big + 0.3 * (small - fry)).batch(asked)
    assert [r.text for r in proxied] == [r.text for r in summed]
    assert proxied[0].logprobs == pytest.approx(summed[0].logprobs, abs=1e-5)


def test_the_terms_are_the_parts_weighted_logits() -> None:
    made = proxy_tune(LARGE, tuned=TUNED, untuned=UNTUNED, alpha=0.5)
    assert [(part.formula, term.tolist()) for part, term in terms(made)] == [
        ("large", [1, 0, 2, 0]),
        ("tuned", [0, 1.5, 0, 0]),
        ("untuned", [0, -0.5, -0.5, 0]),
    ]


@pytest.mark.parametrize(
    ("alpha", "said"),
    [(1, "large + (tuned - untuned)"), (0.5, "large + 0.5 * (tuned - untuned)"), (-2, "large - 2 * (tuned - untuned)")],
)
def test_the_formula_is_as_one_would_write_it(alpha: float, said: str) -> None:
    assert proxy_tune(LARGE, tuned=TUNED, untuned=UNTUNED, alpha=alpha).formula == said


def test_an_alpha_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match="alpha is nan"):
        proxy_tune(LARGE, tuned=TUNED, untuned=UNTUNED, alpha=float("nan"))
