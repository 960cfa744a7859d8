"""Reads server-sent events from bytes as they come, each byte once; checked in tests/endpoints/test_server_events.py.

As the HTML standard has it: lines end with CRLF, LF or CR, a byte order mark may come first, comments and fields that
are not `data` or `event` are passed over. Kinder than it: a last event that lacks its empty line counts.
"""

from __future__ import annotations

Event = tuple[str, str]


class ServerEvents:
    """Chunks in, (event, data) out; `held` is how many bytes wait for the rest of their event."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._name, self._data = "", list[str]()
        self._after_cr, self._begun = False, False
        self.held = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that the chunk ends."""
        if not self._begun:
            chunk = self._opening(chunk)
        if self._after_cr and chunk:
            # The chunk before ended its line with \r; an \n right after it is the same line end.
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Split on \n alone: JSON may hold other line separators unescaped.
        *lines, rest = chunk.split(b"\n")
        self.held += len(chunk)
        if lines and self._parts:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._parts = []
        if rest:
            self._parts.append(rest)
        return self._read(lines, len(rest)) if lines else []

    def end(self) -> list[Event]:
        """The event that the end of the stream ends, where there is one."""
        return self.feed(b"\n\n")

    def _opening(self, chunk: bytes) -> bytes:
        """The chunk without a byte order mark; nothing as long as it may be the part of one."""
        chunk = b"".join([*self._parts, chunk])
        self.held, self._parts = 0, []
        if chunk in (b"", b"\xef", b"\xef\xbb"):
            self.held, self._parts = len(chunk), [chunk]
            return b""
        self._begun = True
        return chunk.removeprefix(b"\xef\xbb\xbf")

    def _read(self, lines: list[bytes], left: int) -> list[Event]:
        found: list[Event] = []
        for line in lines:
            if not line:
                if self._data:
                    found.append((self._name, "\n".join(self._data)))
                    self._data, self.held = [], left
                self._name = ""
            elif line.startswith(b"data"):
                if line[4:5] in (b":", b""):
                    self._data.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
            elif line.startswith(b"event") and line[5:6] in (b":", b""):
                self._name = line[6:].strip().decode("utf-8", "replace")
        if not self._data:
            self.held = left
        return found
