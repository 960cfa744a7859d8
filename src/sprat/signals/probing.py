"""What the probes share: rows of hidden states or of an encoder, and a linear head over one layer or several.

The head is penalised logistic regression on features of one common scale, its penalty chosen out of fold; which layer
is read is chosen out of fold too, unless it is given. Wide rows are turned into the span of the rows first, which
changes nothing in what is learnt (the penalty does not care for turns) and keeps it quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import Reply, Request, Texts, ask, together
from ..errors import BadInput, CannotDo
from ..whitebox.decoder import Leaf
from ..whitebox.states import Place, reading
from .heads import Linear, fit_linear

Floats = NDArray[np.float64]
At = Literal["before", "end"]
FEWEST = 20
_FOLDS = 5


def checked(by: str, model: Any, at: str, encoders: bool) -> None:
    """CannotDo for what shows no states (nor, where `encoders` will do, encodes), BadInput for another place."""
    if at not in ("before", "end"):
        raise BadInput(f"{by} looks 'before' a reply or at its 'end', not {at!r}.")
    if hasattr(model, "encode") and encoders:
        if at == "end":
            raise BadInput(f"{by} over an encoder reads the request alone.", hint='Leave at="end" out.')
    elif not isinstance(model, Leaf):
        reading(model)


async def states_of(model: Any, at: At, requests: Sequence[Request], replies: Sequence[Reply | None]) -> Floats:
    """States (n, layers, width) of the requests, or at the end of the replies; an encoder's rows as one layer."""
    if hasattr(model, "encode"):
        rows = await ask(model, Texts(tuple(r.text for r in requests)))
        return np.asarray(rows, np.float64)[:, None]
    if at == "end" and (len(replies) != len(requests) or any(r is None for r in replies)):
        raise CannotDo("A probe at the end of a reply needs the reply.", hint='Use it in a cascade, or at="before".')
    texts = [(r.text or "") if r is not None and at == "end" else None for r in replies or [None] * len(requests)]
    reader = reading(model)
    told: list[Reply] = await together(
        [ask(reader, Place(q, t), "its hidden states") for q, t in zip(requests, texts, strict=True)]
    )
    broken = next((r.error for r in told if not r.ok or r.raw is None), None)
    if broken is not None:
        raise BadInput(f"The hidden states can't be read: {broken}")
    return np.array([r.raw["states"] for r in told if r.raw is not None], np.float64)


def flat(states: Floats, layers: Sequence[int]) -> Floats:
    """The rows (n, len(layers) * width) of these layers."""
    return states[:, list(layers)].reshape(len(states), -1)


def fit_probe(states: Floats, y: Floats, layers: Sequence[int] | None, seed: int) -> tuple[Linear, tuple[int, ...]]:
    """The head for states (n, layers, width) and labels (n,) in [0, 1], and the layers that it reads.

    Unless given, that is the one layer whose head has the least squared error out of fold. BadInput for a layer that is
    not there.
    """
    count = states.shape[1]
    if layers is None:
        errors = [_out_of_fold(flat(states, [k]), y, seed) for k in range(count)]
        layers = (int(np.argmin(errors)),)
    if not layers or min(layers) < -count or max(layers) >= count:
        raise BadInput(f"There are the layers 0 (the embedding) to {count - 1}, not {list(layers)}.")
    chosen = tuple(int(k) % count for k in layers)
    return _head(flat(states, chosen), y, seed), chosen


def _out_of_fold(x: Floats, y: Floats, seed: int) -> float:
    fold = np.random.default_rng([seed, 17]).permutation(len(x)) % _FOLDS
    lost = 0.0
    for k in range(_FOLDS):
        lost += float(np.square(_head(x[fold != k], y[fold != k], seed).predict(x[fold == k]) - y[fold == k]).sum())
    return lost


def _head(x: Floats, y: Floats, seed: int) -> Linear:
    mean = x.mean(axis=0)
    if x.shape[1] <= len(x):
        return fit_linear(x, y, seed, blocks=[slice(0, x.shape[1])])
    left, size, span = np.linalg.svd(x - mean, full_matrices=False)
    inner = fit_linear(left * size, y, seed, blocks=[slice(0, len(size))])
    weights = span.T @ (inner.weights / inner.scale)
    bias = inner.bias - float(inner.centre / inner.scale @ inner.weights)
    return Linear(weights, bias, mean, np.ones(len(mean)))
