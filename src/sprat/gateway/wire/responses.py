"""OpenAI's responses, read: items to chat messages, tools and formats to chat completions' words.

The gateway keeps no conversations, so a body must hold all of one; tools that a server runs can't be had here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ...core import Reply, Request
from .asked import Asked, checked, flag, one_reply, overrides, text_of
from .chat import finish, usage
from .problem import Problem, openai_error
from .response_stream import ResponseStream

_MADE_INTO = ("model", "input", "instructions", "tools", "tool_choice", "max_output_tokens", "stream", "sprat", "text")
_OWN = ("reasoning", "previous_response_id", "conversation", "background", "truncation", "include", "store", "metadata")
_READ = frozenset((*_MADE_INTO, *_OWN, "stream_options", "prompt_cache_key"))
_CANNOT = ("previous_response_id", "conversation", "background", "prompt")
_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "summary_text": "text", "refusal": "text"}
_ECHOED = ("instructions", "metadata", "temperature", "top_p", "max_output_tokens", "tools", "tool_choice", "text")


class Responses:
    """/v1/responses."""

    name = "responses"

    def read(self, body: dict[str, Any]) -> Asked:
        """The request."""
        model, wanted = text_of(body, "model"), overrides(body)
        for name in _CANNOT:
            if body.get(name):
                said = f"'{name}' can't be had: the gateway keeps no conversations. Send every item in 'input'."
                raise Problem(400, said, param=name)
        options: dict[str, Any] = {k: v for k, v in body.items() if k not in _READ}
        if body.get("max_output_tokens") is not None:
            options["max_tokens"] = body["max_output_tokens"]
        if isinstance(effort := body.get("reasoning"), dict) and effort.get("effort"):
            options["reasoning_effort"] = effort["effort"]
        options |= _tools(body) | _format(body.get("text"))
        include: Any = body.get("include") or []
        if not isinstance(include, list):
            raise Problem(400, "'include' takes a list.", param="include")
        if "message.output_text.logprobs" in include:
            options["logprobs"] = True
        one_reply(body)
        checked(options)
        _echoable(body)
        messages = items_of(body.get("input"))
        if instructions := body.get("instructions"):
            messages = [{"role": "system", "content": instructions}, *messages]
        request = Request(tuple(messages), options, thread=wanted.thread)
        echo = {k: body[k] for k in _ECHOED if body.get(k) is not None}
        echo["parallel_tool_calls"] = body.get("parallel_tool_calls", True)
        return Asked(model, request, flag(body, "stream"), 1, wanted, echo=echo)

    def write(self, asked: Asked, replies: list[Reply], number: str, at: int) -> dict[str, Any]:
        """A response with its items."""
        return response(asked, number, at, replies[0])

    def stream(self, asked: Asked, number: str, at: int) -> ResponseStream:
        """Events."""
        return ResponseStream(lambda reply, model: response(asked, number, at, reply, model), number)

    def error(self, problem: Problem) -> dict[str, Any]:
        """OpenAI's error."""
        return openai_error(problem)


_KINDS: tuple[tuple[str, type, str], ...] = (
    ("metadata", dict, "a table"),
    ("text", dict, "a table"),
    ("reasoning", dict, "a table"),
    ("parallel_tool_calls", bool, "true or false"),
    ("instructions", str, "a string"),
)


def _echoable(body: Mapping[str, Any]) -> None:
    """Problem for what the reply would repeat and its readers could not read."""
    for name, kind, words in _KINDS:
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise Problem(400, f"'{name}' takes {words}.", param=name)
    metadata: dict[str, Any] = body.get("metadata") or {}
    if not all(isinstance(v, str) for v in metadata.values()):
        raise Problem(400, "'metadata' takes strings.", param="metadata")


def items_of(given: Any) -> list[dict[str, Any]]:
    """The input's items as chat messages; Problem for one of a kind that can't be read."""
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise Problem(400, "'input' needs a string or a non-empty list of items.", param="input")
    out: list[dict[str, Any]] = []
    for i, item in enumerate(cast("list[Any]", given)):
        try:
            _item(item, out)
        except (KeyError, TypeError, AttributeError):
            raise Problem(400, f"Item {i} of 'input' is not understood.", param=f"input[{i}]") from None
    if not out:
        raise Problem(400, "'input' holds no message.", param="input")
    return out


def _item(item: dict[str, Any], out: list[dict[str, Any]]) -> None:
    kind = item.get("type") or "message"
    if kind == "message":
        role, content = item["role"], item["content"]
        out.append({"role": role, "content": content if isinstance(content, str) else _content(content, role)})
    elif kind == "function_call":
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        if out and out[-1]["role"] == "assistant":
            out[-1].setdefault("tool_calls", []).append(call)
        else:
            out.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif kind == "function_call_output":
        given = item["output"]
        out.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(given, "tool")})
    elif kind != "reasoning":  # what a model thought is for that model alone
        raise KeyError(kind)


def _content(content: Any, role: str) -> Any:
    if isinstance(content, str):
        return content
    parts = [_part(p) for p in content]
    if role != "user" and all(p["type"] == "text" for p in parts):
        return "".join(p["text"] for p in parts)
    return parts


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind in _PARTS:
        text = part.get("text") or part.get("refusal") or ""
        if not isinstance(text, str):
            raise TypeError(kind)
        return {"type": "text", "text": text}
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail") or "auto"}}
    if kind == "input_file":
        return {"type": "file", "file": {k: v for k, v in part.items() if k != "type"}}
    if kind == "input_audio":
        return part
    raise KeyError(kind)


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    given: Any = body.get("tools")
    if given is not None and not isinstance(given, list):
        raise Problem(400, "'tools' takes a list of functions.", param="tools")
    if given:
        tools: list[dict[str, Any]] = []
        for i, tool in enumerate(cast("list[Any]", given)):
            table = cast("dict[str, Any]", tool if isinstance(tool, dict) else {})
            if table.get("type") != "function" or not isinstance(table.get("name"), str):
                said = f"Tool {i} is not a function; only functions can be offered here."
                raise Problem(400, said, param=f"tools[{i}]")
            shown = {"parameters": dict, "description": str, "strict": bool}
            if odd := next((k for k, v in shown.items() if not isinstance(table.get(k), (v, type(None)))), None):
                raise Problem(400, f"Tool {i} has a '{odd}' that can't be read.", param=f"tools[{i}].{odd}")
            function = {k: v for k, v in table.items() if k != "type" and v is not None}
            tools.append({"type": "function", "function": function})
        made["tools"] = tools
    choice: Any = body.get("tool_choice")
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise Problem(400, "'tool_choice' takes none, auto, required or a function.", param="tool_choice")
        made["tool_choice"] = choice
    elif isinstance(choice, dict):
        named = cast("dict[str, Any]", choice).get("name")
        if not isinstance(named, str):
            raise Problem(400, "'tool_choice' names no function.", param="tool_choice")
        made["tool_choice"] = {"type": "function", "function": {"name": named}}
    elif choice is not None:
        raise Problem(400, "'tool_choice' takes none, auto, required or a function.", param="tool_choice")
    return made


def _format(text: Any) -> dict[str, Any]:
    shape: Any = text.get("format") if isinstance(text, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(shape, dict) or shape.get("type") in (None, "text"):  # pyright: ignore[reportUnknownMemberType]
        return {}
    table = cast("dict[str, Any]", shape)
    named = isinstance(table.get("name"), str) and isinstance(table.get("schema"), dict)
    if table["type"] != "json_object" and not (table["type"] == "json_schema" and named):
        said = "'text.format' takes text, json_object, or json_schema with a name and a schema."
        raise Problem(400, said, param="text.format")
    if table["type"] == "json_schema":
        schema = {k: v for k, v in table.items() if k != "type"}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": table}


def response(asked: Asked, number: str, at: int, reply: Reply | None, model: str = "") -> dict[str, Any]:
    """The response's table; without a reply, one that is being written."""
    made: dict[str, Any] = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": at,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": (reply.model if reply else model) or asked.model,
        "output": [],
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        **asked.echo,
    }
    if reply is None:
        return made
    cut = finish(reply) in ("length", "content_filter")
    made["status"] = "incomplete" if cut else "completed"
    if cut:
        why = "max_output_tokens" if finish(reply) == "length" else "content_filter"
        made["incomplete_details"] = {"reason": why}
    made["output"] = output(reply, number)
    if found := usage([reply]):
        made["usage"] = {
            "input_tokens": found["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": found["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": found["total_tokens"],
        }
    return made


def output(reply: Reply, number: str) -> list[dict[str, Any]]:
    """The reply's items: what it says, then its function calls."""
    from .response_stream import call_item, message_item, text_part

    items = [message_item(number, "completed", [text_part(reply.text)])] if reply.text is not None else []
    first = len(items)
    return items + [call_item(number, first + i, c, "completed") for i, c in enumerate(reply.tool_calls)]
