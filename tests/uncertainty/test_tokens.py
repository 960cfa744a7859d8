from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.core import Reply
from sprat.errors import CannotDo
from sprat.uncertainty import TokenEntropy, token_entropy
from sprat.uncertainty.tokens import entropies, max_entropy, mean_entropy


def test_a_whole_distribution_is_exact() -> None:
    found = token_entropy({"a": log(0.5), "b": log(0.5)})
    assert (found.low, found.high, found.exact) == (pytest.approx(log(2)), pytest.approx(log(2)), True)


def test_what_is_cut_off_is_a_bound() -> None:
    found = token_entropy({"a": log(0.5), "b": log(0.25)})
    assert found.low == pytest.approx(0.5 * log(2) + 0.5 * log(4))  # one more token of a quarter
    assert found.high == inf
    assert not found.exact


def test_with_the_vocabulary_the_rest_is_at_most_spread_evenly() -> None:
    found = token_entropy({"a": log(0.5), "b": log(0.25)}, vocabulary=27)
    assert found.high == pytest.approx(0.5 * log(2) + 0.25 * log(4) + 0.25 * log(100))


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 40))
def test_the_bounds_hold_the_entropy(seed: int, size: int, k: int) -> None:
    p = np.sort(np.random.default_rng(seed).dirichlet(np.full(size, 0.3)))[::-1] + 1e-12
    p /= p.sum()
    top = {str(i): float(np.log(v)) for i, v in enumerate(p[:k])}
    found, true = token_entropy(top, size), float(-(p * np.log(p)).sum())
    assert found.low - 1e-6 <= true <= found.high + 1e-6


@given(st.floats(0.01, 0.99), st.integers(0, 1000))
def test_the_chosen_token_alone_gives_a_bound_too(chosen: float, seed: int) -> None:
    rest = np.random.default_rng(seed).dirichlet(np.ones(5)) * (1 - chosen)
    true = -chosen * log(chosen) - float((rest * np.log(rest)).sum())
    assert token_entropy({"": log(chosen)}, likeliest=False).low <= true + 1e-9


def test_a_token_that_is_not_among_the_likeliest_counts_as_cut_off() -> None:
    assert token_entropy({"a": log(0.5), "b": -9999.0}) == token_entropy({"a": log(0.5)})


def test_a_sampled_token_listed_beside_the_likeliest_bounds_nothing() -> None:
    p = {"A": 0.4, "B": 0.3, "D": 0.299, "C": 0.001}
    true = -sum(v * log(v) for v in p.values())
    top = {"A": log(0.4), "B": log(0.3), "C": log(0.001)}  # the two likeliest, and what was sampled
    (found,) = entropies(Reply("C", "m", tokens=("C",), logprobs=(log(0.001),), top_logprobs=(top,)), 4)
    assert found.low - 1e-9 <= true <= found.high + 1e-9


def test_the_mean_and_the_largest_keep_their_bounds() -> None:
    found = [TokenEntropy(1, 2, False), TokenEntropy(3, 3, True)]
    assert mean_entropy(found) == TokenEntropy(2, 2.5, False)
    assert max_entropy(found) == TokenEntropy(3, 3, False)


def test_a_reply_without_log_probabilities_is_refused() -> None:
    with pytest.raises(CannotDo, match="reply of 'm' has none"):
        entropies(Reply("text", "m"))
