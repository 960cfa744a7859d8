"""Losses by a judge, corrected by marks: unbiased whatever the judge, and intervals that cover at all times."""

from __future__ import annotations

import json
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.gateway.promise.e_process import EProcess
from sprat.gateway.promise.labels import CorrectedLosses, Moments

LOSS = st.floats(-1, 0.95)


def stream(rng: np.random.Generator, n: int, bias: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Losses by marks, and by a judge who calls a share `bias` of the good pairs bad."""
    loss = np.where(rng.random(n) < 0.2, 0.95, -0.05)
    return loss, np.where(rng.random(n) < bias, 0.95, loss)


def covers_always(n: int, values: np.ndarray, losses: CorrectedLosses, truth: float, rng: np.random.Generator) -> bool:
    loss, judged = values
    for i in range(n):
        mark = float(loss[i]) if rng.random() < losses.floor else None
        losses.correct(float(judged[i]), mark)
        if i % 50 == 49:
            low, high = losses.interval(0.9)
            if not low <= truth <= high:
                return False
    return True


@given(LOSS, LOSS, st.floats(0.1, 1), st.lists(st.tuples(LOSS, LOSS), max_size=5))
def test_the_corrected_loss_is_unbiased(judged, loss, pi, before):
    def after(mark: float | None) -> float:
        losses = CorrectedLosses(-1, 0.95, 0.1)
        for g, marked in before:
            losses.correct(g, marked, 0.5)
        return losses.correct(judged, mark, pi)

    assert pi * after(loss) + (1 - pi) * after(None) == pytest.approx(loss, abs=1e-9)


def test_the_interval_covers_at_all_times_though_the_judge_is_biased():
    rng, runs = np.random.default_rng(1), 80
    missed = sum(
        not covers_always(500, stream(rng, 500), CorrectedLosses(-1, 0.95, 0.2), 0.15, rng) for _ in range(runs)
    )
    assert missed / runs <= 0.1 + 2 * sqrt(0.09 / runs)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_interval_holds_the_sample_mean_and_stays_within_bounds(values):
    moments = Moments(0, 1)
    for v in values:
        moments.add(v)
    low, high = moments.interval(0.95)
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 1


def test_a_good_judge_narrows_the_interval():
    rng, widths = np.random.default_rng(2), []
    for bias in (0.02, 1.0):  # at 1 the judge says the same of all
        losses = CorrectedLosses(-1, 0.95, 0.1)
        covers_always(4000, stream(rng, 4000, bias), losses, 0.15, rng)
        low, high = losses.interval(0.9)
        widths.append(high - low)
    assert widths[0] < 0.75 * widths[1]


def test_a_useless_judge_gets_no_weight():
    rng, losses = np.random.default_rng(3), CorrectedLosses(-1, 0.95, 0.5)
    loss, judged = stream(rng, 2000)[0], rng.choice([-0.05, 0.95], 2000)
    covers_always(2000, (loss, judged), losses, 0.15, rng)
    assert abs(losses.weight[1]) < 0.1


def test_a_systematic_error_of_the_judge_is_learnt():
    losses = CorrectedLosses(-1, 0.95, 0.5)
    for g in np.tile([-0.05, 0.95], 200).tolist():
        losses.correct(g, 0.5 * g - 0.2, 0.5)
    assert losses.weight == pytest.approx((-0.2, 0.5), abs=0.05)


def test_corrected_losses_feed_the_e_process():
    rng, losses = np.random.default_rng(4), CorrectedLosses(-1.05, 0.95, 0.25)
    test = EProcess(*losses.bounds, delta=0.05)
    for loss, judged in zip(*(x.tolist() for x in stream(rng, 3000, 0.05)), strict=True):
        test.update(losses.correct(judged, loss if rng.random() < 0.25 else None))
    assert test.alarm


def test_state_goes_through_json_and_continues_the_same():
    one = CorrectedLosses(-1, 0.95, 0.2)
    for g in (0.1, 0.9, -0.3):
        one.correct(g, 0.4, 0.5)
    two = CorrectedLosses.restored(json.loads(json.dumps(one.state())))
    assert one.correct(0.2, 0.3, 0.4) == two.correct(0.2, 0.3, 0.4)
    assert one.interval() == two.interval()


def test_a_chance_below_the_floor_is_refused():
    with pytest.raises(BadInput, match="below the declared floor"):
        CorrectedLosses(-1, 1, 0.2).correct(0.5, None, 0.1)


def test_a_loss_out_of_bounds_is_refused():
    with pytest.raises(BadInput, match="outside"):
        CorrectedLosses(-1, 1, 0.2).correct(0.5, 2.0)
