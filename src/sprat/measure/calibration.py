"""How far a confidence can be trusted, from arrays: ECE, Brier and its parts, AUROC, risk-coverage, AURC and PRR.

Papers: ECE over bins of equal width (arXiv 1706.04599) or equal mass (arXiv 1909.10155), Brier's parts without bins
(CORP, arXiv 2008.03033) and over them (Murphy 1973 with the two terms within bins of Stephenson et al. 2008), AURC
(arXiv 1805.08206), PRR (arXiv 2003.05194, as lm-polygraph has it). Checked by hand cases, against scikit-learn, and by
the identities that hold exactly.

Throughout: `confidence` (n,) and `outcome` (n,) lie in [0, 1]; an outcome of 1 is right, and may be graded but for
AUROC. Rows of equal confidence are kept in a random order on average, so no number depends on the rows' order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from ..signals.calibrators import Floats, paired, pooled
from .resampling import Estimate, bootstraps

Equal = Literal["width", "mass"]
BINS = 15


class Bin(NamedTuple):
    """Rows of like confidence: the mean of it, the mean outcome, and how many rows."""

    confidence: float
    outcome: float
    rows: int


class Parts(NamedTuple):
    """Brier = miscalibration - discrimination + uncertainty + within, each at least 0 but the last.

    `within` is what bins lose of the confidence's variation inside them; 0 where there are no bins.
    """

    miscalibration: float
    discrimination: float
    uncertainty: float
    within: float


def place(confidence: Floats, bins: int, equal: Equal) -> NDArray[np.int64]:
    """The bin (n,) of each row; equal confidences always share one. Raises BadInput for fewer than one bin."""
    if bins < 1 or equal not in ("width", "mass"):
        raise BadInput(f"Bins are at least 1, of equal width or mass; got {bins} of equal {equal}.")
    if equal == "width":
        return np.minimum((confidence * bins).astype(np.int64), bins - 1)
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def binned(confidence: ArrayLike, outcome: ArrayLike, bins: int = BINS, equal: Equal = "width") -> list[Bin]:
    """The bins that hold a row, from low confidence to high."""
    s, y = paired(confidence, outcome)
    at = place(s, bins, equal)
    return [Bin(float(s[at == b].mean()), float(y[at == b].mean()), int((at == b).sum())) for b in np.unique(at)]


def ece(confidence: ArrayLike, outcome: ArrayLike, bins: int = BINS, equal: Equal = "width") -> float:
    """Expected calibration error: |mean confidence - mean outcome| averaged over bins by their rows.

    It grows with the number of bins and shrinks with rows, also for a perfect confidence: compare like with like.
    """
    found = binned(confidence, outcome, bins, equal)
    return sum(b.rows * abs(b.confidence - b.outcome) for b in found) / sum(b.rows for b in found)


def brier(confidence: ArrayLike, outcome: ArrayLike) -> float:
    """The mean squared difference of confidence and outcome."""
    s, y = paired(confidence, outcome)
    return float(np.mean((s - y) ** 2))


def brier_parts(confidence: ArrayLike, outcome: ArrayLike, bins: int = 0, equal: Equal = "mass") -> Parts:
    """What the Brier score is made of: without bins by isotonic recalibration (CORP), else over bins (Murphy)."""
    s, y = paired(confidence, outcome)
    rate = float(y.mean())
    if not bins:
        _, levels = pooled(s, y)
        fitted = levels[np.unique(s, return_inverse=True)[1]]
        best, flat = float(np.mean((fitted - y) ** 2)), float(np.mean((rate - y) ** 2))
        return Parts(max(0.0, float(np.mean((s - y) ** 2)) - best), max(0.0, flat - best), flat, 0.0)
    at = place(s, bins, equal)
    size = np.maximum(np.bincount(at), 1)
    mean_s, mean_y = (np.bincount(at, weights=v) / size for v in (s, y))
    apart = s - mean_s[at]
    within = float(np.mean(apart**2) - 2 * np.mean(apart * (y - mean_y[at])))
    share = np.bincount(at) / len(s)
    wrong, told = float(share @ (mean_s - mean_y) ** 2), float(share @ (mean_y - rate) ** 2)
    return Parts(wrong, told, float(np.mean((y - rate) ** 2)), within)


def auroc(confidence: ArrayLike, outcome: ArrayLike) -> float:
    """The chance that a right answer has more confidence than a wrong one, ties half; BadInput where one kind lacks."""
    s, y = paired(confidence, outcome)
    right = y == 1
    if not np.all(right | (y == 0)) or right.all() or not right.any():
        raise BadInput("AUROC needs outcomes of 0 and 1, and at least one of each.", hint="Grade by exact or choice.")
    _, at, counts = np.unique(s, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[at]
    n = float(right.sum())
    return float((ranks[right].sum() - n * (n + 1) / 2) / (n * (len(s) - n)))


def risk_coverage(confidence: ArrayLike, outcome: ArrayLike) -> tuple[Floats, Floats]:
    """Coverage 1/n to 1 (n,) and the risk (n,), 1 - mean outcome, of so many rows of the highest confidence."""
    s, y = paired(confidence, outcome)
    _, at, counts = np.unique(-s, return_inverse=True, return_counts=True)
    loss = (np.bincount(at, weights=1 - y) / counts)[np.sort(at)]
    kept = np.arange(1, len(s) + 1)
    return kept / len(s), np.cumsum(loss) / kept


def aurc(confidence: ArrayLike, outcome: ArrayLike) -> float:
    """The area under the risk-coverage curve: the mean risk over all coverages; lower is better."""
    return float(risk_coverage(confidence, outcome)[1].mean())


def prr(confidence: ArrayLike, outcome: ArrayLike) -> float:
    """Prediction-rejection ratio: how much of the gap from random (0) to perfect (1) order the AURC closes.

    Raises BadInput where all outcomes are the same: there is no gap.
    """
    s, y = paired(confidence, outcome)
    random, perfect = float(1 - y.mean()), aurc(y, y)
    if random - perfect < 1e-12:
        raise BadInput(
            "PRR needs outcomes that differ.", hint="With nothing wrong, or nothing right, no order is best."
        )
    return (random - aurc(s, y)) / (random - perfect)


MEASURES: dict[str, Callable[[Floats, Floats], float]] = {
    "rate of right answers": lambda s, y: float(y.mean()),
    "mean confidence": lambda s, y: float(s.mean()),
    f"ECE, {BINS} bins of equal width": ece,
    f"ECE, {BINS} bins of equal mass": lambda s, y: ece(s, y, equal="mass"),
    "Brier": brier,
    "miscalibration": lambda s, y: brier_parts(s, y).miscalibration,
    "discrimination": lambda s, y: brier_parts(s, y).discrimination,
    "uncertainty": lambda s, y: brier_parts(s, y).uncertainty,
    "AUROC": auroc,
    "AURC": aurc,
    "PRR": prr,
}


def measured(
    confidence: ArrayLike,
    outcome: ArrayLike,
    units: Sequence[object] | NDArray[Any] | None = None,
    times: int = 500,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every measure with its 95 % bootstrap interval by unit, centred; AUROC is left out for graded outcomes.

    Raises BadInput where right and wrong are so rare that resamples lack one of them.
    """
    s, y = paired(confidence, outcome)
    graded = not np.all((y == 0) | (y == 1))
    chosen = {name: f for name, f in MEASURES.items() if not (graded and name == "AUROC")}
    found = bootstraps(chosen, s, y, units=units, times=times, seed=seed, centred=True)
    return {n: e._replace(low=max(e.low, -1.0 if n == "PRR" else 0.0), high=min(e.high, 1.0)) for n, e in found.items()}
