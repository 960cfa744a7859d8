"""Chat completions' words into those of Anthropic's messages API, and back; nothing is dropped in silence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..core import Usage
from ..errors import BadInput, CannotDo
from .openai_wire import is_count, message_of, text_of

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# Chat completions' options that change nothing in what is answered, or have no counterpart that does.
_LEFT_OUT = ("stream", "stream_options", "seed", "store", "safety_identifier", "parallel_tool_calls", "user")
_CANNOT = ("logprobs", "top_logprobs", "logit_bias")


def asked(
    name: str, model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any], max_tokens: int
) -> dict[str, Any]:
    """The body of a messages call; CannotDo for log-probabilities, n > 1 or free-form JSON mode.

    BadInput for a message, a tool or an option that is not of its kind.
    """
    try:
        return _asked(name, model, messages, options, max_tokens)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"A message, a tool or an option for '{name}' is not understood"
        raise BadInput(f"{what}: {type(error).__name__} {error}.") from error


def _asked(
    name: str, model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any], max_tokens: int
) -> dict[str, Any]:
    rest = dict(options)
    if lacking := next((k for k in _CANNOT if rest.get(k)), None):
        raise CannotDo(f"'{name}' gives text alone: its API has no '{lacking}'.", hint="Leave the option out.")
    if (rest.get("n") or 1) > 1:
        raise CannotDo(f"'{name}' gives one reply per call, not {rest['n']}.", hint="Draw samples one by one.")
    longest = rest.pop("max_completion_tokens", None) or rest.pop("max_tokens", None) or max_tokens
    body: dict[str, Any] = {"model": model, "max_tokens": longest, **_conversation(messages)}
    if tools := rest.pop("tools", None):
        body["tools"] = [_tool(t) for t in tools]
    choice = _tool_choice(rest.pop("tool_choice", None), rest.get("parallel_tool_calls"))
    if choice and tools:
        body["tool_choice"] = choice
    if stop := rest.pop("stop", None):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if shape := rest.pop("response_format", None):
        body["output_config"] = {**rest.pop("output_config", {}), **_output(name, shape)}
    if user := rest.get("user"):
        body["metadata"] = {"user_id": user}
    for key in (*_LEFT_OUT, *_CANNOT, "n", "max_tokens"):
        rest.pop(key, None)
    return {**body, **rest}


def _output(name: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    if shape.get("type") == "json_schema":
        return {"format": {"type": "json_schema", "schema": shape["json_schema"]["schema"]}}
    if shape.get("type") == "text":
        return {}
    raise CannotDo(f"'{name}' has no JSON mode without a schema.", hint="Give response_format a json_schema.")


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") != "function" or "function" not in tool:
        return tool
    function = tool["function"]
    made = {
        "name": function["name"],
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    extra = {k: v for k, v in tool.items() if k not in ("type", "function")}
    return {**made, **({"description": d} if (d := function.get("description")) else {}), **extra}


def _tool_choice(choice: Any, parallel: Any) -> dict[str, Any] | None:
    one = {"disable_parallel_tool_use": True} if parallel is False else {}
    if choice is None:
        return {"type": "auto", **one} if one else None
    if isinstance(choice, str):
        kind = {"required": "any"}.get(choice, choice)
        return {"type": kind} if kind == "none" else {"type": kind, **one}
    chosen = cast("dict[str, Any]", choice)
    if "function" in chosen:
        return {"type": "tool", "name": chosen["function"]["name"], **one}
    return {**chosen, **one}


def _conversation(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    system: list[Any] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role in ("system", "developer"):
            system += _blocks(content)
        elif role == "tool":
            block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": _result(content)}
            if turns and turns[-1]["role"] == "user" and isinstance(turns[-1]["content"], list):
                turns[-1]["content"].append(block)
            else:
                turns.append({"role": "user", "content": [block]})
        elif role == "assistant" and message.get("tool_calls"):
            uses = [_tool_use(call) for call in message["tool_calls"]]
            turns.append({"role": "assistant", "content": [*_blocks(content), *uses]})
        else:
            turns.append({"role": role, "content": content if isinstance(content, str) else _blocks(content)})
    if not system:
        return {"messages": turns}
    plain = all(set(block) == {"type", "text"} for block in system)
    return {"system": "\n\n".join(b["text"] for b in system) if plain else system, "messages": turns}


def _blocks(content: Any) -> list[Any]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_image(part) if part.get("type") == "image_url" else part for part in content]


def _result(content: Any) -> Any:
    return content if isinstance(content, str) or content is None else _blocks(content)


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    given = part["image_url"]
    url = str(given["url"] if isinstance(given, Mapping) else given)
    if url.startswith("data:"):
        kind, _, data = url[5:].partition(";base64,")
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
    return {"type": "image", "source": {"type": "url", "url": url}}


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        given = json.loads(function.get("arguments") or "{}")
    except (ValueError, RecursionError) as error:
        what = f"The arguments of the tool call '{function.get('name')}' are not JSON."
        raise BadInput(what, hint="A model that wrote such a call should be asked again.") from error
    return {"type": "tool_use", "id": call.get("id"), "name": function["name"], "input": given}


def completion(body: Mapping[str, Any]) -> tuple[str | None, tuple[Any, ...], str | None, Usage | None, int, int]:
    """Text, tool calls, finish, usage, and tokens read from and written to the cache, of a message.

    Raises what http.UNREADABLE names for a body that is no message.
    """
    blocks: list[dict[str, Any]] = body["content"]
    texts = [b["text"] for b in blocks if b["type"] == "text"]
    text = "".join(texts) if texts else None
    calls = tuple(_tool_call(b["id"], b["name"], json.dumps(b["input"])) for b in blocks if b["type"] == "tool_use")
    finish = _FINISH.get(body.get("stop_reason") or "", body.get("stop_reason"))
    message_of({"message": {"tool_calls": calls}, "finish_reason": finish}, "message")
    return text, calls, finish, *_usage(body.get("usage"))


def _usage(found: Any) -> tuple[Usage | None, int, int]:
    """Usage, and tokens read from and written to the cache; unknown where something is no count."""
    told = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    kinds = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    fresh, wrote, read, written = (told.get(kind) for kind in kinds)
    if not told or not all(c is None or is_count(c) for c in (fresh, wrote, read, written)):
        return None, 0, 0
    read, written = read or 0, written or 0
    return Usage(None if fresh is None else fresh + read + written, wrote), read, written


def _tool_call(name_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": name_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class Building:
    """A message put together from its events."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"content": []}
        self.partial: dict[int, list[str]] = {}
        self.calls: dict[int, int] = {}
        self.ended = False

    def add(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Take in one event; it as a chat completion chunk, None for one that says nothing there.

        Kinds that are not known are passed over, as the API asks of its clients.
        """
        self._take(event)
        chunk = _chunk_of(event, self)
        if chunk is not None:
            text_of(message_of(chunk["choices"][0], "delta").get("content"))
        return chunk

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, content = event.get("type"), self.message["content"]
        if kind == "message_start":
            self.message = {**event["message"], "content": []}
        elif kind == "content_block_start":
            content.append(dict(event["content_block"]))
            if event["content_block"]["type"] == "tool_use":
                self.calls[event["index"]] = len(self.calls)
        elif kind == "content_block_delta":
            block, delta = content[event["index"]], event["delta"]
            for key in ("text", "thinking", "signature"):
                if delta["type"] == f"{key}_delta":
                    block[key] = "".join((block.get(key, ""), delta[key]))
            if delta["type"] == "input_json_delta":
                self.partial.setdefault(event["index"], []).append(delta["partial_json"])
            elif delta["type"] == "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        elif kind == "content_block_stop" and event["index"] in self.partial:
            written = "".join(self.partial[event["index"]])
            content[event["index"]]["input"] = json.loads(written) if written else {}
        elif kind == "message_delta":
            self.message |= event["delta"]
            found: dict[str, Any] = event.get("usage") or {}
            self.message["usage"] = {
                **(self.message.get("usage") or {}),
                **{k: v for k, v in found.items() if v is not None},
            }
        elif kind == "message_stop":
            self.ended = True


def _chunk_of(event: Mapping[str, Any], building: Building) -> dict[str, Any] | None:
    kind = event.get("type")
    delta: dict[str, Any] = {}
    finish = None
    if kind == "message_start":
        delta = {"role": "assistant"}
    elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
        block = event["content_block"]
        place = building.calls[event["index"]]
        delta = {"tool_calls": [{"index": place, **_tool_call(block["id"], block["name"], "")}]}
    elif kind == "content_block_delta" and event["delta"]["type"] == "text_delta":
        delta = {"content": event["delta"]["text"]}
    elif kind == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
        part = {"index": building.calls[event["index"]], "function": {"arguments": event["delta"]["partial_json"]}}
        delta = {"tool_calls": [part]}
    elif kind == "message_delta":
        reason = event["delta"].get("stop_reason")
        finish = _FINISH.get(reason, reason)
    if not delta and finish is None:
        return None
    return {
        "id": building.message.get("id"),
        "object": "chat.completion.chunk",
        "model": building.message.get("model"),
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
