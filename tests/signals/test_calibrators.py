"""Each calibration map is what its paper says: closed forms, scikit-learn's, and the order that it keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from sprat.errors import BadInput
from sprat.signals.calibrators import CALIBRATORS, Beta, Isotonic, Platt, Temperature, logit

RNG = np.random.default_rng(7)
S = RNG.uniform(0.02, 0.98, 4000)


def drawn(p: np.ndarray) -> np.ndarray:
    return (RNG.uniform(size=len(p)) < p).astype(float)


def test_platt_is_scikit_learns_on_the_logits():
    y = drawn(S**2)
    theirs = _SigmoidCalibration().fit(logit(S), y)
    assert np.allclose(Platt().fit(S, y).predict(S), theirs.predict(logit(S)), atol=1e-4)


def test_platt_with_one_right_and_one_wrong_answer_stays_finite():
    found = Platt().fit([0.1, 0.9], [0, 1]).predict([0.1, 0.9])
    # Two points, two parameters: the smoothed targets 1/3 and 2/3 themselves.
    assert np.allclose(found, [1 / 3, 2 / 3], atol=1e-4)


def test_platt_turns_an_upside_down_confidence_around():
    assert Platt().fit(S, drawn(1 - S)).slope < 0


def test_temperature_finds_the_one_that_was_used():
    y = drawn(1 / (1 + np.exp(-logit(S) / 3)))
    assert Temperature().fit(S, y).temperature == pytest.approx(3, rel=0.15)


def test_temperature_keeps_one_half():
    assert Temperature(5.0).predict([0.5, 0.6])[0] == 0.5


def test_beta_finds_the_parameters_that_were_used():
    y = drawn(Beta(2.0, 0.5, 0.3).predict(S))
    found = Beta().fit(S, y)
    assert [found.a, found.b, found.c] == pytest.approx([2.0, 0.5, 0.3], abs=0.3)


def test_beta_never_falls():
    found = Beta().fit(S, drawn(1 - S))
    assert found.a == found.b == 0
    assert np.ptp(found.predict(S)) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=1, max_size=60))
def test_isotonic_is_scikit_learns(rows: list[tuple[int, int]]):
    s, y = np.array([a / 9 for a, _ in rows]), np.array([float(b) for _, b in rows])
    theirs = IsotonicRegression(out_of_bounds="clip").fit(s, y)
    at = np.linspace(0, 1, 23)
    assert np.allclose(Isotonic().fit(s, y).predict(at), theirs.predict(at), atol=1e-9)


def test_a_graded_outcome_counts_as_that_part_right():
    graded = Isotonic().fit([0.5, 0.5], [0.7, 0.7])
    assert graded.predict([0.5])[0] == pytest.approx(0.7)


@pytest.mark.parametrize("kind", CALIBRATORS)
def test_a_calibrated_confidence_stays_as_it_was(kind: str):
    s = RNG.uniform(0.02, 0.98, 40_000)
    found = CALIBRATORS[kind]().fit(s, drawn(s)).predict(np.linspace(0.1, 0.9, 9))
    assert np.allclose(found, np.linspace(0.1, 0.9, 9), atol=0.05)


@pytest.mark.parametrize("kind", CALIBRATORS)
@pytest.mark.parametrize("y", [np.zeros(30), np.ones(30)])
def test_all_right_or_all_wrong_gives_finite_probabilities(kind: str, y: np.ndarray):
    found = CALIBRATORS[kind]().fit(np.linspace(0, 1, 30), y).predict([0.0, 0.5, 1.0])
    assert np.all((found >= 0) & (found <= 1))


@pytest.mark.parametrize("kind", CALIBRATORS)
def test_before_fit_it_is_the_identity(kind: str):
    assert np.allclose(CALIBRATORS[kind]().predict([0.1, 0.5, 0.9]), [0.1, 0.5, 0.9])


@pytest.mark.parametrize("kind", CALIBRATORS)
@pytest.mark.parametrize("s", [[0.5, np.nan], [0.5, 1.5], [], [0.5]])
def test_what_is_no_confidence_is_refused(kind: str, s: list[float]):
    with pytest.raises(BadInput):
        CALIBRATORS[kind]().fit(s, [0, 1] if s != [] else [])
