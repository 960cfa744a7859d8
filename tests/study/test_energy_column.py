"""The study's energy: watts times seconds, or tokens times parameters, and unknown where neither is given."""

from __future__ import annotations

import numpy as np
import pytest

from sprat.core import Reply, Request, Usage
from sprat.data import Call, Dataset, Example
from sprat.energy.calls import how
from sprat.energy.tokens import joules
from sprat.prices import Price
from sprat.study.score import Facts

MODELS = ("a-8b", "b")


def facts(prices: dict[str, Price]) -> Facts:
    rows = [
        Example(
            str(i),
            Request.of(f"q{i}"),
            calls=tuple(Call(m, Reply("x", m, usage=Usage(5, 10 * i), seconds=2.0, score=1.0)) for m in MODELS),
        )
        for i in range(3)
    ]
    return Facts.of(Dataset(tuple(rows), "d"), MODELS, np.arange(3), prices)


def test_each_model_is_weighed_in_its_own_way() -> None:
    found = facts({"a-8b": Price(1, 1, watts=30), "b": Price(1, 1, active=8)}).joules
    per = joules(8, 8, 64, 1.14)
    assert found == pytest.approx(np.array([[60, 0], [60, 10 * per], [60, 20 * per]]))


def test_a_size_in_a_name_makes_no_column_that_nobody_asked_for() -> None:
    assert np.isnan(facts({"a-8b": Price(1, 1)}).joules).all()


def test_some_rows_have_the_joules_of_these_rows() -> None:
    whole = facts({"a-8b": Price(1, 1, active=8), "b": Price(1, 1, active=8)})
    assert (whole.take(np.array([2])).joules == whole.joules[2:]).all()


def test_what_is_estimated_from_tokens_says_how_far_it_may_be_off() -> None:
    assert "estimated; from" in how("b", Price(1, 1, active=8))
    assert how("b", Price(1, 1)) == ""
