"""What cascade and route share: a signal and a threshold per model but the last, a thread's known model, and failures.

A model but the last that fails, or can't be judged because its signal's endpoint fails, is not trusted: the next one is
asked. So the last model, whose quality is kept, answers wherever it would have answered alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ..core import Request
from ..errors import BadInput, EndpointError
from ..shape import leaves, name_of


def levels(
    technique: str, models: Sequence[Any], trust: Any, at_least: float | Sequence[float]
) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    """One signal and one threshold for each model but the last; raises BadInput where their numbers don't fit."""
    if not models:
        raise BadInput(f"{technique} needs at least one model.")
    n = len(models) - 1
    thresholds = tuple(float(t) for t in at_least) if isinstance(at_least, Sequence) else (float(at_least),) * n
    signals = tuple(cast("Sequence[Any]", trust)) if isinstance(trust, (tuple, list)) else (trust,) * n
    for what, given in (("signals", len(signals)), ("thresholds", len(thresholds))):
        if given != n:
            raise BadInput(f"{technique} of {n + 1} models needs {n} {what}; got {given}.")
    if any(s is None and 0 < t <= 1 for s, t in zip(signals, thresholds, strict=True)):
        raise BadInput(
            f"{technique} needs a signal to compare with at_least.",
            hint="Pass trust=..., for example sprat.signals.logprob().",
        )
    return signals, thresholds


def known_model(models: Sequence[Any], request: Request) -> tuple[int, str]:
    """Where a later turn of a thread goes: to the model that answered it before, else to the last, largest one."""
    for i, model in enumerate(models):
        names = {name_of(model), *(name_of(leaf) for leaf in leaves(model))}
        if request.answered_by in names:
            return i, f"the thread was answered by {request.answered_by}"
    return len(models) - 1, "a later turn of a thread whose model is not known"


def failure(part: Any, error: EndpointError) -> str:
    """Why the next model is asked where a model or signal failed; raises the error where some of its reply was seen."""
    if error.said != ():
        raise error
    return failure_of(part, error)


def failure_of(part: Any, error: EndpointError) -> str:
    """What happened to a model or signal, in words that any client may read."""
    return f"{name_of(part)} failed: {error.what}" + (f" (HTTP {error.status})" if error.status else "")
