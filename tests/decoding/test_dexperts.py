"""DExperts by hand on four tokens: filtered before combining, one-sided, and equal to proxy-tuning without a filter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as when
from hypothesis import strategies as st

from decoding_doubles import chances, given, scores, terms
from sprat.decoding import dexperts, proxy_tune
from sprat.errors import BadInput

BASE = given("base", np.log([0.5, 0.3, 0.15, 0.05]))
EXPERT, ANTI = given("expert", [0, 1, 0, 9]), given("anti", [1, 0, 0, 0])
ROW = st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4)
MINUS = -np.inf


def test_both_sides_by_hand() -> None:
    # .5 + .3 < .9, so the nucleus takes c as well, and leaves d: the expert's 9 for d counts for nothing.
    made = dexperts(BASE, expert=EXPERT, anti=ANTI)
    assert scores(made) == pytest.approx([np.log(0.5) - 2, np.log(0.3) + 2, np.log(0.15), MINUS], abs=1e-6)


def test_an_expert_alone_is_held_against_the_base() -> None:
    made = dexperts(BASE, expert=EXPERT, alpha=0.5)
    assert scores(made) == pytest.approx([-0.346574, 0.5 - 0.601986, -0.948560, MINUS], abs=1e-5)


def test_an_anti_expert_alone_is_held_against_the_base() -> None:
    made = dexperts(BASE, anti=ANTI, alpha=1)
    assert scores(made) == pytest.approx([2 * np.log(0.5) - 1, 2 * np.log(0.3), 2 * np.log(0.15), MINUS], abs=1e-5)


def test_the_filter_looks_at_the_base_and_not_at_the_sum() -> None:
    unfiltered = dexperts(BASE, expert=EXPERT, anti=ANTI, top_p=1)
    assert scores(unfiltered).argmax() == 3
    assert scores(dexperts(BASE, expert=EXPERT, anti=ANTI)).argmax() == 1


@when(ROW, ROW, ROW, st.floats(-3, 3))
def test_without_a_filter_it_is_proxy_tuning(base: list[float], up: list[float], down: list[float], a: float) -> None:
    b, e, n = given("b", base), given("e", up), given("n", down)
    made, same = dexperts(b, expert=e, anti=n, alpha=a, top_p=1), proxy_tune(b, tuned=e, untuned=n, alpha=a)
    assert scores(made) == pytest.approx(scores(same), abs=1e-3)


@when(ROW, ROW, ROW)
def test_alpha_0_is_the_bases_nucleus(base: list[float], up: list[float], down: list[float]) -> None:
    made = chances(dexperts(given("b", base), expert=given("e", up), anti=given("n", down), alpha=0))
    alone = chances(given("b", base))
    kept = made > 0
    assert alone[kept].sum() >= 0.9 - 1e-6
    assert alone[kept].sum() - alone[kept].min() < 0.9 + 1e-6 or kept.sum() > len(set(alone[kept]))
    assert made == pytest.approx(np.where(kept, alone, 0) / alone[kept].sum(), abs=1e-6)


@when(ROW, ROW, st.floats(-3, 3))
def test_the_terms_add_up(base: list[float], other: list[float], alpha: float) -> None:
    made = dexperts(given("b", base), anti=given("n", other), alpha=alpha)
    assert sum(term for _, term in terms(made)) == pytest.approx(scores(made), abs=1e-4)


def test_the_formula_says_which_part_is_which() -> None:
    assert dexperts(BASE, anti=ANTI).formula == "dexperts(base, anti=anti)"


@pytest.mark.parametrize("wrong", [{}, {"expert": EXPERT, "top_p": 0}, {"expert": EXPERT, "alpha": float("inf")}])
def test_what_is_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=r"Needed|Give one"):
        dexperts(BASE, **wrong)  # pyright: ignore[reportArgumentType]
