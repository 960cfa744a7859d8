"""Semantic-entropy probe: whether a model's draws would spread over meanings, read off its hidden states in one pass.

Kossen et al., arXiv 2406.15927: a logistic probe on the states at the token before generation, or at the last token of
the answer before its end, trained on the semantic entropy of sampled answers, made high or low by the threshold with
the least squared error within both sides. It needs no right answers. Checked by hand, and against p(IK), which differs
where a model is wrong and sure of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..core import Reply, Request, Signal, ask
from ..data import Floats, Lessons
from ..errors import BadInput, nearest
from ..shape import Asks, name_of
from ..uncertainty.clusters import Draws, Exact, cluster, comparing
from ..uncertainty.entropy import CONVENTIONS, semantic_entropy
from ..uncertainty.levels import Samples
from .agreement import opinions
from .heads import Linear
from .learning import observe, unfitted
from .probing import FEWEST, At, checked, fit_probe, flat, states_of


def best_split(entropies: Sequence[float] | Floats) -> float:
    """The threshold between low (below it) and high entropies with the least summed squared error within both.

    It lies halfway between two values; raises BadInput where all are equal.
    """
    values = np.sort(np.asarray(entropies, np.float64))
    n = len(values)
    if n < 2 or values[0] == values[-1]:
        raise BadInput("All questions have one entropy: there is no high and low.", hint="Draw more, or hotter.")
    sums, squares = np.cumsum(values), np.cumsum(values**2)
    low = np.arange(1, n)
    within = squares[:-1] - sums[:-1] ** 2 / low
    within = within + (squares[-1] - squares[:-1]) - (sums[-1] - sums[:-1]) ** 2 / (n - low)
    within[values[1:] == values[:-1]] = np.inf
    at = int(np.argmin(within))
    return float((values[at] + values[at + 1]) / 2)


@dataclass(frozen=True, repr=False, eq=False)
class EntropyProbe(Signal):
    """`model` has weights; fit draws `samples` of it per question, later none; `threshold` in nats is fit's."""

    model: Any
    at: At = "before"
    layers: tuple[int, ...] | None = None
    samples: int = 10
    temperature: float = 1.0
    equivalence: Any = field(default_factory=Exact)
    convention: str = "discrete"
    threshold: float | None = field(default=None, repr=False)
    head: Linear | None = field(default=None, repr=False)
    use = "entropy_probe"
    level: ClassVar[str] = "question"

    @property
    def reads_reply(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it looks at the end of a reply."""
        return self.at == "end"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The probability in [0, 1] that the entropy is low; raises BadInput before fit."""
        return float((await self.trusts((request,), (reply,)))[0])

    async def trusts(self, requests: Sequence[Request], replies: Sequence[Reply | None] = ()) -> Floats:
        """The probabilities (n,), from one pass over all requests; raises BadInput before fit."""
        if self.head is None or self.layers is None:
            raise unfitted(self.use)
        return 1.0 - self.head.predict(flat(await states_of(self.model, self.at, requests, replies), self.layers))

    def asks(self) -> list[Asks]:
        """The model for its draws until it is fitted, then nobody."""
        return [] if self.head is not None else [Asks(self.model, self.samples)]

    async def entropy(self, request: Request) -> float:
        """The semantic entropy in nats of the model's draws; NaN where fewer than two came."""
        heard = [r for r in await opinions((self.model,), request, self.samples, self.temperature) if r.ok]
        if len(heard) < 2:
            return float("nan")
        told = [tuple(r.logprobs or ()) for r in heard]
        found = Samples(request.text, tuple(r.text or "" for r in heard), tuple(told) if all(told) else None)
        same = await ask(comparing(self.equivalence), Draws(found.question, found.texts))
        return semantic_entropy(found, cluster(same), self.convention).value

    def fit(self, lessons: Lessons) -> EntropyProbe:
        """Learn from draws of the model, recorded or made now; scores are not looked at. BadInput under 20 rows."""
        replies = lessons.replies.get(name_of(self.model)) or (None,) * len(lessons)
        entropies = np.array(observe([self.entropy(q) for q in lessons.requests], lessons))
        known = [
            i
            for i, value in enumerate(entropies.tolist())
            if np.isfinite(value) and (self.at == "before" or ((r := replies[i]) is not None and r.ok and r.text))
        ]
        if len(known) < FEWEST:
            raise BadInput(f"{self.use} learns from questions with draws: {len(known)}, {FEWEST} are needed.")
        threshold = best_split(entropies[known])
        high = (entropies[known] >= threshold).astype(np.float64)
        requests = [lessons.requests[i] for i in known]
        (states,) = observe([states_of(self.model, self.at, requests, [replies[i] for i in known])], lessons)
        head, layers = fit_probe(states, high, self.layers, lessons.seed)
        return replace(self, head=head, layers=layers, threshold=threshold)


def entropy_probe(
    model: Any,
    at: At = "before",
    layers: Sequence[int] | None = None,
    samples: int = 10,
    temperature: float = 1.0,
    equivalence: Any = None,
    convention: str = "discrete",
) -> EntropyProbe:
    """A semantic-entropy probe; CannotDo for a model without weights at hand, BadInput for under two draws."""
    checked("entropy_probe", model, at, encoders=False)
    if samples < 2 or temperature <= 0:
        raise BadInput(f"entropy_probe needs two draws or more at a temperature; got {samples} at {temperature:g}.")
    if convention not in CONVENTIONS:
        raise BadInput(f"There is no convention '{convention}'.", hint=nearest(convention, CONVENTIONS))
    chosen = None if layers is None else tuple(layers)
    return EntropyProbe(model, at, chosen, samples, temperature, equivalence or Exact(), convention)
