"""Judges that ask nobody: one trained here on pairs that people compared, and the baseline that takes the longer reply.

The trained one is the PairRanker of signals/pairrank.py (after arXiv 2306.02561), over features of the replies and the
embedded encoder's rows; it changes sign when the replies change places, so it has no position bias. What it is worth
depends on the pairs: benchmarks/small_judges.py measures it, LLMBar's adversarial pairs included, where it fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import Reply, Request
from ..data import Lessons
from ..drivers import drive_many
from ..errors import BadInput
from ..signals.pairrank import PairRank, pairrank
from ..signals.verdicts import Side, Verdict, conversation
from .pairwise import Tell
from .preferences import Preference

FEWEST = 50


@dataclass(frozen=True)
class SmallJudge:
    """A fitted ranker as a judge; within `tie` of even chances it says so."""

    ranker: PairRank
    tie: float = 0.0
    name: str = "small judge"

    def __call__(self, asked: Request | str, a: str, b: str) -> Verdict:
        """Which of two replies to a request is better."""
        return self.many([(Request.of(asked), a, b)])[0]

    def chances(self, pairs: Sequence[tuple[Request, str, str]]) -> list[float]:
        """The probability of each pair that its first reply is the better one."""
        wins: list[Any] = drive_many([self.ranker.compare(_shown(q), [Reply(a), Reply(b)]) for q, a, b in pairs])
        return [float(1 / (1 + np.exp(-w[0, 1]))) for w in wins]

    def many(self, pairs: Sequence[tuple[Request, str, str]], tell: Tell | None = None) -> list[Verdict]:
        """A verdict for each (request, reply a, reply b); its confidence is the probability of what it says."""
        made: list[Verdict] = []
        for p in self.chances(pairs):
            side: Side = "tie" if abs(p - 0.5) <= self.tie else "a" if p > 0.5 else "b"
            made.append(Verdict(side, 1 - 2 * abs(p - 0.5) if side == "tie" else max(p, 1 - p), (side, side)))
        if tell is not None:
            tell(self.name, len(pairs), len(pairs))
        return made

    def save(self, path: Path | str) -> None:
        """Write it as TOML with its arrays beside; `load` reads it."""
        from ..config import dump

        dump(self.ranker, path)


@dataclass(frozen=True)
class LengthJudge:
    """The baseline: the longer reply is the better one, or the shorter one."""

    longer: bool = True

    @property
    def name(self) -> str:
        """Says which."""
        return "longer" if self.longer else "shorter"

    def many(self, pairs: Sequence[tuple[Request, str, str]], tell: Tell | None = None) -> list[Verdict]:
        """A verdict for each (request, reply a, reply b) by their characters."""
        made: list[Verdict] = []
        for _, a, b in pairs:
            side: Side = "tie" if len(a) == len(b) else "a" if (len(a) > len(b)) == self.longer else "b"
            made.append(Verdict(side, 1.0, (side, side)))
        return made


def train(pairs: Sequence[Preference], encoder: Any = None, tie: float = 0.0, seed: int = 0) -> SmallJudge:
    """A small judge that learns from the pairs that are no ties; raises BadInput for fewer than 50 of them."""
    decided = [p for p in pairs if p.preferred != "tie"]
    if len(decided) < FEWEST:
        raise BadInput(f"A small judge learns from pairs of which one is preferred: {len(decided)}, {FEWEST} needed.")
    scores = np.array([[1.0, 0.0] if p.preferred == "a" else [0.0, 1.0] for p in decided])
    replies = {"a": tuple(Reply(p.a, "a") for p in decided), "b": tuple(Reply(p.b, "b") for p in decided)}
    requests = tuple(_shown(p.request) for p in decided)
    lessons = Lessons(requests, ("a", "b"), scores, np.full(scores.shape, np.nan), replies, seed)
    return SmallJudge(pairrank(encoder=encoder).fit(lessons), tie)


def _shown(request: Request) -> Request:
    """A conversation as one message, so that its earlier turns are read too."""
    return request if len(request.messages) == 1 else Request.of(conversation(request))


def load(path: Path | str, tie: float = 0.0) -> SmallJudge:
    """A saved small judge; BadInput where the file holds something else."""
    from ..config import load as load_model

    found = load_model(path)
    if not isinstance(found, PairRank):
        raise BadInput(f"{path} holds no small judge.", hint="Make one with sprat evaluate train-judge --set FILE.")
    return SmallJudge(found, tie, Path(path).stem)
