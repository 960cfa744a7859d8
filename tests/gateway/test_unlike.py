"""A request that is like no row of the study is said to be: its predicted quality may not hold there."""

from __future__ import annotations

import numpy as np
import pytest

from sprat.encoders.static import StaticEncoder
from sprat.gateway.cards.card_text import drawn
from sprat.gateway.cards.neighbours import Logged

SORTS = tuple(f"sort {a} {b} {c}:" for a in (3, 14, 52) for b in (8, 21, 77) for c in (1, 45, 60))


@pytest.fixture(scope="module")
def logged() -> Logged:
    rows = StaticEncoder().encode(SORTS).astype(np.float16)
    scores = np.ones((len(SORTS), 1), np.float32)
    return Logged(StaticEncoder().name, rows, scores, SORTS, np.ones(len(SORTS), bool), ("small",))


def test_a_row_of_the_same_kind_is_usual(logged: Logged) -> None:
    assert logged.unlike("sort 3 8 45:") is None


def test_another_kind_of_request_is_unlike_and_says_how_far(logged: Logged) -> None:
    found = logged.unlike("Hello, what is the capital of France?")
    assert found is not None
    assert found["nearest"] < found["usual"] <= 1


def test_too_few_rows_call_nothing_unlike() -> None:
    few = Logged(StaticEncoder().name, np.zeros((2, 256), np.float16), np.ones((2, 1), np.float32), ("a", "b"),
                 np.ones(2, bool), ("small",))  # fmt: skip
    assert few.usual == -1.0


def test_the_drawing_warns(logged: Logged) -> None:
    card = {"asks": {"model": "small"}, "quality": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 100, "by": "trust"}}
    said = drawn({**card, "unlike": {"nearest": 0.29, "usual": 0.8}})
    assert "unlike the study's rows (the nearest is 0.29 alike, usual is 0.80)" in said
