"""A GenAI span's content as OpenAI messages, by each of the three namings seen.

Conventions: open-telemetry/semantic-conventions-genai (1.30 events, 1.37+ messages) and OpenLLMetry's gen_ai.prompt.N.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from .chat import tool_call
from .records import Row

_ROLES = {f"gen_ai.{r}.message": r for r in ("system", "user", "assistant", "tool")}


def standard(attributes: Row) -> tuple[list[Row], list[Row]]:
    """gen_ai.input.messages and gen_ai.output.messages: role and parts, as JSON texts on spans."""

    def of(name: str) -> list[Row]:
        value = attributes.get(name)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ValueError(f"{name} is cut short; was OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT set?") from error
        return cast("list[Row]", value or [])

    messages = [m for given in of("gen_ai.input.messages") for m in _messages(given)]
    if system := of("gen_ai.system_instructions"):
        messages = [*_messages({"role": "system", "parts": system}), *messages]
    return messages, [m for given in of("gen_ai.output.messages") for m in _messages(given)]


def _messages(given: Row) -> Iterator[Row]:
    """One message of parts as OpenAI messages: several where it holds several tool results."""
    parts = cast("list[Row]", given.get("parts") or [])
    results = [p for p in parts if p.get("type") == "tool_call_response"]
    for part in results:
        content = part.get("response", part.get("result"))
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        yield {"role": "tool", "tool_call_id": part.get("id"), "content": text}
    if results:
        return
    calls = [tool_call(p) for p in parts if p.get("type") == "tool_call"]
    shown = [_part(p) for p in parts if p.get("type") not in ("tool_call", "reasoning", "thinking")]
    content: Any = shown
    if all(p.get("type") == "text" for p in shown) and (len(shown) < 2 or given["role"] == "assistant"):
        content = "".join(p["text"] for p in shown)
    message: Row = {"role": given["role"], "content": content}
    yield {**message, "content": content or None, "tool_calls": calls} if calls else message


def _part(part: Row) -> Row:
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part.get("content") or part.get("text") or ""}
    if kind == "uri" and part.get("modality") == "image":
        return {"type": "image_url", "image_url": {"url": part["uri"]}}
    if kind == "blob" and part.get("modality") == "image":
        mime = part.get("mime_type") or "image/png"
        return {
            "type": "image_url",
            "image_url": {"url": f"data:{mime};base64,{part.get('content') or part.get('data')}"},
        }
    return part


def indexed(attributes: Row) -> tuple[list[Row], list[Row]]:
    """OpenLLMetry's older gen_ai.prompt.0.content, gen_ai.completion.0.tool_calls.0.name, ..."""
    return [_one(m) for m in nested(attributes, "gen_ai.prompt")], [
        _one(m) for m in nested(attributes, "gen_ai.completion")
    ]


def _one(found: Row) -> Row:
    content = found.get("content")
    if isinstance(content, str) and re.match(r'\[\s*\{\s*"type"', content):  # parts are kept as a JSON text
        content = json.loads(content)
    message: Row = {"role": found.get("role") or "assistant", "content": content}
    if found.get("tool_call_id"):
        message["tool_call_id"] = found["tool_call_id"]
    if calls := nested(found, "tool_calls"):
        message["tool_calls"] = [tool_call(c) for c in calls]
    return message


def nested(attributes: Mapping[str, Any], prefix: str) -> list[Row]:
    """The objects written as prefix.0.key, prefix.1.key, ..."""
    found: dict[int, Row] = {}
    for name, value in attributes.items():
        if matched := re.fullmatch(re.escape(prefix) + r"\.(\d+)\.(.+)", name):
            found.setdefault(int(matched[1]), {})[matched[2]] = value
    return [found[i] for i in sorted(found)]


def from_events(events: list[tuple[str, Row]]) -> tuple[list[Row], list[Row]]:
    """Conventions 1.30: gen_ai.user.message and the like, then one gen_ai.choice per choice."""
    messages: list[Row] = []
    for name, body in events:
        if role := _ROLES.get(name):
            message: Row = {"role": body.get("role") or role, "content": body.get("content")}
            if role == "tool":
                message["tool_call_id"] = body.get("id")
            if body.get("tool_calls"):
                message["tool_calls"] = [tool_call(c) for c in body["tool_calls"]]
            messages.append(message)
    return messages, [body.get("message") or {} for name, body in events if name == "gen_ai.choice"]
