"""A finished request as OpenTelemetry spans: the request, and below it every ask of its tree with its own times.

A call to an upstream has the time at which it was sent; what a tree does not say (asks of local models, techniques) is
placed by the order of the asks: one after the other, or at once where together they took longer than their asker.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import Any, cast
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from ...core import Reply
from ...errors import Garbled
from ..asgi import chance
from ..caching.source import spelled
from ..wire.struck import struck
from .otel_names import GEN_AI, GENERAL, OPTIONS, OWN, SCHEMA, provider_of
from .tracing import Finished, Sent

_SCOPE = InstrumentationScope("sprat.gateway", schema_url=SCHEMA)
_LONGEST = 1000  # characters of an error


class _Maker:
    """Makes the spans of one request."""

    def __init__(self, finished: Finished, resource: Resource) -> None:
        self.finished, self.resource = finished, resource
        self.made: list[ReadableSpan] = []
        self.state = TraceState.from_header([finished.trace.state]) if finished.trace.state else TraceState()
        self.sent: dict[str, deque[Sent]] = {}
        for _, one in finished.trace.sent.values():
            self.sent.setdefault(one.name, deque()).append(one)

    def context(self, span: int, remote: bool = False) -> SpanContext:
        return SpanContext(self.finished.trace.trace, span, remote, TraceFlags(TraceFlags.SAMPLED), self.state)

    def add(
        self,
        name: str,
        span: int,
        parent: SpanContext | None,
        kind: SpanKind,
        times: tuple[int, int],
        attributes: Mapping[str, Any],
        error: str = "",
    ) -> None:
        shown = {k: v for k, v in attributes.items() if v is not None and v != ""}
        status = Status(StatusCode.ERROR, struck(error)[:_LONGEST]) if error else Status(StatusCode.UNSET)
        self.made.append(
            ReadableSpan(
                name,
                self.context(span),
                parent,
                self.resource,
                shown,
                kind=kind,
                status=status,
                start_time=times[0],
                end_time=max(times),
                instrumentation_scope=_SCOPE,
            )
        )

    def request(self) -> None:
        """The server's span, then those of its replies' trees."""
        done = self.finished
        trace, e = done.trace, done.exchange
        attributes: dict[str, Any] = {
            GENERAL["method"]: "POST",
            GENERAL["route"]: trace.route,
            GENERAL["path"]: trace.path,
            GENERAL["status"]: e.status,
            GENERAL["error"]: str(e.status) if e.status >= 400 else None,
            OWN["request"]: e.id,
            OWN["dialect"]: e.dialect,
            OWN["key"]: e.key,
            OWN["way"]: e.way,
            OWN["cost"]: e.cost,
            OWN["cache"]: done.cache,
            GEN_AI["asked"]: e.asked,
            GEN_AI["model"]: e.model,
            GEN_AI["first_byte"]: e.first_byte if e.streamed else None,
        }
        times = (trace.at, done.end)
        parent = self.context(trace.parent, True) if trace.parent else None
        # A client's mistake, or its leaving, is no error of the server's.
        error = e.error if e.status >= 500 else ""
        self.add(f"POST {trace.route}", trace.span, parent, SpanKind.SERVER, times, attributes, error)
        replies = done.replies
        if trace.content and trace.heard:
            with suppress(Garbled):
                replies = spelled(replies, trace.heard, done.streamed)
        for reply in replies:
            self.node(reply, self.context(trace.span), trace.at, done.end)
        for left in self.sent.values():  # what was sent and is in no tree: its request failed or was given up
            for sent in left:
                lost = Reply(None, sent.name, error=e.error or "It was given up.")
                self.leaf(lost, self.context(trace.span), (sent.at, done.end), sent)

    def node(self, reply: Reply, parent: SpanContext, start: int, end: int) -> int:
        """The spans of a reply and of what it asked; returns when it ended."""
        if not reply.by:
            return self.endpoint(reply, parent, start, end)
        span = chance.getrandbits(64) or 1
        at, last = start, start
        own = reply.seconds
        spent = sum(a.seconds or 0.0 for a in reply.asks)
        together = own is not None and spent > 1.05 * own + 1e-3
        for ask, following in zip_longest(reply.asks, reply.asks[1:]):
            limit = end if together or following is None else min(end, self.next_sent(ask, following, end))
            ended = self.node(ask, self.context(span), start if together else at, limit)
            at, last = max(at, ended), max(last, ended)
        ended = min(end, max(last, start + round(1e9 * (own or 0.0))))
        attributes = {
            OWN["by"]: reply.by,
            OWN["because"]: reply.because,
            OWN["cost"]: reply.cost,
            GEN_AI["model"]: reply.model,
            OWN["placed"]: True,
        }
        self.add(reply.by, span, parent, SpanKind.INTERNAL, (start, ended), attributes, reply.error)
        return ended

    def next_sent(self, ask: Reply, following: Reply, end: int) -> int:
        """When the following ask was sent: the one before it had ended, though its seconds count its preparation."""
        waiting = list(self.sent.get(following.model, ()))[ask.model == following.model :]
        return waiting[0].at if waiting and not ask.by and not following.by else end

    def endpoint(self, reply: Reply, parent: SpanContext, start: int, end: int) -> int:
        waiting = self.sent.get(reply.model)
        sent = waiting.popleft() if waiting else None
        begun = sent.at if sent else start
        ended = end if reply.seconds is None else min(end, begun + round(1e9 * reply.seconds))
        self.leaf(reply, parent, (begun, max(begun, ended)), sent)
        return max(begun, ended)

    def leaf(self, reply: Reply, parent: SpanContext, times: tuple[int, int], sent: Sent | None) -> None:
        """A call's span, in the words of the GenAI conventions."""
        endpoint = self.finished.endpoints.get(reply.model)
        parts = urlsplit(getattr(endpoint, "url", "") or "")
        embeds = self.finished.exchange.dialect == "embeddings" or (endpoint is None and sent is None)
        kind = "embeddings" if embeds else "chat"
        body = sent.body if sent else {}
        usage = reply.usage
        attributes: dict[str, Any] = {
            GEN_AI["operation"]: kind,
            GEN_AI["provider"]: provider_of(parts.hostname or "", getattr(endpoint, "use", "")),
            GEN_AI["asked"]: body.get("model") or reply.model,
            GEN_AI["model"]: reply.model if reply.ok else None,
            GEN_AI["finish"]: [reply.finish] if reply.finish else None,
            GEN_AI["input_tokens"]: usage.input_tokens if usage else None,
            GEN_AI["output_tokens"]: usage.output_tokens if usage else None,
            GEN_AI["stream"]: True if body.get("stream") else None,
            GENERAL["host"]: parts.hostname,
            GENERAL["port"]: parts.port or {"https": 443, "http": 80}.get(parts.scheme),
            GENERAL["error"]: "failed" if reply.error else "cancelled" if reply.cancelled else None,
            OWN["because"]: reply.because,
            OWN["cost"]: reply.cost,
            OWN["cancelled"]: reply.cancelled or None,
            OWN["placed"]: None if sent else True,
        }
        for name in OPTIONS:
            if isinstance(body.get(name), (int, float, str)) and name != "stop":
                attributes[GEN_AI[name]] = body[name]
        stop = body.get("stop")
        if stop:
            attributes[GEN_AI["stop"]] = [stop] if isinstance(stop, str) else list(stop)
        if self.finished.trace.content:
            attributes |= _content(reply, body)
        client = SpanKind.CLIENT if sent else SpanKind.INTERNAL
        span = sent.span if sent else chance.getrandbits(64) or 1
        self.add(f"{kind} {reply.model}", span, parent, client, times, attributes, reply.error)


def _content(reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent and what was said, in the conventions' parts; keys are struck out."""
    found: dict[str, Any] = {}
    if body.get("messages"):
        found[GEN_AI["messages"]] = [_message(m) for m in body["messages"]]
    if body.get("tools"):
        found[GEN_AI["tools"]] = body["tools"]
    if reply.text is not None or reply.tool_calls:
        said = _message({"role": "assistant", "content": reply.text, "tool_calls": reply.tool_calls})
        found[GEN_AI["reply"]] = [{**said, "finish_reason": reply.finish or "stop"}]
    return {k: struck(json.dumps(v, ensure_ascii=False, default=str)) for k, v in found.items()}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = str(message.get("role") or "user")
    content: Any = message.get("content")
    if role == "tool":
        part = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [part]}
    parts: list[dict[str, Any]] = []
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
        parts.append(_part(cast("Mapping[str, Any]", part)))
    for call in message.get("tool_calls") or ():
        function: Mapping[str, Any] = call.get("function") or {}
        given: Any = function.get("arguments")
        with suppress(ValueError):
            given = json.loads(given) if isinstance(given, str) else given
        parts.append({"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": given})
    return {"role": role, "parts": parts}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") in ("text", "input_text", "output_text"):
        return {"type": "text", "content": part.get("text") or ""}
    if part.get("type") == "image_url":
        return {"type": "uri", "modality": "image", "uri": (part.get("image_url") or {}).get("url", "")}
    return dict(part)


def spans_of(finished: Finished, resource: Resource) -> list[ReadableSpan]:
    """The request's spans, its own first."""
    maker = _Maker(finished, resource)
    maker.request()
    return maker.made
