"""What turns features into a probability: a logistic or ridge row of weights, or boosted trees, all as plain arrays.

Ridge logistic regression by Newton's method, its penalty chosen by cross-validation on the rows that it learns from;
gradient boosting (Friedman 2001) is grown by scikit-learn and served from flat arrays. Checked against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, MissingExtra
from .fitting import sigmoid

Floats = NDArray[np.float64]
Kind = Literal["logistic", "ridge", "trees", "mean"]
BLOCK = 16.0  # a block's whole variance, in columns
PENALTIES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)


@dataclass(frozen=True, eq=False)
class Linear:
    """`weights` (d,) over features less `centre`, over `scale`; `logistic` says whether a sigmoid or a clip follows."""

    weights: Floats
    bias: float
    centre: Floats
    scale: Floats
    logistic: bool = True

    def raw(self, x: Floats) -> Floats:
        """The score before the sigmoid (n,) of rows (n, d)."""
        return (x - self.centre) / self.scale @ self.weights + self.bias

    def predict(self, x: Floats) -> Floats:
        """Probabilities (n,) of rows (n, d)."""
        return sigmoid(self.raw(x)) if self.logistic else np.clip(self.raw(x), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Trees:
    """Boosted trees laid end to end: a node asks `x[feature] <= threshold`; a leaf leads to itself."""

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats
    start: float
    depth: int

    def raw(self, x: Floats) -> Floats:
        """The log-odds (n,) of rows (n, d)."""
        # scikit-learn grows its trees on single precision: a threshold may lie between a number and its rounding.
        rows = x.astype(np.float32)
        at = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        row = np.arange(len(rows))[:, None]
        for _ in range(self.depth):
            at = np.where(rows[row, self.feature[at]] <= self.threshold[at], self.left[at], self.right[at])
        return self.start + self.value[at].sum(axis=1)

    def predict(self, x: Floats) -> Floats:
        """Probabilities (n,) of rows (n, d)."""
        return sigmoid(self.raw(x))


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of both heads: lines see what adds up, trees what depends; their errors differ."""

    linear: Linear
    trees: Trees

    def predict(self, x: Floats) -> Floats:
        """Probabilities (n,) of rows (n, d)."""
        return (self.linear.predict(x) + self.trees.predict(x)) / 2


Head = Linear | Trees | Mean


def fit_head(kind: Kind, x: Floats, y: Floats, seed: int) -> Head:
    """A head of this kind for rows (n, d) and labels (n,) in [0, 1]; raises BadInput for an unknown kind."""
    kinds: dict[str, Callable[[], Head]] = {
        "logistic": lambda: fit_linear(x, y, seed),
        "ridge": lambda: fit_linear(x, y, seed, logistic=False),
        "trees": lambda: fit_trees(x, y, seed),
        "mean": lambda: Mean(fit_linear(x, y, seed), fit_trees(x, y, seed)),
    }
    if kind not in kinds:
        raise BadInput(f"There is no head '{kind}'.", hint="Choose logistic, ridge, trees or mean.")
    return kinds[kind]()


def fit_linear(
    x: Floats,
    y: Floats,
    seed: int,
    *,
    logistic: bool = True,
    intercept: bool = True,
    blocks: Sequence[slice] = (),
) -> Linear:
    """Penalised regression on standardised features; the penalty chosen out of fold.

    Columns of a block share one scale, and have together the variance of BLOCK columns. Without an intercept
    the features are scaled but not centred, so that the score of -x is minus that of x.
    """
    centre = x.mean(axis=0) if intercept else np.zeros(x.shape[1])
    variance = x.var(axis=0) if intercept else np.einsum("ij,ij->j", x, x) / len(x)
    for block in blocks:
        variance[block] = variance[block].sum() / BLOCK
    spread = np.sqrt(variance)
    scale = np.where(spread > 1e-9, spread, 1.0)
    z = x - centre
    z /= scale
    best = _newton(z, y, _penalty(z, y, seed, logistic, intercept), logistic, intercept)
    return Linear(best[:-1], float(best[-1]), centre, scale, logistic)


def _penalty(z: Floats, y: Floats, seed: int, logistic: bool, intercept: bool) -> float:
    """The penalty with the least squared error out of fold (3 folds) of ridge, which one decomposition gives for all.

    A logistic loss curves by a quarter at most, so its penalty is a quarter of its ridge twin's.
    """
    folds = np.random.default_rng(seed).permutation(len(z)) % 3
    scaled = np.array(PENALTIES) * (4.0 if logistic else 1.0)
    lost = np.zeros(len(PENALTIES))
    for fold in range(3):
        inside, out = folds != fold, folds == fold
        level = y[inside].mean() if intercept else 0.5 * logistic
        values, vectors = np.linalg.eigh(z[inside].T @ z[inside])
        turned = vectors.T @ (z[inside].T @ (y[inside] - level))
        weights = vectors @ (turned[:, None] / (np.maximum(values, 0.0)[:, None] + scaled))
        lost += np.square(y[out, None] - level - z[out] @ weights).sum(axis=0)
    return PENALTIES[int(np.argmin(lost))]


def _newton(z: Floats, y: Floats, penalty: float, logistic: bool, intercept: bool) -> Floats:
    """Weights and bias, (d + 1,), at the minimum of loss + penalty / 2 |weights|^2; the bias is free."""
    rows = np.column_stack([z, np.full(len(z), float(intercept))])
    cost = np.append(np.full(z.shape[1], penalty), 1e-6)
    w = np.zeros(rows.shape[1])
    for _ in range(25 if logistic else 1):
        p = sigmoid(rows @ w) if logistic else rows @ w
        curve = np.maximum(p * (1 - p), 1e-6) if logistic else np.ones(len(p))
        step = np.linalg.solve((rows * curve[:, None]).T @ rows + np.diag(cost), rows.T @ (p - y) + cost * w)
        w = w - step
        if np.abs(step).max() < 1e-7:
            break
    return w


def fit_trees(x: Floats, y: Floats, seed: int, *, trees: int = 120, rate: float = 0.06, depth: int = 3) -> Trees:
    """Gradient boosting with half of the rows per tree; needs scikit-learn to fit, nothing to serve."""
    try:
        ensemble: Any = import_module("sklearn.ensemble")
    except ImportError as missing:
        raise MissingExtra("study", "Growing trees") from missing
    sides, weights = np.repeat([1.0, 0.0], len(y)), np.concatenate([y, 1 - y])
    used = weights > 0
    if len(np.unique(sides[used])) < 2:
        level = float(np.clip(y.mean(), 1e-3, 1 - 1e-3))
        none = np.zeros(1, np.int64)
        return Trees(none, none, np.zeros(1), none, none, np.zeros(1), float(np.log(level / (1 - level))), 0)
    grown = ensemble.GradientBoostingClassifier(
        n_estimators=trees,
        learning_rate=rate,
        max_depth=depth,
        subsample=0.5,
        min_samples_leaf=min(20, max(2, len(y) // 20)),
        random_state=seed,
    ).fit(np.vstack([x, x])[used], sides[used], sample_weight=weights[used])
    parts: list[tuple[Any, ...]] = []
    roots, size = list[int](), 0
    for estimator in grown.estimators_[:, 0]:
        one: Any = estimator.tree_
        own = np.arange(size, size + int(one.node_count))
        leaf: NDArray[np.bool_] = one.children_left < 0
        roots.append(size)
        parts.append(
            (
                np.where(leaf, 0, one.feature),
                one.threshold,
                np.where(leaf, own, size + one.children_left),
                np.where(leaf, own, size + one.children_right),
                np.where(leaf, rate * one.value[:, 0, 0], 0.0),
            )
        )
        size += int(one.node_count)
    feature, threshold, left, right, value = (np.concatenate(p) for p in zip(*parts, strict=True))
    level = float(np.average(sides[used], weights=weights[used]))
    start = float(np.log(level / (1 - level)))
    return Trees(np.array(roots), feature, threshold, left, right, value, start, depth)
