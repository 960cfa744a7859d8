from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput, CannotDo
from sprat.uncertainty import CONVENTIONS, QuestionUncertainty, Samples, semantic_entropy
from sprat.uncertainty.entropy import cluster_probability

# Three draws in two clusters; mean log-probabilities per token -1, -2, -1, sums -2, -2, -3.
DRAWS = Samples("q", ("a", "a too", "b"), ((-1.0, -1.0), (-2.0,), (-1.0, -1.0, -1.0)))
IDS = np.array([0, 0, 1])
A, B = exp(-1) + exp(-2), exp(-1)
P = A / (A + B)


def value(convention: str) -> float:
    return semantic_entropy(DRAWS, IDS, convention).value


def test_discrete_counts_draws() -> None:
    assert value("discrete") == pytest.approx(-(2 / 3 * log(2 / 3) + 1 / 3 * log(1 / 3)))


def test_rao_weighs_clusters_by_their_normalised_probability() -> None:
    assert value("rao") == pytest.approx(-(P * log(P) + (1 - P) * log(1 - P)))


def test_monte_carlo_is_a_mean_over_draws() -> None:
    assert value("monte_carlo") == pytest.approx(-(2 * log(P) + log(1 - P)) / 3)


def test_kuhns_code_is_a_mean_over_clusters_of_unnormalised_masses_plus_five() -> None:
    assert value("kuhn") == pytest.approx(-((log(A) - 5) + (log(B) - 5)) / 2)


def test_lm_polygraph_takes_whole_texts_unnormalised() -> None:
    a, b = log(2 * exp(-2)), -3.0
    assert value("lm_polygraph") == pytest.approx(-(2 * a + b) / 3)
    assert value("lm_polygraph_direct") == pytest.approx(-(2 * a * exp(a) + b * exp(b)))


def test_uqlm_divides_by_the_log_of_the_draws() -> None:
    assert value("uqlm") == pytest.approx(value("rao") / log(3))
    assert value("uqlm_discrete") == pytest.approx(value("discrete") / log(3))


def test_a_clusters_probability_is_its_draws() -> None:
    assert cluster_probability(DRAWS, IDS).tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert cluster_probability(DRAWS, IDS, "rao").tolist() == pytest.approx([P, P, 1 - P])


def test_it_says_that_it_is_of_the_question_and_by_which_convention() -> None:
    assert semantic_entropy(DRAWS, IDS, "rao") == QuestionUncertainty(value("rao"), "semantic entropy", "rao")


@pytest.mark.parametrize("convention", ["discrete", "rao", "monte_carlo", "uqlm", "uqlm_discrete"])
@given(st.integers(2, 12))
def test_identical_draws_have_none(convention: str, n: int) -> None:
    same = Samples("q", ("a",) * n, ((-0.5,),) * n)
    assert semantic_entropy(same, np.zeros(n), convention).value == pytest.approx(0, abs=1e-12)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=12), st.data())
def test_the_bounded_ones_lie_between_0_and_the_log_of_the_meanings(raw: list[int], data: st.DataObject) -> None:
    ids = np.unique(raw, return_inverse=True)[1]
    lengths = data.draw(
        st.lists(st.lists(st.floats(-9, 0), min_size=1, max_size=4), min_size=len(raw), max_size=len(raw))
    )
    samples = Samples("q", tuple("x" * len(raw)), tuple(tuple(row) for row in lengths))
    for convention in ("discrete", "rao"):
        assert -1e-9 <= semantic_entropy(samples, ids, convention).value <= log(ids.max() + 1) + 1e-9


def test_very_unlikely_draws_do_not_overflow() -> None:
    far = Samples("q", ("a", "b"), ((-5000.0,), (-5001.0,)))
    assert 0 < semantic_entropy(far, np.array([0, 1]), "rao").value < log(2)


@pytest.mark.parametrize("convention", [n for n, c in CONVENTIONS.items() if c.needs])
def test_text_alone_is_refused_where_log_probabilities_are_read(convention: str) -> None:
    with pytest.raises(CannotDo, match="reads the draws' log-probabilities"):
        semantic_entropy(Samples("q", ("a", "b")), np.array([0, 1]), convention)


def test_one_draw_is_refused() -> None:
    with pytest.raises(BadInput, match="several draws; there is 1"):
        Samples("q", ("a",))


def test_nan_is_refused() -> None:
    with pytest.raises(BadInput, match="NaN"):
        semantic_entropy(Samples("q", ("a", "b"), ((float("nan"),), (-1.0,))), np.array([0, 1]), "rao")


@pytest.mark.parametrize("ids", [[0], [0, 2], [1, 1]])
def test_clusters_must_be_numbered_without_gap(ids: list[int]) -> None:
    with pytest.raises(BadInput, match="numbered from 0"):
        semantic_entropy(Samples("q", ("a", "b")), np.array(ids))


def test_another_convention_is_said_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="no convention 'roa'"):
        semantic_entropy(DRAWS, IDS, "roa")
