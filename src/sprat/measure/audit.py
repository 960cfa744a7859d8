"""Is a scorer of unsafe texts right, calibrated, and as fair to one group as to another? From arrays, with intervals.

Average precision as scikit-learn has it; calibration as in calibration.py. For each group the rates of false alarms
(safe rows flagged) and of misses (unsafe rows passed), with Wilson's intervals, and whether they differ from those of
all other rows: Westfall and Young's (1993) largest statistic over all groups and both rates, with the groups dealt out
anew at random to whole units, so that the chance of naming any group wrongly stays at 5 % however many groups there
are, however they overlap, and however alike the rows of a unit are. Where rows of one unit are of several groups, what
is dealt out are the hits: among the rows of a unit, and among units of as many rows. Checked by hand, against
scikit-learn, and on groups drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .calibration import Floats, auroc, brier, ece, place
from .resampling import Estimate, bootstraps, clustered_rate

FEWEST = 30  # safe rows, or unsafe ones, of a group whose rate is said
LEVEL = 0.05
Which = Literal["false alarms", "misses"]


@dataclass(frozen=True)
class Bin:
    """Rows of like probability: its mean, the share that is unsafe with its interval, and how many."""

    probability: float
    rate: Estimate
    rows: int


@dataclass(frozen=True)
class GroupRate:
    """One rate of one group: `rows` are those that it is a share of; None for both rates where they are too few.

    `others` is the rate of all other rows, `p` the adjusted p-value of a difference.
    """

    group: str
    which: Which
    rows: int
    rate: Estimate | None
    others: Estimate | None
    p: float | None

    @property
    def differs(self) -> bool:
        """Whether the difference is shown, at 5 % over all groups and both rates."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class Audit:
    """What was found of `rows` labelled rows at a threshold; `measures` by name, `bins` of as many rows each."""

    scorer: str
    rows: int
    unsafe: int
    threshold: float
    measures: dict[str, Estimate]
    bins: tuple[Bin, ...]
    groups: tuple[GroupRate, ...]
    notes: tuple[str, ...] = ()


def average_precision(p: ArrayLike, unsafe: ArrayLike) -> float:
    """The sum over falling thresholds of the gain in recall times the precision; BadInput where none is unsafe."""
    s, y = np.asarray(p, np.float64), np.asarray(unsafe, np.float64)
    if not y.sum():
        raise BadInput("Average precision needs an unsafe row.")
    values, at, counts = np.unique(-s, return_inverse=True, return_counts=True)
    found = np.cumsum(np.bincount(at, weights=y, minlength=len(values)))
    precision, recall = found / np.cumsum(counts), found / y.sum()
    return float(np.diff(recall, prepend=0.0) @ precision)


def audit(
    p: ArrayLike,
    unsafe: ArrayLike,
    groups: Sequence[Sequence[str]] = (),
    *,
    scorer: str = "",
    threshold: float = 0.5,
    units: Sequence[object] | NDArray[Any] | None = None,
    times: int = 500,
    seed: int = 0,
    fewest: int = FEWEST,
) -> Audit:
    """Audit probabilities (n,) on labels (n,) of 0 and 1; `groups` (n,) are each row's, none or several.

    Intervals and the groups' test keep the rows of one of `units` together: rates have Wilson's by `clustered_rate`,
    the other measures a bootstrap's. Raises BadInput for numbers that are none (NaN) or
    outside [0, 1], labels other than 0 and 1, or rows of one kind alone.
    """
    s, y = np.asarray(p, np.float64), np.asarray(unsafe, np.float64)
    if s.ndim != 1 or s.shape != y.shape or (len(groups) and len(groups) != len(s)):
        raise BadInput(f"An audit needs as many labels, and groups, as probabilities; got {len(s)} and {len(y)}.")
    if not np.all((s >= 0) & (s <= 1)):
        bad = int((~((s >= 0) & (s <= 1))).sum())
        raise BadInput(f"{bad} of {len(s)} probabilities are not in [0, 1].", hint="Leave out rows that have none.")
    if not np.all((y == 0) | (y == 1)) or not 0 < y.sum() < len(y):
        raise BadInput("An audit needs labels of 0 (safe) and 1 (unsafe), and at least one of each.")
    flagged = s >= threshold
    statistics: dict[str, Callable[[Floats, Floats], float]] = {
        "AUROC": auroc,
        "average precision": average_precision,
        "ECE, 15 bins of equal width": ece,
        "ECE, 15 bins of equal mass": lambda a, b: ece(a, b, equal="mass"),
        "Brier": brier,
    }
    found = bootstraps(statistics, s, y, units=units, times=times, seed=seed, centred=True)
    measures = {k: e._replace(low=max(0.0, e.low), high=min(1.0, e.high)) for k, e in found.items()}
    of = np.arange(len(s)) if units is None else np.unique(np.asarray(units), return_inverse=True)[1]
    measures |= {
        "false alarms": clustered_rate(flagged[y == 0], of[y == 0]),
        "misses": clustered_rate(~flagged[y == 1], of[y == 1]),
        "rate of unsafe rows": clustered_rate(y, of),
    }
    places = place(s, 10, "mass")
    here = [places == b for b in np.unique(places)]
    bins = tuple(Bin(float(s[k].mean()), clustered_rate(y[k], of[k]), int(k.sum())) for k in here)
    rates = _groups(flagged, y == 1, groups, of, fewest, seed) if len(groups) else ()
    return Audit(scorer, len(s), int(y.sum()), threshold, measures, bins, rates)


def _groups(
    flagged: NDArray[np.bool_],
    unsafe: NDArray[np.bool_],
    groups: Sequence[Sequence[str]],
    units: NDArray[np.int64],
    fewest: int,
    seed: int,
) -> tuple[GroupRate, ...]:
    names = sorted({g for row in groups for g in row})
    member = np.array([[g in row for g in names] for row in groups], bool).reshape(len(flagged), len(names))
    sides: list[tuple[Which, NDArray[np.bool_], NDArray[np.bool_]]] = [
        ("false alarms", ~unsafe, flagged),
        ("misses", unsafe, ~flagged),
    ]
    kept: list[tuple[Which, NDArray[np.int64], Floats, Floats, NDArray[np.int64]]] = []
    out: list[GroupRate] = []
    for which, of, hit in sides:
        inside, struck = member[of], hit[of].astype(np.float64)
        counts = inside.sum(axis=0)
        told = np.flatnonzero((counts >= fewest) & (len(struck) - counts >= fewest))
        kept.append((which, told, inside[:, told].astype(np.float64), struck, units[of]))
        for i, name in enumerate(names):
            if i not in told:
                out.append(GroupRate(name, which, int(counts[i]), None, None, None))
    adjusted = _adjusted([side[2:] for side in kept], seed)
    for (which, told, x, hit, of_unit), ps in zip(kept, adjusted, strict=True):
        for k, i in enumerate(told.tolist()):
            here = x[:, k] == 1
            mine, theirs = (clustered_rate(hit[rows], of_unit[rows]) for rows in (here, ~here))
            out.append(GroupRate(names[i], which, int(here.sum()), mine, theirs, float(ps[k])))
    order = {g: i for i, g in enumerate(names)}
    return tuple(sorted(out, key=lambda g: (g.which, order[g.group])))


Ints = NDArray[np.int64]
_AT_ONCE = 100


def _adjusted(sides: list[tuple[Floats, Floats, Ints]], seed: int, times: int = 2000) -> list[Floats]:
    """The p-value of each group on each side: how often the largest |z| of all, dealt out anew, is as large.

    A side is its rows' groups (n, groups), hits (n,) and units (n,).
    """
    rng = np.random.default_rng(seed)
    seen = [_z(hit[None] @ x, x.sum(axis=0), hit) for x, hit, _ in sides]
    largest = np.zeros(times)
    for x, hit, unit in sides:
        if x.shape[1]:
            deal = _dealer(x, hit, unit, rng)
            for first in range(0, times, _AT_ONCE):
                at = slice(first, first + _AT_ONCE)
                largest[at] = np.maximum(largest[at], np.abs(_z(*deal(), hit)).max(axis=1))
    return [(1 + (largest[:, None] >= np.abs(z) - 1e-12).sum(axis=0)) / (times + 1) for z in seen]


def _dealer(x: Floats, hit: Floats, unit: Ints, rng: np.random.Generator) -> Callable[[], tuple[Floats, Floats]]:
    """What deals anew: the hits (k, groups) within each group, and its rows, which change where units are not alike."""
    _, first, at = np.unique(unit, return_index=True, return_inverse=True)
    size, struck = np.bincount(at).astype(np.float64), np.bincount(at, weights=hit)
    if (x == x[first][at]).all():

        def by_unit() -> tuple[Floats, Floats]:
            order = np.stack([rng.permutation(len(size)) for _ in range(_AT_ONCE)])
            return struck[order] @ x[first], size[order] @ x[first]

        return by_unit
    rows = np.argsort(at, kind="stable")
    alike = [rows[(size[at] == n)[rows]].reshape(-1, int(n)) for n in np.unique(size)]

    def by_hit() -> tuple[Floats, Floats]:
        drawn = np.empty((_AT_ONCE, len(hit)))
        for line in drawn:
            for block in alike:
                line[block] = rng.permuted(rng.permutation(hit[block]), axis=1)
        return drawn @ x, x.sum(axis=0)

    return by_hit


def _z(struck: Floats, inside: Floats, hit: Floats) -> Floats:
    """The standardised difference (k, groups) of the rates within and without groups; 0 where one side has no row."""
    outside, total, share = len(hit) - inside, hit.sum(), hit.mean() if len(hit) else 0.0
    spread = np.sqrt(max(share * (1 - share), 1e-12) * (1 / np.maximum(inside, 1) + 1 / np.maximum(outside, 1)))
    apart = struck / np.maximum(inside, 1) - (total - struck) / np.maximum(outside, 1)
    return np.where((inside > 0) & (outside > 0), apart / spread, 0.0)
