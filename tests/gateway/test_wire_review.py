"""What the protocols promise beyond the plain case: fields kept both ways, cancelling in each dialect, embeddings."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from running import HELLO, Running

import sprat

SHAPE = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True}}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/completions": {"prompt": "hello"},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 9},
}


class Upstream:
    """Answers with a table of its own, or streams words until nobody listens; `bodies` is what it was asked."""

    def __enter__(self) -> Upstream:
        self.bodies: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        self.streaming, self.left = threading.Event(), threading.Event()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self.ready.wait(10)
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)

    async def _serve(self) -> None:
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._one, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stop.wait()
        server.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        self.bodies.append(body)
        if not body.get("stream"):
            data = json.dumps(self.answer).encode()
            start = f"HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
            writer.write(f"{start}connection: close\r\n\r\n".encode() + data)
            await writer.drain()
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        one = {"index": 0, "delta": {"content": "word ", "reasoning_content": "hm"}, "text": "w", "finish_reason": None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [one]}
        end = time.monotonic() + 20
        while not reader.at_eof() and time.monotonic() < end and not self.stop.is_set():
            writer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.streaming.set()
            await asyncio.sleep(0.01)
        if reader.at_eof():
            self.left.set()
        writer.transport.abort()


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with Upstream() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(up: Upstream) -> Iterator[Running]:
    far = sprat.openai("far", up.url, "theirs", retries=0)
    other = sprat.openai("other", up.url, "theirs", retries=0)
    with Running(sprat.cascade(far, other, trust=sprat.signals.random(), at_least=0.0)) as made:
        yield made


@pytest.mark.parametrize("model", ["far", "auto"])
@pytest.mark.parametrize("path", list(BODIES))
def test_a_client_that_leaves_a_stream_ends_the_upstreams(
    gateway: Running, up: Upstream, path: str, model: str
) -> None:
    if model == "auto" and path == "/v1/completions":
        pytest.skip("a cascade judges whole replies; one dialect of it is enough")
    up.streaming.clear(), up.left.clear()
    body = json.dumps({"model": "far" if model == "far" else "other", "stream": True, **BODIES[path]}).encode()
    client = socket.create_connection(("127.0.0.1", gateway.at), timeout=10)
    client.sendall(f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    assert up.streaming.wait(10)
    assert client.recv(100).startswith(b"HTTP/1.1 200")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert up.left.wait(15)


def completion(**more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi", "x_theirs": 1}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "x_cached": 3}
    frame = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return {**frame, "system_fingerprint": "fp_1", "x_theirs": {"deep": [1]}, **more}


@pytest.mark.parametrize("model", ["far", "auto"])
def test_what_the_upstream_says_beyond_the_protocol_is_kept(gateway: Running, up: Upstream, model: str) -> None:
    up.answer = completion()
    said = gateway.openai().chat.completions.create(model=model, messages=HELLO)
    assert (said.system_fingerprint, said.x_theirs) == ("fp_1", {"deep": [1]})
    assert said.choices[0].message.x_theirs == 1


@pytest.mark.parametrize("model", ["far", "auto"])
def test_options_of_the_protocol_go_on_as_they_are(gateway: Running, up: Upstream, model: str) -> None:
    up.answer = completion()
    told: dict[str, Any] = {
        "response_format": SHAPE,
        "seed": 7,
        "stop": ["x", "y"],
        "logprobs": True,
        "top_logprobs": 2,
        "temperature": 0.5,
        "frequency_penalty": 1.0,
        "logit_bias": {"5": -100},
        "user": "u",
        "metadata": {"a": "b"},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }
    gateway.openai().chat.completions.create(model=model, messages=HELLO, extra_body={"x_ours": [1]}, **told)
    assert {k: up.bodies[-1].get(k) for k in [*told, "x_ours"]} == {**told, "x_ours": [1]}


def test_reasoning_in_a_stream_is_kept(gateway: Running) -> None:
    with gateway.openai().chat.completions.create(model="far", messages=HELLO, stream=True) as stream:
        assert next(c for c in stream if c.choices[0].delta.content).choices[0].delta.reasoning_content == "hm"


def test_embeddings_go_on_with_their_form_and_dimensions(gateway: Running, up: Upstream) -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    row = {"object": "embedding", "index": 0, "embedding": packed}
    up.answer = {"object": "list", "data": [row], "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    found = gateway.openai().embeddings.create(model="far", input=["a cat"], dimensions=2)
    assert found.data[0].embedding == [0.5, -1.0]
    assert {k: up.bodies[-1].get(k) for k in ("model", "input", "dimensions", "encoding_format")} == {
        "model": "theirs",
        "input": ["a cat"],
        "dimensions": 2,
        "encoding_format": "base64",
    }
    assert found.usage.prompt_tokens == 3


def test_images_reach_the_upstream_from_every_dialect(gateway: Running, up: Upstream) -> None:
    up.answer = completion()
    url = "data:image/png;base64,AA=="
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    gateway.anthropic().messages.create(model="far", max_tokens=9, messages=[{"role": "user", "content": [picture]}])
    anthropics = up.bodies[-1]["messages"][0]["content"][0]
    item = {"role": "user", "content": [{"type": "input_image", "image_url": url, "detail": "auto"}]}
    gateway.openai().responses.create(model="far", input=[item])
    responses = up.bodies[-1]["messages"][0]["content"][0]
    assert (anthropics["image_url"]["url"], responses["image_url"]["url"]) == (url, url)


def test_tool_results_reach_the_upstream_from_every_dialect(gateway: Running, up: Upstream) -> None:
    up.answer = completion()
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "5"}
    turns = [*HELLO, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    gateway.anthropic().messages.create(model="far", max_tokens=9, messages=turns)
    first = up.bodies[-1]["messages"][1:]
    call = {"type": "function_call", "call_id": "t", "name": "f", "arguments": '{"a": 1}'}
    output = {"type": "function_call_output", "call_id": "t", "output": "5"}
    gateway.openai().responses.create(model="far", input=[*HELLO, call, output])
    second = up.bodies[-1]["messages"][1:]
    assert first == second
    assert second[1] == {"role": "tool", "tool_call_id": "t", "content": "5"}
