"""What drafts cost that are stopped while they are written, from recorded tokens: for every threshold at once.

A running trust's upper bound only falls, so a threshold stops a draft at the first token whose bound is below it. Costs
until then are known where the recorded ones are so much per token; else, and for the time, the whole call is charged:
more is safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Piece, Reply, Request
from ..data import Floats
from ..replay import Recording


@dataclass(frozen=True)
class Held:
    """Of each row's draft (n, tokens): the most that its trust can come to after a token, and the dollars by then."""

    most: Floats
    spent: Floats

    def take(self, rows: Any) -> Held:
        """The drafts of these rows."""
        return Held(self.most[rows], self.spent[rows])

    def billed(self, costs: Floats, picked: Any, setting: tuple[float, ...]) -> Floats:
        """The models' costs (n, models) with the first one's as far as it was written where another was picked."""
        at = np.argmax(self.most < setting[0], axis=1)
        stopped = self.spent[np.arange(len(at)), at]
        return np.column_stack([np.where(picked > 0, stopped, costs[:, 0]), costs[:, 1:]])


def held(
    signal: Any, model: str, requests: Sequence[Request], recording: Recording, replies: Sequence[Reply | None]
) -> Held:
    """The drafts of a model whose replies were recorded with token log-probabilities, watched by a running signal."""
    rates = recording.rates(model)
    rows: list[tuple[list[float], list[float]]] = []
    for request, reply in zip(requests, replies, strict=True):
        assert reply is not None
        assert reply.logprobs is not None
        running, usage = signal.running(request), reply.usage
        most, spent = list[float](), list[float]()
        whole = np.nan if reply.cost is None else reply.cost
        read = None if usage is None else usage.input_tokens
        for i, logprob in enumerate(reply.logprobs):
            running.take(0, Piece("", ("",), (logprob,)))
            low, high = running.within()
            most.append(high)
            spent.append(whole if rates is None or read is None else read * rates[0] + (i + 1) * rates[1])
            if low == high:
                break
        running.take(0, None)
        most[-1] = min(most[-1], running.within()[1])
        rows.append((most, spent))
    width = max((len(m) for m, _ in rows), default=1)
    most, spent = (np.array([r[k] + r[k][-1:] * (width - len(r[k])) for r in rows], dtype=np.float64) for k in (0, 1))
    return Held(most, spent)
