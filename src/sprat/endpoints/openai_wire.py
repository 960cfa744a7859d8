"""What an OpenAI-compatible server answers, read with its types checked: a part of another kind raises UNREADABLE's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..core import Piece, Usage, content_text

_MOST = 2**53  # a larger count is none; Python would carry it, a float or a database would not
_MOST_CALLS = 1000


def is_count(value: Any) -> bool:
    """Whether this is a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def usage_of(told: Any) -> tuple[Usage | None, int]:
    """What was counted, and how many of the tokens read came from a cache; (None, 0) where something is no count."""
    if not isinstance(told, dict):
        return None, 0
    counts = cast("dict[str, Any]", told)
    details: Any = counts.get("prompt_tokens_details")
    cached: Any = cast("dict[str, Any]", details).get("cached_tokens") if isinstance(details, dict) else None
    read, wrote = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if not all(c is None or is_count(c) for c in (read, wrote, cached)) or (cached or 0) > (read or 0):
        return None, 0
    return Usage(read, wrote), cached or 0


def text_of(content: Any) -> str | None:
    """The text of a message's content, None where it has none; TypeError for what is no content."""
    if content is None or isinstance(content, str):
        return content
    parts: list[Any] = content if isinstance(content, list) else [None]
    if not all(isinstance(p, dict) and isinstance(cast("dict[str, Any]", p).get("text", ""), str) for p in parts):
        raise TypeError("a content that is no text")
    return content_text(parts)


def message_of(choice: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The choice's message, or its delta; TypeError where a part of it, or its end's reason, is of another kind."""
    found: Any = choice.get(name)
    if found is None and name == "delta":
        found = {}
    if not isinstance(found, dict):
        raise TypeError(f"no {name}")
    message = cast("dict[str, Any]", found)
    _words("finish_reason", choice.get("finish_reason"))
    _words("refusal", message.get("refusal"))
    calls: Any = message.get("tool_calls")
    if calls:
        check_calls(calls)
    return message


def check_calls(calls: Any) -> None:
    """TypeError where this is no list of tool calls, or parts of such."""
    if not isinstance(calls, (list, tuple)) or not all(isinstance(c, dict) for c in cast("list[Any]", calls)):
        raise TypeError("tool calls that are none")
    for call in cast("list[dict[str, Any]]", calls):
        function: Any = call.get("function")
        index: Any = call.get("index")
        if index is not None and not (is_count(index) and index < _MOST_CALLS):
            raise TypeError("a tool call's index that is none")
        _words("id", call.get("id"))
        if function is not None:
            if not isinstance(function, dict):
                raise TypeError("a function that is none")
            _words("name", cast("dict[str, Any]", function).get("name"))
            _words("arguments", cast("dict[str, Any]", function).get("arguments"))


def _words(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"a {name} that is no text")


def token_logprobs(choice: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Tokens, their log-probabilities and the likeliest ones at each place; None where the server gave none."""
    listed: list[dict[str, Any]] = (choice.get("logprobs") or {}).get("content") or []
    if not listed or any(e.get("logprob") is None for e in listed):
        return None, None, None
    tops = tuple({str(t["token"]): _number(t["logprob"]) for t in e.get("top_logprobs") or ()} for e in listed)
    tokens, logprobs = tuple(str(e["token"]) for e in listed), tuple(_number(e["logprob"]) for e in listed)
    return tokens, logprobs, tops if any(tops) else None


def _number(value: Any) -> float:
    found = float(value)
    if found != found:
        raise ValueError("a log-probability that is no number")
    return found


class Building:
    """A chat completion put together from its chunks."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"role": "assistant", "content": None}
        self.choice: dict[str, Any] = {"index": 0, "message": self.message, "finish_reason": None, "logprobs": None}
        self.body: dict[str, Any] = {"object": "chat.completion", "choices": [self.choice]}
        self.texts: dict[str, list[str]] = {}
        self.listed: list[Any] = []

    def add(self, chunk: Mapping[str, Any]) -> Piece:
        """Take in one chunk; what it says, as a piece."""
        self.body |= {k: v for k, v in chunk.items() if k not in ("choices", "object") and v is not None}
        choice = next((c for c in chunk.get("choices") or () if c.get("index", 0) == 0), None)
        if choice is None:
            return Piece(raw=chunk)
        delta = message_of(choice, "delta")
        text = text_of(delta.get("content"))
        tokens, logprobs, _ = token_logprobs(choice)
        self.choice["finish_reason"] = choice.get("finish_reason") or self.choice["finish_reason"]
        if listed := (choice.get("logprobs") or {}).get("content"):
            self.listed += listed
            self.choice["logprobs"] = {"content": self.listed}
        for name, value in delta.items():
            if name == "tool_calls":
                for part in value or ():
                    self._tool_call(part)
            elif name == "content" and text is not None:
                self.texts.setdefault(name, []).append(text)
            elif isinstance(value, str) and name != "role":
                self.texts.setdefault(name, []).append(value)
            elif value is not None:
                self.message[name] = value
        return Piece(text or "", tokens or (), logprobs or (), raw=chunk)

    def _tool_call(self, part: dict[str, Any]) -> None:
        calls: list[dict[str, Any]] = self.message.setdefault("tool_calls", [])
        index = part.get("index")
        if index is None:  # servers that leave it out send each call whole, or say a new id
            index = len(calls) - (0 if part.get("id") or not calls else 1)
        while len(calls) <= index:
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call, function = calls[index], part.get("function") or {}
        call["id"] = part.get("id") or call["id"]
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def whole(self) -> dict[str, Any]:
        """The chat completion."""
        said = {k: "".join(parts) for k, parts in self.texts.items()}
        self.message |= {k: v for k, v in said.items() if v or "tool_calls" not in self.message}
        return self.body
