"""OpenAI's responses through the gateway, by the official client; whole bodies against its types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from running import Running

import sprat
from mock_server import MockServer
from sprat.gateway.wire.problem import Problem
from sprat.gateway.wire.responses import Responses, items_of

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(up: MockServer) -> Iterator[Running]:
    with Running(sprat.openai("mock", up.url, retries=0)) as made:
        yield made


def ask(gateway: Running, **more: Any) -> Any:
    return gateway.openai().responses.create(**{"model": "auto", "input": "hello you", **more})


def test_text_is_answered(gateway: Running) -> None:
    found = ask(gateway)
    assert (found.output_text, found.status, found.usage.output_tokens) == ("so: uoy olleh", "completed", 3)


@pytest.mark.parametrize("more", [{}, {"tools": [TOOL]}, {"max_output_tokens": 2}])
def test_a_response_fits_the_official_type(gateway: Running, more: Any) -> None:
    from openai.types.responses import Response

    Response.model_validate(gateway.post("/v1/responses", {"model": "auto", "input": "hello you", **more})[2])


def test_a_cut_reply_is_incomplete(gateway: Running) -> None:
    found = ask(gateway, max_output_tokens=2)
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_function_is_called(gateway: Running) -> None:
    (call,) = ask(gateway, tools=[TOOL]).output
    assert (call.type, call.call_id, call.name, call.arguments) == (
        "function_call",
        "call_1",
        "weather",
        '{"city": "Oslo"}',
    )


@pytest.mark.parametrize("more", [{}, {"tools": [TOOL]}])
def test_a_stream_ends_with_what_its_events_said(gateway: Running, more: Any) -> None:
    events = list(ask(gateway, stream=True, **more))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    items = [e.item for e in events if e.type == "response.output_item.done"]
    assert events[-1].response.output == items


def test_every_event_fits_the_official_type(gateway: Running) -> None:
    from openai.types.responses import ResponseStreamEvent
    from pydantic import TypeAdapter

    kind = TypeAdapter[Any](ResponseStreamEvent)
    for more in ({}, {"tools": [TOOL]}):
        for event in ask(gateway, stream=True, **more):
            kind.validate_python(event.to_dict())


def test_a_stream_that_breaks_is_a_failed_response(gateway: Running, up: MockServer) -> None:
    up.faults.append({"half": 3})
    last = list(ask(gateway, stream=True))[-1]
    assert (last.type, last.response.status, last.response.error.code) == ("response.failed", "failed", "server_error")


def test_instructions_and_formats_go_on(gateway: Running, up: MockServer) -> None:
    shape = {"type": "json_schema", "name": "s", "schema": {"type": "object"}}
    ask(gateway, instructions="Be short.", text={"format": shape}, reasoning={"effort": "low"}, temperature=0.5)
    body = up.calls[-1]["body"]
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": {"type": "object"}},
    }
    assert (body["reasoning_effort"], body["temperature"]) == ("low", 0.5)


def test_items_of_a_conversation_become_messages() -> None:
    image = {"type": "input_image", "image_url": "data:x"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    given = [{"role": "user", "content": [{"type": "input_text", "text": "hi"}, image]}, {"type": "reasoning"}, call]
    made = items_of([*given, {"type": "function_call_output", "call_id": "c", "output": "5"}])
    assert [m["role"] for m in made] == ["user", "assistant", "tool"]
    assert made[0]["content"][1]["image_url"]["url"] == "data:x"
    assert made[1]["tool_calls"][0]["function"]["name"] == "f"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"input": []}, "input"),
        ({"tools": 0}, "tools"),
        ({"tool_choice": []}, "tool_choice"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"text": {"format": {"type": "x"}}}, "text.format"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 1.5}]}]}, "input[0]"),
        ({"input": [{"type": "computer_call"}]}, "input[0]"),
        ({"max_output_tokens": "x"}, "max_tokens"),
    ],
)
def test_what_can_not_be_had_is_named(more: Any, param: str) -> None:
    with pytest.raises(Problem) as found:
        Responses().read({"model": "m", "input": "x", **more})
    assert (found.value.status, found.value.param) == (400, param)
