"""What a GenAI span says of its call: model, options, tools, tokens, and (by otel_messages.py) its content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from .chat import asked, replied, tokens
from .otel_messages import from_events, indexed, nested, standard
from .records import Row, Skip

_CALLS = {"chat", "generate_content", "text_completion", "completion"}
_OPTIONS = {
    **{n: n for n in ["temperature", "top_p", "top_k", "seed", "max_tokens", "frequency_penalty", "presence_penalty"]},
    "stop_sequences": "stop",
    "choice.count": "n",
}


def call(attributes: Row) -> bool:
    """Whether a span is a call of a generating model."""
    kind = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    return kind in _CALLS


def row_of(attributes: Row, events: list[tuple[str, Row]]) -> Iterator[Row]:
    """Native rows, one per choice, without id and times. Raises Skip where the content was not captured."""
    messages, answers = standard(attributes)
    if not messages and not answers:
        messages, answers = indexed(attributes)
    if not messages and not answers:
        messages, answers = from_events(events)
    if not messages and not answers:
        raise Skip("the span holds no content (OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT switches it on)")
    if any(m["role"] == "user" and m.get("content") in (None, "", []) for m in messages):
        raise Skip("the instrumentation left out a message's content (a picture?)")
    row: Row = {
        **asked(messages),
        "model": attributes.get("gen_ai.request.model") or attributes["gen_ai.response.model"],
    }
    options = {o: attributes[k] for n, o in _OPTIONS.items() if (k := f"gen_ai.request.{n}") in attributes}
    if tools := _tools(attributes):
        options["tools"] = tools
    if options:
        row["options"] = options
    if attributes.get("gen_ai.conversation.id"):
        row["thread"] = attributes["gen_ai.conversation.id"]
    if not answers:
        raise Skip("the call has no reply")
    for i, answer in enumerate(answers):
        if len(answers) > 1:
            yield {**row, **replied(answer), "sample": i}
        else:
            yield {**row, **replied(answer), **_usage(attributes)}


def _usage(attributes: Row) -> Row:
    names = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")
    return tokens({n: attributes.get(f"gen_ai.usage.{n}") for n in names})


def _tools(attributes: Row) -> list[Row]:
    value = attributes.get("gen_ai.tool.definitions")
    found = cast("list[Row]", json.loads(value) if isinstance(value, str) else value or [])
    for given in nested(attributes, "llm.request.functions"):
        parameters = given.get("parameters")
        given["parameters"] = json.loads(parameters) if isinstance(parameters, str) else parameters
        found.append(given)
    return [
        t if "function" in t else {"type": "function", "function": {k: t[k] for k in t if k != "type"}} for t in found
    ]
