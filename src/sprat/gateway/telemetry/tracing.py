"""OpenTelemetry spans of the gateway's requests: one per request, and below it one per ask of the reply's tree.

They are made of the finished tree, in a thread apart: the path of a request only draws ids, continues the client's W3C
trace context and hands it on to the upstreams (`endpoints.http.announced`). Sampling follows the client's decision,
else OTEL_TRACES_SAMPLER. A receiver that fails or is slow costs spans, never requests.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from ...core import Reply
from ...endpoints import http
from ...errors import BadInput, MissingExtra, nearest
from ...shape import leaves
from ..asgi import chance
from ..ledger.exchange import Exchange

if TYPE_CHECKING:
    from ..app import Call

log = logging.getLogger("sprat.gateway")
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-.*)")
_QUEUE = 2048  # finished requests; more are dropped and counted
_LONGEST_STATE = 512


@dataclass(frozen=True)
class OtelSettings:
    """The [otel] table: `endpoint` is the receiver of OTLP over HTTP ("" reads OTEL_EXPORTER_OTLP_*).

    `content` puts prompts and replies into the spans; without it they hold none, unless `store_prompts` is set.
    """

    endpoint: str = ""
    content: bool = False


def settings_of(table: Any, where: str) -> OtelSettings | None:
    """The settings of an [otel] table, or what the standard environment variables ask for; None: no spans.

    Raises BadInput, and MissingExtra where the table is there and the packages are not.
    """
    if table is None:
        named = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        if not named or _disabled():
            return None
        if not installed():
            log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but spans need the extra 'otel': none are made.")
            return None
        return OtelSettings()
    given = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
    for name, value in given.items():
        if name not in ("endpoint", "content"):
            raise BadInput(f"{where}, [otel]: '{name}' is not known.", hint=nearest(name, ("endpoint", "content")))
        if not isinstance(value, bool if name == "content" else str):
            needed = "true or false" if name == "content" else "an address, such as http://localhost:4318/v1/traces"
            raise BadInput(f"{where}, [otel]: {name} is {value!r}.", hint=f"Needed: {needed}.")
    made = OtelSettings(**given)
    if made.endpoint:
        http.check_url("otel", made.endpoint, where)
    if not installed():
        raise MissingExtra("otel", f"[otel] in {where}")
    return None if _disabled() else made


def installed() -> bool:
    """Whether the packages of the extra `otel` are there."""
    try:
        return find_spec("opentelemetry.sdk.trace") is not None and find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:
        return False


_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def _disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


@dataclass(slots=True)
class Sent:
    """A call to an upstream: its span's id, when it was first sent (ns since 1970), and what was sent."""

    name: str
    span: int
    at: int
    body: Mapping[str, Any]
    times: int = 1


@dataclass(slots=True)
class Trace:
    """What is known of a request's spans before they are made; `parent` is the client's span, 0 where it has none."""

    trace: int
    span: int
    parent: int
    sampled: bool
    state: str
    at: int
    content: bool
    route: str
    path: str
    sent: dict[int, tuple[http.Call, Sent]] = field(default_factory=dict[int, tuple[http.Call, Sent]])
    heard: list[bytes] = field(default_factory=list[bytes])

    def announce(self, call: http.Call) -> Mapping[str, str]:
        """The headers that let an upstream go on with this trace; notes the call, a repeated one once."""
        known = self.sent.get(id(call))
        if known is None:
            body = call.body if isinstance(call.body, Mapping) else {}
            known = self.sent[id(call)] = (call, Sent(call.name, chance.getrandbits(64) or 1, time.time_ns(), body))
        else:
            known[1].times += 1
        flags = "01" if self.sampled else "00"
        headers = {"traceparent": f"00-{self.trace:032x}-{known[1].span:016x}-{flags}"}
        return {**headers, "tracestate": self.state} if self.state else headers

    def hear(self, data: Any) -> None:
        """Note an upstream's bytes that pass, where content is wanted."""
        if self.content and self.sampled and isinstance(data, bytes):
            self.heard.append(data)


@dataclass(frozen=True, slots=True)
class Finished:
    """A request whose spans are to be made."""

    trace: Trace
    exchange: Exchange
    replies: list[Reply]
    endpoints: Mapping[str, Any]
    end: int
    cache: str
    streamed: bool


class Tracing:
    """Makes spans and hands them to an exporter; `exporter` is the OTLP one unless given."""

    def __init__(self, settings: OtelSettings, content: bool = False, exporter: Any = None) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from .spans import spans_of

        self.content, self._spans_of = settings.content or content, spans_of
        named = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        own = {} if named or os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "sprat"}
        self.resource = Resource.create(own)
        provider = TracerProvider(resource=self.resource, shutdown_on_exit=False)
        self.sampler = provider.sampler
        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(endpoint=settings.endpoint or None)
        self.processor = BatchSpanProcessor(exporter)
        self.dropped = 0
        self._queue: deque[Finished] = deque()
        self._wake, self._stopping = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="sprat-otel", daemon=True)
        self._thread.start()

    def begin(self, call: Call) -> Trace:
        """Continue the client's trace, or begin one; decides whether it is recorded."""
        from opentelemetry.trace import SpanKind

        found = _PARENT.fullmatch(call.headers.get(b"traceparent", b"").decode("latin-1").strip())
        trace = parent = flags = 0
        if found is not None and found[1] != "ff" and (found[1] != "00" or found[0].count("-") == 3):
            trace, parent, flags = int(found[2], 16), int(found[3], 16), int(found[4], 16)
        state = call.headers.get(b"tracestate", b"").decode("latin-1")[:_LONGEST_STATE] if trace and parent else ""
        if not state.isprintable() or not state.isascii():
            state = ""
        if not (trace and parent):
            trace, parent, flags = chance.getrandbits(128) or 1, 0, 0
        name = f"{call.scope['method']} {call.path}"
        decision = self.sampler.should_sample(_context(trace, parent, flags), trace, name, SpanKind.SERVER).decision
        route = call.path
        span = chance.getrandbits(64) or 1
        return Trace(trace, span, parent, decision.is_sampled(), state, time.time_ns(), self.content, route, call.path)

    def end(
        self, trace: Trace, exchange: Exchange, replies: list[Reply], model: Any, cache: str, streamed: bool
    ) -> None:
        """Take in a finished request; returns at once."""
        if not trace.sampled:
            return
        if len(self._queue) >= _QUEUE:
            self.dropped += 1
            return
        named = {m.name: m for m in leaves(model) if getattr(m, "name", "")} if model is not None else {}
        self._queue.append(Finished(trace, exchange, list(replies), named, time.time_ns(), cache, streamed))
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            time.sleep(0 if self._stopping else 0.05)  # several at once hold up other threads less
            while self._queue:
                finished = self._queue.popleft()
                try:
                    for span in self._spans_of(finished, self.resource):
                        self.processor.on_end(span)
                except Exception as error:  # a span that can't be made costs nothing else
                    self.dropped += 1
                    log.warning("A request's spans could not be made: %s", type(error).__name__, exc_info=error)
            if self._stopping:
                return

    def close(self, patience: float) -> None:
        """Make and send what is left, for at most `patience` seconds; blocks."""
        until = time.monotonic() + patience
        self._stopping = True
        self._wake.set()
        self._thread.join(patience)
        closing = threading.Thread(target=self.processor.shutdown, name="sprat-otel-close", daemon=True)
        closing.start()  # by itself it waits half a minute for a receiver that does not answer
        closing.join(max(0.0, until - time.monotonic()))


def _context(trace: int, parent: int, flags: int) -> Any:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if not parent:
        return None
    return set_span_in_context(NonRecordingSpan(SpanContext(trace, parent, True, TraceFlags(flags))))
