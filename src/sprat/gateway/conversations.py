"""Who answered a conversation before: what the gateway itself has seen, in memory, and what its store holds.

A cascade stays with the model that answered the turn before. Nobody is asked who that was: a later turn is known by the
thread's id where one is given, else by the request that its last assistant message answered (the same messages before
it, with the same options), each for one key alone. What is not known goes to the last model.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from ..combine import Cascade
from ..core import Request
from ..errors import SpratError
from .ledger.exchange import Exchange

_MANY = 20_000


class Conversations:
    """The writers of the replies seen last, by key and thread and by key and request."""

    def __init__(self) -> None:
        self._writers: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, exchange: Exchange) -> None:
        """Remember who wrote a reply."""
        if exchange.status != 200 or not exchange.model:
            return
        for place in ((exchange.key, exchange.thread), (exchange.key, exchange.request_key)):
            self._writers[place] = exchange.model
            self._writers.move_to_end(place)
        while len(self._writers) > _MANY:
            self._writers.popitem(last=False)

    async def known(self, request: Request, key: str, store: Any) -> Request:
        """A later turn with the model that answered before, where that is known."""
        before = _before(request)
        place = request.thread or before.key
        writer = self._writers.get((key, place))
        if writer is None and hasattr(store, "writer_of"):
            try:
                writer = await asyncio.to_thread(
                    store.writer_of, key, request.affinity, "" if request.thread else place
                )
            except SpratError:
                writer = None  # the store is away: it says so itself
        return replace(request, answered_by=writer) if writer else request


def stays(models: Any) -> bool:
    """Whether some of the models judges replies, so that it matters who answered before."""
    return any(isinstance(m, Cascade) or (hasattr(m, "answer") and stays(getattr(m, "models", ()))) for m in models)


def _before(request: Request) -> Request:
    """The request that the last assistant message answered."""
    last = max((i for i, m in enumerate(request.messages) if m.get("role") == "assistant"), default=0)
    return replace(request, messages=request.messages[:last])
