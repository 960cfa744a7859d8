"""Trust a reply as far as its claims are borne out: by passages of a corpus, or by the text that the prompt holds.

The checks are a ladder's (sprat.factuality: free ones first, a model only where doubt is left); what it asks is paid
for in the tree. sprat's own, with FActScore's retrieval (arXiv 2305.14251). Checked against the ladder's findings.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar, Literal, Protocol

from ..core import Reply, Request, Signal
from ..data import Lessons
from ..errors import BadInput, CannotDo
from ..sentences import sentences
from ..shape import Asks, leaves
from .learning import judged

Each = Literal["reply", "sentence"]


class Checker(Protocol):
    """Whatever finds out how doubtful claims are: sprat.factuality.ladder."""

    def judge(self, claims: Sequence[str], documents: Sequence[str]) -> Coroutine[Any, Any, Any]:
        """Findings, each with its `doubt` in [0, 1]."""
        ...


@dataclass(frozen=True, repr=False)
class FactCheck(Signal):
    """`checker` judges each reply or sentence by the `k` best passages of `corpus`, or by the prompt itself (None)."""

    checker: Any
    corpus: Any = None
    each: Each = "reply"
    k: int = 5
    use = "fact_check"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """1 less the largest doubt about its claims; 0 for a reply that says nothing. Raises BadInput before fit."""
        if reply is None:
            raise CannotDo("fact_check checks a reply; it was given none.", hint="Use it in a cascade.")
        claims = self._claims(reply.text or "")
        if not claims:
            return 0.0
        found = await self.checker.judge(claims, [self._document(c, request) for c in claims])
        doubts = [f.doubt for f in found.findings]
        return 1 - max(doubts) if all(d == d for d in doubts) else 0.0

    def _claims(self, text: str) -> list[str]:
        if self.each == "sentence":
            return sentences(text)
        return [text.strip()] if text.strip() else []

    def _document(self, claim: str, request: Request) -> str:
        if self.corpus is None:
            return request.text
        return "\n".join(p.text for p in self.corpus.passages(claim, self.k))

    def fit(self, lessons: Lessons) -> FactCheck:
        """Fit the checker on whole replies: one whose score is at least one half counts as borne out.

        Raises BadInput for too few rows, as the checker says.
        """
        requests, replies, y, _ = judged(self.use, lessons, "score")
        rows = [
            {
                "claim": r.text or "",
                "document": self._document(r.text or "", q),
                "supported": bool(s >= 0.5),
                "group": q.affinity,
            }
            for q, r, s in zip(requests, replies, y.tolist(), strict=True)
        ]
        swap = lessons.recording.swap if lessons.recording is not None else None
        return replace(self, checker=self.checker.fit(rows, lessons.seed, swap))

    def asks(self) -> list[Asks]:
        """The checker's models, as often as there are claims, which nobody knows before."""
        return [Asks(model, inf) for model in leaves(self.checker)]


def fact_check(checker: Checker, corpus: Any = None, each: Each = "reply", k: int = 5) -> FactCheck:
    """Trust by a ladder of checks over a corpus or the prompt; BadInput for another `each`, or a k below 1."""
    if each not in ("reply", "sentence") or k < 1:
        raise BadInput(f"fact_check goes by reply or sentence, and a k of at least 1; got {each} and {k}.")
    return FactCheck(checker, corpus, each, k)
