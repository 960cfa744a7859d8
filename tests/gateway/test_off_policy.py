"""Off-policy estimates: right on average, intervals that cover, and no estimate without overlap."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.gateway.steering.off_policy import Logged, evaluate, threshold

NAMES = ("ips", "snips", "doubly robust")


def logged(rng: np.random.Generator, n: int, explore: float = 0.3, per_unit: int = 1) -> Logged:
    """Small (0) is wrong with chance 1 - trust, large (1) with chance .1; the log's cut is .5."""
    x = np.repeat(rng.random(n // per_unit), per_unit)
    every = threshold(0.5, mixed=explore)(x[:, None])
    action = (rng.random(len(x)) < every[:, 1]).astype(int)
    y = rng.random(len(x)) < np.where(action == 0, 1 - x, 0.1)
    units = [f"u{i // per_unit}" for i in range(len(x))]
    return Logged.of(x, action, every[np.arange(len(x)), action], y, (0, 1), units)


def truth(cut: float) -> float:
    """Of the threshold policy: small above the cut, large below."""
    return (1 - cut) ** 2 / 2 + 0.1 * cut


@pytest.mark.parametrize("per_unit", [1, 4])
def test_intervals_cover_the_truth(per_unit):
    rng, runs = np.random.default_rng(1), 50
    found = [
        evaluate(logged(rng, 1800 * per_unit, per_unit=per_unit), threshold(0.7), confidence=0.9, resamples=200)
        for _ in range(runs)
    ]
    for name in NAMES:
        hit = sum(e[name].low <= truth(0.7) <= e[name].high for e in found) / runs
        assert hit >= 0.9 - 2 * sqrt(0.09 / runs), name


def test_estimates_are_right_on_average():
    rng = np.random.default_rng(2)
    found = [evaluate(logged(rng, 4000), threshold(0.6), resamples=100) for _ in range(10)]
    for name in NAMES:
        assert np.mean([e[name].value for e in found]) == pytest.approx(truth(0.6), abs=0.012)


def test_the_doubly_robust_interval_is_the_narrowest():
    found = evaluate(logged(np.random.default_rng(4), 6000), threshold(0.6))
    width = {name: found[name].high - found[name].low for name in NAMES}
    assert width["doubly robust"] < width["snips"] < width["ips"]


def test_a_log_without_exploration_is_refused_with_numbers():
    found = evaluate(logged(np.random.default_rng(4), 2000, explore=0), threshold(0.8))
    assert found.estimates == ()
    assert found.covered == pytest.approx(0.7, abs=0.05)
    assert f"covers only {100 * found.covered:.3g} %" in found.refused


def test_a_log_of_three_actions_without_overlap_is_refused_by_the_mean_weight():
    rng = np.random.default_rng(9)
    log = Logged.of(rng.random(3000), rng.integers(0, 2, 3000), np.full(3000, 0.5), np.zeros(3000), (0, 1))
    found = evaluate(log, lambda trusts: np.tile([0.4, 0.3, 0.3], (len(trusts), 1)))
    assert found.covered == pytest.approx(0.7, abs=0.05)


def test_logged_probabilities_of_all_actions_show_missing_overlap_at_once():
    x = np.linspace(0, 1, 100)
    every = threshold(0.5)(x[:, None])
    action = every.argmax(axis=1)
    log = Logged.of(x, action, np.ones(100), np.zeros(100), (0, 1), None, every)
    assert evaluate(log, threshold(0.9)).covered == pytest.approx(0.6)


def test_the_logging_policy_itself_is_never_refused_for_overlap():
    log = logged(np.random.default_rng(5), 500, explore=0)
    assert evaluate(log, threshold(0.5))["ips"].value == pytest.approx(log.outcome.mean())


def test_too_little_data_is_refused_with_numbers():
    log = logged(np.random.default_rng(6), 80, explore=0.1)
    assert "60 are needed" in evaluate(log, threshold(1.0)).refused


def test_with_few_rows_of_what_is_rare_only_ips_is_shown():
    found = evaluate(logged(np.random.default_rng(11), 1500, explore=0.1), threshold(0.7))
    assert [e.name for e in found.estimates] == ["ips"]
    assert found.heavy is not None
    assert found.heavy < 40
    assert "40 are needed" in found.left_out


def test_what_the_log_could_do_but_never_did_is_not_taken_for_known():
    x = np.linspace(0, 1, 300)
    log = Logged.of(x, (x < 0.5).astype(int), np.full(300, 0.999), np.zeros(300), (0, 1))
    found = evaluate(log, threshold(0.8))
    assert [e.name for e in found.estimates] == ["ips"]
    assert found["ips"].high == 1


def test_an_estimate_that_was_refused_cannot_be_read():
    with pytest.raises(BadInput, match="Not shown"):
        evaluate(logged(np.random.default_rng(7), 40), threshold(0.9))["ips"]


def test_a_policy_that_is_none_is_refused():
    with pytest.raises(BadInput, match="sum to 1"):
        evaluate(logged(np.random.default_rng(8), 200), lambda trusts: np.ones((len(trusts), 2)))


def test_a_row_without_a_probability_is_refused():
    with pytest.raises(BadInput, match="needs a probability"):
        Logged.of([0.1], [0], [float("nan")], [1], (0, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("explore", "n"), [(0.1, 5000), (0.3, 1600)])
def test_intervals_cover_the_truth_over_many_logs(explore, n):
    rng, runs = np.random.default_rng(10), 300
    found = [evaluate(logged(rng, n, explore), threshold(0.7), resamples=300) for _ in range(runs)]
    for name in NAMES:
        shown = [e[name] for e in found if not e.left_out]
        hit = sum(e.low <= truth(0.7) <= e.high for e in shown) / len(shown)
        assert hit >= 0.95 - 2 * sqrt(0.05 * 0.95 / runs), name
