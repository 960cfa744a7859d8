"""Training a small judge, and what it is worth: measured on requests held out, then learnt again from all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .agreement import PeopleAgreement, agreement
from .pairwise import ComparesPairs
from .preferences import Preference
from .small import SmallJudge, train


def held_out(
    pairs: Sequence[Preference], share: float = 0.2, seed: int = 0
) -> tuple[list[Preference], list[Preference]]:
    """The pairs to learn from and those to measure on; pairs of one request go together."""
    keys = sorted({p.request.key for p in pairs})
    drawn = np.random.default_rng([seed, 61]).permutation(len(keys))[: max(1, round(share * len(keys)))]
    out = {keys[int(i)] for i in drawn}
    return [p for p in pairs if p.request.key not in out], [p for p in pairs if p.request.key in out]


def trained(
    pairs: Sequence[Preference], baselines: Sequence[ComparesPairs] = (), encoder: Any = None, seed: int = 0
) -> tuple[SmallJudge, list[PeopleAgreement]]:
    """A small judge learnt from all pairs, and the agreement with people of one learnt from four fifths on the rest.

    Beside it the baselines' on the same pairs. Raises BadInput for too few pairs.
    """
    learn, rest = held_out(pairs, seed=seed)
    judge = train(learn, encoder, seed=seed)
    found = [agreement(rest, j) for j in (judge, *baselines)]
    return train(pairs, encoder, seed=seed), found
