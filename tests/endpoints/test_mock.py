"""The mock's answers are what the official clients' types say, and what these clients understand."""

from __future__ import annotations

from typing import Any

import pytest

from mock_server import MockServer
from mock_wire import anthropic_event_bodies, anthropic_message, openai_chunk_bodies, openai_completion

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
BODY: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "abc"}]}
BODIES = [
    BODY,
    {**BODY, "logprobs": True, "top_logprobs": 1},
    {**BODY, "tools": [TOOL]},
    {**BODY, "max_tokens": 1},
    {**BODY, "stream_options": {"include_usage": True}},
]


@pytest.mark.parametrize("body", BODIES)
def test_openai_answers_fit_the_official_types(body: dict[str, Any]) -> None:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    ChatCompletion.model_validate(openai_completion("one two", body, 0), strict=True, extra="forbid")
    for chunk in openai_chunk_bodies("one two", body, 0):
        ChatCompletionChunk.model_validate(chunk, extra="forbid")


@pytest.mark.parametrize("body", [BODY, {**BODY, "tools": [TOOL]}, {**BODY, "max_tokens": 1}])
def test_anthropic_answers_fit_the_official_types(body: dict[str, Any]) -> None:
    from anthropic.types import Message, RawMessageStreamEvent
    from pydantic import TypeAdapter

    Message.model_validate(anthropic_message("one two", body, 0), extra="forbid")
    for event in anthropic_event_bodies("one two", body, 0):
        TypeAdapter(RawMessageStreamEvent).validate_python(event, extra="forbid")


def test_the_official_openai_client_understands_the_mock(server: MockServer) -> None:
    from openai import OpenAI

    with OpenAI(base_url=server.url, api_key="x") as client:
        said = client.chat.completions.create(model="mock", messages=BODY["messages"])
        with client.chat.completions.create(model="mock", messages=BODY["messages"], stream=True) as stream:
            text = "".join(c.choices[0].delta.content or "" for c in stream)
    assert said.choices[0].message.content == text == "so: cba"


def test_the_official_anthropic_client_understands_the_mock(server: MockServer) -> None:
    from anthropic import Anthropic

    with (
        Anthropic(base_url=server.url.removesuffix("/v1"), api_key="x") as client,
        client.messages.stream(model="mock", max_tokens=9, messages=BODY["messages"]) as stream,
    ):
        final = stream.get_final_message()
    assert final.content[0].text == "so: cba"
    assert final.usage.output_tokens == 2
