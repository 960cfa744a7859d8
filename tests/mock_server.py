"""A small OpenAI- and Anthropic-compatible server on loopback, with scripted faults and its own log of calls.

    with MockServer() as server:            # in a thread
        server.faults += [{"status": 500}, {"reset": True}]
    python tests/mock_server.py --log calls.jsonl --port-file port      # in its own process

Faults, one per call, in order (None: none): status (with after, said, code), stall (seconds), reset, half (chunks of
the stream, then the connection ends), hold (chunks, then nothing until the client goes; `left` counts those that
went), garbage, body (what is answered), events (what is streamed where that is asked for). A body's "sure" is the log-
probability of each token; where it is "said", each token's is the number that it spells. A key that was answered
before is answered again without being billed, unless the server is told to forget.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mock_wire import anthropic_events, anthropic_message, openai_chunks, openai_completion


def said_to(body: dict[str, Any]) -> str:
    """What the mock answers: the last message's text, turned round."""
    content = body["messages"][-1].get("content") or ""
    if isinstance(content, list):
        content = " ".join(p.get("text", "") for p in content)
    return f"so: {content[::-1]}"


class MockServer:
    """`calls` is the log: one dict per call that was billed, with its body, headers and number."""

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], str] = said_to,
        *,
        latency: float = 0.0,
        key: str = "",
        honours: bool = True,
        log: Path | None = None,
        models: tuple[str, ...] = ("mock", "mock-large"),
        lacks: tuple[str, ...] = (),
    ) -> None:
        self.answer, self.latency, self.key, self.honours, self.log = answer, latency, key, honours, log
        self.models, self.lacks = models, lacks
        self.faults: list[dict[str, Any] | None] = []
        self.calls: list[dict[str, Any]] = []
        self.seen = 0
        self.connections = 0
        self.left = threading.Semaphore(0)
        self._answered: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> MockServer:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def serve(self, port_file: Path | None = None) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[Any] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        if port_file:
            port_file.with_suffix(".part").write_text(str(self.port))
            port_file.with_suffix(".part").rename(port_file)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        start, *lines = head.split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = start.split(" ")
        given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
        if self.key and given != self.key:
            return self._send(writer, 401, {"error": {"message": f"Incorrect API key provided: {given}."}})
        if method == "GET" and path.endswith("/models"):
            return self._send(
                writer, 200, {"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]}
            )
        self.seen += 1
        fault = (self.faults.pop(0) if self.faults else None) or {}
        if "stall" in fault:
            await asyncio.sleep(fault["stall"])
        if "status" in fault:
            error = {"message": fault.get("said", "scripted"), "code": fault.get("code")}
            return self._send(writer, fault["status"], {"error": error}, after=fault.get("after"))
        if fault.get("garbage"):
            return self._send(writer, 200, "<html>not JSON at all</html>")
        body = json.loads(raw)
        if "events" in fault and body.get("stream"):
            return await self._stream(writer, fault["events"], None)
        if "body" in fault:
            return self._send(writer, 200, fault["body"])
        if body.get("model") not in self.models:
            return self._send(writer, 404, {"error": {"message": f"The model {body.get('model')} does not exist"}})
        if refused := next((k for k in self.lacks if k in body), None):
            return self._send(writer, 400, {"error": {"message": f"Unknown field: {refused}"}})
        made = await self._bill(body, headers)
        if fault.get("reset"):
            return False
        messages = path.endswith("/messages")
        if not body.get("stream"):
            build = anthropic_message if messages else openai_completion
            return self._send(writer, 200, build(made["text"], body, made["number"]))
        parts = (anthropic_events if messages else openai_chunks)(made["text"], body, made["number"])
        if "hold" in fault:
            await self._stream(writer, parts, fault["hold"])
            with suppress(ConnectionError):
                assert await reader.read(1) == b""  # the end of what the client sends: it has closed
            self.left.release()
            return False
        return await self._stream(writer, parts, fault.get("half"))

    async def _bill(self, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        once = headers.get("idempotency-key", "")
        if self.honours and once in self._answered:
            return await asyncio.shield(self._answered[once])
        future = self._answered[once] = self._loop.create_future()
        await asyncio.sleep(self.latency)
        made = {"number": len(self.calls), "key": once, "body": body, "headers": headers, "text": self.answer(body)}
        self.calls.append(made)
        if self.log:
            with self.log.open("a") as file:
                file.write(json.dumps({k: made[k] for k in ("number", "key", "text", "body")}) + "\n")
        future.set_result(made)
        return made

    def _send(self, writer: asyncio.StreamWriter, status: int, body: Any, after: str | None = None) -> bool:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        extra = f"retry-after: {after}\r\n" if after is not None else ""
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{extra}content-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        return True

    async def _stream(self, writer: asyncio.StreamWriter, parts: list[str], half: int | None) -> bool:
        writer.write(b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for part in parts if half is None else parts[:half]:
            data = part.encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        if half is not None:
            return False
        writer.write(b"0\r\n\r\n")
        return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.005)
    parser.add_argument("--forgets", action="store_true")
    given = parser.parse_args()
    server = MockServer(latency=given.latency, honours=not given.forgets, log=given.log)
    asyncio.run(server.serve(given.port_file))
