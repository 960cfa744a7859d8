"""Where to answer from on: what is certified holds, and what can't be shown is refused with the rows it would take."""

from __future__ import annotations

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.measure.resampling import wilson
from sprat.study.abstain import abstain


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A calibrated confidence and its outcomes."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.4, 1.0, n)
    return s, (rng.uniform(size=n) < s).astype(float)


def test_it_answers_down_to_where_the_risk_is_reached():
    found = abstain(drawn(3000, 0), drawn(3000, 1), np.arange(3000), risk=0.2, seed=1)
    # Above t the mean confidence is (1 + t) / 2, so that .6 has risk .2; the test needs some distance from it.
    assert found.threshold is not None
    assert 0.6 < found.threshold < 0.72
    assert found.wrong is not None
    assert found.wrong.value < 0.2


def test_a_risk_that_is_not_kept_is_certified_on_at_most_delta_of_the_data_sets():
    rng = np.random.default_rng(5)
    passed = 0
    for seed in range(150):
        s = rng.uniform(size=400)
        y = (rng.uniform(size=400) < 0.9).astype(float)  # one in ten is wrong, whatever the confidence
        half = slice(0, 200), slice(200, 400)
        found = abstain(*((s[h], y[h]) for h in half), np.arange(200), risk=0.0999, delta=0.1, seed=seed)
        passed += found.threshold is not None
    assert passed <= 150 * 0.1 + 2 * np.sqrt(150 * 0.1 * 0.9)


def test_few_rows_are_refused_with_how_many_it_would_take():
    found = abstain(drawn(60, 0), drawn(60, 1), np.arange(60), risk=0.05, seed=1)
    assert found.threshold is None
    assert found.rows_needed is not None
    assert found.rows_needed > 60
    assert f"about {found.rows_needed:,} rows" in found.sentence


def test_so_many_rows_do():
    needed = abstain(drawn(400, 0), drawn(60, 1), np.arange(60), risk=0.1, seed=1).rows_needed
    assert needed is not None
    assert abstain(drawn(400, 0), drawn(4 * needed, 2), np.arange(4 * needed), risk=0.1, seed=1).threshold is not None


def test_a_risk_that_no_confidence_reaches_has_no_number_of_rows():
    rng = np.random.default_rng(0)
    s, y = rng.uniform(size=300), rng.integers(0, 2, 300).astype(float)
    found = abstain((s, y), (s, y), np.arange(300), risk=0.01, seed=0)
    assert found.rows_needed is None or found.rows_needed > 300
    assert found.threshold is None


def test_repeats_of_a_unit_are_no_evidence():
    s, y = np.full(300, 0.9), np.ones(300)
    assert abstain((s, y), (s, y), np.arange(300), risk=0.1, seed=0).threshold is not None
    assert abstain((s, y), (s, y), np.arange(300) // 30, risk=0.1, seed=0).threshold is None


@pytest.mark.parametrize("risk", [0.0, 1.0, -1.0])
def test_a_risk_out_of_range_is_refused(risk: float):
    with pytest.raises(BadInput, match="between 0 and 1"):
        abstain(drawn(60, 0), drawn(60, 1), np.arange(60), risk=risk)


def test_none_wrong_among_the_answers_is_not_said_to_be_none_for_sure():
    right = np.arange(400) % 2 == 0
    told = np.where(right, 0.9, 0.1), right
    found = abstain(told, told, np.arange(400), risk=0.1)
    assert found.wrong is not None
    assert (found.threshold, found.wrong.value) == (0.9, 0)
    assert found.wrong.high == pytest.approx(wilson(0, 200)[1])
