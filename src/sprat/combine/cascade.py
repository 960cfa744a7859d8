"""Ask the cheapest model first and go on to the next while the trust in its reply is too low.

FrugalGPT's cascade (arXiv 2305.05176) with any signal as its scorer. Checked against its laws: one model is itself,
at_least=0 is the
first (the next one where it fails), above 1 the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Ask, Model, Reply, Request, Technique, ask
from ..errors import EndpointError
from .levels import failure, known_model, levels


@dataclass(frozen=True, repr=False)
class Cascade(Technique):
    """Models from cheap to dear; `trust[i]` and `at_least[i]` judge the reply of `models[i]`."""

    models: tuple[Any, ...]
    trust: tuple[Any, ...] = ()
    at_least: tuple[float, ...] = ()
    use = "cascade"

    async def answer(self, request: Request) -> Reply | Ask:
        """The first reply that is trusted, else the last model's; one that fails is not trusted."""
        first, reason = 0, ""
        if request.continues and any(t > 0 for t in self.at_least):
            first, reason = known_model(self.models, request)
        for model, trust, at_least in zip(self.models[first:], self.trust[first:], self.at_least[first:], strict=False):
            if at_least > 1:
                # The reply could not be trusted enough, whatever it says: don't pay for it.
                continue
            asked = model
            try:
                reply: Reply = await Ask(model, request, reason, streams=at_least <= 0)
                if at_least <= 0:
                    return reply
                asked = trust
                value = await trust.trust(request, reply)
            except EndpointError as error:
                reason = failure(asked, error)
                continue
            if value >= at_least:
                return reply
            reason = f"trust {value:.3g} < {at_least:.3g}"
        return ask(self.models[-1], request, reason)


def cascade(*models: Model, trust: Any = None, at_least: float | Sequence[float] = 0.5) -> Cascade:
    """A cascade from cheap to dear; one signal and threshold for all levels, or one for each but the last.

    Raises BadInput where their numbers don't fit.
    """
    signals, thresholds = levels("cascade", models, trust, at_least)
    return Cascade(tuple(models), signals, thresholds)
