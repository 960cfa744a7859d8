"""Trust a reply as far as others, asked the same, say something like it: the mean BERTScore with their replies.

BERTScore (arXiv 1904.09675) in place of equality, for answers that are prose. Peers, or further draws of a model.
Checked against sprat.similarity.bertscore on the same texts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..core import Model, Reply, Request, Signal, ask
from ..errors import BadInput, CannotDo
from ..shape import Asks
from ..similarity.asked import Read, reading
from ..similarity.greedy import f_of, matched
from ..similarity.token_vectors import StaticTokens
from .agreement import opinions

What = Literal["precision", "recall", "f"]


@dataclass(frozen=True, repr=False)
class BertScore(Signal):
    """`samples` draws of each model after the first, or one reply each (0); `encoder` reads the tokens."""

    models: tuple[Any, ...]
    samples: int = 0
    temperature: float | None = None
    encoder: Any = field(default_factory=StaticTokens)
    what: What = "f"
    use = "bertscore"
    reads_reply = True

    def asks(self) -> list[Asks]:
        """Every model once, or `samples` times."""
        return [Asks(self.models, max(1, self.samples))]

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The mean over the others' replies, cut to [0, 1]; 0 where nobody else answered, or the reply is empty."""
        if reply is None:
            raise CannotDo("bertscore compares a reply with others; it was given none.", hint="Use it in a cascade.")
        heard = await opinions(self.models, request, self.samples, self.temperature)
        others = [r.text or "" for r in heard if r.ok]
        if not others:
            return 0.0
        tokens = await ask(reading(self.encoder), Read((reply.text or "", *others)))
        precision, recall = matched(tokens, [(0, i + 1) for i in range(len(others))])
        found = {"precision": precision, "recall": recall}.get(self.what, f_of(precision, recall))
        return float(np.clip(np.mean(found), 0.0, 1.0))


def bertscore(
    *models: Model, samples: int = 0, temperature: float | None = None, encoder: Any = None, what: What = "f"
) -> BertScore:
    """BERTScore with peers or with draws of a model; BadInput for no model, samples below 0 or another `what`."""
    if not models or samples < 0 or what not in ("precision", "recall", "f"):
        raise BadInput("bertscore needs a model to ask, samples of at least 0, and precision, recall or f.")
    return BertScore(tuple(models), samples, temperature, encoder or StaticTokens(), what)
