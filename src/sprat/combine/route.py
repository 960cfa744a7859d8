"""Choose one model before any has answered: the cheapest for which the request looks easy enough.

The setting of Hybrid LLM (arXiv 2404.14618) and RouteLLM (arXiv 2406.18665) with any signal as the router. Every turn
of a thread goes to the model that its opening chose: the choice is a pure function of the opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Ask, Model, Reply, Request, Technique, ask
from ..errors import EndpointError
from .levels import failure, levels


@dataclass(frozen=True, repr=False)
class Route(Technique):
    """Models from cheap to dear; `models[i]` answers when `trust[i]` of the opening reaches `at_least[i]`."""

    models: tuple[Any, ...]
    trust: tuple[Any, ...] = ()
    at_least: tuple[float, ...] = ()
    use = "route"

    async def answer(self, request: Request) -> Reply | Ask:
        """The reply of the first model for which the request is easy enough, if it does not fail, else of the last."""
        opening, reason, read = request.opening, "", (None, 0.0)
        for model, trust, at_least in zip(self.models, self.trust, self.at_least, strict=False):
            if at_least > 1:
                continue
            asked = trust
            try:
                if at_least > 0 and trust is not read[0]:
                    read = (trust, await trust.trust(opening))
                if at_least <= 0 or read[1] >= at_least:
                    asked = model
                    because = f"ease {read[1]:.3g} ≥ {at_least:.3g}" if at_least > 0 else reason
                    return await Ask(model, request, because, streams=True)
                reason = f"ease {read[1]:.3g} < {at_least:.3g}"
            except EndpointError as error:
                reason = failure(asked, error)
        return ask(self.models[-1], request, reason)


def route(*models: Model, trust: Any = None, at_least: float | Sequence[float] = 0.5) -> Route:
    """A route from cheap to dear; one signal and threshold for all levels, or one for each but the last.

    Raises BadInput where their numbers don't fit.
    """
    signals, thresholds = levels("route", models, trust, at_least)
    return Route(tuple(models), signals, thresholds)
