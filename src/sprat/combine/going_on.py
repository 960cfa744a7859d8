"""Which models can go on with a text that another began, and what they are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core import Piece, Request

# How a server is told that the last message is to be continued: as vLLM and SGLang are.
_CHAT = {"continue_final_message": True, "add_generation_prompt": False}


def able(model: Any, request: Request, seen: Sequence[Piece] = ()) -> bool:
    """Whether the model can go on after these pieces (none: after any text): text alone, as its API takes it."""
    how = getattr(model, "continues", "")
    if request.whole or how not in ("chat", "prefill") or any(not p.text for p in seen):
        return False
    text = "".join(p.text for p in seen)
    return how == "chat" or not seen or not text[-1:].isspace()  # a prefill may not end in a space


def going_on(model: Any, request: Request, seen: Sequence[Piece]) -> Request:
    """The request for the rest: what was said is the assistant's message, and its tokens are taken off the limit."""
    said = {"role": "assistant", "content": "".join(p.text for p in seen)}
    options = dict(request.options)
    written = sum(len(p.tokens) or 1 for p in seen if p.text)
    for name in ("max_tokens", "max_completion_tokens"):
        if options.get(name):
            options[name] = max(1, options[name] - written)
    if getattr(model, "continues", "") == "chat":
        options |= _CHAT
    return replace(request, messages=(*request.messages, said), options=options)


def telling(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Those that say something: text, or what is no text, such as a part of a tool call."""
    return tuple(p for p in pieces if p.text or _other(p.raw))


def _other(raw: Any) -> bool:
    if not isinstance(raw, Mapping):
        return raw is not None
    choices: Any = raw.get("choices") or ()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return any(v for c in choices for k, v in (c.get("delta") or {}).items() if k != "role")
