from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.uncertainty import AnswerUncertainty, QuestionUncertainty, degree, eccentricity, eigenvalue
from sprat.uncertainty.graph import degree_of, eccentricity_of

TWO_AND_ONE = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])


def test_degree_is_one_less_the_mean_likeness() -> None:
    assert degree(TWO_AND_ONE) == QuestionUncertainty(1 - 5 / 9, "degree")


def test_the_answers_degree_is_its_own_row() -> None:
    assert degree_of(TWO_AND_ONE, 0) == AnswerUncertainty(1 - 2 / 3, "degree")
    assert degree_of(TWO_AND_ONE, 2).value == pytest.approx(2 / 3)


def test_eigenvalues_count_the_meanings() -> None:
    assert eigenvalue(TWO_AND_ONE).value == pytest.approx(2)
    assert eigenvalue(np.eye(4)).value == pytest.approx(4)
    assert eigenvalue(np.ones((4, 4))).value == pytest.approx(1)


def test_draws_that_are_all_alike_have_no_eccentricity() -> None:
    assert eccentricity(np.ones((4, 4))).value == pytest.approx(0, abs=1e-9)


def test_the_odd_one_out_is_the_most_eccentric() -> None:
    assert eccentricity_of(TWO_AND_ONE, 2).value > eccentricity_of(TWO_AND_ONE, 0).value


def test_two_blocks_have_the_eccentricity_computed_by_hand() -> None:
    # Kept: the two indicator vectors, of length one; less their means, what is left is 2 - 3 |mean|^2.
    means = np.array([2 / np.sqrt(2), 1.0]) / 3
    assert eccentricity(TWO_AND_ONE).value == pytest.approx(np.sqrt(2 - 3 * (means**2).sum()))


@given(st.integers(2, 7), st.integers(0, 1000))
def test_the_question_is_all_its_answers(n: int, seed: int) -> None:
    raw = np.random.default_rng(seed).random((n, n))
    w = (raw + raw.T) / 2
    np.fill_diagonal(w, 1)
    assert degree(w).value == pytest.approx(np.mean([degree_of(w, i).value for i in range(n)]))
    each = [eccentricity_of(w, i).value for i in range(n)]
    assert eccentricity(w).value == pytest.approx(np.linalg.norm(each))


@pytest.mark.parametrize(
    "w",
    [np.ones((2, 3)), np.ones((1, 1)), np.array([[1, np.nan], [np.nan, 1]]), np.array([[1.0, 0.2], [0.9, 1.0]]),
     np.array([[1.0, -0.5], [-0.5, 1.0]])],
)  # fmt: skip
def test_what_is_no_likeness_is_refused(w: np.ndarray) -> None:
    with pytest.raises(BadInput):
        degree(w)
