"""Finds out by asking what an OpenAI-compatible endpoint can do: what was seen, not what is promised.

Checked against a mock server that has, and one that lacks, each ability.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from .core import Piece, Reply, Request
from .endpoints.openai import OpenAI
from .errors import EndpointError

_PROMPT = "Name one colour. Answer with one word."
_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@dataclass(frozen=True)
class Finding:
    """One ability: whether it was seen, and what was seen."""

    what: str
    seen: Literal["yes", "no", "unclear"]
    detail: str = ""


def diagnose(endpoint: OpenAI) -> list[Finding]:
    """What the endpoint can do: about ten short calls. Raises an EndpointError where even text does not come."""
    return asyncio.run(_all(replace(endpoint, retries=1, logprobs=False, stream_usage=True)))


async def _all(endpoint: OpenAI) -> list[Finding]:
    findings: list[Finding] = []
    began = time.perf_counter()
    reply = await endpoint.answer_async(_request())
    usage = reply.usage
    counted = "usage counted" if usage and usage.input_tokens is not None else "no usage"
    findings.append(Finding("text", "yes", f"{(reply.text or '').strip()[:40]!r}, {counted}"))
    first = time.perf_counter() - began
    checks: list[tuple[str, Callable[[OpenAI], Awaitable[Finding]]]] = [
        ("stream", _stream),
        ("logprobs", _logprobs),
        ("top_logprobs", _top_logprobs),
        ("tools", _tools),
        ("JSON", _json),
        ("n", _several),
        ("seed", _seed),
    ]
    for what, check in checks:
        try:
            findings.append(await check(endpoint))
        except EndpointError as error:
            findings.append(Finding(what, "no", str(error.args[0])[:120]))
    findings.append(await _latency(endpoint, first))
    return findings


def _request(**options: Any) -> Request:
    return Request.of(_PROMPT, **{"max_tokens": 16, "temperature": 0, **options})


async def _stream(endpoint: OpenAI) -> Finding:
    pieces: list[Piece] = []
    async with aclosing(endpoint.pieces(_request())) as stream:
        async for piece in stream:
            pieces.append(piece)
    last = pieces[-1].reply
    streamed = sum(bool(p.text) for p in pieces)
    counted = "usage at its end" if last and last.usage else "no usage at its end"
    whole = streamed and not any(p.raw is not None for p in pieces)
    return Finding("stream", "no" if whole else "yes" if streamed else "unclear", f"{streamed} pieces, {counted}")


async def _logprobs(endpoint: OpenAI) -> Finding:
    reply = await endpoint.answer_async(_request(logprobs=True))
    if reply.logprobs is None:
        return Finding("logprobs", "no", "asked for, and not in the answer")
    joined = "".join(reply.tokens or ()) == reply.text
    return Finding(
        "logprobs", "yes", f"{len(reply.logprobs)} tokens{'' if joined else ', which do not make up the text'}"
    )


async def _top_logprobs(endpoint: OpenAI) -> Finding:
    for most in (20, 5, 1):
        try:
            reply = await endpoint.answer_async(_request(logprobs=True, top_logprobs=most))
        except EndpointError:
            continue
        if reply.top_logprobs:
            return Finding("top_logprobs", "yes", f"{max(map(len, reply.top_logprobs))} per token")
        break
    return Finding("top_logprobs", "no")


async def _tools(endpoint: OpenAI) -> Finding:
    asked = Request.of("What is the weather in Oslo? Use the tool.", tools=[_TOOL], temperature=0, max_tokens=200)
    reply = await endpoint.answer_async(asked)
    if not reply.tool_calls:
        return Finding("tools", "unclear", "accepted, but the model called none")
    function: dict[str, Any] = dict(reply.tool_calls[0].get("function") or {})
    try:
        json.loads(str(function.get("arguments")))
    except ValueError:
        return Finding("tools", "no", "called, with arguments that are not JSON")
    return Finding("tools", "yes", f"called {function.get('name')}")


async def _json(endpoint: OpenAI) -> Finding:
    asked = Request.of("Answer in JSON: a colour under the key colour.", max_tokens=100, temperature=0)
    reply = await endpoint.answer_async(
        replace(asked, options={**asked.options, "response_format": {"type": "json_object"}})
    )
    try:
        json.loads(reply.text or "")
    except ValueError:
        return Finding("JSON", "no", "accepted, but the reply is not JSON")
    return Finding("JSON", "yes", "response_format json_object")


async def _several(endpoint: OpenAI) -> Finding:
    reply = await endpoint.answer_async(_request(n=2, temperature=1))
    got = len((reply.raw or {}).get("choices", ()))
    return Finding("n", "yes" if got == 2 else "no", f"{got} choices for n=2")


async def _seed(endpoint: OpenAI) -> Finding:
    asked = Request.of("Write a sentence about the sea.", temperature=1, seed=7, max_tokens=40)
    replies: list[Reply] = [await endpoint.answer_async(asked) for _ in range(3)]
    same = len({r.text for r in replies}) == 1
    other = await endpoint.answer_async(replace(asked, options={**asked.options, "seed": 8}))
    if same and other.text == replies[0].text:
        return Finding("seed", "unclear", "the same text for another seed too")
    return Finding(
        "seed", "yes" if same else "no", "3 draws at temperature 1 with one seed" + (" agree" if same else " differ")
    )


async def _latency(endpoint: OpenAI, first: float) -> Finding:
    times: list[float] = []
    for _ in range(3):
        times.append((await endpoint.answer_async(_request(max_tokens=1))).seconds or 0.0)
    detail = f"{statistics.median(times):.3f} s for one token (median of 3), {first:.3f} s for the first call"
    return Finding("latency", "yes", detail)
