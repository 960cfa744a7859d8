"""Trust a reply as far as a model finds it likely: after the request, or by others' replies, in BARTScore's directions.

BARTScore (arXiv 2106.11520): exp of the mean log-probability per token. "faithfulness" is of the reply after the
request; with peers, whose replies stand for references, "precision" is of the reply after a peer's, "recall" of a
peer's after the reply, "f" their mean, each averaged over the peers. Checked by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any, ClassVar, Literal

import numpy as np

from ..core import Model, Reply, Request, Signal, ask, together
from ..endpoints.likelihoods import Ask, CueAt, after, cued, likelihood_of
from ..errors import BadInput, CannotDo
from ..shape import Asks
from .agreement import opinions

Direction = Literal["faithfulness", "precision", "recall", "f"]
DIRECTIONS = ("faithfulness", "precision", "recall", "f")


@dataclass(frozen=True, repr=False)
class Likelihood(Signal):
    """`model` gives log-probabilities of texts; the peers `models` are asked once, or drawn from `samples` times.

    `cue` stands between the two texts; with `cue_at` "target" it is scored with the second one.
    """

    models: tuple[Any, ...]
    model: Any
    direction: Direction = "faithfulness"
    cue: str = ""
    samples: int = 0
    temperature: float | None = None
    by: Ask = "echo"
    cue_at: CueAt = "source"
    use = "likelihood"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """exp of the mean log-probability per token, in [0, 1]; 0 for an empty reply, or where no peer answered."""
        if reply is None:
            raise CannotDo("likelihood judges a reply; it was given none.", hint="Use it in a cascade or best_of.")
        text = (reply.text or "").strip()
        if not text:
            return 0.0
        if self.direction == "faithfulness":
            return exp(min(0.0, await self._mean([(request.text, text)])))
        heard = await opinions(self.models, request, self.samples, self.temperature)
        others = [t for r in heard if r.ok and (t := (r.text or "").strip())]
        if not others:
            return 0.0
        forth = [(other, text) for other in others] if self.direction != "recall" else []
        back = [(text, other) for other in others] if self.direction != "precision" else []
        return exp(min(0.0, await self._mean(forth + back)))

    async def _mean(self, pairs: list[tuple[str, str]]) -> float:
        """The mean over pairs of the mean log-probability of the second text after the first."""
        asked = likelihood_of(self.model, by=self.by)
        told = await together(
            [ask(asked, after(*cued(given, text, self.cue, self.cue_at)), "how likely it is") for given, text in pairs]
        )
        known = [float(np.mean(r.logprobs)) for r in told if r.ok and r.logprobs]
        if len(known) < len(told):
            why = next((r.error for r in told if r.error), "a text has no tokens")
            raise CannotDo(f"likelihood lacks the log-probabilities of a text: {why}")
        return float(np.mean(known))

    def asks(self) -> list[Asks]:
        """The peers, and the model where each text is a call."""
        peers = [Asks(self.models, max(1, self.samples))] if self.models else []
        if not hasattr(self.model, "post"):
            return peers
        pairs = max(1, len(self.models) * max(1, self.samples)) * (2 if self.direction == "f" else 1)
        return [*peers, Asks(self.model, pairs, replies=2, longest=1)]


def likelihood(
    model: Any,
    *peers: Model,
    direction: Direction | None = None,
    cue: str = "",
    samples: int = 0,
    temperature: float | None = None,
    by: Ask = "echo",
    cue_at: CueAt = "source",
) -> Likelihood:
    """The likelihood score as a trust: of the reply after the request, or with peers in the direction "f".

    Raises CannotDo for a model that gives no log-probabilities of texts, BadInput where peers and direction don't fit.
    """
    chosen: Direction = direction or ("f" if peers else "faithfulness")
    if chosen not in DIRECTIONS or samples < 0:
        raise BadInput(
            f"likelihood takes {', '.join(DIRECTIONS)} and samples of at least 0; got {chosen!r}, {samples}."
        )
    if cue_at not in ("source", "target"):
        raise BadInput(f"A cue stands at the source or the target, not at {cue_at!r}.")
    if (chosen == "faithfulness") == bool(peers):
        raise BadInput(f"The direction '{chosen}' {'takes no' if peers else 'needs'} peers.",
                       hint="Faithfulness compares with the request, the others with peers' replies.")  # fmt: skip
    likelihood_of(model, by=by)
    return Likelihood(tuple(peers), model, chosen, cue, samples, temperature, by, cue_at)
