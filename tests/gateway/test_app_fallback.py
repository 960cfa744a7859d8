"""An upstream that breaks off within a stream: another goes on where it can, else the stream ends in an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from running import HELLO, TOOLS, Running

import sprat
from mock_server import MockServer

TEXT = "one two three four"
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def rest(body: dict[str, Any]) -> str:
    """TEXT, or what of it is left where the last message is one to go on with."""
    last = body["messages"][-1]
    return TEXT.removeprefix(last["content"]) if last["role"] == "assistant" else TEXT


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer(rest) as made:
        yield made


def model(up: MockServer, name: str, continues: Any = "") -> Any:
    return sprat.openai(name, up.url, "mock", retries=0, timeout=5.0, continues=continues)


@pytest.fixture(scope="module")
def going_on(up: MockServer) -> Iterator[Running]:
    with Running(sprat.fallback(model(up, "a"), model(up, "b", "chat")), breaker=False) as made:
        yield made


@pytest.fixture(scope="module")
def plain(up: MockServer) -> Iterator[Running]:
    with Running(sprat.fallback(model(up, "a"), model(up, "b")), breaker=False) as made:
        yield made


def body(dialect: str, **more: Any) -> dict[str, Any]:
    asked = {"input": "hello you"} if dialect == "responses" else {"messages": HELLO}
    return {"model": "auto", "max_tokens": 50, "stream": True, **asked, **more}


def chat(gateway: Running, **more: Any) -> str:
    made = gateway.openai().chat.completions.create(model="auto", messages=HELLO, stream=True, **more)
    return "".join(c.choices[0].delta.content or "" for c in made if c.choices)


def messages(gateway: Running) -> str:
    with gateway.anthropic().messages.stream(model="auto", messages=HELLO, max_tokens=50) as stream:
        return "".join(stream.text_stream)


def responses(gateway: Running) -> str:
    with gateway.openai().responses.stream(model="auto", input="hello you") as stream:
        return stream.get_final_response().output_text if [*stream] else ""


@pytest.mark.parametrize("ask", [chat, messages, responses])
def test_another_model_goes_on_within_the_stream(going_on: Running, up: MockServer, ask: Any) -> None:
    up.faults.append({"half": 3})
    assert ask(going_on) == TEXT
    assert up.calls[-1]["body"]["messages"][-1] == {"role": "assistant", "content": "one two"}
    assert up.calls[-1]["body"]["continue_final_message"] is True


def test_a_chat_stream_that_is_gone_on_with_is_one_stream(going_on: Running, up: MockServer) -> None:
    up.faults.append({"half": 3})
    _, _, said = going_on.post(PATHS["chat"], body("chat"))
    chunks = [json.loads(e[6:]) for e in said.split("\n\n") if e.startswith("data: {")]
    assert len({c["id"] for c in chunks}) == 1
    assert sum("role" in c["choices"][0]["delta"] for c in chunks if c["choices"]) == 1
    assert said.count("[DONE]") == 1


@pytest.mark.parametrize("dialect", PATHS)
def test_where_none_can_go_on_the_stream_ends_in_the_dialects_error(
    plain: Running, up: MockServer, dialect: str
) -> None:
    up.faults.append({"half": 3})
    _, _, said = plain.post(PATHS[dialect], body(dialect))
    last = said.rstrip().rpartition("data: ")[2]
    error = json.loads(last)
    assert "one" in said
    assert "three" not in said
    assert {"chat": "error", "messages": "error", "responses": "response"}[dialect] in error
    assert plain.last.status == 502


@pytest.mark.parametrize("dialect", PATHS)
def test_an_upstream_that_says_done_and_not_why_did_not_finish(
    plain: Running, up: MockServer, monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    kept = up._stream
    monkeypatch.setattr(up, "_stream", lambda writer, parts, half: kept(writer, [*parts[:3], parts[-1]], half))
    _, _, said = plain.post(PATHS[dialect], body(dialect))
    error = json.loads(said.rstrip().rpartition("data: ")[2])
    assert {"chat": "error", "messages": "error", "responses": "response"}[dialect] in error
    assert "[DONE]" not in said
    assert plain.last.status == 502


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("gateway", ["plain", "going_on"])
def test_before_the_first_part_the_next_model_answers(request: Any, up: MockServer, gateway: str, dialect: str) -> None:
    up.faults.append({"status": 500})
    running: Running = request.getfixturevalue(gateway)
    status, _, said = running.post(PATHS[dialect], body(dialect))
    assert status == 200
    assert running.last.model == "b"
    assert said.count("four") >= 1


def test_a_tool_call_is_not_gone_on_with(going_on: Running, up: MockServer) -> None:
    up.faults.append({"half": 3})
    _, _, said = going_on.post(PATHS["chat"], body("chat", tools=TOOLS))
    assert '"error"' in said
    assert "[DONE]" not in said


def test_while_the_first_answers_its_bytes_pass(plain: Running, up: MockServer) -> None:
    _, _, said = plain.post(PATHS["chat"], body("chat"))
    assert f'"id": "chatcmpl-{up.calls[-1]["number"]}"' in said
