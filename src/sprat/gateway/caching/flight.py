"""One call for all who ask the same at once: its pieces go to each of them, and it ends when the last one has left.

The one who asked first is served as if alone. Whoever speaks the same way rides along live; the others get the reply
when it is whole. The call is read no faster than the fastest of them, so that a slow client still slows its upstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from ...core import Piece, Reply
from ..wire.problem import Problem

_AHEAD = 64  # pieces


class _Node:
    """A piece in the row of pieces; whoever still needs it holds it."""

    __slots__ = ("next", "piece")

    def __init__(self, piece: Piece | None = None) -> None:
        self.piece = piece
        self.next: _Node | None = None


class Flight:
    """A call in a task of its own; `whole` makes of its source the replies that may be given to others and kept.

    Who is first `aboard` when it ends pays for it.
    """

    def __init__(self, source: Any, mode: Any, whole: Callable[[Any, list[bytes]], list[Reply]], most: int) -> None:
        self.source, self.mode, self.most = source, mode, most
        self.aboard: list[object] = []
        self.payer: object | None = None
        self.replies: list[Reply] = []
        self.error: Exception | None = None
        self.ended = self._given_up = False
        self._whole = whole
        self._last = _Node()
        self._first: _Node | None = self._last
        self._count = self._taken = self._size = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._fly())

    @property
    def open(self) -> bool:
        """Whether others may still join, from its first piece on."""
        return self._first is not None and not self.ended and not self._given_up

    async def pieces(self, rider: object, live: bool) -> AsyncGenerator[Piece]:
        """The pieces from the first one on where `live`, else none until it has ended; raises its error."""
        self.aboard.append(rider)
        node = self._first
        try:
            if live and node is not None:
                taken = 0
                while True:
                    while node.next is None and not self.ended:
                        await self._news.wait()
                    if node.next is None:
                        break
                    node = node.next
                    taken += 1
                    self._take(taken)
                    if node.piece is not None:
                        yield node.piece
            else:
                self._take(1 << 60)
                while not self.ended:
                    await self._news.wait()
            if self.error is not None:
                raise self.error
        finally:
            if not self.ended:
                self.aboard.remove(rider)
                if not self.aboard:
                    self._given_up = True  # its upstream takes a moment to close: whoever asks meanwhile asks anew
                    self.task.cancel()

    def _take(self, taken: int) -> None:
        if taken > self._taken:
            self._taken = taken
            self._room.set()

    async def _fly(self) -> None:
        raw: list[bytes] = []
        try:
            async with aclosing(self.source.pieces()) as source:
                async for piece in source:
                    if isinstance(piece.raw, bytes) and self._first is not None:
                        raw.append(piece.raw)
                    await self._add(piece, raw)
            if self._first is not None:
                self.replies = self._whole(self.source, raw)
            self.payer = self.aboard[0] if self.aboard else None
        except asyncio.CancelledError:
            self.error = Problem(503, "The request was given up.", code="shutting_down", after=1.0)
            raise
        except Exception as error:
            self.error = error
            self.payer = self.aboard[0] if self.aboard else None
        finally:
            self.ended = True
            self._tell()

    async def _add(self, piece: Piece, raw: list[bytes]) -> None:
        node = _Node(piece)
        self._last.next = node
        self._last = node
        self._count += 1
        self._size += 200 + (len(piece.raw) if isinstance(piece.raw, bytes) else 4 * len(piece.text))
        if self._size > self.most:  # too long to be kept: what all have read is let go
            self._first = None
            raw.clear()
        self._tell()
        while self._count - self._taken > _AHEAD:
            self._room.clear()
            await self._room.wait()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
