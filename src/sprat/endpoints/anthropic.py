"""Anthropic's /v1/messages, asked in the same words as every other model: requests and tool calls are converted.

Checked against a mock whose replies and events are validated by the official client's types; blocks of Anthropic's own
kinds (documents, thinking, cache marks) pass through untouched. The conversion itself is in anthropic_wire.py.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ..core import Endpoint, Piece, Reply, Request
from ..drivers.background import blocking
from ..errors import Garbled, SpratError
from ..prices import Price, cost
from . import http
from .anthropic_wire import Building, asked, completion
from .keys import read_key
from .openai import gather

_NOT_STORED = {"stored": False}


@dataclass(frozen=True, repr=False)
class Anthropic(Endpoint):
    """A model behind Anthropic's messages API; it gives text, never log-probabilities.

    `timeout` is seconds for a whole call with its retries, `first_timeout` until a stream's first part. `max_tokens` is
    what a request without one gets, since the API needs it. `defaults` are options that a request may override. A seed
    is left out: the API has none.
    """

    name: str
    url: str = "https://api.anthropic.com/v1"
    model: str | None = None
    key_env: str = "ANTHROPIC_API_KEY"
    price: Price | None = None
    max_tokens: int = 4096
    version: str = "2023-06-01"
    timeout: float = 600.0
    connect_timeout: float = 10.0
    read_timeout: float | None = None
    retries: int = 4
    at_once: int = 16
    idempotent: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: Callable[[], str] | None = field(default=None, repr=False, compare=False, metadata=_NOT_STORED)
    where: str = field(default="", repr=False, compare=False, metadata=_NOT_STORED)
    key_file: str | None = None
    first_timeout: float | None = None
    use = "anthropic"
    continues = "prefill"  # a last assistant message is gone on with

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The replies, at most `at_once` calls at a time; an element may be the error of that request."""
        return blocking(gather(self.answer_async, requests, self.at_once))

    async def answer_async(self, request: Request, once: str = "") -> Reply:
        """The reply; `once` is an idempotency key. Raises an EndpointError, or CannotDo for what the API lacks."""
        began = time.perf_counter()
        return await http.post(self._call(request, once), lambda body: self._reply(body, time.perf_counter() - began))

    async def pieces(self, request: Request, once: str = "") -> AsyncGenerator[Piece]:
        """The reply as it is written; `raw` of a piece is a chat completion chunk. Raises as answer_async does."""
        began = time.perf_counter()
        call, building = self._call(request, once, stream=True), Building()
        async with aclosing(http.events(call)) as events:
            async for kind, data in events:
                event = http.heard(call, lambda: http.parse(call, data))  # noqa: B023  heard at once
                if kind == "json":
                    reply = http.heard(call, lambda: self._reply(event, time.perf_counter() - began))  # noqa: B023
                    yield Piece(reply.text or "")
                    yield Piece(reply=reply)
                    return
                if event.get("type") == "error":
                    raise _said_in_stream(call, event.get("error"))
                chunk = http.heard(call, lambda: building.add(event))  # noqa: B023
                if chunk is not None:
                    yield Piece(chunk["choices"][0]["delta"].get("content") or "", raw=chunk)
        if not building.ended or not building.message.get("stop_reason"):
            raise http.unfinished(call)
        yield Piece(reply=http.heard(call, lambda: self._reply(building.message, time.perf_counter() - began)))

    def ready(self) -> None:
        """Raises BadInput where it can't be asked: no url, a key that no header can carry, a limit that is none."""
        http.check_times(self)
        http.check_url(self.name, self.url, self.where)
        self._secret()

    def models(self) -> list[str]:
        """The models that the server offers; raises an EndpointError."""
        url = http.check_url(self.name, self.url, self.where)
        return blocking(http.models(self.name, url, self._headers(self._secret())))

    def _secret(self) -> str:
        return read_key(self.name, self.key, self.key_env, self.key_file)

    def _headers(self, secret: str) -> dict[str, str]:
        return {"anthropic-version": self.version, **({"x-api-key": secret} if secret else {})}

    def _call(self, request: Request, once: str, stream: bool = False) -> http.Call:
        url, secret = http.check_url(self.name, self.url, self.where), self._secret()
        options = {**self.defaults, **request.options}
        body = asked(self.name, self.model or self.name, request.messages, options, self.max_tokens)
        return http.Call(
            self.name,
            f"{url}/messages",
            {**body, **({"stream": True} if stream else {})},
            {**self._headers(secret), "idempotency-key": once or uuid4().hex},
            secret,
            self.key_file or self.key_env,
            self.timeout,
            self.connect_timeout,
            self.read_timeout,
            self.retries,
            first_timeout=self.first_timeout,
        )

    def _reply(self, body: dict[str, Any], seconds: float) -> Reply:
        try:
            text, calls, finish, usage, read, written = completion(body)
        except http.UNREADABLE as error:
            what = f"The answer of '{self.name}' is not a message"
            hint = "Is the url that of Anthropic's API?"
            raise Garbled(f"{what}: {type(error).__name__} {error}.", hint=hint, billable=True) from error
        return Reply(
            text,
            self.name,
            tool_calls=calls,
            finish=finish,
            usage=usage,
            cost=cost(self.price, usage, read, written),
            seconds=seconds,
            raw=body,
        )


def _said_in_stream(call: http.Call, error: Any) -> SpratError:
    kinds = {
        "rate_limit_error": 429,
        "invalid_request_error": 400,
        "authentication_error": 401,
        "permission_error": 403,
    }
    told: Mapping[str, Any] = error if isinstance(error, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]
    return http.failure_of(call, kinds.get(str(told.get("type")), 529), str(told.get("message", "")))


def anthropic(
    name: str,
    url: str = "https://api.anthropic.com/v1",
    model: str | None = None,
    *,
    key_env: str = "ANTHROPIC_API_KEY",
    price: Price | None = None,
    max_tokens: int = 4096,
    timeout: float = 600.0,
    connect_timeout: float = 10.0,
    read_timeout: float | None = None,
    retries: int = 4,
    at_once: int = 16,
    idempotent: bool = False,
    key: Callable[[], str] | None = None,
    key_file: str | None = None,
    first_timeout: float | None = None,
    **defaults: Any,
) -> Anthropic:
    """A model behind Anthropic's messages API; `defaults` are options such as temperature=0.

    The key is read at each call: from the callable `key`, the file `key_file` (its owner's alone, mode 600), or the
    environment variable `key_env`. Raises BadInput for a url that is not an HTTP address.
    """
    if url:
        http.check_url(name, url, "")
    return Anthropic(
        name,
        url,
        model,
        key_env,
        price,
        max_tokens,
        timeout=timeout,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries=retries,
        at_once=at_once,
        idempotent=idempotent,
        defaults=defaults,
        key=key,
        key_file=key_file,
        first_timeout=first_timeout,
    )
