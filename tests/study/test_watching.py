"""Drafts that a study watches: what they cost until they are stopped, against a replay of the technique itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.combine import watchful
from sprat.core import Reply, Request, Usage
from sprat.data import Call, Dataset, Example
from sprat.replay import Recorded, Recording, replay
from sprat.signals import logprob
from sprat.study.candidates import Candidate
from sprat.study.score import Facts, outcome, trusted

SIGNAL = logprob("min", first=3)


def recorded(rows: list[list[float]]) -> Dataset:
    """Small replies with these log-probabilities, at $1 a token read and $2 written; large ones cost 50."""
    made: list[Example] = []
    for i, numbers in enumerate(rows):
        usage = Usage(3 + i % 2, len(numbers))
        cost = usage.input_tokens * 1.0 + usage.output_tokens * 2.0  # type: ignore[operator]
        small = Reply("x", "small", logprobs=tuple(numbers), usage=usage, cost=cost, seconds=1.0, score=float(i % 2))
        large = Reply("y", "large", usage=Usage(3, 4), cost=50.0, seconds=5.0, score=1.0)
        made.append(Example(str(i), Request.of(f"q{i}"), None, (Call("small", small), Call("large", large))))
    return Dataset(tuple(made))


def by_study(data: Dataset, at_least: float) -> np.ndarray:
    candidate = Candidate("watch", "watchful", ("small", "large"), (SIGNAL,))
    rows = np.arange(len(data))
    trust = trusted(candidate, (SIGNAL,), Recording(data), rows)
    return outcome(candidate, trust, [(at_least,)], Facts.of(data, ("small", "large"), rows)).cost[:, 0]


def test_a_draft_is_charged_until_its_first_token_that_is_too_unlikely() -> None:
    # The second token's probability is .1: stopped there, 3 tokens read and 2 of 4 written: 3 + 4 + 50. In the other
    # row 4 are read, all of 2 written, and it is kept.
    data = recorded([[0.0, math.log(0.1), 0.0, 0.0], [0.0, 0.0]])
    assert by_study(data, 0.5).tolist() == pytest.approx([57.0, 8.0])


def test_without_prices_by_token_it_is_charged_in_full() -> None:
    data = recorded([[0.0, math.log(0.1), 0.0, 0.0], [0.0, 0.0], [0.0, 0.0, 0.0]])
    odd = data.examples[2].calls[0].reply
    object.__setattr__(odd, "cost", 99.0)
    assert by_study(data, 0.5)[0] == pytest.approx(3 + 8 + 50)


@given(st.lists(st.lists(st.floats(-3, 0), min_size=1, max_size=6), min_size=4, max_size=6), st.floats(0.05, 0.95))
def test_the_study_charges_what_a_replay_charges(rows: list[list[float]], at_least: float) -> None:
    data = recorded([*rows, [0.0], [0.0, 0.0], [0.0], [0.0, 0.0, 0.0]])  # enough that the rates can be told
    model = watchful(Recorded("small"), Recorded("large"), trust=SIGNAL, at_least=at_least)
    assert by_study(data, at_least) == pytest.approx([r.cost for r in replay(model, data)])
