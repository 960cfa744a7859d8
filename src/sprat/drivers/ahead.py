"""A stream whose first piece is fetched by a task of its own, so that several drafts are asked for at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from ..core import Piece


class Ahead:
    """The pieces of `source`; closing it closes that, also while its first piece is on its way."""

    def __init__(self, source: AsyncGenerator[Piece, None]) -> None:
        self.source = source
        self.first: asyncio.Task[Piece | None] | None = asyncio.create_task(self._first())

    async def _first(self) -> Piece | None:
        return await anext(self.source, None)

    def __aiter__(self) -> Ahead:
        return self

    async def __anext__(self) -> Piece:
        if self.first is None:
            return await anext(self.source)
        task, self.first = self.first, None
        try:
            piece = await task
        except asyncio.CancelledError:
            self.first = task  # whoever closes waits for its end
            raise
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Ends the call."""
        task, self.first = self.first, None
        if task is not None:
            task.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await task
        await self.source.aclose()
