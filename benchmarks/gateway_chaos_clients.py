"""Clients for the chaos: the official ones, raw ones that check every byte, and those that misbehave."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from itertools import count
from typing import Any

import anthropic
import httpx2
import openai
from gateway_chaos_upstream import END
from verdicts import answers, events, wrong

DEADLINE = 30.0
MODELS = ("auto", "small", "large", "claude", "chain")
# "claude" writes no more than this many tokens (words here) for who sets no limit, since its API needs one.
UNASKED_LIMIT = 4096
CUT = ("length", "max_tokens", "max_output_tokens")
RAW = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")


class Crowd:
    """Asks in turn, by a seed, until told to stop; what went wrong is in `failures`.

    `acknowledged` holds the ids of replies that were read to their end, with the time. While `away` is set the gateway
    is being killed or started, and a connection may break.
    """

    def __init__(self, port: int, key: str, seed: int) -> None:
        self.port, self.key, self.draw = port, key, random.Random(seed)
        self.url = f"http://127.0.0.1:{port}"
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.acknowledged: dict[str, float] = {}
        self.away = asyncio.Event()
        self.gone_at = [0.0]  # when the gateway went, each time
        self.told_at: float | None = None  # when the gateway was told to end what it does
        self.stopping = False
        self.slowest = 0.0
        self.numbers = count()
        told: dict[str, Any] = {"api_key": key, "max_retries": 0, "timeout": DEADLINE}
        self.openai = openai.AsyncOpenAI(base_url=f"{self.url}/v1", **told)
        self.anthropic = anthropic.AsyncAnthropic(base_url=self.url, **told)

    async def work(self) -> None:
        """One client after another."""
        ways = [self._chat, self._responses, self._messages, self._raw, self._raw, self._leaves, self._slow, self._half]
        while not self.stopping:
            if self.away.is_set():
                await asyncio.sleep(0.05)
                continue
            way = self.draw.choices(ways, [4, 2, 3, 4, 2, 1, 0.3, 0.5])[0]
            nonce = f"nonce-{next(self.numbers)}"
            began = time.monotonic()
            try:
                async with asyncio.timeout(DEADLINE + 5):
                    outcome = await way(nonce)
            except (openai.APIStatusError, anthropic.APIStatusError) as error:
                outcome = self._status(error)
            except (openai.APITimeoutError, anthropic.APITimeoutError, TimeoutError):
                outcome = self._failed(began, f"{nonce}: no answer within {DEADLINE:g} s")
            except (openai.APIConnectionError, anthropic.APIConnectionError, httpx2.TransportError, OSError) as error:
                outcome = self._broken(began, f"{nonce}: {type(error).__name__} {error} {error.__cause__!r}")
            except (openai.APIError, anthropic.APIError) as error:  # told within a stream
                outcome = "error within a stream" if error.body else self._broken(began, f"{nonce}: {error!r}")
            except asyncio.CancelledError:
                raise
            except Exception as error:
                outcome = self._failed(began, f"{nonce}: {way.__name__}: {type(error).__name__}: {error}"[:400])
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.outcomes[outcome] += 1

    def _failed(self, began: float, why: str) -> str:
        self.failures.append(f"at {began - self.gone_at[0]:.1f} s after the last kill: {why}")
        return "FAILED"

    def _broken(self, began: float, why: str) -> str:
        """A connection that broke: as it must where the gateway was killed meanwhile, and nowhere else."""
        # A busy gateway may not have taken the connection yet; what it had not taken it can't let end.
        if self.told_at is not None and began < self.told_at - 2.0:
            return self._failed(began, f"cut off by SIGTERM, which lets it end: {why}")
        if self.away.is_set() or began <= self.gone_at[-1]:
            return "cut off by a kill"
        return self._failed(began, why)

    def _status(self, error: Any) -> str:
        if error.status_code == 200:
            return "error within a stream"
        if error.status_code == 500 or not isinstance(error.body, dict):
            self.failures.append(f"status {error.status_code}: {str(error.body)[:200]}")
        return f"status {error.status_code}"

    def _good(self, nonce: str, text: str | None, why_ended: str | None, number: str) -> str:
        """A reply is whole, or says that it was cut and was where it had to be."""
        cut = why_ended in CUT
        whole = text and (len(text.split()) == UNASKED_LIMIT if cut else text.rstrip().endswith(END))
        if not text or not whole or not why_ended or not text.startswith(f"{nonce} "):
            shown = f"{len(text.split())} words, {text[:60]}...{text[-60:]}" if text else repr(text)
            self.failures.append(f"{nonce}: a reply that is not whole, or another's: ended by {why_ended}: {shown}")
            return "FAILED"
        if number:
            self.acknowledged[number] = time.monotonic()
        return "good, cut where it had to be" if cut else "good"

    async def _chat(self, nonce: str) -> str:
        asked: dict[str, Any] = {"model": self.draw.choice(MODELS), "messages": [{"role": "user", "content": nonce}]}
        api = self.openai.chat.completions.with_raw_response
        if self.draw.random() < 0.4:
            raw = await api.create(**asked)
            choice = raw.parse().choices[0]
            return self._good(nonce, choice.message.content, choice.finish_reason, raw.headers["x-sprat-id"])
        more = {"stream_options": {"include_usage": True}} if self.draw.random() < 0.5 else {}
        raw = await api.create(**asked, **more, stream=True)
        text, why_ended = "", None
        async for chunk in raw.parse():
            for choice in chunk.choices:
                text += choice.delta.content or ""
                why_ended = why_ended or choice.finish_reason
        # The official client can't tell a stream without [DONE] from a whole one; the reason of the end can.
        return self._good(nonce, text, why_ended, "")

    async def _responses(self, nonce: str) -> str:
        asked: dict[str, Any] = {"model": self.draw.choice(MODELS), "input": nonce}
        if self.draw.random() < 0.4:
            raw = await self.openai.responses.with_raw_response.create(**asked)
            made = raw.parse()
            return self._good(nonce, made.output_text, _why(made.to_dict()), raw.headers["x-sprat-id"])
        stream = await self.openai.responses.create(**asked, stream=True)
        last: Any = None
        async for event in stream:
            last = event
        if last.type == "response.failed":
            return "error within a stream"
        return self._good(nonce, last.response.output_text, _why(last.response.to_dict()), "")

    async def _messages(self, nonce: str) -> str:
        messages = [{"role": "user", "content": nonce}]
        asked: dict[str, Any] = {"model": self.draw.choice(MODELS), "max_tokens": 400_000, "messages": messages}
        if self.draw.random() < 0.4:
            raw = await self.anthropic.messages.with_raw_response.create(**asked)
            made = await raw.parse()
            return self._good(nonce, made.content[0].text, made.stop_reason, raw.headers["x-sprat-id"])
        async with self.anthropic.messages.stream(**asked) as stream:
            made = await stream.get_final_message()
        return self._good(nonce, made.content[0].text, made.stop_reason, "")

    def _request(self, nonce: str, path: str, stream: bool) -> bytes:
        turns = [{"role": "user", "content": nonce}]
        said: dict[str, Any] = {"messages": turns, "max_tokens": 400_000}
        if path == "/v1/responses":
            said = {"input": nonce}
        elif path == "/v1/completions":
            said = {"prompt": nonce, "max_tokens": 400_000}
        body = json.dumps({"model": self.draw.choice(MODELS), "stream": stream, **said}).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {self.key}\r\nconnection: close\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    async def _raw(self, nonce: str) -> str:
        """Every byte is held to the types and dialects; only the end of the connection ends it."""
        began = time.monotonic()
        path, stream = self.draw.choice(RAW), self.draw.random() < 0.6
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self._request(nonce, path, stream))
            parts: list[bytes] = []
            while part := await reader.read(1 << 16):
                parts.append(part)
        finally:
            writer.transport.abort()
        try:
            (answer,) = answers(b"".join(parts))
        except ValueError as error:
            return self._broken(began, f"{nonce}: {path}: {error}")
        if answer.cut:
            return self._broken(began, f"{nonce}: {path}: the answer was cut off: {answer.body[-200:]!r}")
        if why := wrong(path, answer, [self.key.encode()]):
            return self._failed(began, f"{nonce}: {path}: {why}")
        if answer.status != 200:
            return f"status {answer.status}"
        said = said_in(path, answer.body, stream)
        return "error within a stream" if said is None else self._good(nonce, *said, answer.headers["x-sprat-id"])

    async def _leaves(self, nonce: str) -> str:
        """Goes in the middle of a stream."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self._request(nonce, self.draw.choice(RAW), True))
            await asyncio.wait_for(reader.read(self.draw.choice((1, 200, 2000))), DEADLINE)
            await asyncio.sleep(self.draw.random() * 0.1)
        finally:
            writer.transport.abort()
        return "left"

    async def _slow(self, nonce: str) -> str:
        """Reads a little now and then, and gives up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        try:
            writer.write(self._request(nonce, self.draw.choice(RAW), True))
            for _ in range(20):
                if not await asyncio.wait_for(reader.read(100), DEADLINE):
                    break
                await asyncio.sleep(0.2)
        finally:
            writer.transport.abort()
        return "slow"

    async def _half(self, nonce: str) -> str:
        """Sends half of a request, waits, and goes."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            request = self._request(nonce, self.draw.choice(RAW), True)
            writer.write(request[: self.draw.randrange(len(request))])
            await asyncio.sleep(self.draw.random())
        finally:
            writer.transport.abort()
        return "half a request"


def said_in(path: str, body: bytes, stream: bool) -> tuple[str, str | None] | None:
    """The text of a reply and why it ended; None where a stream says that it failed."""
    if not stream:
        told = json.loads(body)
        if path == "/v1/messages":
            return "".join(b["text"] for b in told["content"]), told["stop_reason"]
        if path == "/v1/responses":
            return "".join(p["text"] for item in told["output"] for p in item["content"]), _why(told)
        choice = told["choices"][0]
        text = choice["text"] if path == "/v1/completions" else choice["message"]["content"]
        return text, choice["finish_reason"]
    text, why_ended = "", None
    for name, data in events(body):
        told = {} if data == "[DONE]" else json.loads(data)
        if name in ("error", "response.failed") or told.get("error"):
            return None
        if name == "content_block_delta":
            text += told["delta"].get("text", "")
        elif name == "message_delta":
            why_ended = told["delta"]["stop_reason"]
        elif name == "response.output_text.delta":
            text += told["delta"]
        elif name in ("response.completed", "response.incomplete"):
            why_ended = _why(told["response"])
        for choice in told.get("choices", ()):
            text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            why_ended = why_ended or choice.get("finish_reason")
    return text, why_ended


def _why(response: dict[str, Any]) -> str | None:
    """Why a response ended: "completed", or what it says of why it is not."""
    return (response.get("incomplete_details") or {}).get("reason") or response["status"]
