"""Agreement of a metric with people: levels by hand, ties by hand, Williams' t by its formula and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sprat.errors import BadInput
from sprat.measure.meta_evaluation import HOWS, LEVELS, correlated, correlation, pairwise_accuracy, swapped, williams

RNG = np.random.default_rng(0)
HUMAN = RNG.integers(1, 6, (40, 8)).astype(float)
METRIC = HUMAN + RNG.normal(size=(40, 8)) * 2
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


@pytest.mark.parametrize("how", HOWS)
def test_each_level_is_scipys_on_its_own_numbers(how: str):
    one = SCIPY[how]
    assert correlation(HUMAN, METRIC, "segment", how) == pytest.approx(one(HUMAN.ravel(), METRIC.ravel())[0])
    assert correlation(HUMAN, METRIC, "system", how) == pytest.approx(one(HUMAN.mean(0), METRIC.mean(0))[0])
    each = np.mean([one(h, m)[0] for h, m in zip(HUMAN, METRIC, strict=True)])
    assert correlation(HUMAN, METRIC, "summary", how) == pytest.approx(each)


def test_a_document_without_variation_is_left_out_within_documents():
    flat = np.vstack([HUMAN, np.full((1, 8), 3.0)])
    more = np.vstack([METRIC, RNG.normal(size=(1, 8))])
    assert correlation(flat, more, "summary", "kendall") == correlation(HUMAN, METRIC, "summary", "kendall")


def test_a_missing_mark_leaves_out_its_score_too():
    holes = HUMAN.copy()
    holes[0, :3] = np.nan
    known = np.isfinite(holes)
    expected = stats.pearsonr(HUMAN[known], METRIC[known])[0]
    assert correlation(holes, METRIC, "segment", "pearson") == pytest.approx(expected)


@pytest.mark.parametrize("level", LEVELS)
def test_an_interval_holds_its_value_and_is_wider_over_systems_too(level: str):
    alone = correlated(HUMAN, METRIC, level, "pearson", times=100)
    both = correlated(HUMAN, METRIC, level, "pearson", times=100, systems=True)
    assert alone.low < alone.value < alone.high
    if level != "summary":
        assert both.high - both.low > 0.8 * (alone.high - alone.low)


def test_an_interval_of_tau_within_documents_holds_its_value():
    # Perfect within a document and unlike between them: a document drawn twice adds perfect pairs to the pooled tau.
    human = np.tile([1.0, 2.0, 3.0, 4.0], (6, 1))
    metric = human + 10 * np.array([[3.0], [0.0], [5.0], [1.0], [4.0], [2.0]])
    found = correlated(human, metric, "segment", "kendall", times=100)
    assert found.low < found.value < found.high


def test_ties_count_by_hand():
    # One tied pair, two ordered ones; the metric puts .5 between the tied, and 1 or more between the others.
    found = pairwise_accuracy([[1, 1, 2]], [[0.0, 0.5, 1.5]])
    assert found == (1.0, 0.5, 3)
    assert pairwise_accuracy([[1, 1, 2]], [[0.0, 0.5, 1.5]], tie=0.0).value == pytest.approx(2 / 3)


def test_calling_everything_a_tie_is_right_where_people_do():
    assert pairwise_accuracy([[3, 3, 3]], [[0.1, 0.5, 0.9]]).value == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=3, max_size=8))
def test_the_best_tie_is_the_best_of_all(rows: list[tuple[int, int]]):
    h, m = (np.array([[float(r[k]) for r in rows]]) for k in (0, 1))
    every = [pairwise_accuracy(h, m, tie=t).value for t in (0.0, 1.0, 2.0, 3.0, 4.0)]
    assert pairwise_accuracy(h, m).value == pytest.approx(max(every))


def test_williams_by_its_formula():
    found = williams(0.7, 0.5, 0.6, 100)
    k = 1 - 0.49 - 0.25 - 0.36 + 2 * 0.7 * 0.5 * 0.6
    t = 0.2 * np.sqrt(99 * 1.6 / (2 * k * 99 / 97 + 0.36 * 0.4**3))
    assert found.t == pytest.approx(t)
    assert found.p == pytest.approx(stats.t.sf(t, 97))


def test_williams_of_equal_metrics_is_even():
    assert williams(0.4, 0.4, 0.5, 50) == pytest.approx((0, 0.5))


def test_williams_rejects_as_often_as_it_says_where_both_are_alike():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(600):
        shared = rng.normal(size=60)
        h, a, b = (shared + rng.normal(size=60) for _ in range(3))
        r = np.corrcoef([h, a, b])
        hits += williams(r[0, 1], r[0, 2], r[1, 2], 60).p < 0.05
    assert hits / 600 == pytest.approx(0.05, abs=0.027)


@pytest.mark.parametrize("human", [np.full((3, 3), np.nan), np.ones((3, 3)), np.ones(3)])
def test_marks_that_say_nothing_are_refused(human: np.ndarray):
    with pytest.raises(BadInput):
        correlation(human, np.ones_like(human), "segment", "pearson")


def test_correlations_that_no_data_have_together_are_refused():
    with pytest.raises(BadInput, match="together"):
        williams(0.9, -0.9, 0.9, 30)


def test_changed_places_by_hand():
    # Two documents can change places in four ways, and only that of the data itself has so large a gap.
    human, first = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    second = np.array([[3.0, 1.0, 2.0], [6.0, 4.0, 5.0]])
    assert swapped(human, first, second, times=4000) == pytest.approx(0.25, abs=0.03)


def test_a_metric_against_itself_is_never_behind():
    rng = np.random.default_rng(0)
    human, metric = rng.normal(size=(2, 20, 4))
    assert swapped(human, metric, metric, times=200) == 1


def test_rows_alike_within_documents_make_no_false_finding():
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        human = rng.normal(size=(30, 8)) + 1.5 * rng.normal(size=(30, 1))
        one, two = (0.6 * human + rng.normal(size=(30, 8)) + 1.5 * rng.normal(size=(30, 1)) for _ in range(2))
        hits += swapped(human, one, two, times=400) < 0.05
    assert hits <= 5 + 2 * np.sqrt(100 * 0.05 * 0.95)  # with rows taken as independent 20 or more


def test_what_does_not_vary_can_not_be_tested():
    with pytest.raises(BadInput, match="that vary"):
        swapped(np.ones((4, 2)), np.arange(8.0).reshape(4, 2), np.arange(8.0).reshape(4, 2))
