"""Requests to the gateway as nobody should send them, drawn from a seed: bodies, headers, paths, and HTTP itself.

A case is the bytes that go down a connection, after which the client says that it sends no more.
"""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from typing import Any

TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/never-fetched.png", "detail": "low"}}
TURNS: list[Any] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "sort 31 4 15:"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "5"},
    {"role": "user", "content": "sort 31 4 15:"},
]
PLAIN: list[Any] = [{"role": "user", "content": "sort 31 4 15:"}]
BLOCKS: list[Any] = [
    {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "5"}], "is_error": False},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
        ],
    },
]
ITEMS: list[Any] = [
    {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "data:x"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "5"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]},
]
SPRAT = {"model": "far", "max_cost": 0.5, "card": True, "thread": "t"}
# Valid bodies, by address.
BODIES: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        {"messages": PLAIN, "max_tokens": 9},
        {"messages": TURNS, "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True, "stream": True},
        {"messages": PLAIN, "n": 2, "seed": 7, "stop": ["x"], "temperature": 0.5, "logprobs": True, "top_logprobs": 2},
        {"messages": PLAIN, "stream": True, "stream_options": {"include_usage": True}, "sprat": SPRAT},
        {"messages": PLAIN, "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}},
    ],
    "/v1/completions": [
        {"prompt": "sort 31 4 15:", "max_tokens": 9, "logprobs": 2, "echo": False, "best_of": 1},
        {"prompt": ["sort 31 4 15:"], "stream": True, "n": 2, "suffix": None, "sprat": SPRAT},
    ],
    "/v1/responses": [
        {"input": "sort 31 4 15:", "instructions": "Be short.", "reasoning": {"effort": "low"}, "max_output_tokens": 9},
        {"input": ITEMS, "tools": [{"type": "function", "name": "f", "parameters": {}}], "stream": True},
        {"input": "hi", "text": {"format": {"type": "json_schema", "name": "s", "schema": {}}}, "include": ["x"]},
    ],
    "/v1/messages": [
        {"messages": BLOCKS, "max_tokens": 9, "system": "Be kind.", "stop_sequences": ["x"], "stream": True},
        {
            "messages": PLAIN,
            "max_tokens": 9,
            "system": [{"type": "text", "text": "x"}],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            "metadata": {"user_id": "u"},
            "sprat": SPRAT,
        },
    ],
    "/v1/embeddings": [
        {"input": ["a cat", "a dog"], "encoding_format": "base64"},
        {"input": "a cat", "encoding_format": "float", "dimensions": 64, "user": "u"},
    ],
}
MODELS = ("auto", "far", "sprat", "claude", "text", "static", "gone")
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 10**30, 0.5, -0.0, 1e308, -1e308, 5e-324, "", " ",
    "\0", "a\0b", "\n\r\n", "x\r\nset-cookie: a=b", "\u202e\u0000", "😀" * 9, "é", "\ufffe", "\x7f", "%s%n", "{}",
    "../../etc/passwd", "http://127.0.0.1:1/", "file:///etc/passwd", "'; drop table sprat_exchanges; --",
    "${jndi:ldap://x}", "auto", "text", "x" * 300, [], {}, [[]], [{}], {"": None}, [None], {"type": "text"},
    {"type": None}, {"role": "user"}, ["a", 1], [[[[[[]]]]]], {"a": {"a": {"a": {}}}}, "data:image/png;base64,!!",
    {"__proto__": 1}, "sk-sprat-0000", "NaN", "Infinity",
]  # fmt: skip
NAMES = ("", "x", "\0", "stream", "n", "model", "url", "base_url", "api_key", "sprat", "é", "seed")
RAW = (
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"{}" * 2, b"[" * 100_000,
    b'{"a":' * 20_000, b'{"model": NaN}', b'{"model": "auto", "n": Infinity}', b'{"model": "\\ud800"}',
    b'{"\\udfff": 1}', b"\0", b"\0" * 999, b'{"model": "auto", "model": 3}', b'{"a": 1e999}',
    b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 1e99999999}', b"{'a': 1}", '{"model": "auto"}'.encode("utf-16"),
    '{"model": "auto"}'.encode("utf-32"), b'{"model": "\xc3\x28"}', b"--x\r\n", b"a=b&c=d",
)  # fmt: skip
PATHS = (
    "/", "//", "/v1", "/v1/", "/v1/chat", "/v1/models", "/v1/models/", "/v1/models/auto", "/v1/models/%00",
    "/healthz", "/readyz", "/v1/models/../../etc/passwd", "/v1/%2e%2e/metrics", "/v1/models/%0d%0aset-cookie:%20a=b",
    "/metrics", "/metrics/", "/sprat/decisions/", "/sprat/decisions/x", "/sprat/decisions/%f0%9f%98%80",
    "/sprat/decisions/" + "0" * 24, "/openapi.json", "/v1/chat/completions/", "/V1/CHAT/COMPLETIONS",
    "/v1/chat/completions?model=x", "/v1/chat/completions#x", "/v1/models;x=1", "http://evil.example/v1/models",
    "/v1/models/%ff%fe", "/v1/models/" + "a" * 3000, "/v1/messages/count_tokens", "*", "/%", "/v1/messages/batches",
    "/v1/files", "/dashboard", "/sprat/", "/sprat/login", "/favicon.ico", "/.env", "/v1/\\..\\x",
)  # fmt: skip
METHODS = (
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND", "X" * 50,
)  # fmt: skip
HEADERS = (
    "content-type: text/html", "content-type: application/xml", "content-type:", "content-encoding: gzip",
    "accept: text/plain", "authorization: Basic eDp5", "authorization: Bearer",
    "authorization: Bearer sk-sprat-wrong", "x-api-key: \xff\xfe", "anthropic-version: 2023-06-01",
    "anthropic-version: x", "origin: http://evil.example", "host: evil.example", "cookie: a=b",
    "expect: 100-continue", "expect: x", "connection: close", "connection: upgrade\r\nupgrade: websocket",
    "upgrade: h2c", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA",
    "x-forwarded-for: 127.0.0.1", "te: trailers", "x-forwarded-host: evil.example", "x-original-url: /metrics",
    "x-http-method-override: DELETE", "range: bytes=0-1", "idempotency-key: x", "x-stainless-retry-count: 1",
    "x-sprat-model: far", "accept-encoding: gzip", "transfer-encoding: gzip", "x-long: " + "x" * 3000,
    "x-long: " + "x" * 60_000, "x y: z", ": nothing", "no colon", "x-nul: a\0b", " folded: x", "content-length: 0",
    "content-length: -1", "content-length: 1e3", "content-length: 99999999999999999999", "sec-fetch-site: cross-site",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What is sent; `path` where it can be told; `whole` says that it is one well-formed HTTP request."""

    number: int
    kind: str
    path: str
    data: bytes
    whole: bool = True
    half: bool = False  # the client leaves without reading


class Cases:
    """Cases by number: the same seed and number give the same case."""

    def __init__(self, seed: int, key: str) -> None:
        self.seed, self.key = seed, key
        self.kinds = {"body": 60, "bytes": 12, "route": 10, "headers": 10, "framing": 8}

    def case(self, number: int) -> Case:
        """The case of a number."""
        draw = random.Random(f"{self.seed} {number}")
        kind = draw.choices(list(self.kinds), list(self.kinds.values()))[0]
        made: Case = getattr(self, f"_{kind}")(number, draw)
        return made

    def _request(self, path: str, body: bytes, *headers: str, method: str = "POST", length: bool = True) -> bytes:
        head = [f"{method} {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {self.key}", *headers]
        if length:
            head.append(f"content-length: {len(body)}")
        return "\r\n".join([*head, "", ""]).encode("latin-1") + body

    def _valid(self, draw: random.Random) -> tuple[str, dict[str, Any]]:
        path = draw.choice(list(BODIES))
        body = copy.deepcopy(draw.choice(BODIES[path]))
        model = "static" if path.endswith("embeddings") and draw.random() < 0.7 else draw.choice(MODELS)
        body["model"] = model
        if "sprat" in body and draw.random() < 0.7:
            body["sprat"] = {k: v for k, v in SPRAT.items() if draw.random() < 0.5}
        return path, body

    def _body(self, number: int, draw: random.Random) -> Case:
        """A valid body with up to four changes somewhere within."""
        path, body = self._valid(draw)
        for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3, 4))):
            changed(body, draw)
        data = json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
        return Case(number, "body", path, self._request(path, data, "content-type: application/json"))

    def _bytes(self, number: int, draw: random.Random) -> Case:
        """A body that may be no JSON at all."""
        path, body = self._valid(draw)
        data = bytearray(json.dumps(body).encode())
        if draw.random() < 0.4:
            data = bytearray(draw.choice(RAW))
        elif draw.random() < 0.3:
            data = bytearray(draw.randbytes(draw.choice((1, 10, 1000, 70_000))))
        else:
            for _ in range(draw.randint(1, 5)):
                at = draw.randrange(len(data))
                data[at : at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        return Case(number, "bytes", path, self._request(path, bytes(data)))

    def _route(self, number: int, draw: random.Random) -> Case:
        """Another method, or an address with tricks."""
        path, method = draw.choice((*PATHS, *BODIES)), draw.choice(METHODS)
        body = json.dumps(self._valid(draw)[1]).encode() if draw.random() < 0.5 else b""
        more = [draw.choice(HEADERS[:8])] if draw.random() < 0.2 else []
        odd = method in ("CONNECT", "get") or len(method) > 20 or path in ("*", "http://evil.example/v1/models")
        return Case(number, "route", path, self._request(path, body, *more, method=method), whole=not odd)

    def _headers(self, number: int, draw: random.Random) -> Case:
        """Headers that are wrong, many, or long; a few of them fit no HTTP."""
        path, body = self._valid(draw)
        more = [draw.choice(HEADERS) for _ in range(draw.randint(1, 4))]
        if draw.random() < 0.1:
            more = [f"x-{i}: {i}" for i in range(draw.choice((100, 1000, 10_000)))]
        return Case(number, "headers", path, self._request(path, json.dumps(body).encode(), *more), whole=False)

    def _framing(self, number: int, draw: random.Random) -> Case:
        """HTTP that lies about where a request ends, or several at once."""
        path, body = self._valid(draw)
        data = json.dumps(body).encode()
        whole = self._request(path, data)
        chunked = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (data[:5], data[5:])) + b"0\r\n\r\n"
        hidden = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"
        to, long = "transfer-encoding: chunked", b"y" * draw.choice((9, 90_000))
        made = draw.choice((
            self._request(path, chunked, to, length=False),
            self._request(path, chunked, to, "content-length: 3", length=False),
            self._request(path, b"0\r\n\r\n" + hidden, to, length=True),
            self._request(path, data, f"content-length: {len(data) + 9}", length=False),
            self._request(path, data, f"content-length: {max(0, len(data) - 9)}", length=False),
            self._request(path, b"ffffffffffffffff\r\n" + data, to, length=False),
            self._request(path, b"-1\r\n" + data, to, length=False),
            self._request(path, b"zz\r\n" + data, to, length=False),
            self._request(path, chunked[:-5] + b"0\r\nx: " + long + b"\r\n\r\n", to, length=False),
            self._request(path, b"5;" + long + b"\r\n" + chunked, to, length=False),
            whole * draw.randint(2, 9),
            whole + hidden,
            whole[: draw.randrange(len(whole))],
            whole.replace(b" HTTP/1.1", draw.choice((b" HTTP/1.0", b" HTTP/0.9", b" HTTP/2.0", b"", b" HTTP/9.9"))),
            whole.replace(b"\r\n", b"\n"),
            draw.randbytes(draw.choice((1, 100, 5000))),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(200),
        ))  # fmt: skip
        return Case(number, "framing", "", made, whole=False, half=draw.random() < 0.2)


def changed(value: Any, draw: random.Random) -> None:
    """Change one thing somewhere within a body."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any, depth: int = 0) -> None:
        keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            if depth < 40:
                walk(node[key], depth + 1)

    walk(value)
    node, key = draw.choice(places)
    way = draw.random()
    if way < 0.65:
        node[key] = copy.deepcopy(draw.choice(ODD))
    elif way < 0.75:
        del node[key]
    elif way < 0.85 and isinstance(node, dict):
        node[
            draw.choice(("", "x", "\0", "stream", "n", "model", "url", "base_url", "api_key", "sprat", "é", "seed"))
        ] = copy.deepcopy(draw.choice(ODD))
    elif way < 0.92 and isinstance(node, list):
        node.extend(copy.deepcopy(node[key]) for _ in range(draw.choice((1, 3, 200))))
    else:
        deep: Any = node[key]
        for _ in range(draw.choice((3, 60, 200))):
            deep = [deep] if draw.random() < 0.5 else {"a": deep}
        node[key] = deep
