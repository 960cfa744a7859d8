"""Reads an upstream's JSON as it passes: nothing that no client could read is let through, and what it cost is kept."""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

from ...core import Usage
from ...endpoints.openai_wire import usage_of


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


_decode = json.JSONDecoder(parse_constant=_no_number).decode


def table_in(data: bytes) -> dict[str, Any] | None:
    """The JSON object in bytes; None where there is none, NaN and broken characters included."""
    try:
        found: Any = _decode(data.decode())
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


class Sniffer:
    """Lets whole events through and keeps what the ledger needs: usage, how it ended, and an error within.

    `broken` says that an event came which is no part of a completion, `cut` that the end came while a choice had no
    reason for it; the events before were let through. `held` is how many bytes wait for the rest of their event.
    """

    def __init__(self, keep_usage: bool) -> None:
        self.keep_usage = keep_usage
        self.held = 0
        self.usage: tuple[Usage | None, int] = (None, 0)
        self.finish: str | None = None
        self.error: Any = None
        self.done = self.broken = self.cut = False
        self._parts: list[bytes] = []
        self._begun = self._after_cr = False
        self._open, self._ended = (
            set[Any](),
            set[Any](),
        )  # the choices that were begun, and those that said why they end

    def take(self, chunk: bytes) -> bytes:
        """The events that are whole by now, but for those that the client is not to see; each byte is read once.

        Lines end with LF alone, whatever they came with, and a byte order mark is left out.
        """
        if not self._begun:
            chunk = self._opening(chunk)
        if self._after_cr and chunk:
            # The chunk before ended its line with \r; an \n right after it is the same line end.
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        cut = chunk.rfind(b"\n\n") + 2
        if cut < 2:
            cut = int(self.held > 0 and chunk.startswith(b"\n") and self._parts[-1].endswith(b"\n"))
        if not cut:
            if chunk:
                self._parts.append(chunk)
                self.held += len(chunk)
            return b""
        whole, rest = chunk[:cut], chunk[cut:]
        if self._parts:
            whole = b"".join([*self._parts, whole])
        self._parts, self.held = [rest] if rest else [], len(rest)
        events = whole.split(b"\n\n")
        events.pop()
        kept = [event for event in events if self._passes(event)]
        return whole if len(kept) == len(events) else b"".join([event + b"\n\n" for event in kept])

    def _opening(self, chunk: bytes) -> bytes:
        """The chunk without a byte order mark; nothing as long as it may be the part of one."""
        chunk = b"".join([*self._parts, chunk])
        self._parts, self.held = [], 0
        if chunk in (b"", b"\xef", b"\xef\xbb"):
            self._parts, self.held = [chunk] if chunk else [], len(chunk)
            return b""
        self._begun = True
        return chunk.removeprefix(b"\xef\xbb\xbf")

    def _passes(self, event: bytes) -> bool:
        if self.done or self.cut or self.broken or self.error is not None:
            return False  # what follows an end is nothing
        data = event[6:] if event.startswith(b"data: ") and b"\n" not in event else _data(event)
        if not data or data.isspace():
            return b"data" not in event  # a comment, to keep the connection
        if data.strip() == b"[DONE]":
            # A server that breaks off may say this too: a reply that is whole has said why it ends.
            self.done = bool(self.finish) and not self._open
            self.cut = not self.done
            return self.done
        found = table_in(data)
        choices = found.get("choices") if found is not None else None
        if found is not None and found.get("error"):
            self.error = found["error"]
            return False
        if found is None or not (choices is None or _tables(choices)):
            self.broken = True
            return False
        for choice in choices or ():
            self._follow(choice)
        if found.get("usage"):
            usage = usage_in(found)
            if usage[0] is not None:
                self.usage = usage
                return self.keep_usage or bool(choices)
        return True

    def _follow(self, choice: dict[str, Any]) -> None:
        index, reason = choice.get("index"), choice.get("finish_reason")
        place = index if isinstance(index, int) else 0
        if isinstance(reason, str) and reason:
            self.finish = self.finish or reason
            self._open.discard(place)
            self._ended.add(place)
        elif place not in self._ended:
            self._open.add(place)


def _data(event: bytes) -> bytes:
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) for v in cast("list[Any]", value))


def usage_in(found: dict[str, Any]) -> tuple[Usage | None, int]:
    """An answer's usage, and how many tokens were read from a cache."""
    told: Any = found.get("usage")
    return usage_of(told) if isinstance(told, dict) and "prompt_tokens" in told else (None, 0)


def finish_of(found: dict[str, Any]) -> str | None:
    """The first finish_reason that is a word."""
    choices: Any = found.get("choices")
    reasons = [c.get("finish_reason") for c in choices] if _tables(choices) else []
    return next((r for r in reasons if isinstance(r, str) and r), None)
