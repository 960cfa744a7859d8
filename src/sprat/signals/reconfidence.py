"""Corrects a confidence group by group, where groups are found in which it is wrong by different amounts.

Reconfidencing (arXiv 2402.04957): calibrate; grow a tree on features of the query whose leaves differ in what is left
of the error; correct within each leaf. The paper fits an isotonic map per leaf (`within="isotonic"`). Ours moves the
log-odds of a leaf by one number (`within="shift"`), since a leaf often holds too few right or wrong answers for a whole
curve. Each node's move has a standard normal prior around its parent's, so that a small leaf says what is known of the
larger group that it is part of, as in hierarchical shrinkage (arXiv 2202.00858). benchmarks/reconfidencing.py has both.
Checked by hand-made groups, and the moves against their stationary equation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, MissingExtra
from .calibrators import Isotonic, logit, paired
from .fitting import sigmoid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Within = Literal["shift", "isotonic"]


def _one() -> Ints:
    return np.zeros(1, np.int64)


def _none() -> Floats:
    return np.zeros(1)


def _compared(name: str, above: bool, limit: float) -> str:
    return f"{name} {'>' if above else '<='} {limit:.4g}"


@dataclass(frozen=True, eq=False)
class Partition:
    """A tree that says which group a row is of: a node asks `x[feature] <= threshold`; a leaf leads to itself."""

    feature: Ints = field(default_factory=_one)
    threshold: Floats = field(default_factory=_none)
    left: Ints = field(default_factory=_one)
    right: Ints = field(default_factory=_one)

    @property
    def leaves(self) -> Ints:
        """The nodes that are leaves, in order: group g is the g-th of them."""
        return np.flatnonzero(self.left == np.arange(len(self.left))).astype(np.int64)

    def groups(self, x: ArrayLike) -> Ints:
        """The group (n,) of each row of features (n, d)."""
        # scikit-learn grows its trees on single precision: a threshold may lie between a number and its rounding.
        rows = np.asarray(x).astype(np.float32)
        at, row = np.zeros(len(rows), np.int64), np.arange(len(rows))
        while True:
            then = np.where(rows[row, self.feature[at]] <= self.threshold[at], self.left[at], self.right[at])
            if np.array_equal(then, at):
                return np.searchsorted(self.leaves, at).astype(np.int64)
            at = then

    def rule(self, group: int, names: tuple[str, ...], say: Callable[[str, bool, float], str] = _compared) -> str:
        """What the rows of a group have in common, in words: 'popularity > 42 and year <= 1899.5'.

        `say` puts one bound into words: a feature's name, whether it is above, and the limit.
        """
        node, bounds = int(self.leaves[group]), dict[tuple[int, bool], float]()
        while node:
            above = bool(np.any(self.right[:node] == node))
            parent = int(np.flatnonzero((self.right if above else self.left)[:node] == node)[0])
            key, limit = (int(self.feature[parent]), above), float(self.threshold[parent])
            bounds.setdefault(key, limit)  # the nearest to the leaf is the tightest
            node = parent
        said = [say(names[f], above, limit) for (f, above), limit in reversed(bounds.items())]
        return " and ".join(said) or "all rows"


def partition(x: ArrayLike, target: ArrayLike, leaves: int, fewest: int) -> Partition:
    """At most `leaves` groups of at least `fewest` rows that explain the target best, by a regression tree (CART)."""
    try:
        tree: Any = import_module("sklearn.tree")
    except ImportError as missing:
        raise MissingExtra("study", "Growing a tree") from missing
    rows = np.asarray(x, np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise BadInput("Features must be an array (rows, features) without missing numbers.")
    if leaves < 2 or len(rows) < 2 * fewest or not rows.shape[1]:
        return Partition()
    grown = tree.DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=fewest, random_state=0)
    one: Any = grown.fit(rows, np.asarray(target, np.float64)).tree_
    own = np.arange(int(one.node_count))
    leaf: NDArray[np.bool_] = one.children_left < 0
    return Partition(
        np.where(leaf, 0, one.feature).astype(np.int64),
        np.where(leaf, 0.0, one.threshold).astype(np.float64),
        np.where(leaf, own, one.children_left).astype(np.int64),
        np.where(leaf, own, one.children_right).astype(np.int64),
    )


@dataclass(frozen=True, eq=False)
class Reconfidence:
    """`base` calibrates all; `tree` finds the group; `shifts` (groups,) or the `maps` correct within it.

    At most `leaves` groups of at least `fewest` fit rows. `edge` is how near to 0 and 1 a base probability may come.
    """

    within: Within = "shift"
    leaves: int = 8
    fewest: int = 50
    names: tuple[str, ...] = ()
    base: Isotonic = field(default_factory=Isotonic)
    tree: Partition = field(default_factory=Partition)
    shifts: Floats = field(default_factory=_none)
    maps: tuple[Isotonic, ...] = ()
    edge: float = 1e-3

    def fit(
        self, confidence: ArrayLike, outcome: ArrayLike, features: ArrayLike, names: tuple[str, ...] = ()
    ) -> Reconfidence:
        """Learn from confidences and outcomes (n,) and features (n, d), whose names may be given for the report.

        Raises BadInput for features that are missing or too many for the names; MissingExtra without scikit-learn.
        """
        s, y = paired(confidence, outcome)
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or len(x) != len(s) or (names and len(names) != x.shape[1]):
            raise BadInput(f"Features are (rows, features); got {x.shape} for {len(s)} rows and {len(names)} names.")
        base = Isotonic().fit(s, y)
        calibrated = base.predict(s)
        tree = partition(x, y - calibrated, self.leaves, self.fewest)
        group, edge = tree.groups(x), 1 / (len(s) + 2)
        every = range(len(tree.leaves))
        known = names or tuple(f"feature {i + 1}" for i in range(x.shape[1]))
        new = replace(self, names=known, base=base, tree=tree, edge=edge)
        if self.within == "isotonic":
            return replace(new, maps=tuple(Isotonic().fit(s[group == g], y[group == g]) for g in every))
        return replace(new, shifts=_shifts(tree, group, logit(calibrated, edge), y))

    def predict(self, confidence: ArrayLike, features: ArrayLike) -> Floats:
        """Probabilities (n,) for confidences (n,) in [0, 1] and features (n, d)."""
        s, group = np.asarray(confidence, np.float64), self.tree.groups(features)
        if self.maps:
            found = np.empty(len(s))
            for g in np.unique(group):
                found[group == g] = self.maps[int(g)].predict(s[group == g])
            return found
        return sigmoid(logit(self.base.predict(s), self.edge) + self.shifts[group])

    def rules(self) -> tuple[str, ...]:
        """What each group is, in words."""
        return tuple(self.tree.rule(g, self.names) for g in range(len(self.tree.leaves)))


def _shifts(tree: Partition, group: Ints, odds: Floats, y: Floats) -> Floats:
    """The move (groups,) of each leaf's log-odds, from the root down: each node's is drawn to its parent's."""
    moved, leaves = np.zeros(len(tree.left)), tree.leaves
    under: dict[int, NDArray[np.bool_]] = {int(leaf): group == g for g, leaf in enumerate(leaves)}
    for node in reversed(range(len(tree.left))):  # a node comes before its children
        if node not in under:
            under[node] = under[int(tree.left[node])] | under[int(tree.right[node])]
    for node in range(len(tree.left)):
        here = under[node]
        moved[node] = _shift(odds[here], y[here], float(moved[node]))
        if tree.left[node] != node:
            moved[tree.left[node]] = moved[tree.right[node]] = moved[node]
    return moved[leaves]


def _shift(odds: Floats, y: Floats, around: float) -> float:
    """The likeliest move of these log-odds (n,), with a normal prior of variance 1 around a mean."""
    moved = around
    for _ in range(50):
        p = sigmoid(odds + moved)
        step = float((np.sum(y - p) - (moved - around)) / (np.sum(p * (1 - p)) + 1))
        moved += max(-1.0, min(1.0, step))
        if abs(step) < 1e-10:
            break
    return moved
