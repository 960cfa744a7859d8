"""How much more a tuned model likes a reply than the same model untuned: the reward that tuning it stood for.

r(x, y) = log p_tuned(y|x) - log p_untuned(y|x), summed over the reply's tokens, the end included where it has ended
(arXiv 2305.18290, eq. 5, up to a constant of the prompt; used as weak-to-strong search does, arXiv 2405.19262). Each
model reads the text by its own prompt and tokens. Checked against the two sums, computed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core import Can, Endpoint, Reply, Request, Usage, content_text
from ..errors import BadInput, SpratError
from ..prices import cost
from ..shape import Asks, need
from ..whitebox.decoder import Decoder
from ..whitebox.scoring import logprobs


@dataclass(frozen=True, repr=False)
class LogRatio(Endpoint):
    """Scores the reply that a request's last message holds; asked with the option `ended`, its end counts too."""

    tuned: Any
    untuned: Any
    name: str = "log_ratio"
    use = "log_ratio"

    def __post_init__(self) -> None:
        for part in (self.tuned, self.untuned):
            need(part, Can.LOGITS, self.use)

    @property
    def pair(self) -> tuple[Decoder, Decoder]:
        """Both decoders."""
        return self.tuned, self.untuned

    def asks(self) -> list[Asks]:
        """Both, which read the reply and write nothing."""
        return [Asks(part, replies=1, longest=0) for part in self.pair]

    def scores(
        self,
        requests: Sequence[Request],
        texts: Sequence[str],
        ended: Sequence[bool],
        told: Sequence[dict[str, Any]] | None = None,
    ) -> list[float]:
        """The rewards of texts as replies to requests, in nats; BadInput for what a model can't read.

        Remote models leave in `told`, one per text, what their calls took.
        """
        found = np.zeros(len(texts))
        for whether in sorted(set(ended)):
            rows = [i for i, end in enumerate(ended) if end == whether]
            asked, said = [requests[i] for i in rows], [texts[i] for i in rows]
            heard = told and [told[i] for i in rows]
            for sign, model in zip((1.0, -1.0), self.pair, strict=True):
                sums = [values.sum() for values in logprobs(model, asked, said, ended=whether, told=heard)]
                found[rows] += sign * np.array(sums)
        return found.tolist()

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """Replies without text, whose `score` is the reward."""
        answers: list[Reply | Exception] = []
        try:
            pairs = [_split(request) for request in requests]
            ended = [bool(r.options.get("ended")) for r in requests]
            scores = self.scores([request for request, _ in pairs], [text for _, text in pairs], ended)
            for (request, text), score in zip(pairs, scores, strict=True):
                answers.append(self._reply(request, text, score))
        except SpratError as error:
            if len(requests) > 1:  # one that can't be read fails alone
                return [answer for request in requests for answer in self.answer_many([request])]
            answers = [error]
        return answers

    def _reply(self, request: Request, text: str, score: float) -> Reply:
        total, dollars = 0, list[float | None]()
        for model in self.pair:
            for leaf in model.leaves:
                read = len(leaf.prompt(request)) + len(leaf.vocabulary.encode(text))
                total += read
                dollars.append(cost(leaf.price, Usage(read, 0)))
        known = [d for d in dollars if d is not None]
        whole = float(sum(known)) if len(known) == len(dollars) else None
        return Reply(None, self.name, score=score, usage=Usage(total, 0), cost=whole)


def _split(request: Request) -> tuple[Request, str]:
    if not request.messages or request.messages[-1].get("role") != "assistant":
        raise BadInput("A reward is of a reply.", hint="Give it as the last message, of the role 'assistant'.")
    return replace(request, messages=request.messages[:-1]), content_text(request.messages[-1].get("content"))


def log_ratio(tuned: Decoder, untuned: Decoder) -> LogRatio:
    """The reward that a pair of models stands for; CannotDo where one gives no logits."""
    return LogRatio(tuned, untuned)
