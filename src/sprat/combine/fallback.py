"""Ask the next model when one fails: an endpoint that is down, slow, or refuses.

A baseline that needs no paper. Checked against its law: while the first model answers, it is that model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core import Ask, Model, Reply, Request, Technique, ask
from ..errors import BadInput, EndpointError


@dataclass(frozen=True, repr=False)
class Fallback(Technique):
    """Models in the order in which they are tried."""

    models: tuple[Any, ...]
    use = "fallback"

    async def answer(self, request: Request) -> Reply | Ask:
        """The first reply that comes; the last model's error is raised."""
        reason = ""
        for model in self.models[:-1]:
            try:
                reply: Reply = await ask(model, request, reason)
                return reply
            except EndpointError as error:
                reason = f"{type(error).__name__}: {error.args[0]}"
        return ask(self.models[-1], request, reason)


def fallback(*models: Model) -> Fallback:
    """Models tried in order until one answers; raises BadInput for none."""
    if not models:
        raise BadInput("fallback needs at least one model.")
    return Fallback(tuple(models))
