"""The upstream of gateway_promise.py: its small model is wrong as often as was last told.

python benchmarks/gateway_promise_upstream.py
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any


class Upstream(asyncio.Protocol):
    """The large model says "yes"; the small one says "no" with the probability that was last told: GET /wrong/0.1."""

    wrong, draw = 0.0, random.Random()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.held = transport, b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end]
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.held) < whole:
                return
            body, self.held = self.held[end + 4 : whole], self.held[whole:]
            if told := re.match(rb"GET /wrong/([\d.]+)", head):
                Upstream.wrong = float(told[1])
            missed = json.loads(body)["model"] == "small" and self.draw.random() < self.wrong if body else False
            message = {"role": "assistant", "content": "no" if missed else "yes"}
            frame: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
            frame["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
            said = json.dumps({**frame, "usage": {"prompt_tokens": 20, "completion_tokens": 1}}).encode()
            start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(said)}\r\n\r\n"
            self.transport.write(start.encode() + said)  # type: ignore[attr-defined]


async def serve_upstream() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve_upstream())
