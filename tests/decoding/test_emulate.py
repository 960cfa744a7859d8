"""Emulated fine-tuning by hand on four tokens: a product of probability ratios, with weights and a nucleus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as when
from hypothesis import strategies as st

from decoding_doubles import chances, given, scores, terms
from sprat.decoding import emulate, proxy_tune
from sprat.errors import BadInput

# Logits are log-probabilities off by a constant, which must not matter.
BASE = given("base", np.log([0.4, 0.3, 0.2, 0.1]) + 3)
KIND, BRIEF = given("kind", np.log([0.5, 0.25, 0.125, 0.125]) - 1), given("brief", np.log([0.1, 0.2, 0.3, 0.4]) + 5)
SMALL = given("small", [7, 7, 7, 7])
ROW = st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4)


def test_two_tuned_models_by_hand() -> None:
    # Ratios to a quarter: 2 1 .5 .5 and .4 .8 1.2 1.6.
    made = chances(emulate(BASE, tuned=(KIND, BRIEF), untuned=SMALL, weights=(1, 1)))
    assert made == pytest.approx(np.array([0.32, 0.24, 0.12, 0.08]) / 0.76, abs=1e-6)


def test_weights_are_powers_of_the_ratios() -> None:
    made = chances(emulate(BASE, tuned=(KIND, BRIEF), untuned=SMALL, weights=(2, 0)))
    assert made == pytest.approx(np.array([1.6, 0.3, 0.05, 0.025]) / 1.975, abs=1e-6)


def test_outside_the_nucleus_only_the_base_counts() -> None:
    made = chances(emulate(BASE, tuned=(KIND, BRIEF), untuned=SMALL, weights=(1, 1), top_p=0.5))
    assert made == pytest.approx(np.array([0.32, 0.24, 0.2, 0.1]) / 0.86, abs=1e-6)


def test_the_scores_are_normalised() -> None:
    made = emulate(BASE, tuned=KIND, untuned=SMALL)
    assert np.exp(scores(made)).sum() == pytest.approx(1, abs=1e-6)


def test_weights_are_equal_and_add_up_to_1_unless_given() -> None:
    assert emulate(BASE, tuned=KIND, untuned=SMALL).weights == (1.0,)
    assert emulate(BASE, tuned=(KIND, BRIEF), untuned=SMALL).weights == (0.5, 0.5)


@when(ROW, ROW, ROW, st.floats(-2, 2))
def test_with_one_tuned_model_it_is_proxy_tuning(b: list[float], t: list[float], u: list[float], w: float) -> None:
    base, tuned, untuned = given("b", b), given("t", t), given("u", u)
    made = emulate(base, tuned=tuned, untuned=untuned, weights=(w,))
    same = proxy_tune(base, tuned=tuned, untuned=untuned, alpha=w)
    assert chances(made) == pytest.approx(chances(same), abs=1e-4)


@when(ROW, ROW)
def test_at_its_own_size_it_is_the_tuned_model(small: list[float], tuned: list[float]) -> None:
    s, t = given("s", small), given("t", tuned)
    assert chances(emulate(s, tuned=t, untuned=s)) == pytest.approx(chances(t), abs=1e-5)


@when(ROW, ROW, ROW)
def test_weights_0_are_the_base(b: list[float], t: list[float], u: list[float]) -> None:
    made = emulate(given("b", b), tuned=given("t", t), untuned=given("u", u), weights=(0,))
    assert chances(made) == pytest.approx(chances(given("b", b)), abs=1e-6)


@when(ROW, ROW, ROW, st.floats(0, 1))
def test_the_terms_add_up_but_for_a_constant(b: list[float], t: list[float], u: list[float], top_p: float) -> None:
    made = emulate(given("b", b), tuned=given("t", t), untuned=given("u", u), top_p=top_p)
    assert np.ptp(sum(term for _, term in terms(made)) - scores(made)) == pytest.approx(0, abs=1e-4)


def test_the_formula_names_every_pair() -> None:
    made = emulate(BASE, tuned=(KIND, BRIEF), untuned=SMALL, weights=(0.7, -1))
    assert made.formula == "emulate(base + 0.7 * (kind - small) - (brief - small))"


@pytest.mark.parametrize("wrong", [{"tuned": ()}, {"tuned": KIND, "weights": (1, 2)}, {"tuned": KIND, "top_p": 2.0}])
def test_what_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=r"one weight for each|Needed"):
        emulate(BASE, untuned=SMALL, **wrong)  # pyright: ignore[reportArgumentType]
