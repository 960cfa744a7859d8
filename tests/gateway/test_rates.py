"""Rates of one process, and of several that share them."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("fcntl")

from sprat.gateway.access.rates import Rates, SharedRates


@pytest.fixture(params=["own", "shared"])
def rates(request: pytest.FixtureRequest, tmp_path: Path) -> Rates:
    return Rates() if request.param == "own" else SharedRates(tmp_path)


def test_a_minutes_calls_may_be_made_at_once_and_the_next_has_to_wait(rates: Rates) -> None:
    assert [rates.refusal("a", 2, None, 0, 0.0) for _ in range(3)] == [None, None, ("rate", 30.0)]
    assert rates.refusal("a", 2, None, 0, 30.0) is None


def test_keys_have_buckets_of_their_own(rates: Rates) -> None:
    assert [rates.refusal(key, 1, None, 0, 0.0) for key in "abab"] == [None, None, ("rate", 60.0), ("rate", 60.0)]


def test_what_is_refused_for_its_tokens_takes_no_call(rates: Rates) -> None:
    assert rates.refusal("a", 1, 100, 100, 0.0) is None
    assert rates.refusal("b", 1, 100, 60, 0.0) is None
    assert rates.refusal("b", 2, 100, 60, 0.0) == ("tokens", 12.0)
    assert rates.refusal("b", 2, None, 0, 0.0) is None


def test_tokens_that_were_not_used_are_given_back(rates: Rates) -> None:
    assert rates.refusal("a", None, 100, 100, 0.0) is None
    rates.correct("a", -60)
    assert rates.refusal("a", None, 100, 60, 0.0) is None


def test_a_key_without_tokens_a_minute_has_nothing_to_correct(rates: Rates) -> None:
    rates.correct("a", 1000)
    assert rates.refusal("a", None, 100, 100, 0.0) is None


def test_another_rate_begins_anew(rates: Rates) -> None:
    assert rates.refusal("a", 1, None, 0, 0.0) is None
    assert [rates.refusal("a", 2, None, 0, 0.0) for _ in range(3)] == [None, None, ("rate", 30.0)]


def test_two_workers_share_what_a_key_may_ask(tmp_path: Path) -> None:
    one, two = SharedRates(tmp_path), SharedRates(tmp_path)
    assert one.refusal("a", 2, 100, 60, 0.0) is None
    assert two.refusal("a", 2, 100, 60, 0.0) == ("tokens", 12.0)
    one.correct("a", -40)
    assert two.refusal("a", 2, 100, 60, 0.0) is None
    assert one.refusal("a", 2, 100, 1, 0.0) == ("rate", 30.0)


def _ask(folder: Path, times: int) -> int:
    rates = SharedRates(folder)
    return sum(rates.refusal("a", 500, None, 0, 0.0) is None for _ in range(times))


def test_processes_that_ask_at_once_get_no_more_than_the_rate(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert sum(pool.starmap(_ask, [(tmp_path, 400)] * 3)) == 500


def test_a_full_table_leaves_each_worker_its_own_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sprat.gateway.access.rates._STEPS", 1)
    monkeypatch.setattr("sprat.gateway.access.rates._ROWS", 1)
    rates = SharedRates(tmp_path)
    assert [rates.refusal(key, 1, None, 0, 0.0) for key in "abab"] == [None, None, ("rate", 60.0), ("rate", 60.0)]
