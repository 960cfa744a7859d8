"""Private information: what has a form by patterns and check digits, names and addresses by a small learned tagger.

The tagger (tagger.py) learnt from microsoft/presidio-research's made-up sentences; what it is worth, by kind and on
templates that it had not seen, is in `worth`, measured by benchmarks/safety.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput, nearest
from .linear import EMBEDDED
from .patterns import patterns
from .scorer import Floats, Span, texts_of
from .tagger import Chain, read_chain, tokens
from .worth import worth_of

# Points at a person. Places, organisations, dates, ages, titles and nationalities are found too, and count on request.
PRIVATE = (
    "PERSON",
    "STREET_ADDRESS",
    "PHONE_NUMBER",
    "EMAIL_ADDRESS",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "IP_ADDRESS",
)
FORMED = ("EMAIL_ADDRESS", "URL", "IBAN_CODE", "CREDIT_CARD", "IP_ADDRESS", "US_SSN")  # by their form alone
LEARNT = (
    "PERSON",
    "STREET_ADDRESS",
    "GPE",
    "ORGANIZATION",
    "DATE_TIME",
    "PHONE_NUMBER",
    "AGE",
    "NRP",
    "TITLE",
    "ZIP_CODE",
)
SURE = 0.99  # that a form with check digits, or one that nothing else has, is what it looks like
UNSEEN = 0.49  # at most, where no span is found


@dataclass(frozen=True)
class Pii:
    """Private information of these `kinds`, by the tagger of a file."""

    kinds: tuple[str, ...] = PRIVATE
    weights: Path = EMBEDDED / "pii.npz"

    @property
    def name(self) -> str:
        """pii."""
        return "pii"

    @property
    def worth(self) -> Mapping[str, Any]:
        """What was measured, beside the weights."""
        return worth_of(self.weights)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """P(there is any of the kinds) of each text (n,): its likeliest span's; below .5 where it has no span.

        Length alone does not raise it. Calibrated for the default kinds; BadInput for no str.
        """
        chain = read_chain(self.weights)
        raw, spans = np.array([self.raw(chain, text) for text in texts_of(texts)]).reshape(-1, 2).T
        p = self.calibrated(chain, raw)
        return np.where(raw > 0, np.where(spans > 0, p, np.minimum(p, UNSEEN)), 0.0)

    @staticmethod
    def calibrated(chain: Chain, raw: Floats) -> Floats:
        """The tagger's probabilities (n,) as they turned out; a form's stays."""
        held = np.clip(raw, 1e-9, 1 - 1e-9)
        z = chain.curve[0] * (np.log(held) - np.log1p(-held)) + chain.curve[1]
        return np.where(raw == SURE, SURE, 0.5 * (1 + np.tanh(0.5 * z)))

    def raw(self, chain: Chain, text: str) -> tuple[float, bool]:
        """The largest probability of a span before calibration, True; of a word where there is no span, False."""
        spans, sure = self._both(chain, text)
        if spans:
            return max(s.score for s in spans), True
        tags = [i for k, kind in enumerate(chain.kinds) if kind in self.kinds for i in (1 + 2 * k, 2 + 2 * k)]
        return float(sure[:, tags].sum(axis=1).max(initial=0.0)), False

    def spans(self, text: str) -> list[Span]:
        """Every place of the kinds with its calibrated probability (.99 for forms), in order."""
        (said,) = texts_of([text])
        chain = read_chain(self.weights)
        found = self.tagged(chain, said)
        p = self.calibrated(chain, np.array([s.score for s in found]))
        return [s._replace(score=float(score)) for s, score in zip(found, p, strict=True)]

    def tagged(self, chain: Chain, text: str) -> list[Span]:
        """The same by another tagger, each with the mean probability of its words' tags."""
        return self._both(chain, text)[0]

    def _both(self, chain: Chain, text: str) -> tuple[list[Span], Floats]:
        """The spans, and the probability of each tag of each word."""
        found = list(patterns(text))
        read = tokens(text, found, FORMED)
        out = [Span(f.start, f.end, f.kind, SURE) for f in found if f.kind in FORMED and f.kind in self.kinds]
        if not read:
            return out, np.zeros((0, 1 + 2 * len(chain.kinds)))
        scores = chain.scores(read, text)
        sure = chain.marginals(scores)
        for first, last, kind in chain.spans(chain.best(scores)):
            if kind in self.kinds:
                at = 1 + 2 * chain.kinds.index(kind)
                score = float(sure[first:last, at : at + 2].sum(axis=1).mean())
                out.append(Span(read[first].start, read[last - 1].end, kind, score))
        return sorted(out), sure


def pii(kinds: Sequence[str] = PRIVATE) -> Pii:
    """The scorer of private information of these kinds; BadInput for none, or one that it does not know."""
    known = {*FORMED, *LEARNT}
    for kind in kinds if not isinstance(kinds, str) else [kinds]:
        if kind not in known:
            raise BadInput(f"There is no private information of kind '{kind}'.", hint=nearest(kind, known))
    if isinstance(kinds, str) or not kinds:
        raise BadInput("pii takes a list of kinds, at least one.", hint=f"Known: {', '.join(sorted(known))}.")
    return Pii(tuple(kinds))
