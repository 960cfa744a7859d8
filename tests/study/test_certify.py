"""The statistical core: losses, tests, walks, arranged lists, certificates."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.study import certify
from sprat.study.arrange import arrange, feasible, front, rows_for, rows_needed
from sprat.study.certificate import check, from_json, issue, to_json
from sprat.study.certify import Promise

WITHIN, KEEP = Promise("within", 0.1), Promise("keep", 0.8)


def ternary(rng: np.random.Generator, shape: tuple[int, ...], worse: float, better: float, margin: float) -> np.ndarray:
    u = rng.random(shape)
    return np.where(u < worse, 1.0, np.where(u < worse + better, -1.0, 0.0)) - margin


def test_keep_loss_is_the_ratio_times_the_reference_minus_the_policy():
    assert KEEP.losses([1, 1, 0, 0], [1, 0, 1, 0]).tolist() == [-0.2, 0.8, -1.0, 0.0]


def test_within_loss_is_the_difference_minus_the_margin():
    assert WITHIN.losses([1, 1, 0, 0], [1, 0, 1, 0]).tolist() == [-0.1, 0.9, -1.1, -0.1]


def test_losses_of_many_settings_are_columns():
    assert KEEP.losses([1, 0], [[1, 0], [0, 1]]).tolist() == [[-0.2, 0.8], [0.0, -1.0]]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1), st.floats(0.01, 0.99))
def test_losses_stay_within_the_promise_bounds(scores: list[tuple[float, float]], level: float):
    reference, policy = np.array([(0.5, 0.5), *scores]).T
    for promise in (Promise("keep", level), Promise("within", level)):
        loss = promise.losses(reference, policy)
        assert promise.bottom - 1e-9 <= loss.min() <= loss.max() <= promise.top + 1e-9


def test_a_reference_that_never_scores_is_refused():
    with pytest.raises(BadInput, match="never scores"):
        KEEP.losses([0, 0], [1, 0])


@pytest.mark.parametrize("scores", [[0.5, 1.5], [0.5, float("nan")], [-0.1, 1]])
def test_scores_out_of_bounds_are_refused(scores: list[float]):
    with pytest.raises(BadInput, match=r"\[0, 1\]"):
        WITHIN.losses(scores, [1, 1])


@pytest.mark.parametrize(("kind", "level"), [("keep", 1.0), ("within", 0.0), ("keep", 98), ("most", 0.5)])
def test_an_impossible_promise_is_refused(kind: str, level: float):
    with pytest.raises(BadInput):
        Promise(kind, level)  # type: ignore[arg-type]


def test_scores_are_scaled_by_declared_bounds():
    assert certify.scaled([1, 5.5, 10], 1, 10).tolist() == [0, 0.5, 1]
    with pytest.raises(BadInput, match="declared bounds"):
        certify.scaled([11], 1, 10)


def test_a_unit_gives_the_mean_of_its_rows():
    assert certify.by_unit([0.2, 0.4, -1.0], ["a", "a", "b"]).tolist() == [0.3, -1.0]


def test_with_a_declared_most_the_units_mean_keeps_the_sign_of_the_rows_mean():
    loss = np.array([0.5, 0.5, 0.5, -1.0])
    assert certify.by_unit(loss, [1, 1, 1, 2]).mean() < 0 < loss.mean()
    assert certify.by_unit(loss, [1, 1, 1, 2], most=3).mean() == pytest.approx(loss.sum() / 3 / 2)


def test_a_unit_larger_than_declared_is_refused():
    with pytest.raises(BadInput, match="declared 1"):
        certify.by_unit([0.1, 0.2], ["a", "a"], most=1)


# The test


def test_wealth_of_three_rows_by_hand():
    # delta = .5, spread = 2/3, so v = 1: the first bet is sqrt(2 log 2 / 3), the next two aim anew.
    wealth, goal = 0.0, log(2)
    best = 0.0
    for t, loss in enumerate([-0.1, 0.9, -1.1]):
        bet = min(np.sqrt(2 * (goal - wealth) / (3 - t)), 0.8 / 0.9)
        wealth += np.log(1 - bet * loss)
        best = max(best, wealth)
    found = certify.log_wealth([-0.1, 0.9, -1.1], 0.9, 0.5, np.array(2 / 3))
    assert float(found) == pytest.approx(best)


def invalid_levels(p: np.ndarray, weight: np.ndarray) -> list[float]:
    """The levels that p-values pass more often than they may, given each outcome's chance under the null."""
    return [float(x) for x in np.unique(p) if weight[p <= x * (1 + 1e-12)].sum() > x + 1e-9]


@pytest.mark.parametrize("law", [(0.3, 0.2), (0.1, 0.0), (0.55, 0.45), (0.5, 0.0)])
@pytest.mark.parametrize("spread", [None, 0.02, 0.3, 5.0])
def test_p_values_are_valid_over_every_sequence_under_the_null(law: tuple[float, float], spread: float | None):
    worse, better = law  # E[L] = worse - better - .1 >= 0
    chances, values = np.array([worse, better, 1 - worse - better]), np.array([0.9, -1.1, -0.1])
    every = np.array(list(itertools.product(range(3), repeat=7))).T
    p = np.exp(-certify.log_wealth(values[every], 0.9, 0.3, None if spread is None else np.array(spread)))
    assert invalid_levels(p, chances[every].prod(axis=0)) == []


def test_the_enumeration_catches_a_bet_that_sees_its_own_row():
    every = np.array(list(itertools.product([0.9, -1.1, -0.1], repeat=5))).T
    weight = np.select([every == 0.9, every == -1.1], [0.3, 0.2], 0.5).prod(axis=0)
    peeking = np.exp(-np.maximum(np.log1p(-np.where(every < 0, 0.8, 0.0) * every).sum(axis=0), 0))
    assert invalid_levels(peeking, weight) != []


@pytest.mark.parametrize("worse", [0.1, 0.3, 0.55])
def test_fixed_bets_are_valid_over_every_count_under_the_null(worse: float):
    better, n = max(0.0, worse - 0.1), 12
    chance: dict[float, float] = {}
    for a in range(n + 1):
        for b in range(n + 1 - a):
            loss = [0.9] * a + [-1.1] * b + [-0.1] * (n - a - b)
            p = float(certify.fixed_bets(loss, 0.9))
            weight = comb(n, a) * comb(n - a, b) * worse**a * better**b * (1 - worse - better) ** (n - a - b)
            chance[p] = chance.get(p, 0.0) + weight
    for level in chance:
        assert sum(w for p, w in chance.items() if p <= level) <= level + 1e-9


def test_the_aimed_test_has_nearly_the_whole_level_at_the_null_and_the_mixture_wastes_it():
    loss = ternary(np.random.default_rng(0), (600, 2000), 0.15, 0.05, 0.1)
    rejected = float((certify.log_wealth(loss, 0.9, 0.1, np.full(2000, 0.2)) >= log(10) - 1e-12).mean())
    assert 0.06 < rejected < 0.1 + 2 * 0.0067
    assert float((certify.fixed_bets(loss[:, :500], 0.9) <= 0.1).mean()) < 0.02


@given(st.permutations(list(range(12))), st.integers(0, 2**32))
def test_the_order_of_the_rows_does_not_matter(rows: list[int], seed: int):
    loss = np.array([[0.9, -0.1]] * 2 + [[-0.1, -1.1]] * 3 + [[-0.1, -0.1]] * 7)
    assert certify.p_values(loss[rows], 0.9, 0.1, seed).tolist() == certify.p_values(loss, 0.9, 0.1, seed).tolist()
    assert certify.fixed_bets(loss[rows], 0.9).tolist() == certify.fixed_bets(loss, 0.9).tolist()


def test_smaller_losses_give_smaller_fixed_bet_p_values():
    loss = np.array([0.9, -0.1, -0.1, -1.1] * 20)
    assert certify.fixed_bets(loss - 0.05, 0.9) < certify.fixed_bets(loss, 0.9)


def test_no_regression_at_all_still_needs_the_rows_that_the_margin_allows():
    few, enough = np.full(60, -0.02), np.full(160, -0.02)
    assert certify.p_values(few, 0.98, 0.1, 0, 4e-4) > 0.1
    assert certify.p_values(enough, 0.98, 0.1, 0, 4e-4) == pytest.approx(0.1, abs=0.003)


def test_settings_are_tested_as_if_each_were_alone():
    loss = ternary(np.random.default_rng(1), (200, 3), 0.1, 0.05, 0.1)
    spread = np.array([0.1, 0.2, 0.3])
    alone = [float(certify.p_values(loss[:, j], 0.9, 0.1, 5, spread[j])) for j in range(3)]
    assert certify.p_values(loss, 0.9, 0.1, 5, spread).tolist() == pytest.approx(alone)


def test_over_data_and_seeds_together_the_shuffled_test_errs_at_most_delta():
    loss = ternary(np.random.default_rng(9), (100, 800), 0.15, 0.05, 0.1)
    p = [float(certify.p_values(loss[:, i], 0.9, 0.1, certify.seed_from(str(i)), 0.2)) for i in range(800)]
    assert np.mean(np.array(p) <= 0.1 * (1 + 1e-12)) <= 0.1 + 2 * 0.0106


def test_the_seeded_order_never_changes():
    assert certify.order(6, 7).tolist() == [3, 4, 0, 2, 5, 1]
    assert sorted(certify.order(1000, 3).tolist()) == list(range(1000))


@pytest.mark.parametrize("loss", [[0.95], [float("nan")]])
def test_a_loss_above_its_bound_is_refused(loss: list[float]):
    with pytest.raises(BadInput, match="largest possible"):
        certify.log_wealth(loss, 0.9, 0.1)
    with pytest.raises(BadInput, match="largest possible"):
        certify.fixed_bets(loss, 0.9)


# Intervals


def test_clopper_pearson_of_no_success_is_the_closed_form():
    low, high = certify.clopper_pearson(0, 20)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))


def test_regression_bound_is_where_the_binomial_tail_is_delta():
    bound = certify.regression_bound(2, 50, 0.1)
    assert sum(comb(50, k) * bound**k * (1 - bound) ** (50 - k) for k in range(3)) == pytest.approx(0.1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_an_interval_holds_the_sample_mean(values: list[float]):
    low, high = certify.mean_interval(values)
    assert -1e-9 <= low <= np.mean(values) + 1e-9 <= high + 2e-9 <= 1 + 3e-9


def test_intervals_cover_a_skewed_mean():
    rng = np.random.default_rng(2)
    ends = [certify.mean_interval(rng.random(40) ** 8, 0.9) for _ in range(300)]
    assert np.mean([low <= 1 / 9 <= high for low, high in ends]) >= 0.9


def test_an_interval_moves_with_its_bounds():
    low, high = certify.mean_interval([0.2, 0.4, 0.9])
    assert certify.mean_interval([3, 5, 10], low=1, high=11) == pytest.approx((1 + 10 * low, 1 + 10 * high))


# The walk


@pytest.mark.parametrize(
    ("p", "certified", "stopped"),
    [([0.01, 0.1, 0.2, 0.0], 1, 2), ([0.5, 0.0], None, 0), ([0.1, 0.1], 1, None), ([], None, None)],
)
def test_a_walk_stops_at_the_first_failure(p: list[float], certified: int | None, stopped: int | None):
    found = certify.stop_at_failure(p, 0.1)
    assert (found.certified, found.stopped) == (certified, stopped)


def test_lists_share_delta():
    loss = np.full((400, 2), -0.1)
    assert [w.delta for w in certify.walk_several([loss, loss], 0.1, 0.9, 0)] == [0.05, 0.05]
    with pytest.raises(BadInput, match="one to three"):
        certify.walk_several([loss] * 4, 0.1, 0.9, 0)


def test_a_walk_over_true_nulls_errs_at_most_delta_and_picking_the_best_errs_more():
    rng = np.random.default_rng(3)
    loss = ternary(rng, (200, 400, 10), 0.15, 0.049, 0.1)  # ten settings, each just above the limit
    p = np.exp(-certify.log_wealth(loss, 0.9, 0.1, np.array(0.2)))
    assert np.mean([certify.stop_at_failure(row, 0.1).certified is not None for row in p]) <= 0.1 + 2 * 0.015
    assert np.mean(p.min(axis=1) <= 0.1) > 0.3


# The list


def test_a_front_runs_from_dear_and_good_to_cheap():
    assert front([0.9, 0.8, 0.7, 0.8, 0.6, 0.9], [5, 4, 4, 3, 1, 5]) == [0, 3, 4]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_a_front_is_monotone_and_leaves_nothing_better_out(points: list[tuple[int, int]]):
    q, c = np.array(points).T
    places = front(q, c)
    assert (np.diff(q[places]) < 0).all()
    assert (np.diff(c[places]) < 0).all()
    assert all(any(q[i] >= q[j] and c[i] <= c[j] for i in places) for j in range(len(q)))


@pytest.fixture(scope="module")
def fit() -> tuple[np.ndarray, np.ndarray]:
    """Losses of 1,500 rows under settings that keep 1/30, 2/30 ... of the rows small, ever worse ones."""
    rng = np.random.default_rng(4)
    share = np.arange(1, 21) / 30
    score = rng.random(1500)
    hurt = np.where(rng.random(1500) < 0.4 * score, 1.0, np.where(rng.random(1500) < 0.05, -1.0, 0.0))
    return np.where(score[:, None] < share, hurt[:, None], 0.0) - 0.05, share


def test_an_arranged_list_rises_in_saving_and_expects_less_than_infinite_rows(fit: tuple[np.ndarray, np.ndarray]):
    found = arrange(*fit, 500, 0.1, 0.95, samples=100)
    assert (np.diff(fit[1][list(found.places)]) > 0).all()
    assert 0 < found.saving < fit[1][fit[0].mean(axis=0) < 0].max()


def test_an_arranged_list_is_the_same_each_time(fit: tuple[np.ndarray, np.ndarray]):
    first, second = (arrange(*fit, 300, 0.1, 0.95, samples=50) for _ in range(2))
    assert first.places == second.places


def test_a_list_leaves_out_settings_that_are_likely_to_fail(fit: tuple[np.ndarray, np.ndarray]):
    found = arrange(*fit, 60, 0.1, 0.95, samples=100)
    first = fit[0][:, found.places[0]]
    assert found.refused < 0.5
    assert rows_needed(first, 0.1, 0.95, 1 - found.refused - 0.1) <= 60  # type: ignore[operator]


def test_a_list_begins_with_safe_settings_where_they_cost_nothing(fit: tuple[np.ndarray, np.ndarray]):
    found = arrange(*fit, 2000, 0.1, 0.95, samples=50)
    assert found.refused == 0
    assert fit[1][found.places[0]] < 0.5 * found.saving


def test_no_setting_that_keeps_the_promise_means_an_empty_list():
    assert arrange(np.full((50, 2), 0.1), [0.2, 0.4], 100, 0.1, 0.95).places == ()


def test_more_rows_are_expected_to_save_more(fit: tuple[np.ndarray, np.ndarray]):
    small, large = feasible(*fit, [100, 1000], 0.1, 0.95)
    assert small.saving < large.saving <= large.ceiling


def test_rows_needed_give_the_power_asked_for():
    loss = ternary(np.random.default_rng(5), (4000,), 0.06, 0.04, 0.05)
    n = rows_needed(loss, 0.1, 0.95, 0.8)
    assert n is not None
    drawn = loss[np.random.default_rng(6).integers(0, len(loss), (n, 1000))]
    wealth = certify.log_wealth(drawn, 0.95, 0.1, np.array(np.square(loss).mean()))
    assert 0.74 < (wealth >= log(10) - 1e-12).mean() < 0.86


def test_a_setting_that_breaks_the_promise_needs_no_number_of_rows():
    assert rows_needed(np.array([0.95, -0.05]), 0.1, 0.95) is None


@pytest.mark.slow
def test_rows_for_a_share_bring_that_share(fit: tuple[np.ndarray, np.ndarray]):
    n = rows_for(*fit, 0.2, 0.1, 0.95)
    assert n is not None
    assert feasible(*fit, [n], 0.1, 0.95)[0].saving >= 0.2
    assert rows_for(*fit, 0.99, 0.1, 0.95, most=400) is None


# The certificate


def issued(**changes: object):
    loss = ternary(np.random.default_rng(7), (400, 3), 0.05, 0.04, 0.1)
    loss[:, 2] = 0.9
    facts = {"rows": 400, "data_hash": "ab12", "date": "2026-11-20"} | changes
    return issue(WITHIN, ["a", "b", "c"], loss, [0.1, 0.1, 0.1], 0.1, **facts)  # type: ignore[arg-type]


def test_a_certificate_names_the_last_setting_that_passed_and_its_evidence():
    found = issued()
    assert (found.certified, len(found.tried), found.evidence) == ("b", 3, found.tried[1])
    assert "at most 10 points below" in found.sentence


def test_a_certificate_survives_json_and_verifies():
    found = from_json(to_json(issued(label="cross-fitted", earlier_studies=2)))
    assert found == issued(label="cross-fitted", earlier_studies=2)
    assert check(found) == []


@pytest.mark.parametrize(
    "change",
    [
        {"certified": "c"},
        {"certified": None},
        {"level": 0.05},
        {"delta": 0.01},
        {"units": 399},
        {"seed": 12},
        {"label": "trust me"},
        {"listed": ("b", "a", "c")},
        {"listed": ("a", "b")},
        {"caution": 0.5},
        {"rows": 10},
        {"data_hash": "cd34"},
        {"lists": 0},
    ],
)
def test_a_changed_certificate_does_not_add_up(change: dict[str, object]):
    assert check(replace(issued(), **change)) != []  # type: ignore[arg-type]


def test_changed_counts_do_not_add_up():
    found = issued()
    better = replace(found.tried[0], counts=tuple(reversed(found.tried[0].counts)))
    assert check(replace(found, tried=(better, *found.tried[1:]))) != []


def test_a_certificate_of_losses_that_are_all_different_verifies():
    loss = certify.by_unit(np.random.default_rng(8).uniform(-1, 0.5, 300), [i // 3 for i in range(300)])
    found = issue(WITHIN, ["a"], loss[:, None], [0.2], 0.1, rows=300, data_hash="0", date="2026-11-20")
    assert (found.units, found.certified, check(from_json(to_json(found)))) == (100, "a", [])


def test_a_check_needs_numpy_alone():
    code = "import sys, sprat.study.certificate; print([m for m in ('scipy', 'sklearn', 'polars') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_refusal_verifies_too():
    found = issue(WITHIN, ["a"], np.full((50, 1), 0.9), [0.5], 0.1, rows=50, data_hash="0", date="2026-11-20")
    assert (found.certified, check(found)) == (None, [])
    assert found.sentence.startswith("Refused")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kinds": "keep"}', '{"kind": "keep", "level": "x"}'])
def test_what_is_not_a_certificate_is_refused_in_a_sentence(text: str):
    with pytest.raises(BadInput, match="certificate"):
        from_json(text)
