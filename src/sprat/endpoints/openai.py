"""Any server that speaks OpenAI's chat completions: messages, tools and unknown options pass through untouched.

Checked against a mock whose replies are validated by the official client's types, and asked by that client too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast
from urllib.parse import urlsplit
from uuid import uuid4

from ..core import Can, Endpoint, Piece, Reply, Request, Usage
from ..drivers.background import blocking
from ..errors import Garbled, SpratError
from ..prices import Price, cost
from . import http
from .keys import read_key
from .openai_wire import Building, message_of, text_of, token_logprobs, usage_of

_OWN_KEY = "OPENAI_API_KEY"
_NOT_STORED = {"stored": False}


@dataclass(frozen=True, repr=False)
class OpenAI(Endpoint):
    """A model behind an OpenAI-compatible URL.

    `timeout` is seconds for a whole call with its retries, `first_timeout` until a stream's first part, `read_timeout`
    between two parts of an answer.
    `logprobs` declares that the server gives them, and asks for them; `idempotent` that it honours Idempotency-Key.
    `continues` declares that it can go on with a text: "completions" (the API of that name), or "chat" (the last
    assistant message). `continuous_usage` declares that it counts tokens in every part of a stream (vLLM's
    continuous_usage_stats), so that a reply that is stopped has a known cost. `defaults` are options that a request may
    override. A seed is sent as seed + sample, so that draws differ.
    """

    name: str
    url: str = ""
    model: str | None = None
    key_env: str | None = None
    price: Price | None = None
    timeout: float = 600.0
    connect_timeout: float = 10.0
    read_timeout: float | None = None
    retries: int = 4
    at_once: int = 16
    logprobs: bool = False
    idempotent: bool = False
    stream_usage: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: Callable[[], str] | None = field(default=None, repr=False, compare=False, metadata=_NOT_STORED)
    where: str = field(default="", repr=False, compare=False, metadata=_NOT_STORED)
    continues: Literal["", "completions", "chat"] = ""
    continuous_usage: bool = False
    key_file: str | None = None
    first_timeout: float | None = None
    use = "openai"

    @property
    def can(self) -> Can:
        """LOGPROBS where declared."""
        return Can.LOGPROBS if self.logprobs else Can.TEXT

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The replies, at most `at_once` calls at a time; an element may be the error of that request."""
        return blocking(gather(self.answer_async, requests, self.at_once))

    async def answer_async(self, request: Request, once: str = "") -> Reply:
        """The reply; `once` is an idempotency key. Raises an EndpointError, or BadInput for a model without url."""
        began = time.perf_counter()
        call = self._call(request, once, streaming=False)
        return await http.post(call, lambda body: self._reply(body, time.perf_counter() - began))

    async def pieces(self, request: Request, once: str = "") -> AsyncGenerator[Piece]:
        """The reply as it is written; `raw` of a piece is the server's chunk. Raises as answer_async does."""
        began = time.perf_counter()
        call = self._call(request, once, streaming=True)
        building = Building()
        async with aclosing(http.events(call)) as events:
            async for event, data in events:
                if data.strip() == "[DONE]":
                    break
                chunk = http.heard(call, lambda: http.parse(call, data))  # noqa: B023  heard at once
                if event == "json":  # a server that answers whole although asked to stream
                    reply = http.heard(call, lambda: self._reply(chunk, time.perf_counter() - began))  # noqa: B023
                    yield Piece(reply.text or "", reply.tokens or (), reply.logprobs or ())
                    yield Piece(reply=reply)
                    return
                if chunk.get("error"):
                    raise _said_in_stream(call, chunk["error"])
                yield http.heard(call, lambda: building.add(chunk))  # noqa: B023
        if not building.choice["finish_reason"]:
            raise http.unfinished(call)
        yield Piece(reply=http.heard(call, lambda: self._reply(building.whole(), time.perf_counter() - began)))

    def spent(self, request: Request, pieces: Sequence[Piece]) -> tuple[Usage | None, float | None, float | None]:
        """What a call took that was ended after these pieces, as far as the server counted it while it wrote."""
        told = [p.raw["usage"] for p in pieces if isinstance(p.raw, dict) and isinstance(p.raw.get("usage"), dict)]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        usage, cached = usage_of(told[-1] if told else None)
        return usage, cost(self.price, usage, cached), None

    async def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        """What the server answers to a body of one's own at `path` below the url, as the reply's `raw`."""
        began = time.perf_counter()
        found = await http.post(self._posted(path, {"model": self.model or self.name, **body}, ""))
        usage, cached = usage_of(found.get("usage"))
        seconds = time.perf_counter() - began
        return Reply(None, self.name, usage=usage, cost=cost(self.price, usage, cached), seconds=seconds, raw=found)

    def ready(self) -> None:
        """Raises BadInput where it can't be asked: no url, a key that no header can carry, a limit that is none."""
        http.check_times(self)
        http.check_url(self.name, self.url, self.where)
        self._secret()

    def models(self) -> list[str]:
        """The models that the server offers; raises an EndpointError."""
        url = http.check_url(self.name, self.url, self.where)
        return blocking(http.models(self.name, url, self._headers(self._secret())))

    @property
    def _key_env(self) -> str:
        # OpenAI's own key goes to OpenAI alone, unless key_env says otherwise.
        if self.key_env is not None:
            return self.key_env
        return _OWN_KEY if _is_openai(self.url) else ""

    def _secret(self) -> str:
        return read_key(self.name, self.key, self._key_env, self.key_file)

    def _headers(self, secret: str) -> dict[str, str]:
        return {"authorization": f"Bearer {secret}"} if secret else {}

    def _call(self, request: Request, once: str, streaming: bool) -> http.Call:
        declared = {"logprobs": True} if self.logprobs else {}
        options: dict[str, Any] = {**declared, **self.defaults, **request.options}
        told: Mapping[str, Any] = options.pop("stream_options", None) or {}
        options.pop("stream", None)
        if request.sample and isinstance(options.get("seed"), int):
            options["seed"] += request.sample
        if streaming:
            options["stream"] = True
            if told or self.stream_usage:
                counted = {"include_usage": True} if self.stream_usage else {}
                counted |= {"continuous_usage_stats": True} if self.continuous_usage else {}
                options["stream_options"] = counted | dict(told)
        body = {"model": self.model or self.name, "messages": list(request.messages), **options}
        return self._posted("chat/completions", body, once)

    def _posted(self, path: str, body: Mapping[str, Any], once: str) -> http.Call:
        url, secret = http.check_url(self.name, self.url, self.where), self._secret()
        return http.Call(
            self.name,
            f"{url}/{path}",
            body,
            {**self._headers(secret), "idempotency-key": once or uuid4().hex},
            secret,
            self.key_file or self._key_env,
            self.timeout,
            self.connect_timeout,
            self.read_timeout,
            self.retries,
            first_timeout=self.first_timeout,
        )

    def _reply(self, body: dict[str, Any], seconds: float) -> Reply:
        try:
            choice: dict[str, Any] = body["choices"][0]
            message = message_of(choice, "message")
            tokens, logprobs, tops = token_logprobs(choice)
            text = text_of(message.get("content"))
        except http.UNREADABLE as error:
            hint = "Is the url that of a chat completions API?"
            what = f"The answer of '{self.name}' is not a chat completion"
            raise Garbled(f"{what}: {type(error).__name__} {error}.", hint=hint, billable=True) from error
        usage, cached = usage_of(body.get("usage"))
        return Reply(
            text if text is not None else message.get("refusal"),
            self.name,
            tokens,
            logprobs,
            tops,
            tuple(message.get("tool_calls") or ()),
            choice.get("finish_reason"),
            usage,
            cost(self.price, usage, cached),
            seconds,
            raw=body,
        )


@lru_cache(maxsize=256)
def _is_openai(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


async def gather(
    answer: Callable[[Request], Any], requests: Sequence[Request], at_once: int
) -> list[Reply | Exception]:
    """Every request's reply or error, in order, at most `at_once` at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(request: Request) -> Reply | Exception:
        async with gate:
            try:
                return await answer(request)
            except SpratError as error:
                return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(r)) for r in requests]
    return [task.result() for task in tasks]


def _said_in_stream(call: http.Call, error: Any) -> SpratError:
    told = cast("dict[str, Any]", error) if isinstance(error, dict) else {"message": str(error)}
    code = told.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return http.failure_of(call, status, str(told.get("message", "")))


def openai(
    name: str,
    url: str = "",
    model: str | None = None,
    *,
    key_env: str | None = None,
    price: Price | None = None,
    timeout: float = 600.0,
    connect_timeout: float = 10.0,
    read_timeout: float | None = None,
    retries: int = 4,
    at_once: int = 16,
    logprobs: bool = False,
    idempotent: bool = False,
    stream_usage: bool = True,
    key: Callable[[], str] | None = None,
    continues: Literal["", "completions", "chat"] = "",
    continuous_usage: bool = False,
    key_file: str | None = None,
    first_timeout: float | None = None,
    **defaults: Any,
) -> OpenAI:
    """A model behind an OpenAI-compatible URL; `defaults` are options such as temperature=0, max_tokens=200.

    The key is read at each call: from the callable `key`, the file `key_file` (its owner's alone, mode 600), or the
    environment variable `key_env` (OPENAI_API_KEY for OpenAI's own servers, none for others). Raises BadInput for a url
    that is not an HTTP address.
    """
    if url:
        http.check_url(name, url, "")
    return OpenAI(
        name,
        url,
        model,
        key_env,
        price,
        timeout,
        connect_timeout,
        read_timeout,
        retries,
        at_once,
        logprobs,
        idempotent,
        stream_usage,
        defaults,
        key,
        continues=continues,
        continuous_usage=continuous_usage,
        key_file=key_file,
        first_timeout=first_timeout,
    )
