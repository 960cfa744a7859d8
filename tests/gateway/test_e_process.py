"""The sequential test of a promise: never more false alarms than delta, alarms within the predicted delay."""

from __future__ import annotations

import itertools
import json
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.gateway.promise import e_process
from sprat.gateway.promise.e_process import (
    BLOCK,
    EProcess,
    Law,
    Mixture,
    bounds_of,
    loss_of,
    starting_share,
)
from sprat.study.certify import Promise


def losses(rng: np.random.Generator, n: int, mean: float) -> np.ndarray:
    """Losses of `within .05`: 10 % better, 10 % + (mean + .05) worse."""
    u = rng.random(n)
    return np.where(u < 0.1, -1.0, np.where(u < 0.25 + mean, 1.0, 0.0)) - 0.05


def law(mean: float) -> Law:
    return Law((-1.05, 0.95, -0.05), (0.1, 0.15 + mean, 0.75 - mean))


def alarmed_at(test: EProcess, values: np.ndarray, propensity: float | None = None) -> int | None:
    for i, value in enumerate(values.tolist()):
        test.update(value, propensity)
        if test.alarm:
            return i + 1
    return None


@given(st.sampled_from(["keep", "within"]), st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 1))
def test_loss_and_bounds_are_the_certificates(kind, level, reference, policy):
    promise = Promise(kind, level)
    assert bounds_of(kind, level) == (promise.bottom, promise.top)
    if reference > 0:
        expected = promise.losses([reference], [policy])[0]
        assert loss_of(kind, level, reference, policy) == pytest.approx(expected, abs=1e-11)


def test_wealth_is_a_martingale_over_every_outcome(monkeypatch):
    monkeypatch.setattr(e_process, "BLOCK", 3)  # several starts within what can be enumerated
    total, alarms = 0.0, 0.0
    for path in itertools.product((-1.0, 0.5), repeat=12):
        test = EProcess(-1, 0.5, 0.3)
        for x in path:
            test.update(x)
        chance = np.prod([1 / 3 if x < 0 else 2 / 3 for x in path])
        total, alarms = total + chance * test.wealth, alarms + chance * test.alarm
    assert total == pytest.approx(1, abs=1e-9)
    assert 0 < alarms <= 0.3


def test_shares_of_capital_and_cash_sum_to_one():
    test = Mixture(3)
    for _ in range(BLOCK * 50):
        assert test.update([1, 1, 1]) == pytest.approx(1)
    assert sum(starting_share(k) for k in range(50)) < 1


def test_weighting_keeps_the_null_however_chances_follow_the_loss():
    """Risky requests are shadowed four times as often; the expected factor is still at most 1."""
    wealth = 0.0
    for loss, chance_of_loss, q in ((-1.0, 1 / 3, 0.2), (0.5, 2 / 3, 0.8)):
        test = EProcess(-1, 0.5, 0.1, floor=0.2)
        wealth += chance_of_loss * (q * test.update(loss, q) + (1 - q))
    assert wealth == pytest.approx(1)


def test_false_alarms_are_at_most_delta_at_the_edge_of_the_promise():
    rng, months, delta = np.random.default_rng(1), 300, 0.1
    false = sum(alarmed_at(EProcess.of("within", 0.05, delta), losses(rng, 500, 0)) is not None for _ in range(months))
    assert false / months <= delta + 2 * sqrt(delta * (1 - delta) / months)


@pytest.mark.slow
def test_false_alarms_over_a_thousand_long_months():
    rng, months, delta = np.random.default_rng(2), 1000, 0.1
    false = sum(alarmed_at(EProcess.of("within", 0.05, delta), losses(rng, 2000, 0)) is not None for _ in range(months))
    assert false / months <= delta + 2 * sqrt(delta * (1 - delta) / months)


@pytest.mark.parametrize(("before", "mean"), [(0, 0.1), (500, 0.1), (500, 0.3)])
def test_alarm_comes_within_the_predicted_delay(before, mean):
    rng, late = np.random.default_rng(3), 0
    predicted = EProcess.of("within", 0.05, 0.05).delay(law(mean), 0.9, seen=before)
    for _ in range(60):
        test = EProcess.of("within", 0.05, 0.05)
        alarmed_at(test, losses(rng, before, -0.05))
        late += alarmed_at(test, losses(rng, predicted, mean)) is None and not test.alarm
    assert late / 60 <= 0.1 + 2 * sqrt(0.09 / 60)


def test_no_delay_is_predicted_while_the_promise_holds():
    assert EProcess.of("within", 0.05, 0.05).delay(law(-0.02)) is None


def test_the_pairs_to_restore_are_enough():
    rng, test = np.random.default_rng(4), EProcess.of("within", 0.05, 0.1)
    n = test.mirrored().delay(law(-0.1).negated(), 0.8, seen=0)
    shown = sum(alarmed_at(test.mirrored(), -losses(rng, n, -0.1)) is not None for _ in range(60))
    assert shown / 60 >= 0.8 - 2 * sqrt(0.16 / 60)


def test_nothing_restores_a_setting_that_breaks_the_promise():
    assert EProcess.of("within", 0.05, 0.1).mirrored().delay(law(0.02).negated(), 0.8, seen=0) is None


def test_a_worse_law_has_the_mean_asked_for():
    assert law(-0.05).worse(0.1, 0.95).mean == pytest.approx(0.05)


def test_state_goes_through_json_and_continues_the_same():
    rng, one = np.random.default_rng(5), EProcess.of("within", 0.05, 0.1, floor=0.1)
    values = losses(rng, 100, 0).tolist()
    for v in values[:50]:
        one.update(v, 0.2)
    two = EProcess.restored(json.loads(json.dumps(one.state())))
    assert [one.update(v, 0.2) for v in values[50:]] == [two.update(v, 0.2) for v in values[50:]]
    assert len(json.dumps(one.state())) < 500


@pytest.mark.parametrize(("loss", "q"), [(1.0, None), (float("nan"), None), (0.0, 0.05), (0.0, 1.5)])
def test_a_loss_or_chance_out_of_range_is_refused(loss, q):
    with pytest.raises(BadInput):
        EProcess.of("within", 0.05, 0.1, floor=0.1).update(loss, q)


def test_a_foreign_state_is_refused():
    with pytest.raises(BadInput, match="not the state"):
        EProcess.restored({"bottom": 1})
