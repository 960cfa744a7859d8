"""What is said of recorded replies: the mean of a measure with its interval."""

from __future__ import annotations

import pytest

from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.measure.evaluation import evaluated
from sprat.measure.resampling import wilson


def test_replies_that_are_all_right_are_not_sure_to_be() -> None:
    rows = tuple(Example(str(i), Request.of(f"q{i}"), "a", (Call("m", Reply("a", "m")),)) for i in range(30))
    (line,) = evaluated(Dataset(rows, "made"), ["exact"]).lines
    assert (line.mean, line.high) == (1, 1)
    assert line.low == pytest.approx(wilson(1.0, 30)[0])
