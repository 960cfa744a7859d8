"""Budgets by the UTC calendar and token buckets on a hand-driven clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.gateway.access.limits import Bucket, Budget, Spent, per_minute, span, until_next


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("text", "dollars", "per"), [("50/month", 50, "month"), (" $2.5 / day", 2.5, "day")])
def test_a_budget_is_read(text: str, dollars: float, per: str):
    assert (Budget.of(text).dollars, Budget.of(text).per) == (dollars, per)


@pytest.mark.parametrize("text", ["50", "-5/day", "5/week", "nan/day", "", "1e9/day", "5/day/day"])
def test_a_budget_that_can_t_be_read_is_said_in_a_sentence(text: str):
    with pytest.raises(BadInput, match=r"needs dollars per day or month\. Such as 50/month\."):
        Budget.of(text)


@pytest.mark.parametrize("text", ["0/min", "60", "60/h", "-1/min", "1.5/min"])
def test_a_rate_that_can_t_be_read_is_said_in_a_sentence(text: str):
    with pytest.raises(BadInput, match="needs a whole number per minute"):
        per_minute(text, "rate")


def test_windows_end_at_utc_midnight_and_at_the_month_s_end():
    last = at("2027-12-31T23:59:59")
    assert (span("day", last), span("month", last)) == ("day 2027-12-31", "month 2027-12")
    assert (span("day", last + 1), span("month", last + 1)) == ("day 2028-01-01", "month 2028-01")
    assert (until_next("day", last), until_next("month", last)) == (1, 1)
    assert until_next("month", at("2028-02-01T00:00:00")) == 29 * 86400


@given(st.floats(0, 4e9), st.sampled_from(["day", "month"]))
def test_a_window_lasts_exactly_until_its_next(now: float, per: str):
    wait = until_next(per, now)  # type: ignore[arg-type]
    assert span(per, now + wait - 0.01) == span(per, now) or wait < 0.01  # type: ignore[arg-type]
    assert span(per, now + wait + 0.01) != span(per, now)  # type: ignore[arg-type]


def test_a_bucket_gives_a_minute_s_worth_and_says_how_long_to_wait():
    bucket = Bucket(60, 0.0)
    for _ in range(60):
        assert bucket.wait(1, 0.0) == 0
        bucket.take(1)
    assert bucket.wait(1, 0.0) == pytest.approx(1.0)
    assert bucket.wait(1, 1.0) == 0


def test_what_is_overdrawn_is_waited_for():
    bucket = Bucket(600, 0.0)
    bucket.take(900)
    assert bucket.wait(1, 0.0) == pytest.approx(30.1)


def test_more_than_a_bucket_holds_waits_for_a_full_one_not_for_ever():
    bucket = Bucket(60, 0.0)
    assert bucket.wait(1000, 0.0) == 0
    bucket.take(1000)
    assert bucket.wait(1000, 0.0) == pytest.approx(1000)


@given(st.integers(1, 600), st.lists(st.floats(0, 5), max_size=200))
def test_no_span_of_time_lets_more_through_than_a_bucket_and_the_rate(rate: int, pauses: list[float]):
    bucket, now, passed = Bucket(rate, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        if not bucket.wait(1, now):
            bucket.take(1)
            passed += 1
        assert passed <= rate + now * rate / 60 + 1e-6


def test_a_clock_that_goes_back_gives_nothing():
    bucket = Bucket(60, 100.0)
    bucket.take(60)
    assert bucket.wait(1, 50.0) == pytest.approx(1.0)
    assert bucket.wait(1, 100.5) == pytest.approx(0.5)


def test_spent_adds_up():
    assert Spent(1.0, 2, 1).plus(Spent(0.5, 1, 0)) == Spent(1.5, 3, 1)
