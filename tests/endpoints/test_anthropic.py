"""The Anthropic endpoint against a mock: conversion both ways, streams, usage with cache tokens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import sprat.endpoints.http as http
from mock_server import MockServer
from sprat.core import Piece
from sprat.endpoints import anthropic
from sprat.endpoints.anthropic_wire import asked
from sprat.errors import CannotDo, Garbled, Refused, ServerFailed, Unreachable
from sprat.prices import Price

TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "d", "parameters": {"type": "object", "properties": {}}},
}
KEY = "sk-ant-planted-0123"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)


def streamed(model: object, asked: object, **options: object) -> list[Piece]:
    async def collect() -> list[Piece]:
        return [p async for p in model.stream(asked, **options)]

    return asyncio.run(collect())


def body_of(*messages: dict[str, Any], **options: Any) -> dict[str, Any]:
    return asked("m", "claude", messages, options, 64)


def test_a_call_gives_text_finish_and_usage_with_cache_tokens(server: MockServer) -> None:
    reply = anthropic("big", server.url, "mock")("abc")
    assert (reply.text, reply.finish) == ("so: cba", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (1 + 7 + 2, 2)


def test_cached_and_written_tokens_have_their_own_price(server: MockServer) -> None:
    price = Price(1.0, 10.0, cached=0.1, cache_write=2.0)
    reply = anthropic("big", server.url, "mock", price=price)("abc")
    assert reply.cost == pytest.approx((1 * 1 + 7 * 0.1 + 2 * 2 + 2 * 10) / 1e6)


def test_cache_writes_without_a_price_leave_the_cost_unknown(server: MockServer) -> None:
    assert anthropic("big", server.url, "mock", price=Price(1.0, 10.0))("abc").cost is None


@pytest.mark.parametrize("options", [{}, {"tools": [TOOL]}, {"max_tokens": 1}])
def test_a_stream_comes_to_the_same_reply(server: MockServer, options: dict[str, object]) -> None:
    model = anthropic("big", server.url, "mock")
    pieces = streamed(model, "abc def", **options)
    assert replace(pieces[-1].reply, seconds=None) == replace(model("abc def", **options), seconds=None)


def test_a_streams_raw_pieces_are_chat_completion_chunks(server: MockServer) -> None:
    from openai.types.chat import ChatCompletionChunk

    raws = [p.raw for p in streamed(anthropic("big", server.url, "mock"), "abc", tools=[TOOL]) if p.raw]
    for raw in raws:
        ChatCompletionChunk.model_validate({"created": 0, **raw})
    calls = [c for r in raws for c in r["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(c["function"]["arguments"] for c in calls) == '{"city": "Oslo"}'


def test_system_messages_go_to_the_system_field() -> None:
    body = body_of(
        {"role": "system", "content": "a"}, {"role": "developer", "content": "b"}, {"role": "user", "content": "c"}
    )
    assert (body["system"], body["messages"]) == ("a\n\nb", [{"role": "user", "content": "c"}])


def test_a_marked_system_block_keeps_its_mark() -> None:
    block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    assert body_of({"role": "system", "content": [block]}, {"role": "user", "content": "c"})["system"] == [block]


def test_tool_calls_and_results_are_converted() -> None:
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    results = [{"role": "tool", "tool_call_id": i, "content": "4"} for i in ("t1", "t2")]
    turns = body_of(
        {"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [call]}, *results
    )["messages"]
    assert turns[1]["content"] == [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}]
    assert turns[2]["role"] == "user"
    assert [b["tool_use_id"] for b in turns[2]["content"]] == ["t1", "t2"]


def test_tools_and_their_choice_are_converted() -> None:
    body = body_of({"role": "user", "content": "a"}, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    assert body["tools"] == [
        {"name": "weather", "description": "d", "input_schema": {"type": "object", "properties": {}}}
    ]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


def test_a_tool_call_survives_the_round_trip(server: MockServer) -> None:
    model = anthropic("big", server.url, "mock")
    call = model("abc", tools=[TOOL])
    turn = [
        {"role": "user", "content": "abc"},
        {"role": "assistant", "content": call.text, "tool_calls": call.tool_calls},
    ]
    model([*turn, {"role": "tool", "tool_call_id": call.tool_calls[0]["id"], "content": "4"}], tools=[TOOL])
    assert server.calls[1]["body"]["messages"][1]["content"] == call.raw["content"]


def test_images_become_sources() -> None:
    parts = [{"type": "image_url", "image_url": {"url": u}} for u in ("data:image/png;base64,AA", "https://x/y.png")]
    content = body_of({"role": "user", "content": parts})["messages"][0]["content"]
    assert [b["source"]["type"] for b in content] == ["base64", "url"]
    assert content[0]["source"] == {"type": "base64", "media_type": "image/png", "data": "AA"}


def test_unknown_options_and_native_blocks_pass_through() -> None:
    block = {"type": "document", "source": {"type": "text", "data": "d", "media_type": "text/plain"}}
    body = body_of({"role": "user", "content": [block]}, thinking={"type": "adaptive"}, stop="x", seed=1)
    assert body["messages"][0]["content"] == [block]
    assert (body["thinking"], body["stop_sequences"], body["max_tokens"]) == ({"type": "adaptive"}, ["x"], 64)
    assert "seed" not in body


@pytest.mark.parametrize("option", [{"logprobs": True}, {"n": 2}, {"response_format": {"type": "json_object"}}])
def test_what_the_api_lacks_is_said(option: dict[str, Any]) -> None:
    with pytest.raises(CannotDo):
        body_of({"role": "user", "content": "a"}, **option)


def test_a_schema_becomes_an_output_format() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    body = body_of({"role": "user", "content": "a"}, response_format=shape)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}


def test_overload_is_retried_and_a_broken_stream_is_not(server: MockServer) -> None:
    model = anthropic("big", server.url, "mock")
    server.faults += [{"status": 529}, None, {"half": 4}]
    assert model("abc").ok
    with pytest.raises(Unreachable):
        streamed(model, "abc")
    assert server.seen == 3


def test_errors_name_the_variable_and_never_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with MockServer(key="another") as server, pytest.raises(Refused, match="ANTHROPIC_API_KEY") as caught:
        anthropic("big", server.url, "mock")("abc")
    assert KEY not in str(caught.value)


def test_an_error_event_in_a_stream_is_an_error(server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    event = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'
    kept = server._stream
    monkeypatch.setattr(server, "_stream", lambda writer, parts, half: kept(writer, [*parts[:3], event], half))
    with pytest.raises(ServerFailed, match="busy"):
        streamed(anthropic("big", server.url, "mock"), "abc")


def test_a_stream_that_stops_without_a_reason_is_not_finished(
    server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = server._stream
    monkeypatch.setattr(server, "_stream", lambda writer, parts, half: kept(writer, [*parts[:5], parts[-1]], half))
    with pytest.raises(Garbled, match="before its reply was finished"):
        streamed(anthropic("big", server.url, "mock"), "abc")
