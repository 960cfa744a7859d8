"""SummaC-Conv: each sentence of a summary by the histogram of its entailments over the document, learnt.

Laban et al., arXiv 2111.09525: 50 even bins of one column of probabilities (counts, so a long document weighs more),
a convolution as wide as the histogram, which is one weighted sum, and the mean over the sentences; the logistic loss.
Unlike zero-shot it sees the whole column and not its best alone. The convolution and the authors' last layer are both
linear, so their product is learnt directly, by Newton's method with a ridge. Checked by hand
(tests/nli/test_summac_conv.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ..errors import BadInput
from .checks import Check, Laid, laid_out, sentences_of
from .embedded import small
from .protocol import CONTRADICTION, ENTAILMENT, NEUTRAL, Floats, Nli, Pair
from .summac import Granularity, pieces_of

Classes = Literal["e", "c", "n", "ec", "en", "cn", "ecn"]
_PLACE = {"e": ENTAILMENT, "n": NEUTRAL, "c": CONTRADICTION}
_STEPS = 100


@dataclass(frozen=True, eq=False)
class SummaCConv:
    """`classes` of the model's probabilities in `bins` each; `weights` (bins x classes + 1,) end with the constant.

    Unfitted (weights None) it only makes histograms. `fitted_to` names the model that the weights belong to.
    """

    nli: Nli
    bins: int = 50
    classes: Classes = "e"
    granularity: Granularity = "sentence"
    weights: Floats | None = None
    fitted_to: str = ""

    @property
    def name(self) -> str:
        """The method, what its histogram holds, and the model."""
        return f"summac-conv-{self.bins}{self.classes}-{self.granularity}-{self.nli.name}"

    def histograms(self, pairs: Sequence[Pair]) -> list[Floats]:
        """For each (document, summary) the counts (sentences of the summary, bins x classes)."""
        return [self._counts(laid) for laid in self._laid(pairs)]

    def fit(self, pairs: Sequence[Pair], consistent: Sequence[float] | Floats, penalty: float = 1.0) -> SummaCConv:
        """Learn from (document, summary) pairs and whether each is consistent (0 or 1); BadInput where all are alike.

        Summaries that say nothing are left out; `penalty` is half of what a squared weight costs.
        """
        y = np.asarray(consistent, np.float64)
        if y.shape != (len(pairs),) or not set(y.tolist()) == {0.0, 1.0}:
            raise BadInput("SummaC-Conv learns from pairs of which some are consistent (1) and some are not (0).")
        found = self.histograms(pairs)
        kept = [i for i, h in enumerate(found) if len(h)]
        x = np.array([found[i].mean(axis=0) for i in kept])
        return replace(self, weights=learn(x, y[kept], penalty), fitted_to=self.nli.name)

    def check(self, pairs: Sequence[Pair]) -> list[Check]:
        """Each (document, summary): the score is the log-odds, support its probability; BadInput before fit."""
        if self.weights is None:
            raise BadInput("SummaC-Conv has not learnt yet.", hint="Use .fit(pairs, consistent), or summac().")
        if self.fitted_to != self.nli.name:
            raise BadInput(f"These weights belong to '{self.fitted_to}', not to '{self.nli.name}'.", hint="Fit anew.")
        out: list[Check] = []
        for laid in self._laid(pairs):
            if not laid.claims:
                out.append(Check(float("nan"), float("nan"), ()))
                continue
            odds = self._counts(laid) @ self.weights[:-1] + self.weights[-1]
            support = _logistic(odds) if laid.pieces else np.zeros(len(odds))
            whole = float(odds.mean()) if laid.pieces else -np.inf
            nearest = laid.probabilities[:, :, ENTAILMENT]
            out.append(Check(whole, float(_logistic(np.array(whole))), laid.checks(support, nearest)))
        return out

    def _laid(self, pairs: Sequence[Pair]) -> list[Laid]:
        return laid_out(self.nli, [(d, pieces_of(d, self.granularity), s, sentences_of(s)) for d, s in pairs])

    def _counts(self, laid: Laid) -> Floats:
        """(claims, bins x classes); a probability of 1 is in the last bin."""
        n = len(laid.claims)
        out: list[Floats] = []
        for letter in self.classes:
            place = np.minimum((laid.probabilities[:, :, _PLACE[letter]] * self.bins).astype(np.int64), self.bins - 1)
            counts = np.zeros((n, self.bins))
            np.add.at(counts, (np.broadcast_to(np.arange(n), place.shape), place), 1.0)
            out.append(counts)
        return np.concatenate(out, axis=1)


def _logistic(odds: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -odds))


def learn(x: Floats, y: Floats, penalty: float) -> Floats:
    """Weights (d + 1,), the constant last and free, at the least log loss plus half the penalty on their squares."""
    z = np.column_stack([x, np.ones(len(x))])
    ridge = np.full(z.shape[1], penalty)
    ridge[-1] = 1e-6
    w = np.zeros(z.shape[1])

    def loss(at: Floats) -> float:
        odds = z @ at
        return float(np.logaddexp(0.0, odds).sum() - y @ odds + (ridge * at**2).sum() / 2)

    for _ in range(_STEPS):
        p = _logistic(z @ w)
        slope = z.T @ (p - y) + ridge * w
        step = np.linalg.solve((z.T * (p * (1 - p))) @ z + np.diag(ridge), slope)
        size = 1.0
        while loss(w - size * step) > loss(w) and size > 1e-6:  # far from the least, a whole step may go past it
            size /= 2
        w = w - size * step
        if float(np.abs(size * step).max()) < 1e-8:
            break
    return w


def summac_conv(
    nli: Nli | None = None, *, bins: int = 50, classes: Classes = "e", granularity: Granularity = "sentence"
) -> SummaCConv:
    """SummaC-Conv over a model (the embedded one unless given), still to be fitted; BadInput for no bins or classes."""
    if bins < 1 or classes not in get_args(Classes):
        raise BadInput("SummaC-Conv needs at least one bin, and classes such as e, ec or ecn.")
    return SummaCConv(nli or small(), bins, classes, granularity)
