"""The upstream that gateway benchmarks ask, which answers at once, and a client that costs little; run, it serves."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import count

CHUNKS = 50
_numbers = count()
_USAGE = {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42}


_ASKED = (
    "Please tell me in a sentence or two what happened in the year {n}, and why.",
    "Write a Python function that gives the {n} smallest primes, with a test.",
    "Translate into French: we shipped {n} boxes of tea last spring, and none was lost.",
    "A train leaves at 9:15 and covers {n} km at 80 km/h. When does it arrive? Show your steps.",
    "Summarise the complaint in ticket {n}: the customer waited two weeks for a refund.",
    "Is {n} divisible by 7? Answer yes or no.",
    "Which of these names fits a bakery at number {n} Mill Lane: Crust, Rise, Oven & Co.?",
    "Give me {n} reasons to learn to swim, as a numbered list, each under ten words.",
)


def prompt(number: int) -> str:
    """A prompt that no other number has, of one of eight kinds."""
    return _ASKED[number % len(_ASKED)].format(n=number)


def body_of(model: str, stream: bool) -> bytes:
    """A request with a prompt that no other has."""
    messages = [{"role": "user", "content": prompt(next(_numbers))}]
    return json.dumps({"model": model, "messages": messages, "stream": stream}).encode()


def _whole() -> bytes:
    message = {"role": "assistant", "content": "It was a year like any other. " * 4}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    frame = {"id": "c", "object": "chat.completion", "created": 1700000000, "model": "m"}
    data = json.dumps({**frame, "choices": choices, "usage": _USAGE}).encode()
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


def _parts() -> list[bytes]:
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
    deltas = [{"index": 0, "delta": {"content": " word"}, "finish_reason": None} for _ in range(CHUNKS)]
    bodies = [{**frame, "choices": [d]} for d in deltas]
    bodies.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    bodies.append({**frame, "choices": [], "usage": _USAGE})
    events = [f"data: {json.dumps(b)}\n\n".encode() for b in bodies] + [b"data: [DONE]\n\n"]
    return [f"{len(e):x}\r\n".encode() + e + b"\r\n" for e in events]


class Upstream(asyncio.Protocol):
    """Answers each request with the same words; a stream's chunks come one millisecond apart."""

    whole, parts = _whole(), _parts()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.held = transport, b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.held) < end + 4 + length:
                return
            body, self.held = self.held[end + 4 : end + 4 + length], self.held[end + 4 + length :]
            if b'"stream":true' in body or b'"stream": true' in body:
                asyncio.get_running_loop().create_task(self._stream())
            else:
                self.transport.write(self.whole)  # type: ignore[attr-defined]

    async def _stream(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self.transport.write(head)  # type: ignore[attr-defined]
        for part in self.parts:
            self.transport.write(part)  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)
        self.transport.write(b"0\r\n\r\n")  # type: ignore[attr-defined]


class Client:
    """One connection that asks one thing after another."""

    def __init__(self, port: int, model: str, key: str) -> None:
        self.port, self.model, self.key = port, model, key

    async def open(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    def close(self) -> None:
        self.writer.close()

    async def _send(self, stream: bool) -> bytes:
        body = body_of(self.model, stream)
        key = f"authorization: Bearer {self.key}\r\n" if self.key else ""
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{key}"
        self.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        head_back = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert head_back.startswith(b"http/1.1 200"), head_back
        return head_back

    async def ask(self) -> None:
        """A whole reply."""
        head = await self._send(False)
        at = head.find(b"content-length:")
        if at >= 0:
            await self.reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0]))
        else:
            await self.reader.readuntil(b"0\r\n\r\n")

    async def stream(self) -> tuple[float, float]:
        """Seconds to the first chunk and to the end."""
        began = time.perf_counter()
        await self._send(True)
        await self.reader.readuntil(b"\n\n")
        first = time.perf_counter() - began
        await self.reader.readuntil(b"\r\n0\r\n\r\n")
        return first, time.perf_counter() - began


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(_serve())
    except ImportError:
        asyncio.run(_serve())
