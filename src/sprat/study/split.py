"""Cuts the rows into fit, calibration and, where there are enough, test rows: by unit, from the data's own seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..data import Dataset
from .score import Ints

FIT_SHARE, FIT_MOST, TEST_FROM = 0.4, 4000, 2000


class Cut(NamedTuple):
    """Row indices; `test` is empty where it would leave fewer than 2,000 calibration units."""

    fit: Ints
    calibration: Ints
    test: Ints

    @property
    def shown(self) -> Ints:
        """The rows on which ways of working are measured for display."""
        return self.test if len(self.test) else self.calibration


def cut(data: Dataset) -> Cut:
    """Fit on 40 % of the units, at most 4,000; halve the rest when each half has at least 2,000 units."""
    units = data.units
    order = np.random.default_rng(data.seed).permutation(int(units.max()) + 1)
    n_fit = min(round(FIT_SHARE * len(order)), FIT_MOST)
    rest = len(order) - n_fit
    n_test = rest // 2 if rest // 2 >= TEST_FROM else 0
    part = np.empty(len(order), dtype=np.int64)
    part[order[:n_fit]] = 0
    part[order[n_fit : len(order) - n_test]] = 1
    part[order[len(order) - n_test :]] = 2
    of_row = part[units]
    return Cut(*(np.flatnonzero(of_row == i).astype(np.int64) for i in range(3)))
