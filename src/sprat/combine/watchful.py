"""Watch a reply while it is written and go on to the next model as soon as it can't be trusted enough any more.

Early escalation. Deferring on token uncertainty is arXiv 2404.10136's idea; stopping inside the reply, on bounds of any
running signal, is ours. Checked against its laws: it decides as a cascade with the same signal does; at_least=0 is the
first model (the next one where it fails), above 1 the last; and it stops exactly those replies whose whole trust is
below the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Ask, Draft, Look, Model, Reply, Request, ask, watch
from ..errors import CannotDo, EndpointError
from ..shape import name_of, need
from ..signals import logprob
from ..signals.running import Runs
from .cascade import Cascade
from .levels import failure, known_model, levels


@dataclass(frozen=True, repr=False)
class Watchful(Cascade):
    """A cascade whose drafts are judged while they are written, and held so long: what it decides is the cascade's."""

    use = "watchful"

    async def answer(self, request: Request) -> Reply | Ask | Look:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The first draft that is trusted, else the last model's reply; what was stopped or failed is in the tree."""
        start, reason = 0, ""
        if request.continues and any(t > 0 for t in self.at_least):
            start, reason = known_model(self.models, request)
        for model, trust, at_least in zip(self.models[start:], self.trust[start:], self.at_least[start:], strict=False):
            if at_least > 1:
                continue  # no draft could be trusted enough: don't pay for one
            asked = model
            try:
                if at_least <= 0:
                    return await Ask(model, request, reason, streams=True)
                if request.whole:  # tools, JSON or several choices are read whole, then judged
                    reply: Reply = await ask(model, request, reason)
                    asked = trust
                    value = await trust.trust(request, reply)
                    if value >= at_least:
                        return reply
                    reason = f"trust {value:.3g} < {at_least:.3g}"
                    continue
                draft = watch(model, request, reason)
                doubt = await _doubt(draft, trust, at_least)
                if not doubt:
                    return await draft.accept(streams=True)
                await draft.stop()
                reason = doubt
            except EndpointError as error:
                reason = failure(asked, error)
            except CannotDo:
                if asked is not trust:
                    raise
                reason = f"{name_of(trust)} can't judge it"
        return ask(self.models[-1], request, reason)


async def _doubt(draft: Draft, trust: Any, at_least: float) -> str:
    """Read the draft as far as it takes to decide; why it is not to be kept, "" where it is."""
    running = trust.running(draft.request)
    drafts = [draft, *(watch(m, draft.request, "a second opinion") for m in running.beside)]
    if len(drafts) > 1:
        for one in drafts:
            await one.begin()
    read = 0
    low, high = running.within()
    while low < at_least <= high:
        which = running.wants()
        try:
            piece = await drafts[which].next()
        except EndpointError:
            if which == 0:
                for one in drafts[1:]:
                    await one.stop()
                if hasattr(running, "failed"):
                    running.failed()
                raise
            piece = None  # a second opinion that fails agrees with nothing
        running.take(which, piece)
        if which == 0 and piece is not None:
            read += len(piece.tokens) or 1
        low, high = running.within()
    for one in drafts[1:]:
        await one.stop()
    if high >= at_least:
        return ""
    most, tokens = "at most " if low < high else "", "token" if read == 1 else "tokens"
    return f"{name_of(trust)} {most}{high:.3g} < {at_least:.3g} after {read} {tokens}"


def watchful(*models: Model, trust: Any = None, at_least: float | Sequence[float] = 0.5) -> Watchful:
    """Early escalation from cheap to dear; one signal and threshold for all levels, or one for each but the last.

    The signal is one with a running form; where none is given, the mean log-probability of the first 20 tokens. Raises
    BadInput where the numbers don't fit, CannotDo where a signal can't be watched or a model lacks what it reads.
    """
    signals, thresholds = levels("watchful", models, logprob(first=20) if trust is None else trust, at_least)
    for model, signal, threshold in zip(models, signals, thresholds, strict=False):
        if 0 < threshold <= 1:
            if not isinstance(signal, Runs):
                raise CannotDo(
                    f"watchful needs a signal that can be read while a reply is written, and {signal!r} can't.",
                    hint="Such are logprob(first=20), opening(), opening_agreement() and lowest() of them.",
                )
            need(model, signal.needs, "watchful")
    return Watchful(tuple(models), signals, thresholds)
