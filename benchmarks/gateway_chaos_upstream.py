"""An upstream that misbehaves by a seed: every way in which a model's server was seen to fail, and some that were not.

    python benchmarks/gateway_chaos_upstream.py --seed 0 [--kind html]

It speaks OpenAI's chat completions and Anthropic's messages. A good reply repeats the request's nonce and ends with
"the-end", so that whoever reads it can tell whether it is whole and whose it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from mock_wire import anthropic_events, anthropic_message, openai_chunks, openai_completion

END = "the-end"
# How often each happens among 100; the rest are good replies.
KINDS: dict[str, float] = {
    "500": 4, "503": 2, "429": 2, "400": 1, "401": 1, "404": 0.5, "reset": 3, "reset_late": 3, "stall": 1,
    "stall_late": 1, "half": 4, "half_clean": 2, "bad_chunk": 3, "drip": 6, "html": 1, "json_for_stream": 1,
    "garbage_event": 2, "error_event": 2, "giant": 1, "short_body": 2, "empty": 1, "no_object": 1, "no_choices": 1,
    "deep": 0.5, "no_http": 1, "binary": 1, "redirect": 1, "crlf": 3, "split": 4, "no_end": 2,
}  # fmt: skip
STALL = 60.0


class Upstream:
    """Answers each call with a kind drawn for it; `calls` counts them by kind."""

    def __init__(self, seed: int, kind: str = "") -> None:
        self.draw, self.kind = random.Random(seed), kind
        self.calls: dict[str, int] = {}
        self.left = 0  # calls whose gateway went before the end

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes down one connection."""
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left += 1
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = re.search(r"content-length: (\d+)", head)
        raw = await reader.readexactly(int(length[1])) if length else b""
        if head.startswith("get"):
            self._send(writer, 200, json.dumps({"data": [{"id": "m"}]}).encode())
            return True
        kinds = [*KINDS, "good"]
        weights = [*KINDS.values(), 100 - sum(KINDS.values())]
        kind = self.kind or self.draw.choices(kinds, weights)[0]
        self.calls[kind] = self.calls.get(kind, 0) + 1
        body: dict[str, Any] = json.loads(raw)
        found = re.search(rb"nonce-\d+", raw)
        words = self.draw.randint(2, 20) if kind != "giant" else 300_000
        text = f"{found[0].decode() if found else 'none'} {'word ' * words}{END}"
        messages = "/messages" in head.split(" ")[1]
        if body.get("stream") and kind not in ("500", "503", "429", "400", "401", "404", "json_for_stream"):
            parts = (anthropic_events if messages else openai_chunks)(text, {**body, "tools": None}, 0)
            return await self._stream(writer, parts, kind)
        made = (anthropic_message if messages else openai_completion)(text, {**body, "tools": None}, 0)
        return await self._whole(writer, json.dumps(made).encode(), kind)

    async def _early(self, writer: asyncio.StreamWriter, kind: str) -> bool | None:
        """What happens before any answer; None where one comes."""
        if kind == "reset":
            return False
        if kind == "no_http":
            writer.write(b"\x00\xff no http at all\r\n\r\n")
            return False
        if kind == "stall":
            await asyncio.sleep(STALL)
        elif kind == "redirect":
            writer.write(b"HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:9/v1\r\ncontent-length: 0\r\n\r\n")
            return True
        elif kind == "html":
            self._send(writer, 200, b"<html>busy</html>", "text/html")
            return True
        return None

    async def _whole(self, writer: asyncio.StreamWriter, data: bytes, kind: str) -> bool:
        if (early := await self._early(writer, kind)) is not None:
            return early
        if kind.isdigit():
            after = "retry-after: 1\r\n" if kind == "429" else ""
            self._send(writer, int(kind), b'{"error": {"message": "chaos"}}', more=after)
            return True
        odd = {"empty": b"", "no_object": b"[1]", "no_choices": b'{"choices": []}', "deep": b"[" * 50_000}
        data = odd.get(kind, data)
        if kind == "binary":
            data = b"\xff\xfe\x00" * 99
        if kind in ("short_body", "half", "reset_late", "half_clean"):
            self._head(writer, 200, len(data))
            writer.write(data[: len(data) // 2])
            return False
        if kind == "stall_late":
            self._head(writer, 200, len(data))
            writer.write(data[: len(data) // 2])
            await asyncio.sleep(STALL)
            return False
        if kind == "drip":
            self._head(writer, 200, len(data))
            for i in range(0, len(data), 1 + len(data) // 20):
                writer.write(data[i : i + 1 + len(data) // 20])
                await writer.drain()
                await asyncio.sleep(0.02)
            return True
        self._send(writer, 200, data)
        await writer.drain()
        return True

    async def _stream(self, writer: asyncio.StreamWriter, parts: list[str], kind: str) -> bool:
        if (early := await self._early(writer, kind)) is not None:
            return early
        kinds = "text/event-stream" if kind != "binary" else "application/octet-stream"
        writer.write(f"HTTP/1.1 200 x\r\ncontent-type: {kinds}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        turn = self.draw.randrange(len(parts))
        if kind == "empty":
            parts = []
        for place, part in enumerate(parts):
            data = part.replace("\n", "\r\n").encode() if kind == "crlf" else part.encode()
            late = place == turn
            if late and kind in ("half", "reset_late", "short_body"):
                if kind == "half":
                    writer.write(b"%x\r\n%b" % (len(data), data[: len(data) // 2]))
                    await writer.drain()
                return False
            if late and kind == "half_clean":
                break
            if late and kind == "stall_late":
                await asyncio.sleep(STALL)
                return False
            if late and kind == "bad_chunk":
                writer.write(b"zz\r\n" + data)
                return False
            if late and kind in ("garbage_event", "no_object", "no_choices", "deep"):
                odd = {"no_object": b"[1]", "no_choices": b'{"choices": 3}', "deep": b"[" * 50_000}
                # Before what should come, not in its place: nobody could tell that a word was never said.
                data = b"data: " + odd.get(kind, b'{"broken') + b"\n\n" + data
            if late and kind == "error_event":
                told = json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "chaos"}})
                data = f"event: error\ndata: {told}\n\n".encode()
            for piece in [data[i : i + 3] for i in range(0, len(data), 3)] if kind == "split" else [data]:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            if kind == "drip":
                await asyncio.sleep(0.02)
            if late and kind == "error_event":
                break
            if kind == "no_end" and place == len(parts) - 2:
                break
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _head(self, writer: asyncio.StreamWriter, status: int, length: int, kind: str = "", more: str = "") -> None:
        head = f"HTTP/1.1 {status} x\r\ncontent-type: {kind or 'application/json'}\r\n{more}"
        writer.write(f"{head}content-length: {length}\r\n\r\n".encode())

    def _send(self, writer: asyncio.StreamWriter, status: int, data: bytes, kind: str = "", more: str = "") -> None:
        self._head(writer, status, len(data), kind, more)
        writer.write(data)


async def serve(seed: int, kind: str) -> None:
    """Serve until killed."""
    upstream = Upstream(seed, kind)
    server = await asyncio.start_server(upstream.connection, "127.0.0.1", 0, limit=64 << 20)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", default="", choices=["", "good", *KINDS], help="this kind alone")
    given = parser.parse_args()
    asyncio.run(serve(given.seed, given.kind))
