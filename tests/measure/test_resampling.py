"""Intervals of rates: what rows of one unit are worth, and what is said where all rows are alike."""

from __future__ import annotations

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.measure.resampling import Estimate, clustered_rate, widened, wilson


def test_rows_by_themselves_have_wilsons_interval() -> None:
    assert clustered_rate([1, 0, 0, 1, 0])[1:3] == pytest.approx(wilson(0.4, 5))


def test_a_rate_of_0_counts_units_not_rows() -> None:
    assert clustered_rate(np.zeros(300), np.repeat(np.arange(30), 10)) == Estimate(0.0, *wilson(0.0, 30), 30)


def test_rows_that_are_copies_are_worth_their_units() -> None:
    hits = np.random.default_rng(0).random(400) < 0.3
    alone, copied = clustered_rate(hits), clustered_rate(np.repeat(hits, 5), np.repeat(np.arange(400), 5))
    assert copied[1:3] == pytest.approx(alone[1:3], abs=0.001)


def test_the_interval_holds_where_rows_of_few_units_are_alike() -> None:
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        unit = np.repeat(np.arange(10), 10)
        found = clustered_rate(rng.random(100) < rng.beta(3, 7, 10)[unit], unit)
        held += found.low <= 0.3 <= found.high
    assert held / 300 > 0.95 - 2 * np.sqrt(0.05 * 0.95 / 300)


def test_rows_all_alike_widen_by_the_units_that_the_rate_is_of() -> None:
    assert widened(Estimate(1.0, 1.0, 1.0, 90), 40) == Estimate(1.0, *wilson(1.0, 40), 90)


@pytest.mark.parametrize("stays", [Estimate(0.4, 0.3, 0.5, 9), Estimate(-2.0, -2.0, -2.0, 9)])
def test_what_varies_or_is_no_rate_stays(stays: Estimate) -> None:
    assert widened(stays) == stays


@pytest.mark.parametrize(("hits", "units"), [([], None), ([1.0], ["a", "b"])])
def test_a_rate_of_no_rows_or_of_too_many_units_is_refused(hits: list[float], units: list[str] | None) -> None:
    with pytest.raises(BadInput, match="of one length"):
        clustered_rate(hits, units)
