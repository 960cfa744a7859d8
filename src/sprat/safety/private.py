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
from .patterns import Found, patterns
from .scorer import Floats, Span, texts_of
from .tagger import Chain, Token, read_chain, tokens
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
_AT_ONCE = 400  # words of one chain; longer texts are cut there


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
        """P(there is any of the kinds) of each text (n,); calibrated for the default kinds. BadInput for no str."""
        chain = read_chain(self.weights)
        raw = np.array([self.raw(chain, text) for text in texts_of(texts)])
        held = np.clip(raw, 1e-9, 1 - 1e-9)
        z = chain.curve[0] * (np.log(held) - np.log1p(-held)) + chain.curve[1]
        return np.where(raw > 0, 0.5 * (1 + np.tanh(0.5 * z)), 0.0)

    def raw(self, chain: Chain, text: str) -> float:
        """The same before calibration; 0 for a text without words."""
        formed, parts = _read(text)
        none = float(np.prod([1 - SURE for f in formed if f.kind in self.kinds]))
        for part in parts:
            none *= chain.without(chain.scores(part, text), self.kinds)
        return 1 - none

    def spans(self, text: str) -> list[Span]:
        """Every place of the kinds with the probability of its words' tags (.99 for forms), in order."""
        (said,) = texts_of([text])
        return self.tagged(read_chain(self.weights), said)

    def tagged(self, chain: Chain, text: str) -> list[Span]:
        """The same by another tagger."""
        formed, parts = _read(text)
        out = [Span(f.start, f.end, f.kind, SURE) for f in formed if f.kind in self.kinds]
        for part in parts:
            scores = chain.scores(part, text)
            sure = chain.marginals(scores)
            for first, last, kind in chain.spans(chain.best(scores)):
                if kind in self.kinds:
                    at = 1 + 2 * chain.kinds.index(kind)
                    score = float(sure[first:last, at : at + 2].sum(axis=1).mean())
                    out.append(Span(part[first].start, part[last - 1].end, kind, score))
        return sorted(out)


def _read(text: str) -> tuple[list[Found], list[list[Token]]]:
    """What has a form, and the words in parts of bounded length."""
    found = list(patterns(text))
    read = tokens(text, found, FORMED)
    parts = [read[i : i + _AT_ONCE] for i in range(0, len(read), _AT_ONCE)]
    return [f for f in found if f.kind in FORMED], parts


def pii(kinds: Sequence[str] = PRIVATE) -> Pii:
    """The scorer of private information of these kinds; BadInput for none, or one that it does not know."""
    known = {*FORMED, *LEARNT}
    for kind in kinds if not isinstance(kinds, str) else [kinds]:
        if kind not in known:
            raise BadInput(f"There is no private information of kind '{kind}'.", hint=nearest(kind, known))
    if isinstance(kinds, str) or not kinds:
        raise BadInput("pii takes a list of kinds, at least one.", hint=f"Known: {', '.join(sorted(known))}.")
    return Pii(tuple(kinds))
