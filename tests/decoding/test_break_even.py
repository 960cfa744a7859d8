"""The prediction: what it measures, what it says, and what it can't measure."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from decoding_doubles import Given, Rows
from sprat.decoding.break_even import Prediction, predict, rounds, wilson
from sprat.decoding.drafts import lookup
from sprat.errors import BadInput


class Slow(Given):
    """A leaf whose every pass takes `wide` milliseconds and its logits as they are given."""

    def open(self, batch: int) -> Any:
        return SlowRows(self, batch)


class SlowRows(Rows):
    def feed(self, ids: Any, counts: Any = None, keep: int | None = None) -> Any:
        end = time.thread_time() + 1e-5 * (self.leaf.most or 0)
        while time.thread_time() < end:
            pass
        return super().feed(ids, counts, keep)


def slow(name: str, ms: float, noise: float) -> Slow:
    return Slow(name, ((1.0, 2.0, 3.0, 0.5),), noise=noise, most=int(100 * ms))


PROMPTS = ["abca", "bb", "cad"]


def test_a_cheap_draft_that_agrees_pays() -> None:
    found = predict(slow("big", 6, 0.2), slow("small", 1.2, 0.2), PROMPTS, options={"max_tokens": 60})
    assert found.verdict == "yes"
    assert found.speedups[found.best][1] > 1.5
    assert 0.05 < found.cost < 0.5
    assert "Speculate:" in str(found)


def test_a_draft_as_dear_as_its_target_does_not() -> None:
    found = predict(slow("big", 1, 1.5), slow("other", 15, 1.6), PROMPTS, options={"max_tokens": 60})
    assert found.verdict == "no"
    assert found.cost > 1
    assert "Don't" in str(found)
    assert "smaller one" in str(found)


def test_about_as_many_passes_are_made_as_were_asked_for() -> None:
    big = slow("big", 1, 1.0)
    predict(big, slow("small", 1, 1.0), PROMPTS, passes=30, options={"max_tokens": 60})
    assert 30 <= sum(isinstance(entry, list) for entry in big.fed) <= 45


def test_it_is_json() -> None:
    found = predict(slow("big", 1, 1.0), lookup(), PROMPTS, options={"max_tokens": 60})
    row = json.loads(json.dumps(found.row()))
    assert row["draft"] == "lookup()"
    assert row["speedups"]["2"][0] <= row["speedups"]["2"][2]


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(BadInput, match="needs prompts"):
        predict(slow("big", 1, 1.0), lookup(), [])
    with pytest.raises(BadInput, match="too short"):
        predict(slow("big", 1, 1.0), lookup(), ["a"], options={"max_tokens": 2})


def test_the_interval_is_wilsons() -> None:
    np.testing.assert_allclose(wilson(8, 10), (0.4902, 0.9433), atol=1e-4)
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == pytest.approx(1.0)


def test_a_straddling_interval_says_perhaps() -> None:
    found = Prediction("a", "b", 1.0, 0.1, {1: 1.0}, 0.0, 9.0, (0.1, 0.5, 0.9), 9, {1: (0.9, 1.2, 1.5)}, 1, "perhaps")
    assert str(found).startswith("Perhaps: 1.20x")


@pytest.mark.parametrize("limited", [True, False])
def test_rounds_are_counted_to_the_replys_end(limited: bool) -> None:
    table = rounds(2, 0.5, 1.0, 4, limited).sum(1)
    # By hand: P(1, 2, 3 tokens) = 1/2, 1/4, 1/4.
    np.testing.assert_allclose(table, [0, 1, 1.5, 2.0, 2.625])


def test_the_work_of_a_cut_round_is_less_where_the_cut_is_foreseen() -> None:
    assert rounds(4, 0.5, 1.0, 3, True)[1].tolist() == [0.0, 1.0, 0.0]
    assert rounds(4, 0.5, 1.0, 3, False)[1, 0] == pytest.approx(1 - 0.5 * 3 / 4)
    assert rounds(4, 0.5, 0.0, 3, False)[3].tolist() == [0.0, 0.0, 3.0]


class Reader(Slow):
    """A leaf that reads a prompt slowly, and is quick afterwards."""

    def open(self, batch: int) -> Any:
        return ReaderRows(self, batch)


class ReaderRows(Rows):
    def feed(self, ids: Any, counts: Any = None, keep: int | None = None) -> Any:
        end = time.thread_time() + (0.02 if not self.read[0] else 0.0)
        while time.thread_time() < end:
            pass
        return super().feed(ids, counts, keep)


def test_a_draft_that_reads_the_prompt_slowly_loses_on_short_replies_alone() -> None:
    draft = Reader("small", ((1.0, 2.0, 3.0, 0.5),), noise=0.2)
    big = slow("big", 2, 0.2)
    short = predict(big, draft, PROMPTS * 3, options={"max_tokens": 5})
    assert (short.verdict, short.opening_ms > 15) == ("no", True)
    long = predict(big, draft, PROMPTS, options={"max_tokens": 60, "ignore_eos": True})
    assert long.speedups[4][1] > short.speedups[4][1] + 0.3


def test_too_few_passes_are_said() -> None:
    with pytest.raises(BadInput, match="passes is 4"):
        predict(slow("big", 1, 1.0), lookup(), PROMPTS, passes=4)


def test_progress_is_told() -> None:
    seen: list[tuple[str, int, int]] = []
    predict(slow("big", 1, 1.0), lookup(), PROMPTS, options={"max_tokens": 60}, tell=lambda *one: seen.append(one))
    assert seen[-1] == ("measuring passes", 50, 50)
