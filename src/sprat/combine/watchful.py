"""Watch a reply while it is written and go on to the next model as soon as its first tokens are too unlikely.

Early escalation by the running mean log-probability; the idea of deferring on token uncertainty is arXiv 2404.10136's,
stopping inside the reply is ours. Checked against its laws: a threshold of -inf is the first model, above 0 the last;
and it stops exactly the replies whose mean over the first k tokens is below the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Ask, Can, Look, Model, Request, Technique, ask, watch
from ..errors import BadInput, CannotDo
from ..shape import name_of, need
from .levels import known_model


@dataclass(frozen=True, repr=False)
class Watchful(Technique):
    """Models from cheap to dear; a draft is kept if its `first` tokens' mean log-probability is at least `at_least`."""

    models: tuple[Any, ...]
    at_least: tuple[float, ...] = ()
    first: int = 20
    use = "watchful"
    needs = Can.LOGPROBS

    async def answer(self, request: Request) -> Ask | Look:
        """The first draft that is not doubted, else the last model's reply; what was stopped stays in the tree."""
        start, reason = 0, ""
        if request.continues and any(t > -math.inf for t in self.at_least):
            start, reason = known_model(self.models, request)
        for model, at_least in zip(self.models[start:], self.at_least[start:], strict=False):
            if at_least > 0:
                continue  # no log-probability is above 0: don't pay for a draft that can't be kept
            if at_least == -math.inf:
                return ask(model, request, reason)
            draft = watch(model, request, reason)
            total, seen = 0.0, 0
            while seen < self.first and total >= at_least * self.first:
                piece = await draft.next()
                if piece is None:
                    break
                for logprob in piece.logprobs[: self.first - seen]:
                    total, seen = total + logprob, seen + 1
            if not seen:
                await draft.stop()
                raise CannotDo(
                    f"watchful reads the log-probabilities of a draft, and '{name_of(model)}' gave none.",
                    hint="Ask the endpoint for log-probabilities, or use cascade with a signal that reads text.",
                )
            # Log-probabilities are at most 0, so a sum below first x at_least stays below: stopping early is exact.
            if total >= at_least * seen:
                return draft.accept()
            await draft.stop()
            reason = f"mean log-probability {total / seen:.3g} of {seen} tokens < {at_least:.3g}"
        return ask(self.models[-1], request, reason)


def watchful(*models: Model, at_least: float | Sequence[float] = -1.0, first: int = 20) -> Watchful:
    """Early escalation over models from cheap to dear; one threshold (natural logarithm) or one for each but the last.

    Raises BadInput where the numbers don't fit, CannotDo where a model that is watched gives no log-probabilities.
    """
    n = len(models) - 1
    if n < 0 or first < 1:
        raise BadInput("watchful needs at least one model, and first of at least 1.")
    thresholds = tuple(float(t) for t in at_least) if isinstance(at_least, Sequence) else (float(at_least),) * n
    if len(thresholds) != n or any(math.isnan(t) for t in thresholds):
        raise BadInput(f"watchful of {n + 1} models needs {n} thresholds; got {len(thresholds)}.")
    for model, threshold in zip(models, thresholds, strict=False):
        if -math.inf < threshold <= 0:
            need(model, Can.LOGPROBS, "watchful")
    return Watchful(tuple(models), thresholds, first)
