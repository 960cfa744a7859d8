"""p(IK): how likely a model knows the answer, read off its hidden states before it has written anything.

Kadavath et al., arXiv 2207.05221: a value head that foretells whether the model's own answers are right, here a
logistic head on frozen states at the prompt's last token (as Farquhar et al., Nature 2024, have it) or on an encoder's
row. One pass over the prompt, no draw. At a reply's end it is the accuracy probe of arXiv 2406.15927. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..core import Reply, Request, Signal
from ..data import Floats, Lessons
from ..errors import BadInput
from ..shape import Asks
from .heads import Linear
from .learning import labels, observe, unfitted
from .probing import FEWEST, At, checked, fit_probe, flat, states_of


@dataclass(frozen=True, repr=False, eq=False)
class PIK(Signal):
    """`model` has weights, or is an encoder; `layers` that are read (0: the embedding; None: chosen by fit)."""

    model: Any
    at: At = "before"
    layers: tuple[int, ...] | None = None
    head: Linear | None = field(default=None, repr=False)
    use = "p_ik"
    level: ClassVar[str] = "question"

    @property
    def reads_reply(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it looks at the end of a reply."""
        return self.at == "end"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The probability in [0, 1] that the model's answer is right; raises BadInput before fit."""
        return float((await self.trusts((request,), (reply,)))[0])

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The probabilities (n,), from one pass over all requests; raises BadInput before fit."""
        if self.head is None or self.layers is None:
            raise unfitted(self.use)
        return self.head.predict(flat(await states_of(self.model, self.at, requests, replies), self.layers))

    def asks(self) -> list[Asks]:
        """Nobody for an answer: only the prompt is read."""
        return []

    def fit(self, lessons: Lessons) -> PIK:
        """Learn from the first model's scores, in [0, 1]: shares of right draws will do. BadInput under 20 rows."""
        y = labels(lessons, "score")
        replies = lessons.replies[lessons.models[0]]
        known = [i for i in range(len(y)) if np.isfinite(y[i]) and (self.at == "before" or _read(replies[i]))]
        if len(known) < FEWEST:
            raise BadInput(f"{self.use} learns from scored rows: {len(known)} can be used, {FEWEST} are needed.")
        requests = [lessons.requests[i] for i in known]
        (states,) = observe([states_of(self.model, self.at, requests, [replies[i] for i in known])], lessons)
        head, layers = fit_probe(states, y[known], self.layers, lessons.seed)
        return replace(self, head=head, layers=layers)


def _read(reply: Reply | None) -> bool:
    return reply is not None and reply.ok and bool(reply.text)


def p_ik(model: Any, at: At = "before", layers: Sequence[int] | None = None) -> PIK:
    """p(IK) over a model's hidden states, or an encoder's rows; CannotDo for a model without weights at hand."""
    checked("p_ik", model, at, encoders=True)
    return PIK(model, at, None if layers is None else tuple(layers))
