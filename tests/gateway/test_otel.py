"""Spans of served requests: in memory, at a real OTLP receiver, and read back as a study's data."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode
from running import HELLO, TOOLS, Running

import sprat
from mock_server import MockServer
from sprat import cascade, openai, signals
from sprat.errors import BadInput, MissingExtra
from sprat.gateway.served import of
from sprat.gateway.telemetry import otel_names, tracing
from sprat.gateway.telemetry.tracing import OtelSettings, Tracing, settings_of
from sprat.prices import Price

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PLANTED = "sk-planted-0123456789"


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(key=PLANTED) as made:
        yield made


def model(server: MockServer, name: str = "mock", **more: Any) -> Any:
    return openai(name, server.url, price=Price(1.0, 2.0), retries=0, key=lambda: PLANTED, **more)


class Traced(Running):
    """A gateway whose spans are kept in memory."""

    def __init__(self, model: Any, content: bool = False, **settings: Any) -> None:
        super().__init__(model, **settings)
        self.exporter = InMemorySpanExporter()
        self.app.tracing = Tracing(OtelSettings(content=content), exporter=self.exporter)

    def ask(self, path: str = "/v1/chat/completions", headers: Any = None, **more: Any) -> int:
        body = {"model": "auto", "messages": HELLO, **more}
        return self.post(path, body, **(headers or {}))[0]

    def spans(self, n: int = 1) -> list[ReadableSpan]:
        """All spans, once there are n of requests; those of requests first."""
        until = time.monotonic() + 10
        while True:
            assert self.app.tracing is not None
            self.app.tracing.processor.force_flush()
            found = sorted(self.exporter.get_finished_spans(), key=lambda s: s.kind is not SpanKind.SERVER)
            if sum(s.kind is SpanKind.SERVER for s in found) >= n:
                return found
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_request_has_a_span_and_its_upstream_call_one_below(server: MockServer) -> None:
    with Traced(model(server)) as gateway:
        gateway.ask(temperature=0.5)
        request, call = gateway.spans()
    assert (request.name, request.kind) == ("POST /v1/chat/completions", SpanKind.SERVER)
    assert (call.name, call.kind) == ("chat mock", SpanKind.CLIENT)
    assert call.parent.span_id == request.context.span_id
    said = dict(call.attributes)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.temperature"] == 0.5
    assert said["gen_ai.response.finish_reasons"] == ["stop"]
    assert said["gen_ai.usage.input_tokens"] == 2
    assert said["sprat.cost"] == gateway.kept[0].cost
    assert (said["server.address"], said["server.port"]) == ("127.0.0.1", server.port)
    assert request.attributes["http.response.status_code"] == 200
    assert request.start_time <= call.start_time <= call.end_time <= request.end_time


def test_the_whole_tree_is_there_with_its_reasons(server: MockServer) -> None:
    small = model(server, "mock", logprobs=True)
    way = cascade(small, model(server, "mock-large"), trust=signals.logprob(), at_least=0.9999)
    with Traced(way) as gateway:
        gateway.ask()
        spans = {s.name: s for s in gateway.spans()}
    tree = spans["cascade"]
    calls = [spans["chat mock"], spans["chat mock-large"]]
    assert all(c.parent.span_id == tree.context.span_id for c in calls)
    assert calls[0].end_time <= calls[1].start_time
    assert calls[1].attributes["sprat.because"]
    assert tree.attributes["sprat.cost"] == pytest.approx(sum(c.attributes["sprat.cost"] for c in calls))


@pytest.mark.parametrize("stream", [False, True])
def test_the_clients_trace_goes_on_at_the_upstream(server: MockServer, stream: bool) -> None:
    with Traced(model(server)) as gateway:
        gateway.ask(headers={"traceparent": PARENT, "tracestate": "a=b"}, stream=stream)
        request, call = gateway.spans()
    trace = PARENT.split("-")[1]
    assert f"{request.context.trace_id:032x}" == f"{call.context.trace_id:032x}" == trace
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    sent = server.calls[0]["headers"]
    assert sent["traceparent"] == f"00-{trace}-{call.context.span_id:016x}-01"
    assert sent["tracestate"] == "a=b"


@pytest.mark.parametrize(
    "given", ["", "00-zz", "00-" + 32 * "0" + "-b7ad6b7169203331-01", f"ff{PARENT[2:]}", PARENT + "-x"]
)
def test_what_is_no_trace_context_begins_a_new_trace(server: MockServer, given: str) -> None:
    with Traced(model(server)) as gateway:
        gateway.ask(headers={"traceparent": given})
        request = gateway.spans()[0]
    assert request.parent is None
    assert request.context.trace_id


def test_a_client_that_does_not_sample_gets_no_spans(server: MockServer) -> None:
    with Traced(model(server)) as gateway:
        gateway.ask(headers={"traceparent": PARENT[:-1] + "0"})
        gateway.ask()
        spans = gateway.spans()
    assert len(spans) == 2
    assert server.calls[0]["headers"]["traceparent"].endswith("-00")


def test_a_repeated_call_is_one_span(server: MockServer) -> None:
    server.faults.append({"status": 500, "after": "0"})
    one = openai("mock", server.url, retries=2, key=lambda: PLANTED)
    with Traced(one) as gateway:
        assert gateway.ask() == 200
        assert len(gateway.spans()) == 2


def test_errors_are_statuses_and_a_clients_mistake_is_none(server: MockServer) -> None:
    server.faults.append({"status": 500, "said": f"bad {PLANTED}"})
    with Traced(model(server)) as gateway:
        assert gateway.ask() >= 500
        gateway.ask(temperature="hot")
        spans = gateway.spans(2)
    failed, mistake = spans[:2]
    assert failed.status.status_code is StatusCode.ERROR
    assert (mistake.attributes["http.response.status_code"], mistake.status.status_code) == (400, StatusCode.UNSET)
    assert [s.status.status_code for s in spans if s.name == "chat mock"] == [StatusCode.ERROR]
    assert PLANTED not in "".join(s.to_json() for s in spans)


@pytest.mark.parametrize("content", [False, True])
def test_prompts_are_there_only_where_asked_for_and_keys_never(server: MockServer, content: bool) -> None:
    body = [{"role": "user", "content": f"my key is {PLANTED} secretly"}]
    with Traced(model(server), content=content) as gateway:
        gateway.ask(messages=body, headers={"authorization": "Bearer other-sk-thing-12345678"})
        shown = "".join(s.to_json() for s in gateway.spans())
    assert ("secretly" in shown) is content
    assert PLANTED not in shown
    assert "other-sk-thing" not in shown


def test_a_kept_reply_has_no_call_below() -> None:
    from dataclasses import replace

    from sprat.gateway.caching.cache import CacheSettings

    with MockServer() as upstream:
        served = replace(of(openai("mock", upstream.url)), cache=CacheSettings())
        with Traced(served) as gateway:
            gateway.ask(temperature=0), gateway.ask(temperature=0)
            spans = gateway.spans(2)
    assert [s.attributes.get("sprat.cache") for s in spans[:2]] == ["miss", "hit"]
    assert sum(s.name == "chat mock" for s in spans) == 1


def test_embeddings_have_spans_too() -> None:
    from dataclasses import replace

    from sprat.encoders import StaticEncoder

    served = replace(of(sprat.tiny("fry")), encoders={"static": StaticEncoder()})
    with Traced(served) as gateway:
        gateway.openai().embeddings.create(model="static", input="a text")
        request, encoding = gateway.spans()
    assert request.name == "POST /v1/embeddings"
    assert (encoding.name, encoding.attributes["gen_ai.operation.name"]) == ("embeddings static", "embeddings")


def test_every_name_is_one_of_the_conventions() -> None:
    known = {v for v in vars(gen_ai_attributes).values() if isinstance(v, str)}
    assert set(otel_names.GEN_AI.values()) <= known
    assert all(name.startswith("sprat.") for name in otel_names.OWN.values())


class Receiver:
    """An OTLP/HTTP receiver: the export requests that came."""

    def __init__(self, stall: float = 0.0) -> None:
        self.came: list[tuple[str, ExportTraceServiceRequest]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                time.sleep(stall)
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                outer.came.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def lines(self) -> list[str]:
        """OTLP's JSON, a line per export; ids as the protocol's JSON writes them."""
        import base64

        def hexed(value: Any) -> Any:
            if isinstance(value, dict):
                ids = ("traceId", "spanId", "parentSpanId")
                return {k: base64.b64decode(v).hex() if k in ids else hexed(v) for k, v in value.items()}
            return [hexed(v) for v in value] if isinstance(value, list) else value

        return [json.dumps(hexed(MessageToDict(r))) for _, r in self.came]


def reporting(server: MockServer, url: str, content: bool = False) -> Running:
    from dataclasses import replace

    return Running(replace(of(model(server)), otel=OtelSettings(url, content)))


def test_a_receiver_gets_the_spans_when_the_gateway_stops(server: MockServer) -> None:
    with Receiver() as receiver:
        with reporting(server, receiver.url) as gateway:
            gateway.openai().chat.completions.create(model="auto", messages=HELLO)
        ((path, request),) = receiver.came
    assert path == "/v1/traces"
    (resource,) = request.resource_spans
    named = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert named["service.name"] == "sprat"
    assert len(resource.scope_spans[0].spans) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_exported_is_read_back_for_a_study(server: MockServer, tmp_path: Path, stream: bool) -> None:
    with Receiver() as receiver:
        with reporting(server, receiver.url, content=True) as gateway:
            for text in ("hello you", "and me"):
                asked: Any = {"messages": [{"role": "user", "content": text}], "temperature": 0.5, "stream": stream}
                answer = gateway.openai().chat.completions.create(model="auto", **asked)
                list(answer) if stream else answer
        file = tmp_path / "spans.jsonl"
        file.write_text("\n".join(receiver.lines()))
    data = sprat.load(file)
    found = {e.request.text: e for e in data}
    assert set(found) == {"hello you", "and me"}
    (call,) = found["hello you"].calls
    assert (call.model, call.reply.text) == ("mock", "so: uoy olleh")
    assert call.reply.usage is not None
    assert found["hello you"].request.options["temperature"] == 0.5


def test_tool_calls_come_back_too(server: MockServer, tmp_path: Path) -> None:
    with Receiver() as receiver:
        with reporting(server, receiver.url, content=True) as gateway:
            gateway.openai().chat.completions.create(model="auto", messages=HELLO, tools=TOOLS)
        file = tmp_path / "spans.jsonl"
        file.write_text("\n".join(receiver.lines()))
    (example,) = sprat.load(file)
    assert example.calls[0].reply.tool_calls[0]["function"]["name"] == "weather"
    assert example.request.options["tools"][0]["function"]["name"] == "weather"


@pytest.mark.filterwarnings("ignore")
def test_a_receiver_that_is_not_there_hurts_nobody(server: MockServer) -> None:
    with reporting(server, "http://127.0.0.1:9/v1/traces") as gateway:
        gateway.app.tracing.close = lambda patience, close=gateway.app.tracing.close: close(0.2)  # type: ignore
        assert gateway.post("/v1/chat/completions", {"model": "auto", "messages": HELLO})[0] == 200
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_table_without_the_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "installed", lambda: False)
    with pytest.raises(MissingExtra, match="'otel'"):
        settings_of({"endpoint": "http://localhost:4318/v1/traces"}, "serve.toml")


def test_the_environment_alone_switches_spans_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(None, "serve.toml") is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    assert settings_of(None, "serve.toml") == OtelSettings()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert settings_of(None, "serve.toml") is settings_of({}, "serve.toml") is None


@pytest.mark.parametrize("table", [{"endpont": "x"}, {"content": "yes"}, {"endpoint": "localhost"}])
def test_a_wrong_table_is_named(table: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        settings_of(table, "serve.toml")
