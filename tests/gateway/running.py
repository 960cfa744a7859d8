"""A gateway over real HTTP in a thread of this process, and official clients of it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

for _needed in ("aiohttp", "orjson", "prometheus_client", "sqlalchemy", "uvicorn", "openai", "anthropic"):
    pytest.importorskip(_needed)

import anthropic  # noqa: E402
import openai  # noqa: E402
import uvicorn  # noqa: E402
from stored import wait_for  # noqa: E402

from sprat.gateway.app import Gateway  # noqa: E402
from sprat.gateway.bounds import protocol  # noqa: E402
from sprat.gateway.served import Served, of  # noqa: E402

HELLO = [{"role": "user", "content": "hello you"}]
SORT = [{"role": "user", "content": "sort 31 4 15:"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


class Running:
    """`with Running(model) as gateway`: base URL in `url`, what was logged in `kept`."""

    def __init__(self, model: Any, keys: Any = None, **settings: Any) -> None:
        self.kept: list[Any] = []
        self.clients: dict[str, Any] = {}
        served = model if isinstance(model, Served) else of(model, **settings)
        self.app = Gateway(served, keys, self)
        self.under_way = 0

    def put(self, exchange: Any) -> None:
        self.kept.append(exchange)

    async def close(self) -> None:
        self.closed = True

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, its calls counted."""
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1

    @property
    def last(self) -> Any:
        """The record of the last request that was answered: it is put after the reply has gone out."""
        wait_for(lambda: self.under_way == 1)  # the lifespan's
        return self.kept[-1]

    def __enter__(self) -> Running:
        http = protocol(self.app.served.settings.header_limit)
        told: dict[str, Any] = {"log_level": "error", "lifespan": "on", "ws": "none"}
        self.server = uvicorn.Server(uvicorn.Config(self.answer, interface="asgi3", port=0, http=http, **told))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        for _ in range(1000):
            if self.server.started:
                break
            self.thread.join(0.01)
        self.at = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.at}"
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients.values():
            client.close()
        self.server.should_exit = True
        self.thread.join(10)

    def openai(self) -> Any:
        if "openai" not in self.clients:
            self.clients["openai"] = openai.OpenAI(base_url=f"{self.url}/v1", api_key="any", max_retries=0)
        return self.clients["openai"]

    def anthropic(self) -> Any:
        if "anthropic" not in self.clients:
            self.clients["anthropic"] = anthropic.Anthropic(base_url=self.url, api_key="any", max_retries=0)
        return self.clients["anthropic"]

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
        """Status, headers (as a table of lower-case names), and the body read as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.get(path, data, **headers)

    def get(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(self.url + path, data, named)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, found, said = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, found, said = error.code, error.headers, error.read()
        plain = said.decode()
        return status, found, json.loads(plain) if plain.startswith("{") else plain
