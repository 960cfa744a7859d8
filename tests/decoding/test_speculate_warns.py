"""A draft that can't pay is said at its first use, where it was asked for."""

from __future__ import annotations

import warnings

import pytest

import sprat
from decoding_doubles import given

FRY, MACKEREL = sprat.tiny("fry"), sprat.tiny("mackerel")


def test_a_draft_larger_than_its_target_warns_once_at_the_callers_line() -> None:
    fast = sprat.speculate(FRY, MACKEREL, 4)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fast("sort 3 1:", max_tokens=3)
        fast("sort 3 1:", max_tokens=3)
    assert ["even if every token stood, at most 0.03 times" in str(one.message) for one in seen] == [True]
    assert seen[0].filename == __file__


def test_a_draft_as_large_as_its_target_gains_nothing() -> None:
    with pytest.warns(UserWarning, match=r"at most 1\.00 times"):
        sprat.speculate(FRY, FRY, 4)("sort 3 1:", max_tokens=3)


@pytest.mark.filterwarnings("error")
def test_a_smaller_draft_or_one_of_unknown_size_is_silent() -> None:
    sprat.speculate(MACKEREL, FRY, 4)("sort 3 1:", max_tokens=3)
    big = given("big", [1, 2, 3, 0.5])
    sprat.speculate(big, given("other", [1, 2, 3, 0.5]), 4)("abca", max_tokens=3)


def test_leaves_count_their_parameters() -> None:
    assert (FRY.parameters, given("big", [1.0, 2.0]).parameters) == (60_528, None)
