"""What a decision card predicts from: bins, exact intervals, rising rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.study.quality import FEWEST, curve, interval, isotonic, starts, told_from

ROWS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=20, max_size=200)


def alone(n: int) -> np.ndarray:
    return np.arange(n)


def test_the_exact_interval_of_nine_in_ten() -> None:
    value, low, high, n = interval([1] * 9 + [0], alone(10))
    # The lower end solves P(X >= 9; p) = 0.025: 10 p^9 (1 - p) + p^10; the upper one P(X <= 9; p) = 1 - p^10.
    assert 10 * low**9 * (1 - low) + low**10 == pytest.approx(0.025)
    assert 1 - high**10 == pytest.approx(0.025)
    assert (value, n) == (0.9, 10)


def test_rows_of_one_unit_count_once() -> None:
    assert interval([1, 1, 1, 1, 0, 0], np.array([0, 0, 0, 0, 1, 1]))[3] == 2


def test_scores_between_right_and_wrong_have_an_interval_too() -> None:
    value, low, high, _ = interval([0.5] * 200, alone(200))
    assert low < value == 0.5 < high


def test_a_thousand_rows_make_ten_bins() -> None:
    assert len(starts(np.linspace(0, 1, 1000), 1000)) == 10


def test_ties_stay_in_one_bin() -> None:
    assert starts(np.repeat([0.0, 1.0], [900, 100]), 1000).tolist() == [0.0, 1.0]


def test_adjacent_violators_are_pooled() -> None:
    assert isotonic([0.1, 0.6, 0.3, 0.9], [1, 1, 2, 1]).tolist() == pytest.approx([0.1, 0.4, 0.4, 0.9])


@given(ROWS)
def test_rates_and_bounds_rise_with_the_trust(rows: list[tuple[int, bool]]) -> None:
    trust, good = np.array([t for t, _ in rows], float), np.array([[g] for _, g in rows], float)
    found = curve(trust, good, alone(len(rows)), 0)
    for one in (found.value, found.low, found.high):
        assert (np.diff(one[:, 0]) >= -1e-12).all()
    assert (found.low <= found.value + 1e-12).all()
    assert (found.value <= found.high + 1e-12).all()


@given(ROWS)
def test_a_bound_is_never_tighter_than_that_of_its_own_bin(rows: list[tuple[int, bool]]) -> None:
    trust, good = np.array([t for t, _ in rows], float), np.array([[g] for _, g in rows], float)
    found = curve(trust, good, alone(len(rows)), 0)
    place = np.searchsorted(found.starts, trust, side="right") - 1
    for b in range(len(found.starts)):
        _, low, high, _ = interval(good[place == b, 0], alone(int((place == b).sum())))
        assert found.low[b, 0] <= low
        assert high <= found.high[b, 0]


@given(ROWS)
def test_every_row_is_in_a_bin_that_is_not_small(rows: list[tuple[int, bool]]) -> None:
    found = curve(np.array([t for t, _ in rows], float), np.ones((len(rows), 1)), alone(len(rows)), 0)
    assert found.units.sum() == len(rows)
    assert found.units.min() >= min(FEWEST, len(rows))


def test_of_watched_drafts_trusts_are_told_from_the_highest_threshold_that_stops_any() -> None:
    assert told_from([0.2, 0.5, 1.5, 0.0]) == 0.5
    assert told_from([0.0, 1.5]) is None
