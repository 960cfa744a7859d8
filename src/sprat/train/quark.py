"""What a Quark run is set to, and how its pool of replies is cut by reward (arXiv 2205.13636).

Checked in tests/train/test_policy_adapter.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training run; the defaults are the paper's code's, its rate and sizes meant for GPT-2."""

    steps: int = 10_000
    batch: int = 64
    rate: float = 1e-5
    warm_up: int = 500
    sample_every: int = 750
    samples: int = 1
    top_p: float = 0.6
    temperature: float = 1.0
    alpha: float = 1.0
    kl: float = 0.05
    target_kl: float = 3.0
    horizon: float = 2500.0
    entropy: float = 0.0
    cuts: int = 5
    max_tokens: int = 64
    seed: int = 0
    alone: bool = False

    def check(self) -> None:
        """Raises BadInput for numbers that can't be."""
        whole = (
            "steps",
            "batch",
            "sample_every",
            "samples",
            "max_tokens",
            "horizon",
            "rate",
            "temperature",
            "target_kl",
        )
        for name in whole:
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} is {getattr(self, name)}.", hint="Needed: > 0.")
        if not 0 < self.top_p <= 1 or self.cuts < 2 or self.kl < 0 or self.warm_up < 0:
            raise BadInput("top_p is in (0, 1], cuts at least 2, kl and warm_up at least 0.")


@dataclass
class Sampled:
    """A reply in the pool: the number of its prompt, its ids, its reward."""

    prompt: int
    ids: list[int]
    reward: float
    cut: int = 0
    base: NDArray[np.float32] | None = field(default=None, compare=False)


def token(number: int) -> str:
    """The reward token of a fifth of the replies; 1 is the best."""
    return f"<reward-{number}>"


def cuts_of(rewards: NDArray[np.float64], cuts: int) -> NDArray[np.int64]:
    """Which of `cuts` parts each reward falls into, 0 the best; equal ones share one, the highest have the best."""
    better = len(rewards) - np.searchsorted(np.sort(rewards), rewards, side="right")
    equal = np.unique(rewards, return_inverse=True)[1]
    share = (better + np.bincount(equal)[equal] / 2) / len(rewards)
    found = np.minimum((share * cuts).astype(np.int64), cuts - 1)
    return np.where(rewards == rewards.max(), 0, found)
