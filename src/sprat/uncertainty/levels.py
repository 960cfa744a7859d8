"""Draws of one question, and the two kinds of uncertainty: of the question (any answer) and of one answer.

The distinction of arXiv 2305.19187: how far answers spread says how hard a question is; how far the others are from
*this* answer says whether it is wrong, and does so better (benchmarks/uncertainty.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, CannotDo

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """A question's draws (at least two), the first being the answer that is judged; `logprobs` per token, of each."""

    question: str
    texts: tuple[str, ...]
    logprobs: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        if len(self.texts) < 2:
            raise BadInput(
                f"Uncertainty is read from several draws; there is {len(self.texts)}.", hint="Draw at least two."
            )
        if self.logprobs is not None and len(self.logprobs) != len(self.texts):
            raise BadInput(f"{len(self.texts)} draws came with log-probabilities of {len(self.logprobs)}.")

    def sums(self) -> Floats:
        """Each draw's summed log-probability (n,); CannotDo where these are not known."""
        return np.array([sum(row) for row in self._told()], np.float64)

    def means(self) -> Floats:
        """Each draw's mean log-probability per token (n,), 0 for a draw without tokens; CannotDo where not known."""
        return np.array([sum(row) / max(1, len(row)) for row in self._told()], np.float64)

    def _told(self) -> tuple[tuple[float, ...], ...]:
        if self.logprobs is None:
            raise CannotDo(
                "This estimator reads the draws' log-probabilities, and they are not known.",
                hint="Ask a model that gives them, or use the discrete convention, which counts draws.",
            )
        for row in self.logprobs:
            if not np.isfinite(row).all() or any(v > 1e-6 for v in row):
                raise BadInput("A draw has a log-probability that is NaN, infinite or above 0.")
        return self.logprobs


@dataclass(frozen=True, order=True)
class QuestionUncertainty:
    """How far the answers to a question spread; higher is less sure. It says the same of every answer to it."""

    value: float
    estimator: str
    convention: str = ""


@dataclass(frozen=True, order=True)
class AnswerUncertainty:
    """How far one answer stands from the others; higher is less sure."""

    value: float
    estimator: str
    convention: str = ""
