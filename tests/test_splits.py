"""Splits: every row once, no unit or group parted, the same cut for the same data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.core import Request
from sprat.data import Dataset, Example
from sprat.errors import BadInput
from sprat.splits import folds, leave_groups_out, split

UNITS = st.lists(st.integers(0, 30), min_size=1, max_size=200)


def data(units: list[int]) -> Dataset:
    return Dataset(tuple(Example(str(i), Request.of(f"x{i}"), unit=str(u)) for i, u in enumerate(units)))


def partition(parts: list, n: int) -> bool:
    return sorted(np.concatenate(parts).tolist()) == list(range(n))


@given(UNITS, st.integers(2, 5), st.integers(0, 9))
def test_folds_hold_every_row_once_and_part_no_unit(units: list[int], k: int, seed: int) -> None:
    units = units + list(range(100, 100 + k))
    parts = folds(np.array(units), k, seed)
    assert partition(parts, len(units))
    where = [{units[i] for i in p} for p in parts]
    assert sum(map(len, where)) == len(set(units))


@given(UNITS, st.integers(2, 5), st.integers(0, 9))
def test_groups_left_out_are_never_parted(groups: list[int], k: int, seed: int) -> None:
    names = [None if g == 0 else f"g{g}" for g in groups] + [f"extra {i}" for i in range(k)]
    parts = leave_groups_out(names, k, seed)
    assert partition(parts, len(names))
    assert sum(len({names[i] for i in p}) for p in parts) == len(set(names))


@given(UNITS)
def test_split_holds_every_row_once_and_parts_no_unit(units: list[int]) -> None:
    units = units + list(range(100, 160))
    parts = split(data(units), (0.4, 0.6))
    assert partition(parts, len(units))
    assert not {units[i] for i in parts[0]} & {units[i] for i in parts[1]}


def test_split_keeps_to_its_fractions() -> None:
    assert [len(p) for p in split(data(list(range(1000))), (0.4, 0.4, 0.2))] == [400, 400, 200]


def test_split_is_seeded_by_the_data() -> None:
    one, other = data(list(range(100))), data(list(range(100, 200)))
    assert np.array_equal(split(one, (0.5, 0.5))[0], split(one, (0.5, 0.5))[0])
    assert not np.array_equal(split(one, (0.5, 0.5))[0], split(other, (0.5, 0.5))[0])
    assert not np.array_equal(split(one, (0.5, 0.5), seed=1)[0], split(one, (0.5, 0.5), seed=2)[0])


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.5, -0.5), (float("nan"), 0.5)])
def test_fractions_that_do_not_sum_to_one_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match="sum to 1"):
        split(data([1, 2, 3]), fractions)


def test_a_split_with_an_empty_part_is_refused() -> None:
    with pytest.raises(BadInput, match="1 units can't be split into 2"):
        split(data([7, 7, 7]), (0.5, 0.5))


def test_more_folds_than_units_are_refused() -> None:
    with pytest.raises(BadInput, match="5 folds can't be made of 2 units"):
        folds(np.array([1, 1, 2]), 5, 0)


def test_left_out_groups_are_about_equal_in_rows() -> None:
    parts = leave_groups_out(["a"] * 50 + ["b"] * 30 + ["c"] * 20 + ["d"] * 20, 2, 0)
    assert sorted(len(p) for p in parts) == [50, 70]
