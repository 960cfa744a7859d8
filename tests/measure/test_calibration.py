"""The calibration measures: hand cases, scikit-learn's numbers, and identities that hold exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from sprat.errors import BadInput
from sprat.measure import calibration as c

rows = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=4, max_size=40).map(
    lambda found: (np.array([a / 8 for a, _ in found]), np.array([float(b) for _, b in found]))
)


def both(y: np.ndarray) -> bool:
    return 0 < y.sum() < len(y)


def test_ece_by_hand_over_two_bins():
    # Below one half: mean .2, none right; above: mean .8, half right.
    assert c.ece([0.1, 0.3, 0.7, 0.9], [0, 0, 1, 0], bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.3)


def test_bins_of_equal_mass_hold_as_many_rows():
    found = c.binned(np.linspace(0, 1, 60) ** 4, np.ones(60), 6, "mass")
    assert [b.rows for b in found] == [10] * 6


def test_equal_confidences_share_a_bin_of_equal_mass():
    assert [b.rows for b in c.binned([0.5] * 9 + [0.9], np.ones(10), 5, "mass")] == [9, 1]


def test_a_confidence_of_one_is_in_the_last_bin():
    assert c.place(np.array([0.0, 1.0]), 15, "width").tolist() == [0, 14]


@given(rows)
def test_brier_is_scikit_learns(found: tuple[np.ndarray, np.ndarray]):
    s, y = found
    if both(y):
        assert c.brier(s, y) == pytest.approx(brier_score_loss(y, s))


@given(rows, st.integers(0, 6))
def test_briers_parts_add_up_exactly(found: tuple[np.ndarray, np.ndarray], bins: int):
    s, y = found
    p = c.brier_parts(s, y, bins)
    assert p.miscalibration - p.discrimination + p.uncertainty + p.within == pytest.approx(c.brier(s, y))
    assert min(p.miscalibration, p.discrimination, p.uncertainty) >= 0


def test_a_constant_confidence_discriminates_nothing():
    p = c.brier_parts([0.9] * 10, [1] * 5 + [0] * 5)
    assert p == pytest.approx((0.16, 0.0, 0.25, 0.0))


@given(rows)
def test_auroc_is_scikit_learns(found: tuple[np.ndarray, np.ndarray]):
    s, y = found
    if both(y):
        assert c.auroc(s, y) == pytest.approx(roc_auc_score(y, s))


def test_auroc_of_graded_outcomes_is_refused():
    with pytest.raises(BadInput, match="0 and 1"):
        c.auroc([0.1, 0.2, 0.3], [0, 1, 0.5])


def test_risk_by_hand():
    coverage, risk = c.risk_coverage([0.9, 0.8, 0.1], [1, 0, 0])
    assert coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert risk.tolist() == pytest.approx([0, 1 / 2, 2 / 3])


def test_ties_are_the_mean_over_their_orders():
    s, y = [0.5, 0.5, 0.5, 0.9], np.array([1.0, 0.0, 0.0, 1.0])
    orders = [np.cumsum(1 - y[[3, *o]]) / np.arange(1, 5) for o in itertools.permutations([0, 1, 2])]
    assert c.risk_coverage(s, y)[1].tolist() == pytest.approx(np.mean(orders, axis=0).tolist())


def test_prr_is_that_of_lm_polygraph():
    rng = np.random.default_rng(0)
    s, y = rng.uniform(size=50), rng.integers(0, 2, 50).astype(float)

    def area(uncertain: np.ndarray) -> float:  # lm-polygraph's PredictionRejectionArea with max_rejection 1
        kept = np.cumsum(y[np.argsort(uncertain)])
        return float(np.mean(kept / np.arange(1, len(y) + 1)))

    theirs = (area(-s) - y.mean()) / (area(-y) - y.mean())
    assert c.prr(s, y) == pytest.approx(theirs)


def test_prr_of_the_outcome_itself_is_one_and_of_a_constant_none():
    y = [1, 0, 1, 0]
    assert c.prr(y, y) == pytest.approx(1)
    assert c.prr([0.5] * 4, y) == pytest.approx(0)


def test_all_right_has_no_prr():
    with pytest.raises(BadInput):
        c.prr([0.1, 0.2], [1, 1])


def test_every_measure_comes_with_an_interval_that_holds_it():
    rng = np.random.default_rng(1)
    s = rng.uniform(size=300)
    found = c.measured(s, (rng.uniform(size=300) < s).astype(float), times=100)
    assert list(found) == list(c.MEASURES)
    for name in ("Brier", "AUROC", "AURC", "PRR"):
        assert found[name].low < found[name].value < found[name].high


def test_rows_of_one_unit_widen_the_interval():
    rng = np.random.default_rng(2)
    s = np.repeat(rng.uniform(size=40), 10)
    y = np.repeat((rng.uniform(size=40) < s[::10]).astype(float), 10)
    alone = c.measured(s, y, times=200)["Brier"]
    tied = c.measured(s, y, units=np.repeat(np.arange(40), 10), times=200)["Brier"]
    assert tied.units == 40
    assert tied.high - tied.low > 2 * (alone.high - alone.low)


def test_graded_outcomes_have_every_measure_but_auroc():
    rng = np.random.default_rng(1)
    found = c.measured(rng.uniform(size=100), rng.uniform(size=100), times=50)
    assert set(c.MEASURES) - set(found) == {"AUROC"}
