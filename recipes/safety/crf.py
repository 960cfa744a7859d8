"""How the tagger learns: the likelihood of a linear-chain conditional random field, by L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

UNTOLD = -1  # the tag of a word of which only is known what it is not


class Sequence_(NamedTuple):
    """A text's words: the buckets of each one's features, its vectors, its tag (or UNTOLD)."""

    buckets: list[list[int]]
    dense: np.ndarray
    tags: list[int]


def allowed(kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Which tag may follow which (tags, tags), and which may be first (tags,): I only after its own B or I."""
    n = 1 + 2 * kinds
    steps, starts = np.ones((n, n), bool), np.ones(n, bool)
    for inside in range(2, n, 2):
        steps[:, inside] = False
        steps[[inside - 1, inside], inside] = True
        starts[inside] = False
    return steps, starts


def learnt(
    found: Sequence[Sequence_], kinds: int, buckets: int, strength: float, steps: int, open_to: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The table (buckets, tags), dense (d, tags), steps and starts with -inf where barred; L2 of `strength`.

    An UNTOLD word may have any tag of `open_to` (tags,), so what is likely is the sum over those (Tsuboi et al. 2008).
    """
    ordered = sorted((s for s in found if s.tags), key=lambda s: -len(s.tags))
    tags = 1 + 2 * kinds
    lengths = np.array([len(s.tags) for s in ordered])
    # Words by position: all first words, then all second ones of those that have one, and so on.
    live = [int((lengths > t).sum()) for t in range(int(lengths[0]))]
    words = [(i, t) for t, n in enumerate(live) for i in range(n)]
    flat = [b for i, t in words for b in ordered[i].buckets[t]]
    ends = np.concatenate([[0], np.cumsum([len(ordered[i].buckets[t]) for i, t in words])])
    x = csr_matrix((np.ones(len(flat)), np.array(flat), ends), shape=(len(words), buckets))
    dense = np.stack([ordered[i].dense[t] for i, t in words]).astype(np.float64)
    y = np.array([ordered[i].tags[t] for i, t in words])
    told = np.where((y == UNTOLD)[:, None], open_to, np.eye(tags, dtype=bool)[y])
    begins = np.concatenate([[0], np.cumsum(live)])
    at = [slice(int(begins[t]), int(begins[t + 1])) for t in range(len(live))]
    may, first = allowed(kinds)
    sizes = (buckets * tags, dense.shape[1] * tags, tags * tags, tags)
    cuts = np.cumsum(sizes)[:-1]
    xt = x.T.tocsr()

    def over(scores: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The log of the sum over tags, each word's share of every tag, and how often a tag is after another."""
        top = scores.max(axis=1, keepdims=True)
        seen = np.exp(scores - top)
        ahead, sums = np.empty_like(seen), np.empty(len(seen))
        for t, place in enumerate(at):
            reach = b * seen[place] if not t else (ahead[at[t - 1]][: live[t]] @ a) * seen[place]
            sums[place] = reach.sum(axis=1)
            ahead[place] = reach / sums[place][:, None]
        marks, pairs = np.empty_like(seen), np.zeros((tags, tags))
        behind = np.ones((live[-1], tags))
        for t in range(len(live) - 1, -1, -1):
            marks[at[t]] = ahead[at[t]] * behind
            if t:
                later = seen[at[t]] * behind / sums[at[t]][:, None]
                pairs += (ahead[at[t - 1]][: live[t]].T @ later) * a
                behind = np.vstack([later @ a.T, np.ones((live[t - 1] - live[t], tags))])
        return float(np.log(sums).sum() + top.sum()), marks, pairs

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        w, v, s, b = np.split(p, cuts)
        w, v, s = w.reshape(buckets, tags), v.reshape(-1, tags), s.reshape(tags, tags)
        scores, a, b0 = x @ w + dense @ v, np.exp(s) * may, np.exp(b) * first
        every, marks, pairs = over(scores, a, b0)
        right, kept, kept_pairs = over(np.where(told, scores, -np.inf), a, b0)
        error = marks - kept
        slopes = [xt @ error, dense.T @ error, pairs - kept_pairs, error[at[0]].sum(axis=0)]
        grad = np.concatenate([g.ravel() for g in slopes]) + strength * p
        return every - right + strength / 2 * float(p @ p), grad

    found_ = minimize(
        loss, np.zeros(sum(sizes)), jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxcor": 6}
    ).x
    w, v, s, b = np.split(found_, cuts)
    barred = np.where(may, s.reshape(tags, tags), -np.inf)
    return w.reshape(buckets, tags), v.reshape(-1, tags), barred, np.where(first, b, -np.inf)
