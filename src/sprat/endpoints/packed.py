"""Bodies that a server packed by gzip or deflate; checked over HTTP in tests/endpoints/test_upstream.py."""

from __future__ import annotations

import zlib

PART = 2**16  # bytes that are unpacked at once


class Packed:
    """Unpacks gzip and deflate, a part at a time, so that a small body can't become a large one at once."""

    __slots__ = ("coding", "held", "more", "unpacker")

    def __init__(self, coding: bytes) -> None:
        self.coding, self.held, self.more, self.unpacker = coding, b"", False, None

    @property
    def within(self) -> bool:
        """Whether an end is still to come."""
        return self.unpacker is not None

    def take(self) -> bytes:
        """The next bytes, none where more has to come first; raises zlib.error."""
        while self.held or self.more:
            if self.unpacker is None:
                self.unpacker = zlib.decompressobj(self._window())
            came = self.unpacker.decompress(self.held, PART)
            self.held, self.more = self.unpacker.unconsumed_tail, len(came) == PART
            if self.unpacker.eof:  # gzip may have several parts
                self.held, self.more, self.unpacker = self.unpacker.unused_data, False, None
            if came:
                return came
        return b""

    def _window(self) -> int:
        if self.coding in (b"gzip", b"x-gzip"):
            return 16 + zlib.MAX_WBITS
        if self.coding != b"deflate":
            raise zlib.error("a coding that nobody asked for")
        return zlib.MAX_WBITS if self.held[0] & 0xF == 8 else -zlib.MAX_WBITS  # some servers leave out zlib's frame
