"""Cuts rows into parts without ever parting rows of one unit (a thread, a user, a template) or of one group.

Checked in tests/test_splits.py: every row once, no unit parted, the same cut for the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Dataset
from .errors import BadInput

Ints = NDArray[np.int64]


def split(dataset: Dataset, fractions: Sequence[float], seed: int | None = None) -> list[Ints]:
    """Row indices (sorted) of each part, by unit; the seed is the data's own unless given.

    Raises BadInput where the fractions don't sum to 1, or a part would hold no unit.
    """
    if not fractions or not min(fractions) > 0 or not abs(sum(fractions) - 1) <= 1e-9:
        raise BadInput(f"The fractions of a split are positive and sum to 1, not {list(fractions)}.")
    units = dataset.units
    sizes = np.bincount(units) if len(units) else np.zeros(0, dtype=np.int64)
    order = np.random.default_rng(dataset.seed if seed is None else seed).permutation(len(sizes))
    # A unit goes where the middle of its rows falls, so parts differ from their share by half a unit at most.
    middle = (np.cumsum(sizes[order]) - sizes[order] / 2) / max(1, len(units))
    part = np.empty(len(sizes), dtype=np.int64)
    part[order] = np.searchsorted(np.cumsum(fractions)[:-1], middle, side="right")
    parts = [np.flatnonzero(part[units] == i).astype(np.int64) for i in range(len(fractions))]
    if any(len(p) == 0 for p in parts):
        raise BadInput(
            f"{len(sizes)} units can't be split into {len(fractions)} parts, each with at least one.",
            hint="Collect more rows, or ask for fewer parts.",
        )
    return parts


def folds(units: NDArray[Any], k: int, seed: int) -> list[Ints]:
    """k lists of row indices (sorted), every row in exactly one, no unit parted; units are dealt in turn.

    Raises BadInput where there are fewer units than folds.
    """
    _, of_row = np.unique(units, return_inverse=True)
    n = int(of_row.max()) + 1 if len(of_row) else 0
    if not 2 <= k <= n:
        raise BadInput(f"{k} folds can't be made of {n} units.", hint="Ask for at least 2 folds and at most that many.")
    fold = np.empty(n, dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(n)] = np.arange(n) % k
    return [np.flatnonzero(fold[of_row] == i).astype(np.int64) for i in range(k)]


def leave_groups_out(groups: Sequence[str | None], k: int, seed: int) -> list[Ints]:
    """k lists of row indices (sorted) of about the same size, no group parted; rows without a group are one group.

    The largest groups are placed first, each in the list that is shortest so far; the seed breaks ties.
    Raises BadInput where there are fewer groups than lists.
    """
    rows: dict[str | None, list[int]] = {}
    for i, group in enumerate(groups):
        rows.setdefault(group, []).append(i)
    if not 2 <= k <= len(rows):
        raise BadInput(f"{k} parts can't be made of {len(rows)} groups.", hint="Ask for at least 2, at most that many.")
    names = list(rows)
    shuffled = [names[int(i)] for i in np.random.default_rng(seed).permutation(len(names))]
    parts: list[list[int]] = [[] for _ in range(k)]
    for name in sorted(shuffled, key=lambda g: -len(rows[g])):
        min(parts, key=len).extend(rows[name])
    return [np.array(sorted(p), dtype=np.int64) for p in parts]
