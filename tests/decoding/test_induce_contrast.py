"""Induce-then-contrast by hand on four tokens, in both modes, and with a prompt in place of a tuned copy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as when
from hypothesis import strategies as st

import sprat
from decoding_doubles import given, scores, terms
from sprat.decoding import Told, contrast, induce_contrast
from sprat.errors import BadInput

MODEL, INDUCED = given("model", np.log([0.5, 0.3, 0.16, 0.04])), given("induced", [2, 2, 2, 2])
ROW = st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4)
MINUS = -np.inf


def test_the_log_ratio_by_hand() -> None:
    # The head ends at .05, so d is out; the rest is held against a quarter.
    assert scores(induce_contrast(MODEL, INDUCED)) == pytest.approx([0.693147, 0.182322, -0.446287, MINUS], abs=1e-5)


def test_beta_weighs_the_models_own_log_probability() -> None:
    made = scores(induce_contrast(MODEL, INDUCED, beta=2))
    assert made[:3] == pytest.approx(2 * np.log([0.5, 0.3, 0.16]) + np.log(4), abs=1e-5)


def test_the_second_mode_by_hand() -> None:
    # p + max(0, p - 1/4), read as logits.
    assert scores(induce_contrast(MODEL, INDUCED, form="relu")) == pytest.approx([0.75, 0.35, 0.16, MINUS], abs=1e-6)


@when(ROW, ROW)
def test_at_beta_1_it_is_the_contrast_of_log_ratios(own: list[float], induced: list[float]) -> None:
    m, i = given("m", own), given("i", induced)
    assert scores(induce_contrast(m, i)) == pytest.approx(scores(contrast(m, i, form="log_ratio")), abs=1e-5)


@when(ROW)
def test_a_copy_that_does_not_err_leaves_no_preference(own: list[float]) -> None:
    made = scores(induce_contrast(given("m", own), given("i", own)))
    assert made[np.isfinite(made)] == pytest.approx(0, abs=1e-5)


@when(ROW, ROW, st.sampled_from(["log_ratio", "relu"]))
def test_the_terms_add_up(own: list[float], induced: list[float], form: str) -> None:
    made = induce_contrast(given("m", own), given("i", induced), form=form)  # pyright: ignore[reportArgumentType]
    assert sum(term for _, term in terms(made)) == pytest.approx(scores(made), abs=1e-4)


def test_a_text_is_the_prompt_that_the_same_weights_are_told() -> None:
    big = sprat.tiny("sprat")
    made = induce_contrast(big, "Answer wrongly.")
    assert isinstance(made.induced, Told)
    assert (made.induced.model, made.induced.system) == (big, "Answer wrongly.")


def test_a_prompt_cannot_induce_errors_in_a_combination() -> None:
    with pytest.raises(BadInput, match="not in a combination"):
        induce_contrast(MODEL + INDUCED, "Lie.")


@pytest.mark.parametrize("wrong", [{"alpha": 2}, {"beta": -1}, {"form": "v2"}, {"form": "relu", "beta": 2}])
def test_what_is_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=r"Needed|Known|leave it out"):
        induce_contrast(MODEL, INDUCED, **wrong)  # pyright: ignore[reportArgumentType]
