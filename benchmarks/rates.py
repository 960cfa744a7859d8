"""What the decoding benchmarks share: who is right on fresh problems, rates, paired differences and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sprat.aquarium import Problem
from sprat.errors import SpratError


def right(model: Any, drawn: Sequence[Problem]) -> np.ndarray:
    """Whether the model's greedy answer is the right one, per problem; raises the first error."""
    replies = model.batch([one.prompt for one in drawn], max_tokens=32)
    for reply in replies:
        if reply.error:
            raise SpratError(reply.error)
    return np.array([float(reply.text == one.answer) for reply, one in zip(replies, drawn, strict=True)])


def rate(values: np.ndarray) -> str:
    """A rate with its 95 % score interval."""
    n, z, share = len(values), 1.96, float(values.mean())
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return f"{share:.3f} [{middle - reach:.3f}, {middle + reach:.3f}]"


def mean(values: np.ndarray, digits: int = 3) -> str:
    """A mean with its 95 % normal interval."""
    reach = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    return f"{values.mean():.{digits}f} [{values.mean() - reach:.{digits}f}, {values.mean() + reach:.{digits}f}]"


def difference(values: np.ndarray, base: np.ndarray, digits: int = 3) -> str:
    """The paired mean difference with its 95 % normal interval."""
    gap = values - base
    reach = 1.96 * gap.std(ddof=1) / math.sqrt(len(gap))
    return f"{gap.mean():+.{digits}f} [{gap.mean() - reach:+.{digits}f}, {gap.mean() + reach:+.{digits}f}]"


def share_closed(values: np.ndarray, low: np.ndarray, high: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """How much of the gap from `low` to `high` is closed, with its 95 % bootstrap interval over problems."""
    rows = np.random.default_rng(seed).integers(0, len(values), (2000, len(values)))
    found = [float((values[r].mean() - low[r].mean()) / (high[r].mean() - low[r].mean())) for r in rows]
    whole = float((values.mean() - low.mean()) / (high.mean() - low.mean()))
    return whole, float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))
