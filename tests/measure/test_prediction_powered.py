"""The corrected mean: its closed form, its coverage, and that it is never less sure than the marks alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.measure.prediction_powered import (
    active_mean,
    classical_mean,
    next_rows,
    powered_mean,
    propensities,
    shortening,
    summed_up,
)


def drawn(n: int, rho: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    f = rng.normal(size=n)
    return rho * f + np.sqrt(1 - rho**2) * rng.normal(size=n), f


def test_plain_ppi_by_hand():
    y, f = np.arange(10.0), np.arange(10.0) + 1
    assert powered_mean(y, f, [2.0, 4.0], weight=1.0).value == pytest.approx(4.5 + 3 - 5.5)


def test_a_perfect_score_leaves_the_others_mean():
    y, _ = drawn(50, 0.5, 0)
    found = powered_mean(y, y, np.arange(1e6) % 7)
    assert found.value == pytest.approx(3, abs=0.001)


@given(st.integers(10, 80), st.integers(1, 500), st.floats(-1, 1), st.integers(0, 99))
def test_the_interval_is_never_longer_than_the_marks_alone(n: int, far: int, rho: float, seed: int):
    y, f = drawn(n + far, rho, seed)
    assert powered_mean(y[:n], f[:n], f[n:]).width <= classical_mean(y[:n]).width * (1 + 1e-9)


@given(st.integers(50, 90), st.integers(10, 500), st.floats(-0.99, 0.99), st.integers(0, 99))
def test_the_interval_is_as_short_as_the_theory_says_for_the_samples_correlation(
    n: int, far: int, rho: float, seed: int
):
    y, f = drawn(n + far, rho, seed)
    found = powered_mean(y[:n], f[:n], f[n:]).width / classical_mean(y[:n]).width
    assert found == pytest.approx(shortening(np.corrcoef(y[:n], f[:n])[0, 1], n, far))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    held = [powered_mean(y[:80], f[:80], f[80:]) for y, f in (drawn(880, 0.8, i) for i in range(400))]
    assert np.mean([m.low <= 0 <= m.high for m in held]) > 0.95 - 2 * np.sqrt(0.05 * 0.95 / 400)


def test_cross_fitting_is_unbiased_where_a_score_misleads_in_small_samples():
    rng = np.random.default_rng(0)
    errors: list[float] = []
    for i in range(400):
        f = rng.exponential(size=220)
        y = f**2 + rng.normal(size=220)  # skewed: weight and mean go together in a sample
        errors.append(powered_mean(y[:20], f[:20], f[20:], folds=4, seed=i).value - 2)
    assert abs(np.mean(errors)) < 3 * np.std(errors) / 20


def test_a_constant_score_changes_nothing():
    y, _ = drawn(60, 0, 1)
    assert powered_mean(y, np.ones(60), np.ones(500))[:4] == pytest.approx(classical_mean(y)[:4])


def test_active_marking_is_unbiased_over_everything_that_may_be_marked():
    y, f, pi = np.array([1.0, 5.0, 2.0]), np.array([0.5, 4.0, 4.0]), np.array([0.3, 0.9, 0.6])
    weight, total = 0.7, 0.0
    for picked in itertools.product([0, 1], repeat=3):
        p = np.prod(np.where(picked, pi, 1 - pi))
        total += p * np.mean(weight * f + np.array(picked) / pi * (y - weight * f))
    assert total == pytest.approx(y.mean())


def test_active_marking_covers_and_is_shorter_than_even_marking():
    even, active, held = [], [], []
    for i in range(200):
        rng = np.random.default_rng(i)
        noise = np.where(rng.uniform(size=2000) < 0.2, 1.0, 0.05)
        f = rng.normal(size=2000)
        y = f + noise * rng.normal(size=2000)
        for doubt, into in ((np.ones(2000), even), (noise, active)):
            pi = propensities(doubt, 200)
            found = active_mean(np.where(rng.uniform(size=2000) < pi, y, np.nan), f, 1 / pi)
            into.append(found.width)
            held.append(found.low <= 0 <= found.high)
    assert np.mean(active) < 0.8 * np.mean(even)
    assert np.mean(held) > 0.95 - 2 * np.sqrt(0.05 * 0.95 / 400)


def test_chances_add_up_to_the_budget_and_none_is_above_one():
    pi = propensities([0.0, 1.0, 1.0, 1000.0], 2)
    assert pi.sum() == pytest.approx(2)
    assert pi.max() == 1
    assert pi.min() > 0


def test_what_is_marked_already_is_never_asked_again():
    y, f = drawn(300, 0.5, 0)
    y[40:] = np.nan
    weights, rows = next_rows(y, f, 60)
    assert rows.min() >= 40
    assert set(np.flatnonzero(weights)) == {*range(40), *rows}


def test_weights_of_two_rounds_add_up_to_all_rows_on_average():
    y, f = drawn(300, 0.5, 0)
    y[40:] = np.nan
    totals = [next_rows(y, f, 60, seed=i)[0].sum() for i in range(300)]
    assert np.mean(totals) == pytest.approx(300, abs=3 * np.std(totals) / np.sqrt(300))


def test_rows_where_the_score_is_further_off_are_asked_more_often():
    rng = np.random.default_rng(0)
    f = rng.uniform(size=2000)
    y = np.where(f > 0.8, rng.normal(size=2000), f)
    y[300:] = np.nan
    _, rows = next_rows(y, f, 100)
    assert np.mean(f[rows] > 0.8) > 0.35  # of a fifth of all rows


def test_marks_drawn_in_two_rounds_stay_unbiased():
    off: list[float] = []
    for i in range(200):
        y, f = drawn(500, 0.6, i)
        y = y + 0.5
        known = np.where(np.arange(500) < 30, y, np.nan)
        weights, rows = next_rows(known, f, 60, seed=i)
        known[rows] = y[rows]
        off.append(summed_up(known, f, weights)["corrected"].value - y.mean())
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(200)


@pytest.mark.parametrize("marks", [np.ones(9), [1.0, np.nan] * 10])
def test_too_few_or_missing_marks_are_refused(marks: np.ndarray):
    with pytest.raises(BadInput):
        powered_mean(marks, np.ones(len(marks)), np.ones(5))


def test_a_mark_without_a_weight_is_refused():
    with pytest.raises(BadInput, match="weight above 0"):
        active_mean(np.ones(20), np.ones(20), np.zeros(20))


def test_equal_marks_give_an_interval_within_their_bounds_alone():
    found = powered_mean(np.ones(30), np.linspace(0, 1, 30), np.linspace(0, 1, 100), bounds=(0, 1))
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 30))  # Clopper and Pearson's, of 30 of 30
    assert classical_mean(np.full(30, 3.0), bounds=(1, 5))[:3] == pytest.approx(
        (3, 3 - 2 * (1 - 0.025 ** (1 / 30)), 3 + 2 * (1 - 0.025 ** (1 / 30)))
    )


@pytest.mark.parametrize(
    "mean",
    [
        lambda y, f: classical_mean(y),
        lambda y, f: powered_mean(y, f, f),
        lambda y, f: active_mean(y, f, np.full(len(y), 2.0)),
        lambda y, f: classical_mean(y, bounds=(2, 3)),
    ],
)
def test_equal_marks_without_bounds_give_none(mean):
    with pytest.raises(BadInput, match=r"do not differ|is not within"):
        mean(np.ones(30), np.linspace(0, 1, 30))


def test_the_interval_of_equal_marks_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for p in (0.9, 0.97, 0.99):
        drawn = rng.uniform(size=(2000, 40)) < p
        equal = drawn.all(axis=1)
        low = classical_mean(np.ones(40), bounds=(0, 1)).low
        assert (equal & (p < low)).mean() <= 0.025 + 0.01


def test_where_all_is_marked_there_is_nothing_to_draw():
    with pytest.raises(BadInput, match="marked already"):
        next_rows(np.arange(20.0), np.arange(20.0), 5)


def test_of_few_marks_the_score_has_no_weight_unless_it_is_given():
    y, f = drawn(400, 0.9, 0)
    assert powered_mean(y[:49], f[:49], f[49:])[:4] == classical_mean(y[:49])[:4]
    assert powered_mean(y[:50], f[:50], f[50:]).weight > 0.5
    assert powered_mean(y[:20], f[:20], f[20:], weight=1.0).weight == 1


def test_the_interval_of_few_marks_holds_the_truth_as_often_as_it_says():
    found = [powered_mean(y[:10], f[:10], f[10:]) for y, f in (drawn(510, 0.8, i) for i in range(2000))]
    assert np.mean([m.low <= 0 <= m.high for m in found]) > 0.95 - 2 * np.sqrt(0.05 * 0.95 / 2000)
