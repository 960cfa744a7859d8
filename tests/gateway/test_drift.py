"""The drift test: exactly uniform ranks without drift, few false alarms, alarms soon after a change."""

from __future__ import annotations

import itertools
import json
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.gateway.promise.drift import FIRST, SECOND, DriftTest, Feature


def alarmed_at(test: DriftTest, values: np.ndarray, draws: np.ndarray) -> int | None:
    for i, (v, u) in enumerate(zip(values.tolist(), draws.tolist(), strict=True)):
        test.update({"trust": v}, u)
        if test.alarm:
            return i + 1
    return None


def test_bets_average_one_over_uniform_ranks():
    x = np.linspace(-1, 1, 200_001)
    assert [float((1 + k * x).mean()) for k in FIRST] == pytest.approx([1] * len(FIRST))
    factors = [1 + k * (3 * x * x - 1) / 2 for k in SECOND]
    assert [float(f.mean()) for f in factors] == pytest.approx([1] * len(SECOND), abs=1e-4)
    assert min(f.min() for f in factors) >= 0


def test_ranks_are_jointly_uniform_over_all_orders():
    """Of every order of five values with ties, the mean of (rank1 - .5)(rank2 - .5) and of each is 0."""
    products, means = [], []
    for order in itertools.permutations((0.0, 0.0, 1.0, 2.0, 2.0)):
        for u1, u2 in itertools.product((0.25, 0.75), repeat=2):
            feature = Feature([0.5, 1.5], np.bincount([int(v) for v in order[:3]], minlength=3).tolist())
            one, two = feature.rank(order[3], u1), feature.rank(order[4], u2)
            products.append((one - 0.5) * (two - 0.5))
            means.append((one - 0.5, two - 0.5))
    assert np.mean(products) == pytest.approx(0, abs=1e-12)
    assert np.mean(means, axis=0) == pytest.approx([0, 0], abs=1e-12)


@given(st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=60), st.floats(-1e7, 1e7), st.floats(0, 1))
def test_ranks_lie_between_0_and_1(sample, value, u):
    assert 0 <= Feature.of(sample).rank(value, u) <= 1


def test_false_alarms_are_at_most_delta_with_a_small_calibration_sample():
    rng, months, delta = np.random.default_rng(1), 150, 0.1
    false = 0
    for _ in range(months):
        test = DriftTest.of({"trust": rng.beta(2, 3, 60)}, delta)
        false += alarmed_at(test, rng.beta(2, 3, 600), rng.random(600)) is not None
    assert false / months <= delta + 2 * sqrt(delta * (1 - delta) / months)


@pytest.mark.parametrize("changed", [(3, 2), (8, 12), (0.6, 0.9)])
def test_a_change_of_place_or_width_is_found(changed):
    rng = np.random.default_rng(2)
    test = DriftTest.of({"trust": rng.beta(2, 3, 1000)}, 0.05)
    assert alarmed_at(test, rng.beta(2, 3, 500), rng.random(500)) is None
    assert (alarmed_at(test, rng.beta(*changed, 600), rng.random(600)) or 10**6) < 300


def test_the_delay_is_about_the_predicted_one():
    rng, delays = np.random.default_rng(3), []
    for _ in range(20):
        test = DriftTest.of({"trust": rng.random(4000)}, 0.05)
        delays.append(alarmed_at(test, rng.beta(1.2, 0.8, 600), rng.random(600)))
    assert np.mean(delays) == pytest.approx(test.delay(0.6, seen=0), rel=0.5)


def test_a_change_within_the_tolerance_raises_no_alarm():
    rng = np.random.default_rng(4)
    test = DriftTest.of({"trust": rng.random(4000)}, 0.1, tolerance=0.25)
    assert alarmed_at(test, rng.beta(1.1, 0.9, 2000), rng.random(2000)) is None
    assert test.delay(0.55) is None


def test_the_feature_that_moved_is_named():
    rng = np.random.default_rng(5)
    test = DriftTest.of({"trust": rng.random(500), "length": rng.random(500)}, 0.1)
    for v, u in zip(rng.random(200), rng.random(200), strict=True):
        test.update({"trust": float(v), "length": float(v) + 0.5}, float(u))
    assert test.alarm
    assert test.moved == "length"


def test_state_goes_through_json_and_continues_the_same():
    rng = np.random.default_rng(6)
    one = DriftTest.of({"trust": rng.random(100)}, 0.1)
    alarmed_at(one, rng.random(50), rng.random(50))
    two = DriftTest.restored(json.loads(json.dumps(one.state())))
    assert one.update({"trust": 0.3}, 0.5) == two.update({"trust": 0.3}, 0.5)
    assert len(json.dumps(one.state())) < 2000


def test_a_missing_feature_is_refused():
    with pytest.raises(BadInput, match="lacks the feature 'trust'"):
        DriftTest.of({"trust": range(30)}, 0.1).update({"length": 1}, 0.5)


def test_a_tiny_calibration_sample_is_refused():
    with pytest.raises(BadInput, match="at least 20"):
        DriftTest.of({"trust": [1, 2, 3]}, 0.1)


@pytest.mark.slow
def test_false_alarms_over_a_thousand_months():
    rng, months, delta = np.random.default_rng(7), 1000, 0.1
    false = 0
    for _ in range(months):
        test = DriftTest.of({"trust": rng.random(100), "length": rng.random(100)}, delta)
        for v, w, u in rng.random((1000, 3)).tolist():
            test.update({"trust": v, "length": w}, u)
        false += test.alarm
    assert false / months <= delta + 2 * sqrt(delta * (1 - delta) / months)
