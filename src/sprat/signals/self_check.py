"""SelfCheckGPT: trust a reply as far as the model says its sentences again in further draws.

Manakul et al., arXiv 2303.08896, by unigrams (which need no model, and in the paper do better than BERTScore), bigrams,
BERTScore, inference, questions (MQAG, arXiv 2301.12307), or a model's verdict. Checked by hand; measured in
benchmarks/uncertainty.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf
from typing import Any, ClassVar, Literal

import numpy as np

from ..core import Can, Model, Reply, Request, Signal, ask, together
from ..encoders.static import StaticEncoder
from ..errors import BadInput
from ..nli.asked import Pairs, judging
from ..nli.naming import resolved
from ..nli.protocol import Nli
from ..sentences import sentences
from ..shape import Asks
from ..similarity.asked import Read, reading
from ..similarity.greedy import f_of, matched
from ..similarity.token_vectors import StaticTokens
from ..uncertainty import questions as qa
from ..uncertainty import self_check as check
from .drawn import checked, drawn

How = Literal["unigram", "bigram", "bertscore", "nli", "qa", "prompt"]
QUESTIONS = 5  # about each sentence, as in the authors' code


@dataclass(frozen=True, repr=False)
class SelfCheck(Signal):
    """`how` each sentence of the reply is held against `samples` draws of each model.

    `encoder` reads tokens for bertscore; `nli` (a model, small or hub:NAME) gives probabilities; `judge` is asked for
    the prompt (the first model where none is given). For qa, `generator` writes the questions (else rules do) and
    `answerer`, a model or an encoder, answers them (else the embedded encoder).
    """

    models: tuple[Any, ...]
    samples: int = 5
    temperature: float | None = 1.0
    how: How = "unigram"
    encoder: Any = field(default_factory=StaticTokens)
    nli: str | Nli = "small"
    judge: Any = None
    generator: Any = None
    answerer: Any = None
    use = "self_check"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def sentences(self, request: Request, reply: Reply | None) -> list[tuple[str, float]]:
        """Each sentence with its score: 0 is consistent; n-grams in nats without bound, else up to 1; NaN: unknown."""
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
        elif self.how == "qa":
            scores = await self._questions(said, found.texts[0], others, request)
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
        heard = await together([ask(judge, _alone(p, request), "self-check") for p in prompts])
        scores = np.array([check.verdict(r.text or "") if r.ok else 0.5 for r in heard])
        by_sentence = scores.reshape(len(said), len(others))
        # Neither yes nor no counts one half beside others, as in the paper; alone it is no verdict.
        return np.where((by_sentence == 0.5).all(axis=1), np.nan, by_sentence.mean(axis=1)).tolist()

    async def _questions(self, said: list[str], text: str, others: list[str], request: Request) -> list[float]:
        """The mean over a sentence's questions; NaN for a sentence about which there is none."""
        asked = [qa.gap_questions(s, [text, *others], QUESTIONS) for s in said]
        if self.generator is not None:
            prompts = [qa.ask_for(s, text, QUESTIONS) for s in said]
            heard = await together([ask(self.generator, _alone(p, request), "questions") for p in prompts])
            asked = [qa.read_questions(r.text or "", QUESTIONS) if r.ok else [] for r in heard]
        every = [q for questions in asked for q in questions]
        answered = iter(await self._answers(every, [text, *others], request))
        scores = [[qa.bayes_with_alpha(first, rest) for first, *rest in (next(answered) for _ in q)] for q in asked]
        return [float(np.mean(s)) if s else float("nan") for s in scores]

    async def _answers(self, every: list[qa.Question], texts: list[str], request: Request) -> list[list[qa.Answer]]:
        """For each question its answer from each text."""
        if self.answerer is None or hasattr(self.answerer, "encode"):
            return [qa.gap_answers(q, texts, self.answerer or StaticEncoder()) for q in every]
        told = getattr(self.answerer, "can", Can.TEXT) >= Can.LOGPROBS
        more = {"max_tokens": 4, **({"logprobs": True, "top_logprobs": 20} if told else {})}
        asked = [_alone(qa.answer_prompt(q, t), request, **more) for q in every for t in texts]
        heard = iter(await together([ask(self.answerer, r, "answer") for r in asked]) if asked else ())
        lost = qa.Answer(0, 0.0)
        return [
            [qa.read_answer(r, len(q.options)) if r.ok else lost for r in (next(heard) for _ in texts)] for q in every
        ]

    def asks(self) -> list[Asks]:
        """Every model once, or `samples` times; a judge as often as there are sentences, which nobody knows before."""
        draws = Asks(self.models, max(1, self.samples))
        if self.how == "qa":
            beside = [m for m in (self.generator, self.answerer) if m is not None and not hasattr(m, "encode")]
            return [draws, *(Asks(m, inf) for m in beside)]
        return [draws, Asks(self.judge or self.models[0], inf)] if self.how == "prompt" else [draws]

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """1 less the mean score of the sentences with one; for n-grams exp of its negative. 0 where none has one."""
        known = [score for _, score in await self.sentences(request, reply) if score == score]
        if not known:
            return 0.0
        mean = float(np.mean(known))
        return exp(-mean) if self.how in ("unigram", "bigram") else min(1.0, max(0.0, 1 - mean))


def _alone(prompt: str, request: Request, **options: Any) -> Request:
    """A prompt of its own, answered without chance; it stays in the request's group."""
    said = ({"role": "user", "content": prompt},)
    return Request(said, {"temperature": 0, **options}, thread="", group=request.group)


def self_check(
    *models: Model,
    samples: int = 5,
    temperature: float | None = 1.0,
    how: How = "unigram",
    encoder: Any = None,
    nli: str | Nli = "small",
    judge: Model | None = None,
    generator: Model | None = None,
    answerer: Any = None,
) -> SelfCheck:
    """SelfCheckGPT over further draws; BadInput for no model, another `how`, or parts that it does not use."""
    checked("self_check", models, samples)
    if how not in ("unigram", "bigram", "bertscore", "nli", "qa", "prompt"):
        raise BadInput(f"self_check goes by unigram, bigram, bertscore, nli, qa or prompt, not '{how}'.")
    if how == "nli":
        resolved(nli)
    if how != "qa" and (generator is not None or answerer is not None):
        raise BadInput("Only self_check(how='qa') takes a generator or an answerer of questions.")
    tokens = encoder or StaticTokens()
    return SelfCheck(tuple(models), samples, temperature, how, tokens, nli, judge, generator, answerer)
