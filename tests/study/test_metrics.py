"""Routers' measures: hand-computed curves, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.study import metrics

SMALL, LARGE = [1, 0, 1, 0], [1, 1, 1, 1]  # accuracy .5 and 1
BEST = [3, 1, 2, 0]  # sends the two rows that gain first

outcomes = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=2, max_size=40)


def test_a_curve_by_hand():
    found = metrics.curve(BEST, SMALL, LARGE)
    assert found.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.quality.tolist() == [0.5, 0.75, 1, 1, 1]


def test_apgr_by_hand():
    # PGR 0, .5, 1, 1, 1: trapezoids (.25 + .75 + 1 + 1) / 4
    assert metrics.apgr(BEST, SMALL, LARGE) == pytest.approx(0.75)


def test_a_constant_score_is_the_random_router():
    assert metrics.apgr([1, 1, 1, 1], SMALL, LARGE) == 0.5
    assert metrics.cpt([1, 1, 1, 1], SMALL, LARGE, 0.8) == pytest.approx(0.8)


def test_a_random_router_has_apgr_one_half_on_average():
    rng = np.random.default_rng(0)
    small, large = rng.random(400) < 0.4, rng.random(400) < 0.7
    assert np.mean([metrics.apgr(rng.random(400), small, large) for _ in range(200)]) == pytest.approx(0.5, abs=0.02)


def test_an_oracle_can_pass_one():
    small, large = np.array([0, 0, 1, 1, 0]), np.array([1, 1, 0, 1, 0])
    assert metrics.apgr(small - large, small, large) > 1


def test_apgr_of_the_reversed_score_is_the_mirror():
    rng = np.random.default_rng(1)
    keep, small, large = rng.random(50), rng.random(50), rng.random(50) + 0.5
    assert metrics.apgr(keep, small, large) + metrics.apgr(-keep, small, large) == pytest.approx(1)


@given(outcomes, st.randoms(use_true_random=False))
def test_no_measure_depends_on_the_order_of_the_rows(rows: list[tuple[int, bool, bool]], random):
    # One row where only the large model is right, per row where only the small one is: so there is a gap.
    rows = rows + [(1, False, True)] * (1 + len(rows))
    mixed = random.sample(rows, len(rows))
    first, second = (np.array(r, float).T for r in (rows, mixed))
    assert metrics.apgr(*first) == pytest.approx(metrics.apgr(*second))
    assert metrics.cpt(*first, 0.8) == pytest.approx(metrics.cpt(*second, 0.8))


@pytest.mark.parametrize(("recovered", "share"), [(0.5, 0.25), (0.8, 0.4), (0.95, 0.475), (1.0, 0.5)])
def test_cpt_is_the_first_crossing(recovered: float, share: float):
    assert metrics.cpt(BEST, SMALL, LARGE, recovered) == pytest.approx(share)


def test_cpt_takes_the_first_of_several_crossings():
    # PGR 0, 1, 0, 1: half is crossed at 1/6, again at 1/2 (down) and 5/6.
    assert metrics.cpt([0, 1, 2], [0, 1, 0], [1, 0, 1], 0.5) == pytest.approx(1 / 6)


def test_no_gap_is_an_error_in_words():
    with pytest.raises(BadInput, match="no better"):
        metrics.apgr([1, 2], [1, 1], [1, 1])


def test_dollar_cpt_of_a_cascade_by_hand():
    # All rows pay .1 + .05 always; half of them 1 besides: (4 * .15 + 2) / 4
    found = metrics.dollar_cpt(BEST, SMALL, LARGE, 1.0, small_cost=0.1, large_cost=1.0, always=0.05)
    assert found == pytest.approx(0.65)


def test_a_router_pays_the_small_model_only_where_it_answers():
    found = metrics.dollar_cpt(BEST, SMALL, LARGE, 1.0, small_cost=0.1, large_cost=1.0, cascade=False)
    assert found == pytest.approx((2 * 0.1 + 2 * 1.0) / 4)


def test_an_unknown_price_has_no_dollar_cpt():
    with pytest.raises(BadInput, match="known"):
        metrics.dollar_cpt(BEST, SMALL, LARGE, 0.5, small_cost=float("nan"), large_cost=1.0)


def test_aiq_by_hand():
    # Hull (0, 0), (1, .8), flat to 2; (.5, .3) lies below it, (2, .7) too: (.4 + .8) / 2
    assert metrics.aiq([0, 0.3, 0.8, 0.7], [0, 0.5, 1, 2]) == pytest.approx(0.6)


def test_aiq_needs_two_costs():
    with pytest.raises(BadInput, match="two different"):
        metrics.aiq([0.1, 0.2], [1, 1])


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=20), st.floats(0, 1))
def test_a_further_setting_never_lowers_aiq(points: list[tuple[float, int]], quality: float):
    base = [*points, (0.5, 0), (0.5, 9)]
    q, c = np.array(base, float).T
    more = np.array([*base, (quality, 4)], float).T
    assert metrics.aiq(*more) >= metrics.aiq(q, c) - 1e-9


def test_ibc_lift_by_hand():
    # .3 more for 1 against .4 more for 4: slopes .3 and .1, a lift of 200 %
    assert metrics.ibc_lift(0.7, 2.0, (0.4, 1.0), (0.8, 5.0)) == pytest.approx(200)


def test_cost_save_is_the_largest_cut_at_no_less_quality():
    assert metrics.cost_save([0.7, 0.8, 0.9], [1, 4, 8], (0.8, 10)) == pytest.approx(0.6)
    assert metrics.cost_save([0.7], [1], (0.8, 10)) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_a_frontier_is_monotone(points: list[tuple[float, float]]):
    q, c = np.array(points).T
    places = metrics.frontier(q, c)
    assert (np.diff(q[places]) > 0).all()
    assert (np.diff(c[places]) > 0).all()


def test_a_bootstrap_resamples_units_with_their_rows():
    x = np.repeat(np.arange(20.0), 10)
    by_row = metrics.bootstrap(np.mean, x, times=300)
    by_unit = metrics.bootstrap(np.mean, x, units=np.repeat(np.arange(20), 10).tolist(), times=300)
    assert (by_row.units, by_unit.units) == (200, 20)
    assert by_unit.high - by_unit.low > 2 * (by_row.high - by_row.low)


def test_a_paired_difference_of_a_router_with_itself_is_zero():
    rng = np.random.default_rng(3)
    keep, small, large = rng.random(100), rng.random(100) < 0.4, rng.random(100) < 0.8

    def gap(a: np.ndarray, b: np.ndarray, s: np.ndarray, w: np.ndarray) -> float:
        return metrics.apgr(a, s, w) - metrics.apgr(b, s, w)

    assert metrics.bootstrap(gap, keep, keep, small, large, times=50)[:3] == (0, 0, 0)


def test_a_bootstrap_interval_covers_the_mean():
    rng = np.random.default_rng(4)
    found = [metrics.bootstrap(np.mean, rng.random(60), times=200, seed=i) for i in range(100)]
    assert np.mean([e.low <= 0.5 <= e.high for e in found]) > 0.87


def test_a_statistic_without_a_value_on_resamples_is_an_error():
    with pytest.raises(BadInput, match="no value"):
        metrics.bootstrap(metrics.apgr, [1, 2, 3], [1, 0, 0], [0, 1, 1], times=50)
