"""The shared grammar of OpenAI chat requests and completions, from which several logs are made.

Checked against LiteLLM 1.106.2's and llm 0.36's records of real calls (tests/fixtures/logs).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from .records import Row, Skip, inner

# What a request's body holds besides its messages that shapes the answer; transport and log-probabilities do not.
OPTIONS = {
    *("temperature", "top_p", "top_k", "min_p", "n", "seed", "stop", "max_tokens", "max_completion_tokens"),
    *("presence_penalty", "frequency_penalty", "logit_bias", "response_format", "reasoning_effort", "verbosity"),
    *("tools", "tool_choice", "parallel_tool_calls", "modalities"),
}


def asked(messages: Any) -> Row:
    """`prompt` for one user message of plain text, else `messages`. Raises Skip where there is none."""
    if isinstance(messages, str) and messages:
        return {"prompt": messages}
    if not isinstance(messages, Sequence) or not messages or isinstance(messages, str):
        raise Skip("the log holds no prompt for this call")
    rows = [dict(cast("Mapping[str, Any]", m)) for m in cast("Sequence[Any]", messages)]
    if any("role" not in m for m in rows):
        raise ValueError("a message has no role")
    if len(rows) == 1 and rows[0].keys() <= {"role", "content"} and rows[0]["role"] == "user":
        content = rows[0].get("content")
        if isinstance(content, str):
            return {"prompt": content}
    return {"messages": rows}


def options(body: Mapping[str, Any]) -> Row:
    """{"options": ...} of a request's body, where it had any."""
    found = {k: v for k, v in body.items() if k in OPTIONS and v is not None}
    return {"options": found} if found else {}


def replied(message: Mapping[str, Any]) -> Row:
    """`reply` and `tool_calls` of an assistant's message. Raises Skip where it has neither."""
    content, calls = message.get("content"), message.get("tool_calls")
    if isinstance(content, list):
        parts = cast("list[Mapping[str, Any]]", content)
        content = "".join(str(p.get("text") or "") for p in parts)
    if not content and not calls:
        raise Skip("the call has no reply" + (" (refused)" if message.get("refusal") else ""))
    row: Row = {"reply": content or ""}
    if calls:
        row["tool_calls"] = [tool_call(c) for c in calls]
    return row


def tool_call(call: Mapping[str, Any]) -> Row:
    """A tool call as OpenAI writes it; arguments are a JSON text."""
    function = inner(call, "function") or call
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    known = {"id": call.get("id")} if call.get("id") else {}
    return {**known, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def tokens(usage: Any) -> Row:
    """{"usage": {input_tokens, output_tokens}} from either way of naming them, where known."""
    if not isinstance(usage, Mapping):
        return {}
    usage = cast("Mapping[str, Any]", usage)
    read = _first(usage, "input_tokens", "prompt_tokens", "input")
    written = _first(usage, "output_tokens", "completion_tokens", "output")
    found = {"input_tokens": read, "output_tokens": written}
    return {"usage": found} if read is not None or written is not None else {}


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((int(usage[n]) for n in names if isinstance(usage.get(n), (int, float))), None)


def choices(completion: Mapping[str, Any]) -> Iterator[Row]:
    """reply, tool_calls, logprobs, usage of every choice of a chat or text completion; `sample` where several."""
    found = cast("list[Mapping[str, Any]]", completion.get("choices") or [])
    if not found:
        raise Skip("the call has no reply")
    for i, choice in enumerate(found):
        row = replied(inner(choice, "message") or {"content": choice.get("text")})
        marks = inner(choice, "logprobs")
        listed = cast("list[Mapping[str, Any]]", marks.get("content") or [])
        if listed:
            row["logprobs"] = [float(t["logprob"]) for t in listed]
        elif marks.get("token_logprobs"):
            row["logprobs"] = [float(v) for v in marks["token_logprobs"] if v is not None]
        if len(found) > 1:
            row["sample"] = i
            yield row  # usage is of the call, not of the choice
        else:
            yield {**row, **tokens(completion.get("usage"))}
