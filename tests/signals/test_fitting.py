import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.signals.fitting import Adam, logistic, minimise, scaled, sigmoid, softmax, softmax_regression


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_minimise_finds_the_least_point_of_a_quadratic(seed):
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((6, 6))
    curve, tilt = half @ half.T + np.eye(6), rng.standard_normal(6)
    found = minimise(lambda x: (float(0.5 * x @ curve @ x - tilt @ x), curve @ x - tilt), np.zeros(6))
    assert np.allclose(found, np.linalg.solve(curve, tilt), atol=5e-3)


def test_logistic_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 5)) + 1
    y = (sigmoid(x @ np.array([1.0, -2, 0, 0.5, 0])) > rng.random(400)).astype(float)
    z = scaled(x)[2]
    theirs = linear_model.LogisticRegression(C=1 / (0.1 * 400), tol=1e-8).fit(z, y)
    weights, bias = logistic(x, y, 0.1)
    assert np.allclose(x @ weights + bias, theirs.decision_function(z), atol=5e-3)


def test_a_softmax_regression_without_penalty_reproduces_soft_labels_of_two_places():
    x = np.array([[1.0, 0.0], [0.0, 1.0]] * 10)
    labels = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]] * 10)
    weights, bias = softmax_regression(x, labels, 1e-6)
    assert np.allclose(softmax(x[:2] @ weights + bias), labels[:2], atol=2e-3)


def test_adam_s_first_step_is_the_rate_against_the_sign_of_the_slope():
    place = np.array([1.0, 1.0, 1.0])
    Adam([place], 0.1).step([np.array([5.0, -0.01, 0.0])])
    assert np.allclose(place, [0.9, 1.1, 1.0], atol=1e-6)


def test_equal_rows_have_a_scale_that_can_be_divided_by():
    _, scale, z = scaled(np.ones((4, 3)))
    assert np.isfinite(z).all()
    assert scale > 0
