"""The test of exactness: what is exact passes, wrong rules fail, and its p-values are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from decoding_doubles import given
from sprat.core import Request
from sprat.decoding.acceptance import Uniforms, accept
from sprat.decoding.drafts import lookup
from sprat.decoding.verify import (
    CONTROLS,
    ChiSquare,
    Sampled,
    _twice,
    chi_square,
    first_difference,
    upper_gamma,
    verify,
)
from sprat.errors import BadInput

BIG = given("big", [0.2, 0.7, 1.0, 0.5], noise=0.5)
SMALL = given("small", [1.2, 0.5, 0.0, 0.4], noise=0.5)
THIRD = given("third", [0.0, 0.5, 1.0, 0.4], noise=0.5)
DRAWN = Request.of("abca", temperature=1.0)


@pytest.mark.parametrize(("target", "draft"), [(BIG, SMALL), (BIG + 0.7 * (SMALL - THIRD), SMALL), (BIG, lookup())])
def test_what_is_exact_passes(target: Any, draft: Any) -> None:
    found = verify(target, draft, ["abca", "bd"], samples=600, options={"max_tokens": 12})
    assert found.exact, str(found)
    assert found.compared == 8
    assert "8 of 8" in str(found)


@pytest.mark.parametrize("name", CONTROLS)
def test_wrong_rules_fail(name: str) -> None:
    assert Sampled(BIG, SMALL).run(DRAWN, 3000, CONTROLS[name], seed=1).p < 1e-3


def test_a_rule_that_changes_the_text_is_not_exact() -> None:
    def lazy(p: Any, q: Any, drafted: Sequence[int], uniforms: Uniforms) -> tuple[int, int]:
        return len(drafted), accept(p[-1:], None, [], uniforms)[1]

    assert Sampled(BIG, SMALL).run(DRAWN, 600, lazy).p < 1e-6


def test_samples_cost_few_passes() -> None:
    fed = given("fed", [0.2, 0.7, 1.0, 0.5], noise=0.5)
    Sampled(fed, SMALL).run(DRAWN, 500, accept)
    assert sum(isinstance(entry, list) for entry in fed.fed) <= 1 + 4 + 16 + 64


def test_expected_probabilities_are_the_targets() -> None:
    expected = Sampled(BIG, SMALL, 2).expected(DRAWN, 10_000)
    first = np.exp(BIG.after([0, 1, 2, 0]) - np.log(np.exp(BIG.after([0, 1, 2, 0])).sum()))
    then = np.exp(BIG.after([0, 1, 2, 0, 1]) - np.log(np.exp(BIG.after([0, 1, 2, 0, 1])).sum()))
    assert expected[1, 2] == pytest.approx(first[1] * then[2], rel=1e-5)
    assert sum(expected.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("freedom", "x"), [(1, 0.5), (4, 3.0), (15, 40.0), (60, 55.0), (2, 300.0)])
def test_p_values_are_scipys(freedom: int, x: float) -> None:
    chi2 = pytest.importorskip("scipy.stats").chi2
    assert upper_gamma(freedom / 2, x / 2) == pytest.approx(float(chi2.sf(x, freedom)), rel=1e-9)


def test_rare_cells_are_pooled() -> None:
    found = chi_square([60, 36, 1, 3], [0.6, 0.36, 0.02, 0.02], 100)
    assert found.freedom == 1
    with pytest.raises(BadInput, match="one cell"):
        chi_square([100], [1.0], 100)


def test_where_two_texts_differ() -> None:
    assert first_difference([1, 2, 3], [1, 2, 4]) == 2
    assert first_difference([1, 2], [1, 2, 4]) == 2
    assert first_difference([1, 2], [1, 2]) is None


def test_nothing_to_verify_is_said() -> None:
    with pytest.raises(BadInput, match="without prompts"):
        verify(BIG, SMALL, [])


def test_a_test_that_no_wrong_rule_fails_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sprat.decoding.verify.MOST", 400)
    twin = given("twin", [0.2, 0.7, 1.0, 0.5], noise=0.5)  # all its drafts stand, so the residual is never used
    found = verify(BIG, twin, ["abca"], samples=100, options={"max_tokens": 6})
    assert (found.verdict, found.exact, found.samples) == ("inconclusive", False, 400)
    assert "residual skipped" in found.missed
    assert str(found).startswith("Inconclusive:")
    assert "400 samples can't tell" in str(found)


def test_samples_are_added_until_the_wrong_rules_are_caught() -> None:
    found = verify(BIG, SMALL, ["abca"], samples=3, options={"max_tokens": 6})
    assert found.exact, str(found)
    assert found.samples > 100


class Fixed:
    """A test whose p-values are given."""

    def __init__(self, *ps: float) -> None:
        self.ps, self.asked = list(ps), list[tuple[int, int]]()

    def run(self, request: Request, samples: int, rule: Any, seed: int = 0) -> ChiSquare:
        self.asked.append((samples, seed))
        return ChiSquare(1.0, 1, self.ps.pop(0))


@pytest.mark.parametrize(("ps", "p"), [([0.001, 0.4], 0.4), ([0.001, 0.002], 0.002), ([0.5], 0.5)])
def test_a_rejection_is_drawn_anew_once(ps: list[float], p: float) -> None:
    test: Any = Fixed(*ps)
    assert _twice(test, DRAWN, 100, 0, 0.01).p == p
    assert [n for n, _ in test.asked] == [100, 200][: len(ps)]
    assert len({seed for _, seed in test.asked}) == len(ps)


def test_samples_that_cannot_differ_are_said() -> None:
    with pytest.raises(BadInput, match="temperature 0"):
        verify(BIG, SMALL, ["abca"], options={"temperature": 0})
    with pytest.raises(BadInput, match="samples is 0"):
        verify(BIG, SMALL, ["abca"], samples=0)


def test_progress_is_told() -> None:
    seen: list[str] = []
    verify(BIG, SMALL, ["abca"], samples=600, options={"max_tokens": 6}, tell=lambda stage, *_: seen.append(stage))
    assert list(dict.fromkeys(seen)) == ["comparing greedy texts", "drawing samples"]
