"""The grouping loss of made groups is known; the bound must lie near it, and near 0 where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.measure.grouping import grouping_loss, worst_groups
from sprat.measure.resampling import wilson
from sprat.signals.reconfidence import partition


def made(apart: float, n: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A calibrated confidence whose two groups lie `apart` above and below it."""
    rng = np.random.default_rng(seed)
    s, group = rng.uniform(0.3, 0.7, n), rng.integers(0, 2, n)
    y = (rng.uniform(size=n) < s + np.where(group, apart, -apart)).astype(float)
    return s, y, np.column_stack([group, rng.normal(size=n)])


def test_the_bound_finds_the_variance_between_groups():
    found = [grouping_loss(*made(0.2, seed=i)).bound for i in range(5)]
    assert np.mean(found) == pytest.approx(0.04, abs=0.005)


def test_a_confidence_without_groups_has_none():
    found = [grouping_loss(*made(0.0, seed=i)).bound for i in range(20)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(20)


def test_wide_bins_alone_are_no_grouping_loss():
    rows = [made(0.0, 4000, seed=i) for i in range(10)]
    found = [grouping_loss(s, y, np.column_stack([s, x]), bins=2) for s, y, x in rows]
    # Within a bin the confidence spans .2, so that the chance varies by .2^2 / 12.
    assert np.mean([f.induced for f in found]) == pytest.approx(0.04 / 12, abs=0.0006)
    assert abs(np.mean([f.bound for f in found])) < 0.0006


def test_too_few_rows_are_refused_with_the_number_needed():
    s, y, x = made(0.2, 50)
    with pytest.raises(BadInput, match="at least 80 rows"):
        grouping_loss(s, y, x)


def test_the_worst_group_comes_first_with_its_gap():
    s, y, x = made(0.2)
    tree = partition(x[:3000], y[:3000] - s[:3000], 2, 50)
    worst, _ = worst_groups(tree, ("group", "noise"), s[3000:], y[3000:], x[3000:])
    assert worst.rule.startswith("group")
    assert abs(worst.gap.value) == pytest.approx(0.2, abs=0.05)
    assert worst.gap.low < worst.gap.value < worst.gap.high


def test_rows_of_one_unit_count_once_in_a_groups_interval():
    s, y, x = made(0.2, 400)
    tree = partition(x, y, 2, 50)
    alone = worst_groups(tree, ("group", "noise"), s, y, x)[0]
    tied = worst_groups(tree, ("group", "noise"), s, y, x, np.arange(400) // 8)[0]
    assert tied.rate.high - tied.rate.low > alone.rate.high - alone.rate.low


def test_wilsons_interval_by_hand():
    # 8 of 10: the textbook's .490 to .943.
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
