"""A language model rates how well an assistant would answer, 1 to 5; trust is the probability of a high rating.

RouteLLM's causal LLM classifier (arXiv 2406.18665), section 4.2: P(rating >= threshold) from the log-probabilities of
the rating's token, renormalised over the five ratings. Any model with log-probabilities serves, tuned for it or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Any, ClassVar

from ..core import Can, Model, Reply, Request, Signal, ask
from ..errors import BadInput
from ..shape import Asks, need

PROMPT = (
    "Foresee how well a small assistant would answer the question below. Reply with one digit:\n"
    "5 = without fault, 4 = well, 3 = passably, 2 = with serious mistakes, 1 = not at all.\n\n"
    "Question:\n{question}\n\nRating:"
)


@dataclass(frozen=True, repr=False)
class CausalLM(Signal):
    """`model` is asked with `prompt`, in which {question} stands for the request's text."""

    model: Any
    threshold: int = 4
    prompt: str = PROMPT
    use = "causal_lm"
    needs = Can.LOGPROBS
    reads_reply: ClassVar[bool] = False

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """P(rating >= threshold); 0 where no rating is among the likely first tokens."""
        question = self.prompt.replace("{question}", request.text)
        options = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20}
        rated: Reply = await ask(self.model, Request.of(question, **options))
        chances = ratings(rated)
        total = sum(chances.values())
        return sum(p for r, p in chances.items() if r >= self.threshold) / total if total > 0 else 0.0

    def asks(self) -> list[Asks]:
        """The model once, for one token."""
        return [Asks(self.model, prompt=len(self.prompt), longest=1)]


def ratings(reply: Reply) -> dict[int, float]:
    """The probability of each rating 1 to 5 as the reply's first token, not normalised."""
    first: Mapping[str, float] = {}
    if reply.top_logprobs:
        first = reply.top_logprobs[0]
    elif reply.tokens and reply.logprobs:
        first = {reply.tokens[0]: reply.logprobs[0]}
    chances: dict[int, float] = {}
    for token, logprob in first.items():
        # The same digit with and without a leading space are two tokens of one rating.
        label = token.strip()
        if label in ("1", "2", "3", "4", "5"):
            chances[int(label)] = chances.get(int(label), 0.0) + exp(logprob)
    return chances


def causal_lm(model: Model, threshold: int = 4, prompt: str = PROMPT) -> CausalLM:
    """A rating by `model`; raises CannotDo without log-probabilities, BadInput where the prompt or threshold is off."""
    need(model, Can.LOGPROBS, "causal_lm")
    if "{question}" not in prompt or not 1 <= threshold <= 5:
        raise BadInput("causal_lm needs a prompt that holds {question}, and a threshold from 1 to 5.")
    return CausalLM(model, threshold, prompt)
