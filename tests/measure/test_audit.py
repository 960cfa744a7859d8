"""Audits: numbers by hand and against scikit-learn; groups whose gaps are there, and many that have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.measure.audit import GroupRate, audit, average_precision
from sprat.measure.resampling import wilson


def test_average_precision_by_hand() -> None:
    # Precision 1/1 at the first unsafe row, 2/3 at the second.
    assert average_precision([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_average_precision_is_scikit_learns_ties_and_all(rows: list[tuple[int, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    p, y = np.array([s / 5 for s, _ in rows]), np.array([u for _, u in rows], float)
    if y.any():
        assert average_precision(p, y) == pytest.approx(metrics.average_precision_score(y, p))


def rates(found: tuple[GroupRate, ...]) -> dict[tuple[str, str], GroupRate]:
    return {(g.group, g.which): g for g in found}


def rows(seed: int = 0, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(float)
    return np.clip(0.5 + 0.3 * (2 * y - 1) + rng.normal(0, 0.25, n), 0, 1), y


def test_a_groups_rates_are_shares_of_its_own_safe_and_unsafe_rows() -> None:
    p = np.array([0.9, 0.1, 0.9, 0.1] * 20)
    y = np.array([0.0, 0.0, 1.0, 1.0] * 20)
    groups = [("a",) if i < 40 else ("b",) for i in range(80)]
    found = rates(audit(p, y, groups, times=20, fewest=20).groups)
    told = found["a", "false alarms"]
    assert told.rate is not None
    assert (told.rows, told.rate.value) == (20, 0.5)
    assert (told.rate.low, told.rate.high) == pytest.approx(wilson(0.5, 20))


def test_a_gap_that_is_there_is_named_and_the_group_without_one_is_not() -> None:
    p, y = rows()
    groups = [("hit",) if i % 3 == 0 else ("spared",) if i % 3 == 1 else () for i in range(len(p))]
    flagged = np.array([g == ("hit",) for g in groups]) & (y == 0) & (np.arange(len(p)) % 2 == 0)
    found = rates(audit(np.where(flagged, 0.9, p), y, groups, times=20).groups)
    assert found["hit", "false alarms"].differs
    assert not found["hit", "misses"].differs


@pytest.mark.slow
def test_among_many_groups_without_a_gap_none_is_named_in_nineteen_of_twenty_audits() -> None:
    named = 0
    for seed in range(40):
        p, y = rows(seed)
        rng = np.random.default_rng(seed + 1000)
        groups = [tuple(f"g{k}" for k in range(12) if rng.random() < 0.3) for _ in p]
        named += any(g.differs for g in audit(p, y, groups, times=5, seed=seed).groups)
    assert named <= 6  # 2 expected; each rate tested alone would name one in most audits


def test_too_small_a_group_has_no_rate_and_its_rows_are_said() -> None:
    p, y = rows()
    groups = [("few",) if i < 5 else ("many",) for i in range(len(p))]
    few = rates(audit(p, y, groups, times=20).groups)["few", "false alarms"]
    assert (few.rate, few.p, few.differs) == (None, None, False)
    assert few.rows == int((y[:5] == 0).sum())


def test_rows_of_one_unit_widen_the_interval() -> None:
    p, y = rows(n=100)
    alone = audit(p, y, times=200).measures["Brier"]
    tenfold = audit(np.tile(p, 10), np.tile(y, 10), units=list(range(100)) * 10, times=200).measures["Brier"]
    assert tenfold.high - tenfold.low == pytest.approx(alone.high - alone.low, rel=0.25)


@pytest.mark.parametrize("p", [[0.5, float("nan")], [0.5, 1.5]])
def test_what_is_no_probability_is_refused(p: list[float]) -> None:
    with pytest.raises(BadInput, match="1 of 2 probabilities"):
        audit(p, [0, 1])


@pytest.mark.parametrize("y", [[1, 1], [0, 0], [0, 2]])
def test_labels_of_one_kind_or_of_a_third_are_refused(y: list[int]) -> None:
    with pytest.raises(BadInput, match="at least one of each"):
        audit([0.1, 0.2], y)


def test_a_rate_of_nothing_missed_has_wilsons_interval_over_the_unsafe_rows() -> None:
    p, y = np.array([0.9] * 60 + [0.1] * 140), np.array([1.0] * 60 + [0.0] * 140)
    found = audit(p, y, times=20).measures["misses"]
    assert found.low == 0
    assert found.high == pytest.approx(wilson(0, 60)[1])


def test_copies_of_each_row_within_its_unit_make_no_rate_surer() -> None:
    p, y = rows(n=200)
    groups = [("a",) if i % 2 else ("b",) for i in range(200)]
    alone = rates(audit(p, y, groups, times=20).groups)
    tenfold = rates(audit(np.repeat(p, 10), np.repeat(y, 10), [g for g in groups for _ in range(10)],
                          units=np.repeat(np.arange(200), 10), times=20).groups)  # fmt: skip
    for key, told in alone.items():
        assert told.rate is not None
        assert tenfold[key].rate.value == told.rate.value
        assert tenfold[key].rate.high - tenfold[key].rate.low == pytest.approx(told.rate.high - told.rate.low, rel=0.08)
        assert tenfold[key].p == pytest.approx(told.p, abs=0.05)


def clustered(seed: int, by_unit: bool) -> bool:
    """Whether any group is named among 80 units of 5 rows, whose rates differ and whose groups are dealt at random."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(80), 5)
    p = (rng.random(400) < rng.beta(0.3, 0.7, 80)[unit]).astype(float)
    group = rng.integers(0, 4, 80)[unit] if by_unit else (unit + rng.integers(0, 2, 400)) % 4
    found = audit(p, np.arange(400) % 5 == 0, [(f"g{g}",) for g in group], units=unit, times=5, seed=seed)
    return any(g.differs for g in found.groups)


@pytest.mark.parametrize("by_unit", [True, False])
def test_among_groups_of_whole_units_and_among_mixed_ones_a_false_finding_stays_rare(by_unit: bool) -> None:
    named = sum(clustered(seed, by_unit) for seed in range(40))
    assert named <= 6  # 2 expected; with rows dealt by themselves 12


def test_a_gap_between_whole_units_is_still_named() -> None:
    rng = np.random.default_rng(0)
    unit, y = np.repeat(np.arange(120), 5), np.arange(600) % 5 == 0
    hit = unit % 2 == 0
    p = (rng.random(600) < np.where(hit, 0.6, 0.1)).astype(float)
    found = rates(audit(p, y, [("hit",) if h else () for h in hit], units=unit, times=5).groups)
    assert found["hit", "false alarms"].differs
