"""Greedy matching of two texts' tokens: every token with the most similar one of the other text.

BERTScore (arXiv 1904.09675), equations 1 to 4. A text that is compared with several is multiplied with all of them in
one go. Checked by hand and, in benchmarks/bertscore.py, against the package bert-score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .token_vectors import Tokens

Floats = NDArray[np.float64]
Weigh = Callable[[Tokens], NDArray[np.float32]]
# Elements of one product; more would not be quicker, and a text of 10,000 tokens must not take 400 MB.
_AT_ONCE = 1 << 20


def plain(tokens: Tokens) -> NDArray[np.float32]:
    """One for every token, zero for marks such as [CLS]: they are matched with, but don't count."""
    return tokens.plain.astype(np.float32)


def matched(texts: Sequence[Tokens], pairs: Sequence[tuple[int, int]], weigh: Weigh = plain) -> tuple[Floats, Floats]:
    """Precision and recall (k,) of pairs (candidate, reference) of places in `texts`; 0 where either has no token.

    NaN where all weights of a side are 0: by rarity, nothing in it counts.
    """
    precision, recall = np.zeros(len(pairs)), np.zeros(len(pairs))
    weights: dict[int, tuple[NDArray[np.float32], float]] = {}

    def of(i: int) -> tuple[NDArray[np.float32], float]:
        if i not in weights:
            found = weigh(texts[i])
            weights[i] = found, float(found.sum())
        return weights[i]

    rights: dict[int, list[int]] = {}
    turned = len({r for _, r in pairs}) < len({c for c, _ in pairs})  # the side with fewer texts goes to the left
    for at, (candidate, reference) in enumerate(pairs):
        if texts[candidate].plain.any() and texts[reference].plain.any():
            rights.setdefault(reference if turned else candidate, []).append(at)
    for left, asked in rights.items():
        own, own_sum = of(left)
        others = [pairs[at][0 if turned else 1] for at in asked]
        for part in _parts([len(texts[o].ids) for o in others]):
            rows, columns, starts = _product(texts[left].vectors, [texts[o].vectors for o in others[part]])
            for k, at in enumerate(asked[part]):
                other, other_sum = of(others[part][k])
                here = float(rows[:, k] @ own), own_sum
                there = float(columns[starts[k] : starts[k + 1]] @ other), other_sum
                p, r = (there, here) if turned else (here, there)
                precision[at] = p[0] / p[1] if p[1] else np.nan
                recall[at] = r[0] / r[1] if r[1] else np.nan
    return precision, recall


def _parts(lengths: list[int], most: int = 4096) -> list[slice]:
    """Neighbours whose lengths sum to at most `most`, but at least one."""
    ends, total = list[int](), 0
    for i, n in enumerate(lengths):
        if total and total + n > most:
            ends.append(i)
            total = 0
        total += n
    return [slice(a, b) for a, b in pairwise([0, *ends, len(lengths)])]


def _product(
    left: NDArray[np.float32], rights: list[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
    """The best of each right text for each left token (n, k), the best left for each right token, and the starts."""
    starts = [0, *np.cumsum([len(r) for r in rights]).tolist()]
    joined = rights[0] if len(rights) == 1 else np.concatenate(rights)
    rows = np.empty((len(left), len(rights)), np.float32)
    columns = np.full(len(joined), -np.inf, np.float32)
    step = max(1, _AT_ONCE // max(1, len(joined)))
    for at in range(0, len(left), step):
        cosines = left[at : at + step] @ joined.T
        np.maximum(columns, cosines.max(axis=0), out=columns)
        if len(rights) == 1:
            rows[at : at + step, 0] = cosines.max(axis=1)
        else:
            rows[at : at + step] = np.maximum.reduceat(cosines, starts[:-1], axis=1)
    return rows, columns, starts


def f_of(precision: Floats, recall: Floats) -> Floats:
    """The harmonic mean; 0 where both are 0, NaN where either is unknown."""
    total = precision + recall
    return np.where(total == 0, 0.0, 2 * precision * recall / np.where(total == 0, 1.0, total))
