"""A calibrated signal is its map of the inner trust, wherever it is used."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import catalogue
import sprat
from sprat import signals
from sprat.core import Request
from sprat.errors import BadInput, CannotDo
from sprat.signals.learning import judged

LESSONS = catalogue.lessons()
REQUESTS, REPLIES, Y, _ = judged("test", LESSONS, "score")


@pytest.mark.parametrize("by", ["platt", "temperature", "beta", "isotonic"])
def test_its_trust_is_the_map_of_the_inner_trust(by: str):
    made = signals.calibrated(signals.logprob(), by=by).fit(LESSONS)
    inner = signals.logprob()
    expected = made.map.predict([inner(q, r) for q, r in zip(REQUESTS, REPLIES, strict=True)])
    assert [made(q, r) for q, r in zip(REQUESTS, REPLIES, strict=True)] == expected.tolist()


def test_many_at_once_are_each_alone():
    made = signals.calibrated(signals.length()).fit(LESSONS)
    together = asyncio.run(_whole(made))
    assert together == [made(q) for q in REQUESTS]


async def _whole(made):
    return (await made.trusts(REQUESTS)).tolist()


def test_it_gives_the_rate_of_right_replies():
    made = signals.calibrated(signals.logprob(), by="isotonic").fit(LESSONS)
    assert np.mean([made(q, r) for q, r in zip(REQUESTS, REPLIES, strict=True)]) == pytest.approx(Y.mean())


def test_a_signal_that_learns_does_so_on_other_rows_than_the_map():
    made = signals.calibrated(signals.answer_features()).fit(LESSONS)
    whole = signals.answer_features().fit(LESSONS)
    assert made.signal.head is not None
    assert made.signal(REQUESTS[0], REPLIES[0]) != whole(REQUESTS[0], REPLIES[0])


def test_reconfidence_reads_the_reply_too():
    made = signals.calibrated(signals.logprob(), by="reconfidence").fit(LESSONS)
    assert 0 < made(REQUESTS[0], REPLIES[0]) < 1


def test_its_running_bounds_close_in_on_its_trust():
    made = signals.calibrated(signals.logprob(first=3), by="platt").fit(LESSONS)
    running = made.running(REQUESTS[0])
    first = running.within()
    for piece in catalogue.SMALL.batch([REQUESTS[0]]):
        tokens, logprobs = piece.tokens or (), piece.logprobs or ()
        running.take(0, sprat.Piece(piece.text or "", tokens, logprobs))
    running.take(0, None)
    low, high = running.within()
    assert first[0] <= low == high <= first[1]
    assert low == pytest.approx(made(REQUESTS[0], catalogue.SMALL(REQUESTS[0])))


def test_what_reads_whole_replies_can_not_be_watched():
    made = signals.calibrated(signals.logprob(), by="reconfidence").fit(LESSONS)
    with pytest.raises(CannotDo):
        made.running(Request.of("x"))


def test_before_fit_it_says_so():
    with pytest.raises(BadInput, match="calibrated has not learned yet"):
        signals.calibrated(signals.length())("x")


def test_an_unknown_calibration_names_the_nearest():
    with pytest.raises(BadInput, match="isotonic"):
        signals.calibrated(signals.length(), by="isotonik")  # type: ignore[arg-type]
