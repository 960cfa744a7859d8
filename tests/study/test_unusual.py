"""The level from which on a request looks crafted: of ordinary ones at most the stated part is above it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sprat
from sprat.config import read
from sprat.gateway.served import load
from sprat.study.unusual import FALSE, LEAST, quantile


def test_the_level_is_the_conformal_quantile() -> None:
    assert quantile(np.arange(1.0, 200)) == 199  # of 199 rows the 199th: ceil(.995 * 200)
    assert quantile(np.arange(1.0, 1000)) == 995
    assert quantile(np.arange(1.0, LEAST + 1)) == LEAST
    assert quantile(np.arange(1.0, LEAST)) is None


def test_where_no_row_would_turn_the_level_is_that_nothing_stands_out() -> None:
    assert quantile(np.full(500, -np.inf)) == 0


@given(st.integers(199, 2000), st.floats(0, 1))
def test_one_more_row_like_these_is_above_the_level_with_at_most_the_stated_chance(n: int, turned: float) -> None:
    # Of n + 1 rows like one another each is the new one with the same chance: how many are above the others' level.
    rng = np.random.default_rng(n)
    rows = np.where(rng.random(n + 1) < turned, rng.gamma(1, size=n + 1), -np.inf)
    order = np.argsort(rows)
    above = 0
    for place in order[-30:]:  # of 2,001 rows, 11 at most can be
        above += rows[place] > (quantile(np.delete(rows, place)) or 0.0)
    assert above / (n + 1) <= FALSE


@pytest.mark.slow
def test_a_study_writes_what_its_prompts_read_like_and_a_level_for_each_route(tmp_path: Path) -> None:
    rows = sprat.load("aquarium").take(range(1000))
    found = sprat.study(rows, small="sprat", large="mackerel", keep=0.9, confidence=0.8)
    path = found.save(tmp_path / "study") / "serve.toml"
    table: dict[str, Any] = read(path).extra["promise"]
    served = load(path)
    assert served.ordinary is not None
    assert np.array_equal(served.ordinary.known, table["ordinary"]["known"])
    routes = {s.name for s in found.evidence.passed if found.evidence.tried.candidates[s.candidate].kind == "route"}
    assert {s["name"] for s in table["settings"] if s.get("crafted") is not None} <= routes
    assert [w.crafted for w in served.ways] == [s.get("crafted") for s in table["settings"]]
