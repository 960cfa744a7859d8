"""No request makes the gateway call an address of the client's choosing."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from running import Running

import sprat
from mock_server import MockServer

ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings")


class Trap:
    """Listens on loopback and counts who connects."""

    def __enter__(self) -> Trap:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.calls = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def _serve(self) -> None:
        while True:
            try:
                found, _ = self.socket.accept()
            except OSError:
                return
            self.calls += 1
            found.close()

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    with Trap() as made:
        yield made


@pytest.fixture(scope="module")
def up() -> Iterator[MockServer]:
    with MockServer() as made:
        yield made


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def gateway(up: MockServer, request: pytest.FixtureRequest) -> Iterator[Running]:
    kind: Any = {"openai": sprat.openai, "anthropic": sprat.anthropic}[request.param]
    with Running(kind("far", up.url, "mock", retries=0)) as made:
        yield made


def bodies(path: str, url: str) -> list[dict[str, Any]]:
    """Bodies that name an address wherever one might be believed."""
    picture = {"type": "image_url", "image_url": {"url": f"{url}/picture.png"}}
    source = {"type": "image", "source": {"type": "url", "url": f"{url}/picture.png"}}
    turns = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, picture]}]
    said: dict[str, Any] = {"messages": turns}
    if path == "/v1/messages":
        said = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, source]}], "max_tokens": 9}
    elif path == "/v1/responses":
        said = {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": f"{url}/picture.png"}]}]}
    elif path == "/v1/completions":
        said = {"prompt": url}
    elif path == "/v1/embeddings":
        said = {"input": url}
    named = dict.fromkeys(("url", "base_url", "api_base", "endpoint", "host", "proxy", "key_file", "callback_url"), url)
    asked = [{"model": m, **said} for m in ("far", url, f"{url}/v1", f"openai/{url}")]
    asked += [{"model": "far", **said, **named}, {"model": "far", **said, "extra_headers": {"host": url}}]
    return asked + [{"model": "far", **said, "sprat": {k: url}} for k in ("model", "url", "thread")]


@pytest.mark.parametrize("path", ROUTES)
def test_no_body_makes_it_call_an_address(gateway: Running, up: MockServer, trap: Trap, path: str) -> None:
    for body in bodies(path, trap.url):
        gateway.post(path, body)
    assert trap.calls == 0


def test_an_image_by_address_goes_on_as_it_is(gateway: Running, up: MockServer, trap: Trap) -> None:
    gateway.post(ROUTES[0], bodies(ROUTES[0], trap.url)[0])
    assert f"{trap.url}/picture.png" in str(up.calls[-1]["body"]["messages"])


@pytest.mark.parametrize(
    "name", ["host", "x_forwarded_host", "x_upstream", "x_original_url", "forwarded", "x_base_url", "x_rewrite_url"]
)
def test_no_header_makes_it_call_an_address(gateway: Running, trap: Trap, name: str) -> None:
    gateway.post(ROUTES[0], bodies(ROUTES[0], "x")[0], **{name: trap.url.removeprefix("http://")})
    assert trap.calls == 0


def test_no_header_of_the_clients_reaches_the_upstream(gateway: Running, up: MockServer) -> None:
    told = {"authorization": "Bearer theirs", "x_planted": "theirs", "cookie": "theirs", "x_api_key": "theirs"}
    gateway.post(ROUTES[0], {"model": "far", "messages": [{"role": "user", "content": "hi"}]}, **told)
    assert "theirs" not in str(up.calls[-1]["headers"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_upstreams_redirect_is_not_followed(trap: Trap, status: int) -> None:
    async def moved(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} x\r\nlocation: {trap.url}/v1\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def asked() -> Any:
        server = await asyncio.start_server(moved, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        with Running(sprat.openai("far", url, retries=0)) as gateway:
            body = {"model": "far", "messages": [{"role": "user", "content": "hi"}]}
            found = await asyncio.to_thread(gateway.post, ROUTES[0], body)
        server.close()
        return found

    code, _, said = asyncio.run(asked())
    assert (code, trap.calls, trap.url in str(said)) == (502, 0, False)
