"""Win rates at equal length and strengths, by closed forms and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.judging import bradley_terry, length_controlled, win_rate
from sprat.judging.wins import controlled_rate, strengths

PREFERENCE = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=30)


def test_a_tie_counts_half_and_the_interval_holds_the_rate() -> None:
    found = win_rate([1, 1, 0.5, 0] * 10)
    assert found.value == 0.625
    assert found.low < 0.625 < found.high


@given(PREFERENCE)
def test_at_equal_lengths_nothing_changes(preference: list[float]) -> None:
    mean = float(np.mean(preference))
    n = len(preference)
    found = length_controlled(preference, [7] * n, [7] * n)
    assert found.rate == pytest.approx(mean, abs=1e-4)


@given(PREFERENCE, st.integers(0, 1000))
def test_with_the_sides_changed_the_rate_is_one_less_it(preference: list[float], seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(1, 500, (2, len(preference)))
    forth = length_controlled(preference, a, b)
    back = length_controlled(1 - np.array(preference), b, a)
    assert forth.rate == pytest.approx(1 - back.rate, abs=1e-6)
    assert forth.length == pytest.approx(back.length, abs=1e-6)


def test_a_judge_that_likes_length_alone_gives_no_advantage_at_equal_length() -> None:
    # a is longer in four of five rows, and the longer one wins nine times in ten.
    rng = np.random.default_rng(0)
    longer = rng.uniform(size=4000) < 0.8
    won = np.where(rng.uniform(size=4000) < 0.9, longer, ~longer)
    a, b = np.where(longer, 300, 100), np.where(longer, 100, 300)
    assert won.mean() > 0.7
    found = length_controlled(won, a, b)
    assert found.rate == pytest.approx(0.5, abs=0.04)
    assert found.length > 1


def test_it_is_the_regression_of_the_paper() -> None:
    # logit P = theta + phi tanh(difference / sd) on its own data: both weights come back.
    rng = np.random.default_rng(1)
    far = rng.normal(size=60_000) * 50
    chance = 1 / (1 + np.exp(-(0.4 + 1.5 * np.tanh(far / far.std(ddof=1)))))
    found = length_controlled(rng.uniform(size=len(far)) < chance, far, np.zeros_like(far))
    assert found.rate == pytest.approx(1 / (1 + np.exp(-0.4)), abs=0.01)
    assert found.length == pytest.approx(1.5, abs=0.06)


def test_difficulty_is_averaged_over_at_equal_length() -> None:
    rng = np.random.default_rng(2)
    hard = rng.choice([-2.0, 2.0], 40_000)
    won = rng.uniform(size=len(hard)) < 1 / (1 + np.exp(-(1 + hard)))
    found = length_controlled(won, [1] * len(hard), [1] * len(hard), hard)
    assert found.rate == pytest.approx(won.mean(), abs=1e-3)


def test_the_controlled_rate_has_an_interval() -> None:
    found = controlled_rate([1, 0, 1, 1, 0.5] * 8, list(range(40)), list(range(40))[::-1], times=50)
    assert found.low < found.value < found.high


def test_a_model_that_won_all_is_not_sure_to() -> None:
    found = win_rate([1.0] * 30)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.8865, abs=1e-3)  # Wilson's
    best = strengths([(0, 1, 1.0)] * 30, 2, list(range(30)), times=200)[0]
    assert best.value == pytest.approx(np.log(30.5 / 0.5) / 2)
    assert best.low < best.value - 0.3


def test_two_models_strengths_are_the_log_odds() -> None:
    assert np.ptp(bradley_terry([[0, 3], [1, 0]], prior=0)) == pytest.approx(np.log(3))


def test_a_prior_game_is_half_a_win_for_each() -> None:
    assert np.ptp(bradley_terry([[0, 3], [0, 0]])) == pytest.approx(np.log(3.5 / 0.5))


def test_strengths_explain_their_own_games() -> None:
    true = np.array([1.0, 0.2, -1.2])
    chance = 1 / (1 + np.exp(-(true[:, None] - true[None])))
    assert bradley_terry(chance * 50, prior=0) == pytest.approx(true, abs=1e-8)


def test_models_that_met_only_through_others_are_ranked() -> None:
    # a : b = 2 : 1 and b : c = 4 : 1, so a : c = 8 : 1.
    found = bradley_terry([[0, 2, 0], [1, 0, 4], [0, 1, 0]], prior=0)
    assert found[0] - found[2] == pytest.approx(np.log(8))


def test_models_that_never_met_are_refused() -> None:
    with pytest.raises(BadInput, match="never compared"):
        bradley_terry([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])


def test_without_a_prior_who_won_all_has_no_strength() -> None:
    with pytest.raises(BadInput, match="no end"):
        bradley_terry([[0, 3], [0, 0]], prior=0)


def test_strengths_have_intervals_over_units() -> None:
    games = [(0, 1, 1.0), (0, 1, 0.0), (1, 2, 1.0), (0, 2, 1.0), (0, 2, 0.5), (0, 1, 1.0)] * 6
    found = strengths(games, 3, list(range(36)), times=50)
    assert sum(e.value for e in found) == pytest.approx(0)
    assert found[0].low < found[0].value < found[0].high
    assert min(found[0].value, found[1].value) > found[2].value


@pytest.mark.parametrize("wrong", [[0.2, float("nan")], [1.5], [[1.0]], []])
def test_preferences_are_numbers_from_0_to_1(wrong: list[float]) -> None:
    with pytest.raises(BadInput):
        win_rate(wrong)


def test_the_intervals_of_the_strongest_and_the_weakest_hold_their_strength() -> None:
    true, held = np.array([1.5, 0.0, -1.5]), 0
    for seed in range(60):
        rng, games, units = np.random.default_rng(seed), list[tuple[int, int, float]](), list[int]()
        for k in range(12):
            for i, j in ((0, 1), (0, 2), (1, 2)):
                games.append((i, j, float(rng.random() < 1 / (1 + np.exp(true[j] - true[i])))))
                units.append(k)
        best, _, worst = strengths(games, 3, units, times=50)
        held += (best.low <= 1.5 <= best.high) + (worst.low <= -1.5 <= worst.high)
    assert held >= 104  # of 120; with drawn games added to the resamples, and not centred, 87
