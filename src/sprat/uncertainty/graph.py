"""Uncertainty from the graph of how alike the draws are: degree, eccentricity, and the sum of eigenvalues.

Lin et al., arXiv 2305.19187. W (n, n) is symmetric with ones on its diagonal. The spread over all draws is the
question's, the part of one draw its answer's. Checked by hand, and against lm-polygraph 0.7.0
in benchmarks/uncertainty.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .levels import AnswerUncertainty, QuestionUncertainty

Floats = NDArray[np.float64]
THRESHOLD = 0.9  # eigenvectors of eigenvalues below it are kept: the authors' and lm-polygraph's default


def _checked(likeness: ArrayLike) -> Floats:
    w = np.asarray(likeness, np.float64)
    if w.ndim != 2 or w.shape[0] != w.shape[1] or len(w) < 2 or not np.isfinite(w).all():
        raise BadInput("A graph needs a square matrix of at least two draws, without NaN.")
    if w.min() < 0 or not np.allclose(w, w.T, atol=1e-8) or (w.sum(axis=1) <= 0).any():
        raise BadInput("How alike two draws are is symmetric, at least 0, and 1 of a draw with itself.")
    return w


def _laplacian(w: Floats) -> Floats:
    scale = 1 / np.sqrt(w.sum(axis=1))
    return np.eye(len(w)) - scale[:, None] * w * scale


def degree(likeness: ArrayLike) -> QuestionUncertainty:
    """trace(n - D) / n^2: one less the mean likeness of two draws."""
    w = _checked(likeness)
    return QuestionUncertainty(float(1 - w.mean()), "degree")


def degree_of(likeness: ArrayLike, which: int = 0) -> AnswerUncertainty:
    """One less the mean likeness of one draw with all."""
    return AnswerUncertainty(float(1 - _checked(likeness)[which].mean()), "degree")


def eigenvalue(likeness: ArrayLike) -> QuestionUncertainty:
    """The sum of max(0, 1 - eigenvalue) of the normalised Laplacian: how many meanings there are, continuously."""
    values = np.linalg.eigvalsh(_laplacian(_checked(likeness)))
    return QuestionUncertainty(float(np.maximum(0, 1 - values).sum()), "eigenvalue")


def _offsets(w: Floats, threshold: float) -> Floats:
    values, vectors = np.linalg.eigh(_laplacian(w))
    kept = vectors[:, values < threshold]
    return np.linalg.norm(kept - kept.mean(axis=0), axis=1)


def eccentricity(likeness: ArrayLike, threshold: float = THRESHOLD) -> QuestionUncertainty:
    """The norm of the draws' distances from their centre, in the space of the informative eigenvectors."""
    return QuestionUncertainty(float(np.linalg.norm(_offsets(_checked(likeness), threshold))), "eccentricity")


def eccentricity_of(likeness: ArrayLike, which: int = 0, threshold: float = THRESHOLD) -> AnswerUncertainty:
    """One draw's distance from the centre in that space."""
    return AnswerUncertainty(float(_offsets(_checked(likeness), threshold)[which]), "eccentricity")
