"""The budget's controller: certified settings only, spend under the cap whatever comes, near the best in hindsight."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.gateway.steering.budget import Budget, Clock, Setting, window_of

DAY = 86_400.0
T0 = 20_000 * DAY
SETTINGS = (Setting("safe", 0.010, 0.0), Setting("middle", 0.006, 0.004), Setting("cheap", 0.003, 0.012))


def run(budget: Budget, rng: np.random.Generator, n: int, dear: float = 1.0, start: float = T0) -> dict[str, float]:
    """A day of n requests; costs vary, and the last half's are `dear` times as much."""
    found = {"spent": 0.0, "harm": 0.0, "refused": 0.0, "highest": 0.0}
    for i in range(n):
        now = start + DAY * i / n
        setting = budget.choose(now, now).setting
        cost = min(setting.cost * rng.exponential() * (dear if i >= n // 2 else 1), 0.1)
        if not budget.reserve(0.1, now, now).ok:
            found["refused"] += 1
            continue
        budget.settle(0.1, cost, now, now)
        found["harm"] += setting.harm or 0.0
        found["spent"] += cost
        found["highest"] = max(found["highest"], budget.spent + budget.pending)
    return found


def test_ample_money_stays_at_the_safest_setting():
    found = run(Budget(SETTINGS, 1000, expected=2000), np.random.default_rng(1), 2000)
    assert found["harm"] == 0


@pytest.mark.parametrize("budget", [8.0, 10.0, 16.0])
def test_spend_meets_the_budget_with_near_the_least_harm(budget):
    found = run(Budget(SETTINGS, budget, expected=2000), np.random.default_rng(2), 2000)
    least = 2000 * np.interp(budget / 2000, [0.003, 0.006, 0.010], [0.012, 0.004, 0.0])
    assert found["spent"] <= budget
    assert found["spent"] > 0.93 * budget
    assert found["harm"] < least + 2000 * 0.0008


def test_when_requests_become_dear_it_moves_down_and_stays_under_the_cap():
    found = run(Budget(SETTINGS, 12.0, expected=2000), np.random.default_rng(7), 2000, dear=1.6)
    assert 0.85 * 12 < found["spent"] <= 12
    assert found["refused"] < 20


def test_without_money_it_stays_at_the_cheapest_certified_setting_and_refuses_at_the_cap():
    settings = (*SETTINGS, Setting("broken", 0.0005, 0.2, certified=False))
    budget = Budget(settings, 3.0, expected=2000)
    found = run(budget, np.random.default_rng(3), 2000)
    assert budget.choose(T0 + DAY - 1, T0 + DAY - 1).setting.name == "cheap"
    assert found["refused"] > 0
    assert found["highest"] <= 3.0 + 1e-9


def test_uncertified_settings_are_used_only_when_allowed_and_said_to_be_so():
    settings = (*SETTINGS, Setting("broken", 0.0005, 0.2, certified=False))
    budget = Budget(settings, 3.0, expected=2000, allow_uncertified=True)
    run(budget, np.random.default_rng(4), 1900)
    chosen = {budget.settings[i].name: budget.settings[i].certified for i in range(4)}
    assert chosen == {"safe": True, "middle": True, "cheap": True, "broken": False}
    assert budget.spent < 3.0
    assert budget.price > 0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 5000)), max_size=60),
    st.floats(0.1, 1),
)
def test_spend_never_passes_the_cap_whatever_comes(requests, burst):
    budget, now, open_ = Budget(SETTINGS, 3.0, burst=burst), T0, []
    for at_most, part, wait in requests:
        now = min(now + wait, T0 + DAY - 1)
        if budget.reserve(at_most, now, now).ok:
            open_.append((at_most, part * at_most))
        if len(open_) > 2:
            budget.settle(*open_.pop(0), now, now)
        assert budget.spent + budget.pending <= 3.0 * min(1, budget.share + burst) + 1e-9


def test_dear_traffic_cannot_run_ahead_of_the_pace():
    budget = Budget(SETTINGS, 10.0, expected=2000, burst=0.1)
    spent = 0.0
    for i in range(5000):  # all in the first hour, all forced to the large model
        now = T0 + 3600 * i / 5000
        if budget.reserve(0.05, now, now).ok:
            budget.settle(0.05, 0.05, now, now)
            spent += 0.05
    assert spent <= 10.0 * (0.1 + 1 / 24) + 1e-9


def test_a_refusal_says_when_to_come_back():
    budget = Budget(SETTINGS, 10.0, burst=0.1)
    assert budget.reserve(1.0, T0, 0).ok
    refused = budget.reserve(1.0, T0, 0)
    assert not refused.ok
    assert refused.retry_after == pytest.approx(0.1 * DAY, rel=1e-3)
    assert budget.reserve(1.0, T0 + refused.retry_after + 1, refused.retry_after + 1).ok


def test_a_new_day_begins_with_the_whole_budget():
    budget = Budget(SETTINGS, 1.0)
    budget.reserve(1.0, T0, 0)
    budget.settle(1.0, 1.0, T0, 0)
    assert not budget.reserve(0.5, T0 + DAY - 1, DAY - 1).ok
    assert budget.reserve(0.5, T0 + DAY + 1, DAY + 1).ok


def test_a_calendar_that_jumps_a_day_does_not_open_a_new_budget():
    budget = Budget(SETTINGS, 1.0)
    budget.reserve(1.0, T0, 0)
    budget.settle(1.0, 1.0, T0, 0)
    assert not budget.reserve(0.5, T0 + 2 * DAY, 10).ok
    assert not budget.reserve(0.5, T0 + 20, 20).ok


def test_a_calendar_that_was_set_right_is_believed_after_ten_minutes():
    clock = Clock()
    clock.read(T0, 0)
    assert clock.read(T0 + DAY + 10, 10) == T0 + 10
    assert clock.read(T0 + DAY + 700, 700) == T0 + DAY + 700


def test_the_shape_of_the_day_sets_the_pace():
    budget = Budget(SETTINGS, 1.0, shape=(0, 3, 1, 0))
    budget.choose(T0, 0)
    assert [budget.elapsed(T0 + DAY * x) for x in (0.25, 0.375, 0.5, 0.75, 1)] == pytest.approx([0, 0.375, 0.75, 1, 1])


def test_months_have_their_own_lengths():
    start, end = window_of(T0, "month")
    assert (end - start) / DAY in (28, 29, 30, 31)
    assert window_of(end, "month")[0] == end


def test_the_forecast_is_near_what_is_spent():
    budget, rng = Budget(SETTINGS, 12.0, expected=2000), np.random.default_rng(5)
    for i in range(1000):
        now = T0 + DAY * i / 2000
        budget.reserve(0.1, now, now)
        budget.settle(0.1, budget.choose(now, now).setting.cost * rng.uniform(0.5, 1.5), now, now)
    assert budget.forecast == pytest.approx(12.0, rel=0.15)


def test_state_goes_through_json_and_continues_the_same():
    one, two = Budget(SETTINGS, 8.0, expected=2000), Budget(SETTINGS, 8.0, expected=2000)
    run(one, np.random.default_rng(6), 500)
    two.restore(json.loads(json.dumps(one.state())))
    assert two.choose(T0 + DAY - 1, 5).setting == one.choose(T0 + DAY - 1, T0 + DAY - 1).setting
    assert two.spent == one.spent


def test_settings_off_the_hull_are_never_chosen():
    budget = Budget((*SETTINGS[:1], Setting("bad deal", 0.009, 0.011), SETTINGS[2]), 8.0)
    assert [s.name for s in budget.settings] == ["safe", "cheap"]


def test_an_uncertified_setting_cannot_come_first():
    with pytest.raises(BadInput, match="certified"):
        Budget((Setting("broken", 1, certified=False),), 1.0)
