"""Anthropic's messages: bodies to chat completions' words, replies to messages and their events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from ...core import Piece, Reply, Request, content_text
from .asked import Asked, checked, flag, messages_of, one_reply, overrides, text_of
from .chat import finish, said_in, usage
from .problem import Problem, anthropic_error, dumped

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_READ = frozenset(
    (
        "model",
        "messages",
        "system",
        "max_tokens",
        "tools",
        "tool_choice",
        "stop_sequences",
        "stream",
        "sprat",
        "metadata",
    )
)
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class Messages:
    """/v1/messages."""

    name = "messages"

    def read(self, body: dict[str, Any]) -> Asked:
        """The request; fields that chat completions lack stay among its options."""
        model, wanted = text_of(body, "model"), overrides(body)
        longest = body.get("max_tokens")
        if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
            raise Problem(400, "max_tokens: a whole number above 0 is needed.", param="max_tokens")
        options: dict[str, Any] = {k: v for k, v in body.items() if k not in _READ}
        options["max_tokens"] = longest
        if body.get("stop_sequences"):
            options["stop"] = body["stop_sequences"]
        tools = body.get("tools")
        if tools:
            if not isinstance(tools, list):
                raise Problem(400, "tools: a list is needed.", param="tools")
            options["tools"] = [_tool(t, i) for i, t in enumerate(cast("list[Any]", tools))]
        options |= _tool_choice(body.get("tool_choice"))
        told = body.get("metadata")
        if isinstance(told, dict) and "user_id" in told:
            options["user"] = told["user_id"]
        one_reply(body)
        checked(options)
        messages = [*_system(body.get("system")), *_conversation(messages_of(body.get("messages")))]
        request = Request(tuple(messages), options, thread=wanted.thread)
        return Asked(model, request, flag(body, "stream"), 1, wanted)

    def write(self, asked: Asked, replies: list[Reply], number: str, at: int) -> dict[str, Any]:
        """A message."""
        reply = replies[0]
        content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
        content += [_use(call) for call in reply.tool_calls]
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": reply.model or asked.model,
            "content": content,
            "stop_reason": _REASONS.get(finish(reply), "end_turn"),
            "stop_sequence": None,
            "usage": _usage(replies),
        }

    def stream(self, asked: Asked, number: str, at: int) -> MessageStream:
        """Events."""
        return MessageStream(asked, number)

    def error(self, problem: Problem) -> dict[str, Any]:
        """Anthropic's error."""
        return anthropic_error(problem)


def _system(given: Any) -> list[dict[str, Any]]:
    if given is None or given == "":
        return []
    if not isinstance(given, str) and not _texts(given):
        raise Problem(400, "system: a string or a list of text blocks is needed.", param="system")
    return [{"role": "system", "content": given}]


def _texts(given: Any) -> bool:
    blocks = cast("list[Any]", given) if isinstance(given, list) else [None]
    return all(isinstance(b, dict) and isinstance(cast("dict[str, Any]", b).get("text"), str) for b in blocks)


def _tool(tool: Any, i: int) -> dict[str, Any]:
    table: Any = tool
    if not isinstance(table, dict) or not isinstance(cast("dict[str, Any]", table).get("name"), str):
        raise Problem(400, f"tools.{i}.name: a string is needed.", param=f"tools.{i}")
    given = cast("dict[str, Any]", table)
    if "input_schema" not in given:
        raise Problem(400, f"tools.{i}: only tools with an input_schema can be offered here.", param=f"tools.{i}")
    function = {k: given[k] for k in ("name", "description", "strict") if k in given}
    return {"type": "function", "function": {**function, "parameters": given["input_schema"]}}


def _tool_choice(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    kind = cast("dict[str, Any]", given).get("type") if isinstance(given, dict) else None
    if kind == "tool" and isinstance(given.get("name"), str):
        made: dict[str, Any] = {"tool_choice": {"type": "function", "function": {"name": given["name"]}}}
    elif isinstance(kind, str) and kind in _CHOICES:
        made = {"tool_choice": _CHOICES[kind]}
    else:
        raise Problem(400, "tool_choice: one of auto, any, none or tool is needed.", param="tool_choice")
    return {**made, "parallel_tool_calls": False} if given.get("disable_parallel_tool_use") else made


def _conversation(messages: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for i, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        if role not in ("user", "assistant"):
            raise Problem(400, f"messages.{i}.role: 'user' or 'assistant' is needed.", param=f"messages.{i}.role")
        if isinstance(content, str):
            out.append({"role": role, "content": content})
            continue
        blocks = cast("list[dict[str, Any]]", content or [])
        try:
            out += _assistant(blocks) if role == "assistant" else _user(blocks)
        except (KeyError, TypeError, AttributeError) as error:
            said = f"messages.{i}.content: a block is not understood ({type(error).__name__} {error})."
            raise Problem(400, said, param=f"messages.{i}.content") from None
    return out


def _assistant(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # What a model thought in an earlier turn is for that model alone.
    said = [b for b in blocks if b.get("type") not in ("tool_use", "thinking", "redacted_thinking")]
    plain = all(set(b) <= {"type", "text", "citations"} for b in said)
    made: dict[str, Any] = {"role": "assistant", "content": "".join(b["text"] for b in said) if plain else said}
    calls = [
        {"id": b["id"], "type": "function", "function": {"name": b["name"], "arguments": json.dumps(b["input"])}}
        for b in blocks
        if b.get("type") == "tool_use"
    ]
    if calls:
        made |= {"content": made["content"] or None, "tool_calls": calls}
    return [made]


def _user(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_result":
            made.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": _result(block)})
        elif kind == "image":
            rest.append({"type": "image_url", "image_url": {"url": _image(block["source"])}})
        else:
            rest.append(block)
    if rest and all(set(b) == {"type", "text"} for b in rest):
        return [*made, {"role": "user", "content": rest[0]["text"] if len(rest) == 1 else rest}]
    return [*made, {"role": "user", "content": rest}] if rest or not made else made


def _result(block: Mapping[str, Any]) -> Any:
    content: Any = block.get("content") or ""
    parts: Any = content
    if isinstance(content, list):
        listed = cast("list[dict[str, Any]]", content)
        plain = all(p.get("type") == "text" for p in listed)
        parts = content_text(listed) if plain else _user(listed)[0]["content"]
    return f"Error: {parts}" if block.get("is_error") and isinstance(parts, str) else parts


def _image(source: Mapping[str, Any]) -> str:
    if source.get("type") == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    return str(source["url"])


def _use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    try:
        given: Any = json.loads(function.get("arguments") or "{}")
    except (ValueError, RecursionError):
        given = None
    shown: dict[str, Any] = {"type": "tool_use", "id": call.get("id") or "toolu_0", "name": function.get("name") or ""}
    return {**shown, "input": given if isinstance(given, dict) else {}}


def _usage(replies: list[Reply]) -> dict[str, int]:
    # The protocol has no word for unknown.
    found = usage(replies) or {"prompt_tokens": 0, "completion_tokens": 0}
    return {"input_tokens": found["prompt_tokens"], "output_tokens": found["completion_tokens"]}


def event(kind: str, body: Mapping[str, Any]) -> bytes:
    """A named event with its type within."""
    return f"event: {kind}\ndata: ".encode() + dumped({"type": kind, **body}) + b"\n\n"


class MessageStream:
    """message_start, blocks one after the other, message_delta, message_stop."""

    def __init__(self, asked: Asked, number: str) -> None:
        self.asked, self.number, self.model = asked, number, ""
        self.begun = False
        self.index = -1
        self.open: Any = None  # "text", or a tool call's number
        self.used: set[int] = set()
        self.said = False

    def _begin(self) -> bytes:
        if self.begun:
            return b""
        self.begun = True
        message = {
            "id": f"msg_{self.number}",
            "type": "message",
            "role": "assistant",
            "model": self.model or self.asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return event("message_start", {"message": message})

    def _to(self, which: Any, block: dict[str, Any] | None) -> bytes:
        """Close what is open, and open a block."""
        if self.open == which and block is not None:
            return b""
        out = b"" if self.open is None else event("content_block_stop", {"index": self.index})
        self.open = which
        if block is None:
            return out
        self.index += 1
        return out + event("content_block_start", {"index": self.index, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return event("content_block_delta", {"index": self.index, "delta": delta})

    def _text(self, text: str) -> bytes:
        self.said = True
        return self._to("text", {"type": "text", "text": ""}) + self._delta({"type": "text_delta", "text": text})

    def _call(self, number: int, part: Mapping[str, Any]) -> bytes:
        function = part.get("function") or {}
        name, given = function.get("name") or "", function.get("arguments") or ""
        if number in self.used and self.open != number:
            raise Problem(502, "The upstream writes several tool calls at once.")
        self.used.add(number)
        block = {"type": "tool_use", "id": part.get("id") or f"toolu_{number}", "name": name, "input": {}}
        out = self._to(number, block)
        return out + self._delta({"type": "input_json_delta", "partial_json": given}) if given else out

    def piece(self, piece: Piece) -> bytes:
        """The piece's text and parts of tool calls."""
        delta, _ = said_in(piece)
        out = self._begin()
        if isinstance(text := delta.get("content"), str):
            out += self._text(text)
        for part in delta.get("tool_calls") or ():
            out += self._call(part.get("index") or 0, part)
        return out

    def end(self, replies: list[Reply], card: Mapping[str, Any] | None) -> bytes:
        """What was not said yet, the reason of the end, and the counts."""
        reply = replies[0]
        out = self._begin()
        if reply.text and not self.said:
            out += self._text(reply.text)
        if not self.used:
            out += b"".join(self._call(i, call) for i, call in enumerate(reply.tool_calls))
        if self.index < 0:
            out += self._to("text", {"type": "text", "text": ""})
        out += self._to(None, None)
        ended = {"stop_reason": _REASONS.get(finish(reply), "end_turn"), "stop_sequence": None}
        told = {} if card is None else {"sprat": card}
        out += event("message_delta", {"delta": ended, "usage": _usage(replies), **told})
        return out + event("message_stop", {})

    def error(self, problem: Problem) -> bytes:
        """The error as an event."""
        body = anthropic_error(problem)
        return event("error", {"error": body["error"]})
