"""Turns a cell or a JSON value into what a call holds, or says in a ValueError why it can't."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..core import Reply, Usage

_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
CHARS_PER_TOKEN = 4


def absent(value: Any) -> bool:
    """Whether a cell says nothing."""
    return value is None or (isinstance(value, str) and value == "")


def text(value: Any) -> str | None:
    """A text; a number, a truth, a list as JSON writes it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def number(value: Any, what: str) -> float | None:
    """A finite number, a truth as 1 or 0; None for an absent one."""
    if absent(value):
        return None
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _WORDS:
            return _WORDS[word]
        try:
            value = float(word)
        except ValueError:
            raise ValueError(f"the {what} '{value[:40]}' is no number") from None
    if not isinstance(value, (bool, int, float)):
        raise ValueError(f"the {what} is no number but {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"the {what} is {value}")
    return float(value)


def amount(value: Any, what: str) -> float | None:
    """A finite number of at least 0."""
    found = number(value, what)
    if found is not None and found < 0:
        raise ValueError(f"the {what} is negative ({found:g})")
    return found


def whole(value: Any, what: str) -> int | None:
    """A whole number of at least 0."""
    found = amount(value, what)
    if found is not None and found != int(found):
        raise ValueError(f"the {what} is no whole number ({found:g})")
    return None if found is None else int(found)


def structure(value: Any, what: str) -> Any:
    """A list or mapping; in a table's cell, its JSON text. None for an absent one."""
    if absent(value):
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError(f"the {what} are neither a list nor JSON text") from None
    if value is not None and not isinstance(value, (list, dict, tuple)):
        raise ValueError(f"the {what} are neither a list nor a mapping")
    return cast("Any", value)


def messages(value: Any) -> tuple[Mapping[str, Any], ...] | None:
    """Chat messages, each with a role."""
    found = structure(value, "messages")
    if found is None:
        return None
    if not found or not all(isinstance(m, dict) and "role" in m for m in found):
        raise ValueError("the messages are not a list of messages with a role each")
    return tuple(found)


def usage(value: Any, read: Any = None, written: Any = None) -> Usage | None:
    """Tokens from a usage mapping by either way of naming them, or from two numbers."""
    found = structure(value, "usage")
    if found is not None:
        if not isinstance(found, dict):
            raise ValueError("the usage is no mapping of input_tokens and output_tokens")
        given = cast("Mapping[str, Any]", found)
        read = given.get("input_tokens", given.get("prompt_tokens"))
        written = given.get("output_tokens", given.get("completion_tokens"))
    elif absent(read) and absent(written):
        return None
    return Usage(whole(read, "input tokens"), whole(written, "output tokens"))


def estimated_tokens(chars: int) -> int:
    """A number of tokens guessed from a number of characters: a rule of thumb, to be labelled as such."""
    return max(1, round(chars / CHARS_PER_TOKEN))


def marks(tokens: Any, logprobs: Any) -> tuple[tuple[str, ...] | None, tuple[float, ...] | None]:
    """Tokens and their log-probabilities, also as OpenAI nests them."""
    told, values = structure(tokens, "tokens"), structure(logprobs, "logprobs")
    if isinstance(values, dict):
        listed = cast("dict[str, Any]", values).get("content")
        if not isinstance(listed, list):
            raise ValueError("the logprobs hold no list 'content'")
        items = cast("list[dict[str, Any]]", listed)
        told, values = [t["token"] for t in items], [t["logprob"] for t in items]
    names = None if told is None else tuple(str(t) for t in told)
    if values is None:
        return names, None
    try:
        found = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        raise ValueError("the logprobs are not a list of numbers") from None
    if any(math.isnan(v) or v > 1e-3 for v in found):
        raise ValueError("a log-probability is above 0 or NaN")
    if names is not None and len(names) != len(found):
        raise ValueError(f"there are {len(names)} tokens but {len(found)} logprobs")
    return names, found


def reply(row: Mapping[str, Any], model: str) -> Reply:
    """The reply in a row of our own field names."""
    tokens, logprobs = marks(row.get("tokens"), row.get("logprobs"))
    top = structure(row.get("top_logprobs"), "top_logprobs")
    tools = structure(row.get("tool_calls"), "tool_calls") or ()
    asks = structure(row.get("asks"), "asks") or ()
    if not all(isinstance(t, dict) for t in tools):
        raise ValueError("the tool_calls are not a list of mappings")
    return Reply(
        text=text(row.get("reply")),
        model=model if (reported := text(row.get("reported_model"))) is None else reported,
        tokens=tokens,
        logprobs=logprobs,
        top_logprobs=None if top is None else tuple(top),
        tool_calls=tuple(tools),
        finish=text(row.get("finish")),
        usage=usage(row.get("usage"), row.get("input_tokens"), row.get("output_tokens")),
        cost=amount(row.get("cost"), "cost"),
        seconds=amount(row.get("seconds"), "time in seconds"),
        score=number(row.get("score"), "score"),
        asks=tuple(reply(a, a.get("model") or "") for a in cast("Sequence[dict[str, Any]]", asks)),
        by=text(row.get("by")) or "",
        because=text(row.get("because")) or "",
        cancelled=bool(number(row.get("cancelled"), "field 'cancelled'")),
        error=text(row.get("error")) or "",
    )
