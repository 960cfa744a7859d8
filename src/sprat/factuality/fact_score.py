"""FActScore: the share of a text's atomic facts that a corpus supports, short texts penalised, abstentions counted.

Min et al., arXiv 2305.14251: facts, passages, support; the score of a reply is the mean over its facts, times
exp(1 - gamma / facts) where there are fewer than gamma; replies that abstain are left out and their share is told.
Checked by cases computed by hand, the penalty and the reading of answers against the authors' code by eye.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Any

import numpy as np

from ..drivers import drive_costed
from ..errors import BadInput
from .corpus import Corpus, Passage
from .facts import Fact, abstains, atomic_facts, split_facts
from .support import Claim, Lexical, Support, shared

GAMMA = 10


@dataclass(frozen=True, slots=True)
class Judgement:
    """A fact, the chance that it is supported, whether it is, and the closest evidence (None: nothing was found)."""

    fact: Fact
    chance: float
    supported: bool
    evidence: Passage | None


@dataclass(frozen=True)
class Judged:
    """One reply: its facts' judgements, its precision (the mean supported), and its score, with the length penalty.

    All three are None where it abstained.
    """

    judgements: tuple[Judgement, ...] | None
    precision: float | None
    score: float | None

    @property
    def unsupported(self) -> list[Judgement]:
        """What the corpus does not support, in the order of the text."""
        return sorted((j for j in self.judgements or () if not j.supported), key=lambda j: j.fact.start)


@dataclass(frozen=True)
class FactScore:
    """Means over the replies that answered (None: none did), the share that did, facts each, and what it cost.

    `cost` is dollars, None where unknown.
    """

    score: float | None
    precision: float | None
    responded: float
    facts_each: float | None
    replies: tuple[Judged, ...]
    cost: float | None


def penalty(facts: int, gamma: int = GAMMA) -> float:
    """exp(1 - gamma / facts) for fewer than `gamma` facts, else 1; BadInput for no fact."""
    if facts < 1:
        raise BadInput("A reply without facts has no score; it abstained.")
    return 1.0 if facts > gamma or not gamma else exp(1 - gamma / facts)


def factscore(
    replies: Sequence[str],
    corpus: Corpus,
    support: Support | None = None,
    *,
    topics: Sequence[str] | None = None,
    by: Any = None,
    k: int = 5,
    gamma: int = GAMMA,
    at_least: float = 0.5,
) -> FactScore:
    """FActScore of replies, each about one of `topics` (its passages are then those of the document of that title).

    `by` is the model that lists the facts (else rules do), `support` judges them (else the words that they share: a
    baseline). A fact is supported where its chance is above `at_least`; `gamma` 0 leaves the penalty out.
    Raises BadInput for topics of another number, or a k below 1.
    """
    if topics is not None and len(topics) != len(replies):
        raise BadInput(f"There are {len(replies)} replies and {len(topics)} topics.", hint="Give one for each reply.")
    about = topics or [""] * len(replies)
    judge = support or Lexical()
    pairs = zip(replies, about, strict=True)
    found = drive_costed([_judged(r, t, corpus, judge, by, k, gamma, at_least) for r, t in pairs])
    judged = tuple(value for value, _ in found)
    costs = [node.cost for _, node in found]
    answered = [j for j in judged if j.judgements is not None]
    return FactScore(
        score=_mean([j.score for j in answered]),
        precision=_mean([j.precision for j in answered]),
        responded=len(answered) / len(judged) if judged else 0.0,
        facts_each=_mean([len(j.judgements or ()) for j in answered]),
        replies=judged,
        cost=None if None in costs else float(sum(c for c in costs if c is not None)),
    )


async def _judged(
    reply: str, topic: str, corpus: Corpus, support: Support, by: Any, k: int, gamma: int, at_least: float
) -> Judged:
    if abstains(reply):
        return Judged(None, None, None)
    facts = split_facts(reply) if by is None else await atomic_facts(reply, by)
    if not facts:
        return Judged(None, None, None)
    claims = [Claim(f.text, tuple(corpus.passages(f.text, k, topic)), topic) for f in facts]
    chances = await support.chances(claims)
    judgements = tuple(
        Judgement(f, c, c > at_least, closest(claim)) for f, c, claim in zip(facts, chances, claims, strict=True)
    )
    precision = float(np.mean([j.supported for j in judgements]))
    return Judged(judgements, precision, precision * penalty(len(facts), gamma))


def closest(claim: Claim) -> Passage | None:
    """The passage's sentence that shares most telling words with the claim; None where there is no passage."""
    from ..sentences import sentences

    held = [replace(p, text=s) for p in claim.passages for s in sentences(p.text)]
    return max(held, key=lambda p: shared(claim.text, p.text), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
