"""What the signals share that judge a reply by further draws: the draws themselves, with the reply first."""

from __future__ import annotations

from typing import Any

from ..core import Reply, Request
from ..errors import BadInput, CannotDo
from ..uncertainty.levels import Samples
from .agreement import opinions


async def drawn(
    by: str,
    models: tuple[Any, ...],
    request: Request,
    reply: Reply | None,
    samples: int,
    temperature: float | None,
    of_question: bool = False,
) -> tuple[Samples | None, list[Reply]]:
    """The reply and the others' replies as Samples, None where there are not two; CannotDo without a reply.

    What is asked `of_question` can do without one: then the others' replies stand alone. Log-probabilities are known
    only where every one of them has them.
    """
    if reply is None and not of_question:
        raise CannotDo(f"{by} compares a reply with further draws; it was given none.", hint="Use it in a cascade.")
    heard = await opinions(models, request, samples, temperature)
    others = [r for r in heard if r.ok and not r.tool_calls]
    replies = others if reply is None else [reply, *others]
    if len(replies) < 2:
        return None, []
    told = [r.logprobs for r in replies]
    logprobs = None if any(not row for row in told) else tuple(tuple(row or ()) for row in told)
    return Samples(request.text, tuple(r.text or "" for r in replies), logprobs), replies


def checked(by: str, models: tuple[Any, ...], samples: int) -> None:
    """BadInput where there is no model to draw from, or fewer than no draws."""
    if not models or samples < 0:
        raise BadInput(f"{by} needs a model to draw from, and samples of at least 0 (0: one reply of each model).")
