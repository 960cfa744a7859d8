"""Trust a reply by what it looks like: length, form, sums that don't add up, hedges, log-probabilities, agreement.

Answer-reading deferral, as FrugalGPT's scorer (arXiv 2305.05176) but over a few dozen readable numbers: see
reply_features.py. Checked against scikit-learn's heads and by benchmarks/gsm8k_cascade.py and mmlu_pro_agreement.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..answers import final_answer
from ..core import Model, Reply, Request, Signal
from ..data import Lessons
from .agreement import Same, opinions
from .agreement_cells import pattern
from .heads import Head, Kind, fit_head
from .learning import FEWEST, Label, judged, observe, unfitted
from .reply_features import NAMES, features, tokens_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class AnswerFeatures(Signal):
    """`head` reads the features, the peers' agreement and which of the `groups` it is; an unknown one is none."""

    models: tuple[Any, ...] = ()
    kind: Kind = "logistic"
    label: Label = "score"
    same: Same = final_answer
    groups: tuple[str, ...] = ()
    head: Head | None = field(default=None, repr=False)
    use = "answer_features"
    reads_reply = True

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is, in the head's order."""
        each = [
            f"{what} {i + 1}" for what in ("agrees with peer", "log tokens of peer") for i in range(len(self.models))
        ]
        return (*NAMES, *each, *(("agreements", "outvoted") if self.models else ()), *self.groups)

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The predicted label, in [0, 1]; asks the peers, if any. Raises BadInput where it has not learned."""
        if self.head is None or reply is None:
            raise unfitted(self.use)
        row = np.append(await self.read(request, reply), [request.group == g for g in self.groups])
        return float(self.head.predict(row[None])[0])

    async def read(self, request: Request, reply: Reply) -> Floats:
        """The features (d,) of a reply, the groups' left out; asks the peers, if any."""
        own = features(request, reply)
        if not self.models:
            return own
        heard = await opinions(self.models, request)
        seen = pattern(self.same(reply), [self.same(r) if r.ok else "" for r in heard])
        bits = [seen >> i & 1 for i in range(len(heard) + 1)]
        length = [np.log1p(tokens_of(r)) for r in heard]
        return np.concatenate([own, bits[:-1], length, [sum(bits[:-1]), bits[-1]]])

    def fit(self, lessons: Lessons) -> AnswerFeatures:
        """Learn from the first model's replies; the peers' are taken from the lessons or asked."""
        requests, replies, y, _ = judged(self.use, lessons, self.label)
        read = observe([self.read(q, r) for q, r in zip(requests, replies, strict=True)], lessons)
        counts = Counter(q.group for q in requests if q.group is not None)
        groups = tuple(g for g, n in sorted(counts.items()) if n >= FEWEST)
        told = np.array([[q.group == g for g in groups] for q in requests], np.float64).reshape(len(y), len(groups))
        head = fit_head(self.kind, np.hstack([np.array(read), told]), y, lessons.seed)
        return replace(self, groups=groups, head=head)


def answer_features(
    *models: Model, kind: Kind = "logistic", label: Label = "score", same: Same = final_answer
) -> AnswerFeatures:
    """Trust from an answer's features; `models` are peers to compare with.

    The head is logistic, ridge, trees, or the mean of logistic and trees: the best where there are thousands of rows.
    """
    return AnswerFeatures(tuple(models), kind, label, same)
