"""Encodes the prompts of requests that arrive together in one go, and remembers what was read.

One text takes the embedded encoder 97 us and 29 us where 16 come at once: no worker thread pays for that, and the
opening of a thread is read again at its every turn.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary

from ..core import Texts
from ..encoders.static import StaticEncoder

_KEPT, _LONGEST = 4096, 4096


class Gathered:
    """The embedded encoder as an endpoint of the running loop."""

    def __init__(self, encoder: StaticEncoder) -> None:
        self.encoder = encoder
        self.rows: OrderedDict[str, Any] = OrderedDict()
        self.waiting: dict[str, asyncio.Future[Any]] = {}

    @property
    def name(self) -> str:
        """The encoder's."""
        return self.encoder.name

    async def answer_async(self, payload: Texts) -> Any:
        """Rows (n, dim)."""
        if len(payload.texts) != 1:
            return self.encoder.encode(payload.texts)
        text = payload.texts[0]
        if (row := self.rows.get(text)) is not None:
            return row
        future = self.waiting.get(text)
        if future is None:
            loop = asyncio.get_running_loop()
            if not self.waiting:
                loop.call_soon(self._encode)
            future = self.waiting[text] = loop.create_future()
        return await asyncio.shield(future)

    def _encode(self) -> None:
        waiting, self.waiting = self.waiting, {}
        texts = list(waiting)
        try:
            rows = self.encoder.encode(texts)
        except Exception as error:
            for future in waiting.values():
                future.set_exception(error)
            return
        for i, text in enumerate(texts):
            row = rows[i : i + 1]
            if len(text) <= _LONGEST:
                self.rows[text] = row
            waiting[text].set_result(row)
        while len(self.rows) > _KEPT:
            self.rows.popitem(last=False)


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[StaticEncoder, Gathered]] = WeakKeyDictionary()


def gathered(encoder: StaticEncoder) -> Gathered:
    """The encoder as the running loop has it."""
    made = _loops.setdefault(asyncio.get_running_loop(), {})
    found = made.get(encoder)
    if found is None:
        found = made[encoder] = Gathered(encoder)
    return found
