"""Ask the next model when one fails: an endpoint that is down, slow, or refuses.

A baseline that needs no paper. It streams: before anything was seen a failure goes to the next model; afterwards the
next one that can goes on from what was seen, else the failure is the reply's end. Checked against its law: while the
first model answers, it is that model; and what is streamed is what is returned, wherever it breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core import Ask, Model, Piece, Reply, Request, Technique
from ..errors import BadInput, EndpointError
from ..shape import Asks, name_of
from .going_on import able, going_on, telling
from .levels import failure_of


@dataclass(frozen=True, repr=False)
class Fallback(Technique):
    """Models in the order in which they are tried."""

    models: tuple[Any, ...]
    use = "fallback"

    async def answer(self, request: Request) -> Reply:
        """The first reply that comes; the last error is raised."""
        reason, seen, shown = "", tuple[Piece, ...](), False
        failed: EndpointError | None = None
        for place, model in enumerate(self.models):
            if seen and not able(model, request, seen):
                continue
            asked = going_on(model, request, seen) if seen else request
            # A stream that may have to be gone on with is read; else an upstream's bytes may pass unread.
            keeps = shown or any(able(m, request) for m in self.models[place + 1 :])
            try:
                reply: Reply = await Ask(model, asked, reason, streams=True, keeps=keeps)
            except EndpointError as error:
                if error.said is None:
                    raise  # some of it was seen, and what is not known
                shown = shown or bool(error.said)
                seen, failed = (*seen, *telling(error.said)), error
                reason = f"{failure_of(model, error)}."
                if seen:
                    reason += f" It goes on after {len(seen)} pieces of '{name_of(model)}'."
                continue
            return _whole(seen, reply) if seen else reply
        assert failed is not None
        failed.said = seen
        raise failed

    def asks(self) -> list[Asks]:
        """Every model once; those after the first may have to read what was seen of a reply that broke off."""
        return [Asks(m, replies=int(i > 0)) for i, m in enumerate(self.models)]


def _whole(seen: Sequence[Piece], rest: Reply) -> Reply:
    """The reply as it was seen: its beginning by one model, its end by another."""
    text = "".join(p.text for p in seen) + (rest.text or "")
    return replace(rest, text=text, tokens=None, logprobs=None, top_logprobs=None, raw=None)


def fallback(*models: Model) -> Fallback:
    """Models tried in order until one answers; raises BadInput for none."""
    if not models:
        raise BadInput("fallback needs at least one model.")
    return Fallback(tuple(models))
