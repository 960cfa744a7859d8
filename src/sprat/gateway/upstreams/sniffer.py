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

    `broken` says that an event came which is no part of a completion, `cut` that the end came and no reason for it; the
    events before were let through.
    """

    def __init__(self, keep_usage: bool) -> None:
        self.keep_usage = keep_usage
        self.held = b""
        self.usage: tuple[Usage | None, int] = (None, 0)
        self.finish: str | None = None
        self.error: Any = None
        self.done = self.broken = self.cut = False

    def take(self, chunk: bytes) -> bytes:
        """The events that are whole by now, but for those that the client is not to see."""
        data = (self.held + chunk) if self.held else chunk
        cut = data.rfind(b"\n\n") + 2
        crlf = b"\r\n" in data
        if crlf:
            cut = max(cut, data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0)
        if cut < 2:
            self.held = data
            return b""
        whole, self.held = data[:cut], data[cut:]
        events = (whole.replace(b"\r\n", b"\n") if crlf else whole).split(b"\n\n")
        events.pop()
        kept = [event for event in events if self._passes(event)]
        return whole if len(kept) == len(events) else b"".join([event + b"\n\n" for event in kept])

    def _passes(self, event: bytes) -> bool:
        if self.done or self.cut or self.broken or self.error is not None:
            return False  # what follows an end is nothing
        data = event[6:] if event.startswith(b"data: ") and b"\n" not in event else _data(event)
        if not data or data.isspace():
            return b"data" not in event  # a comment, to keep the connection
        if data.strip() == b"[DONE]":
            # A server that breaks off may say this too: a reply that is whole has said why it ends.
            self.done, self.cut = bool(self.finish), not self.finish
            return self.done
        found = table_in(data)
        choices = found.get("choices") if found is not None else None
        if found is not None and found.get("error"):
            self.error = found["error"]
            return False
        if found is None or not (choices is None or _tables(choices)):
            self.broken = True
            return False
        if choices and self.finish is None:
            self.finish = finish_of(found)
        if found.get("usage"):
            usage = usage_in(found)
            if usage[0] is not None:
                self.usage = usage
                return self.keep_usage or bool(choices)
        return True


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
