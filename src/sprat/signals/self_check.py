"""SelfCheckGPT: trust a reply as far as the model says its sentences again in further draws.

Manakul et al., arXiv 2303.08896, by unigrams (which need no model, and in the paper do better than BERTScore), bigrams,
BERTScore, inference, or by asking a model. Checked by hand; measured in benchmarks/uncertainty.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf
from typing import Any, ClassVar, Literal

import numpy as np

from ..core import Model, Reply, Request, Signal, ask, together
from ..errors import BadInput
from ..nli.asked import Pairs, judging
from ..nli.naming import resolved
from ..nli.protocol import Nli
from ..sentences import sentences
from ..shape import Asks
from ..similarity.asked import Read, reading
from ..similarity.greedy import f_of, matched
from ..similarity.token_vectors import StaticTokens
from ..uncertainty import self_check as check
from .drawn import checked, drawn

How = Literal["unigram", "bigram", "bertscore", "nli", "prompt"]


@dataclass(frozen=True, repr=False)
class SelfCheck(Signal):
    """`how` each sentence of the reply is held against `samples` draws of each model.

    `encoder` reads tokens for bertscore; `nli` (a model, small or hub:NAME) gives probabilities; `judge` is asked for
    the prompt (the first model where none is given).
    """

    models: tuple[Any, ...]
    samples: int = 5
    temperature: float | None = 1.0
    how: How = "unigram"
    encoder: Any = field(default_factory=StaticTokens)
    nli: str | Nli = "small"
    judge: Any = None
    use = "self_check"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def sentences(self, request: Request, reply: Reply | None) -> list[tuple[str, float]]:
        """Each sentence with its score: 0 is consistent; n-grams in nats without bound, all else up to 1."""
        found, _ = await drawn(self.use, self.models, request, reply, self.samples, self.temperature)
        if found is None:
            return []
        said = sentences(found.texts[0])
        others = [t for t in found.texts[1:] if t.strip()]
        if not said or not others:
            return []
        if self.how in ("unigram", "bigram"):
            n = 1 if self.how == "unigram" else 2
            scores = [s.mean for s in check.by_ngram(said, found.texts[0], others, n)]
        elif self.how == "nli":
            pairs = tuple((r, other) for r in said for other in others)
            scores = check.against(await ask(judging(resolved(self.nli)), Pairs(pairs)), len(said))
        elif self.how == "bertscore":
            scores = await self._bertscore(said, others)
        else:
            scores = await self._prompt(said, others, request)
        return list(zip(said, scores, strict=True))

    async def _bertscore(self, said: list[str], others: list[str]) -> list[float]:
        split = [sentences(t) for t in others]
        texts = tuple(dict.fromkeys([*said, *(s for sample in split for s in sample)]))
        tokens = await ask(reading(self.encoder), Read(texts))
        place = {t: i for i, t in enumerate(texts)}
        pairs = [(place[t], place[r]) for r in said for sample in split for t in sample]
        f = iter(f_of(*matched(tokens, pairs)).tolist())
        return [1 - float(np.mean([max(next(f) for _ in sample) for sample in split])) for _ in said]

    async def _prompt(self, said: list[str], others: list[str], request: Request) -> list[float]:
        judge = self.judge or self.models[0]
        prompts = [check.prompt(r, s) for r in said for s in others]
        asked = [
            Request(({"role": "user", "content": p},), {"temperature": 0}, thread="", group=request.group)
            for p in prompts
        ]
        heard = await together([ask(judge, q, "self-check") for q in asked])
        scores = np.array([check.verdict(r.text or "") if r.ok else 0.5 for r in heard])
        return scores.reshape(len(said), len(others)).mean(axis=1).tolist()

    def asks(self) -> list[Asks]:
        """Every model once, or `samples` times; a judge as often as there are sentences, which nobody knows before."""
        draws = Asks(self.models, max(1, self.samples))
        return [draws, Asks(self.judge or self.models[0], inf)] if self.how == "prompt" else [draws]

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """1 less the sentences' mean score; for n-grams exp of its negative. 0 without draws or for an empty reply."""
        found = await self.sentences(request, reply)
        if not found:
            return 0.0
        mean = float(np.mean([score for _, score in found]))
        return exp(-mean) if self.how in ("unigram", "bigram") else min(1.0, max(0.0, 1 - mean))


def self_check(
    *models: Model,
    samples: int = 5,
    temperature: float | None = 1.0,
    how: How = "unigram",
    encoder: Any = None,
    nli: str | Nli = "small",
    judge: Model | None = None,
) -> SelfCheck:
    """SelfCheckGPT over further draws; BadInput for no model, another `how`, or no such inference model."""
    checked("self_check", models, samples)
    if how not in ("unigram", "bigram", "bertscore", "nli", "prompt"):
        raise BadInput(f"self_check goes by unigram, bigram, bertscore, nli or prompt, not '{how}'.")
    if how == "nli":
        resolved(nli)
    return SelfCheck(tuple(models), samples, temperature, how, encoder or StaticTokens(), nli, judge)
