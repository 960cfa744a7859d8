"""The dashboard's sums: the same as in one statement, bounded reads, and intervals that cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import NOW, made

pytest.importorskip("sqlalchemy")

from week import exchanges, write

from sprat.gateway.ledger import tally
from sprat.gateway.ledger.store import Store
from sprat.gateway.ledger.tally import Slice, Sums, Threads, Window, proportion, quantiles, ratio, read, wilson


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.read(tmp_path / "sprat.db", create=True) as opened:
        yield opened


def summed(window: Window) -> Sums:
    whole = Sums()
    for s in window.ordered():
        for sums in s.models.values():
            whole.add(sums)
    return whole


def times(seconds: Iterable[float]) -> dict[str, Any]:
    return {"m": np.array([(s, np.nan) for s in seconds])}


def test_the_sums_are_those_of_one_statement(store: Store) -> None:
    write(store, exchanges(800, NOW))
    window = Window("week")
    with store.engine.connect() as connection:
        window.refresh(connection, NOW, 60.0)
    whole, totals = summed(window), store.totals(since=(int(NOW // 3600) - 167) * 3600)
    assert (whole.requests, whole.failed, whole.unknown) == (totals.requests, totals.failed, totals.unknown)
    assert whole.compared == totals.compared
    assert (whole.saved, whole.dollars) == pytest.approx((totals.saved, totals.dollars))


def test_what_the_watch_asked_costs_but_is_no_request(store: Store) -> None:
    write(store, [made(0), made(1, dialect="promise", cost=0.004, reference_cost=0.0)])
    with store.engine.connect() as connection:
        sums = read(connection, NOW, NOW + 60, 100, 100).models["small"]
    assert (sums.requests, sums.compared) == (1, 1)
    assert (sums.dollars, sums.saved, sums.watching) == pytest.approx((0.005, 0.009 - 0.004, 0.004))


def test_an_unknown_cost_is_counted_and_is_in_no_sum(store: Store) -> None:
    write(store, [made(0), made(1, cost=None), made(2, reference_cost=None)])
    with store.engine.connect() as connection:
        sums = read(connection, NOW, NOW + 60, 100, 100).models["small"]
    assert (sums.unknown, sums.compared) == (1, 1)
    assert (sums.dollars, sums.saved) == pytest.approx((0.002, 0.009))


def test_a_slice_that_is_over_is_not_read_again() -> None:
    done = Slice(0.0, 60.0, read_at=60.0 + tally.SETTLED)
    assert not done.due(10**6)


def test_a_slice_is_read_again_until_late_replies_are_in() -> None:
    assert Slice(0.0, 60.0, read_at=61.0).due(200.0)


def test_what_was_slow_to_read_is_read_rarely() -> None:
    assert not Slice(0.0, 60.0, read_at=30.0, took=1.0).due(45.0)


def test_patience_bounds_a_read_and_the_next_goes_on(store: Store) -> None:
    write(store, exchanges(300, NOW))
    window = Window("week")
    with store.engine.connect() as connection:
        first = window.refresh(connection, NOW, 1e-9)
        assert first <= 1
        while window.refresh(connection, NOW, 0.01) < 168:
            pass
    assert summed(window).requests == 300


def test_a_late_reply_is_seen(store: Store) -> None:
    window = Window("hour")
    write(store, [made(0)])
    with store.engine.connect() as connection:
        window.refresh(connection, NOW + 30, 9.0)
    write(store, [made(1)])
    with store.engine.connect() as connection:
        window.refresh(connection, NOW + 120, 9.0)
    assert summed(window).requests == 2


def test_threads_meet_again_over_slices(store: Store) -> None:
    write(store, [made(0, thread="a"), made(70, thread="a"), made(130, thread="b")])
    window = Window("hour")
    with store.engine.connect() as connection:
        window.refresh(connection, NOW + 200, 9.0)
    found = Threads(window.ordered())
    assert (found.count, found.share) == (2, 1.0)


def test_a_sample_of_threads_is_complete_below_its_bound(store: Store) -> None:
    write(store, [made(i, thread=f"t{i % 200}", at=NOW + i / 10) for i in range(600)])
    with store.engine.connect() as connection:
        slices = [read(connection, NOW + i, NOW + i + 10, 30, 100) for i in (0, 10, 20, 30, 40, 50)]
    found = Threads(slices)
    assert 20 <= found.count <= 60
    assert (found._sums[:, :, 0].sum(axis=1) == 3).all()
    assert found.count / found.share == pytest.approx(200, rel=0.5)


def test_the_variance_of_a_ratio_by_hand() -> None:
    pairs = np.array([(1.0, 2.0)] * 5 + [(3.0, 2.0)] * 5)  # a ratio of 1; each residual is 1 in size
    found = ratio(pairs, 20.0, 20.0)
    assert found is not None
    assert found.high is not None
    error = np.sqrt(10 * 10 / 9) / 20
    assert (found.high - found.value) / error == pytest.approx(2.262, abs=0.05)  # Student's with 9 degrees


def test_few_threads_have_no_interval() -> None:
    assert ratio(np.array([(1.0, 2.0)] * 9), 9.0, 18.0) == tally.Rate(0.5, None, None)


def test_nothing_compared_is_no_ratio() -> None:
    assert ratio(np.zeros((0, 2)), 0.0, 0.0) is None


@pytest.mark.parametrize(("share", "threads"), [(1.0, 300), (0.4, 1500)])
def test_the_interval_of_the_saving_covers(share: float, threads: int) -> None:
    rng, hits, n = np.random.default_rng(5), 0, 400
    for _ in range(n):
        length = 1 + rng.poisson(1.5, threads)
        reference = length * rng.lognormal(0, 0.8, threads)
        saved = reference * rng.beta(3, 2, threads)
        kept = rng.random(threads) < share
        pairs = np.stack([saved[kept], reference[kept]], axis=1)
        found = ratio(pairs, float(saved.sum()), float(reference.sum()), share)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.6 <= found.high
    assert 0.92 <= hits / n <= 0.985


def test_the_interval_of_a_share_covers_where_threads_stay_together() -> None:
    rng, hits, n = np.random.default_rng(6), 0, 400
    for _ in range(n):
        length = (1 + rng.poisson(3, 120)).astype(float)
        top = length * (rng.random(120) < 0.3)
        found = proportion(np.stack([top, length], axis=1), float(top.sum()), float(length.sum()))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.3 <= found.high
    assert 0.92 <= hits / n <= 0.985


def test_a_share_of_none_has_an_interval_above_it() -> None:
    found = proportion(np.array([(0.0, 1.0)] * 50), 0.0, 50.0)
    assert found is not None
    assert (found.low, found.high) == (0.0, pytest.approx(wilson(0.0, 50)[1]))


def test_quantiles_of_all_are_exact() -> None:
    slices = [Slice(0, 1, latencies=times(range(1, 101)), answered=100)]
    assert quantiles(slices, 0, (0.5, 0.95, 0.99)) == [50.0, 95.0, 99.0]


def test_a_sampled_slice_weighs_what_it_stands_for() -> None:
    busy = Slice(0, 1, latencies=times([2.0] * 10), answered=1000)
    calm = Slice(1, 2, latencies=times([1.0] * 10), answered=10)
    assert quantiles([busy, calm], 0, (0.5,)) == [2.0]


def test_a_latency_that_nobody_measured_is_unknown() -> None:
    assert quantiles([Slice(0, 1, latencies=times([1.0]), answered=1)], 1, (0.5,)) is None


def test_many_replies_of_a_slice_are_sampled(store: Store) -> None:
    many = [made(i, at=NOW + i / 100) for i in range(2000)]
    from dataclasses import replace
    from random import Random

    draw = Random(1)
    write(store, [replace(e, id=f"{draw.getrandbits(96):024x}") for e in many])
    with store.engine.connect() as connection:
        found = read(connection, NOW, NOW + 60, 100, 200)
    assert (found.answered, 140 <= found.sampled <= 260) == (2000, True)
