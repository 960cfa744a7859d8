"""Anthropic's messages through the gateway, by the official client; whole bodies against its types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from running import Running

import sprat
from mock_server import MockServer
from sprat.gateway.wire.messages import Messages
from sprat.gateway.wire.problem import Problem

TOOL = {"name": "weather", "description": "d", "input_schema": {"type": "object"}}
HELLO = [{"role": "user", "content": "hello you"}]


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer() as made:
        yield made


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def gateway(up: MockServer, request: pytest.FixtureRequest) -> Iterator[Running]:
    kind = {"openai": sprat.openai, "anthropic": sprat.anthropic}[request.param]
    with Running(kind("mock", up.url, retries=0)) as made:
        yield made


def ask(gateway: Running, **more: Any) -> Any:
    return gateway.anthropic().messages.create(**{"model": "auto", "max_tokens": 20, "messages": HELLO, **more})


def test_text_is_answered(gateway: Running) -> None:
    found = ask(gateway)
    assert (found.content[0].text, found.stop_reason, found.model) == ("so: uoy olleh", "end_turn", "mock")
    assert found.usage.output_tokens == 3


@pytest.mark.parametrize("more", [{}, {"tools": [TOOL]}])
def test_a_message_fits_the_official_type(gateway: Running, more: Any) -> None:
    from anthropic.types import Message

    body = {"model": "auto", "max_tokens": 20, "messages": HELLO, **more}
    Message.model_validate(gateway.post("/v1/messages", body)[2])


def test_a_cut_reply_says_so(gateway: Running) -> None:
    assert ask(gateway, max_tokens=2).stop_reason == "max_tokens"


def test_a_tool_is_used(gateway: Running) -> None:
    found = ask(gateway, tools=[TOOL])
    assert (found.stop_reason, found.content[0].name, found.content[0].input) == (
        "tool_use",
        "weather",
        {"city": "Oslo"},
    )


@pytest.mark.parametrize("more", [{}, {"tools": [TOOL]}])
def test_a_stream_adds_up_to_the_whole(gateway: Running, more: Any) -> None:
    asked = {"model": "auto", "max_tokens": 20, "messages": HELLO, **more}
    with gateway.anthropic().messages.stream(**asked) as events:
        made = events.get_final_message()
    whole = ask(gateway, **more)
    assert [b.to_dict() | {"parsed_output": None} for b in made.content] == [
        b.to_dict() | {"parsed_output": None} for b in whole.content
    ]
    assert (made.stop_reason, made.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)


def test_every_event_fits_the_official_type(gateway: Running) -> None:
    from anthropic.types import RawMessageStreamEvent
    from pydantic import TypeAdapter

    kind = TypeAdapter[Any](RawMessageStreamEvent)
    for more in ({}, {"tools": [TOOL]}):
        for event in ask(gateway, stream=True, **more):
            kind.validate_python(event.to_dict())


def test_a_stream_that_breaks_says_so_in_its_dialect(gateway: Running, up: MockServer) -> None:
    import anthropic

    up.faults.append({"half": 4})
    with pytest.raises(anthropic.APIStatusError, match="api_error"):
        list(ask(gateway, stream=True))


def test_errors_are_in_its_shape(gateway: Running) -> None:
    import anthropic

    with pytest.raises(anthropic.NotFoundError) as found:
        ask(gateway, model="nope")
    assert found.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


def test_a_missing_limit_is_named(gateway: Running) -> None:
    status, _, said = gateway.post("/v1/messages", {"model": "auto", "messages": HELLO})
    assert (status, said["type"], said["error"]["type"]) == (400, "error", "invalid_request_error")


def test_an_upstreams_fault_is_in_its_shape(gateway: Running, up: MockServer) -> None:
    import anthropic

    up.faults.append({"status": 429, "after": "3"})
    with pytest.raises(anthropic.RateLimitError) as found:
        ask(gateway)
    assert found.value.response.headers["retry-after"].isdigit()


def test_a_conversation_becomes_chat_messages() -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "5"}]}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    turns = [*HELLO, {"role": "assistant", "content": [{"type": "text", "text": "let me"}, use]}]
    turns.append({"role": "user", "content": [result, image, {"type": "text", "text": "so?"}]})
    asked = Messages().read({"model": "m", "max_tokens": 5, "system": "Be kind.", "messages": turns})
    system, _, assistant, tool, user = asked.request.messages
    assert system == {"role": "system", "content": "Be kind."}
    assert (assistant["content"], json.loads(assistant["tool_calls"][0]["function"]["arguments"])) == (
        "let me",
        {"a": 1},
    )
    assert tool == {"role": "tool", "tool_call_id": "t", "content": "5"}
    assert user["content"][0]["image_url"]["url"] == "data:image/png;base64,AA"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_a_choice_of_tools_becomes_chats(given: Any, made: Any) -> None:
    asked = Messages().read({"model": "m", "max_tokens": 5, "messages": HELLO, "tools": [TOOL], "tool_choice": given})
    assert asked.request.options["tool_choice"] == made


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tool_choice": "auto"},
        {"system": 3},
        {"max_tokens": 0},
    ],
)
def test_what_can_not_be_read_is_refused(more: Any) -> None:
    with pytest.raises(Problem) as found:
        Messages().read({"model": "m", "max_tokens": 5, "messages": HELLO, **more})
    assert found.value.status == 400
