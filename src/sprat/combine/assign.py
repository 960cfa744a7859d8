"""Choose among any number of models by predicted quality less a price: argmax_m q_m(request) - weight * cost_m.

The decision rule of FORC (arXiv 2308.06077) and of RouterBench's predictive routers (arXiv 2403.12031); `predictor`
gives one predicted score per model, from the request alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Ask, Model, Request, Technique, ask
from ..errors import BadInput


@dataclass(frozen=True, repr=False)
class Assign(Technique):
    """Models with their typical cost per call (dollars); `weight` is quality points per dollar."""

    models: tuple[Any, ...]
    predictor: Any = None
    prices: tuple[float, ...] = ()
    weight: float = 0.0
    use = "assign"

    async def answer(self, request: Request) -> Ask:
        """The reply of the model with the best predicted value; a tie goes to the earlier, cheaper one."""
        predicted = np.asarray(await self.predictor.predict(request.opening), dtype=np.float64)
        values = predicted - self.weight * np.asarray(self.prices)
        best = int(np.argmax(values))
        return ask(self.models[best], request, f"predicted {predicted[best]:.3g}, value {values[best]:.3g}")


def assign(*models: Model, predictor: Any, prices: tuple[float, ...], weight: float = 0.0) -> Assign:
    """Assign each request to one model; raises BadInput where prices and models differ in number."""
    if not models or len(prices) != len(models):
        raise BadInput(f"assign needs one price per model; got {len(models)} models and {len(prices)} prices.")
    return Assign(tuple(models), predictor, tuple(prices), weight)
