"""OpenTelemetry GenAI spans with their content, from OTLP JSON lines or the SDKs' console exporter.

Checked against files that the official openai-v2 instrumentation 2.4b0 and 2.1b0 and OpenLLMetry 0.62.4 and 0.47.5
wrote of real calls, streamed ones too (tests/fixtures/logs/make/otel.py): content on the span, in one log event
per call, or in one log event per message. Attribute names are still "Development" in the conventions, so they stand
in otel_content.py and otel_messages.py alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from .otel_content import call, row_of
from .records import Policy, Row, Skip, inner, records

_DETAILS = "gen_ai.client.inference.operation.details"


@dataclass
class Span:
    """A span, or a log event that stands for one, with its attributes as plain values and its content's events."""

    line: int
    trace: str
    attributes: Row
    seconds: float | None = None
    error: str = ""
    events: list[tuple[str, Row]] = field(default_factory=list[tuple[str, Row]])


def read_otel(policy: Policy) -> Iterator[Row]:
    """Native rows of the model calls among a file's spans, in order of their ends; all other spans are passed over.

    Two passes, since a call's events may stand before or after its span. Raises BadRow.
    """
    spans: dict[str, Span] = {}
    events: list[tuple[int, str, str, str, Row, Row]] = []
    for line, record in records(policy):
        try:
            for name, span in _spans(line, record):
                spans[name] = span
            events += _events(line, record)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            policy.bad(line, f"not laid out as spans are ({type(error).__name__}: {error})")
    for line, trace, name, event, attributes, body in events:
        if event == _DETAILS:
            spans.setdefault(name, Span(line, trace, {})).attributes |= attributes
        elif name in spans:
            spans[name].events.append((event, body))
    for name, span in spans.items():
        if call(span.attributes):
            yield from policy.guard(span.line, _rows, (name, span))


def _rows(named: tuple[str, Span]) -> Iterator[Row]:
    name, span = named
    if span.error or span.attributes.get("error.type"):
        raise Skip(f"the call failed: {span.error or span.attributes['error.type']}")
    for answer in row_of(span.attributes, span.events):
        row: Row = {"id": name, **answer}
        if span.seconds is not None:
            row["seconds"] = span.seconds
        row.setdefault("thread", span.trace)
        yield row


def _spans(line: int, record: Row) -> Iterator[tuple[str, Span]]:
    for resource in record.get("resourceSpans") or ():
        for scope in resource.get("scopeSpans") or ():
            for s in scope.get("spans") or ():
                status = inner(s, "status")
                failed = status.get("code") in (2, "STATUS_CODE_ERROR")
                error = str(status.get("message") or "no reason given") if failed else ""
                seconds = (int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"])) / 1e9
                yield s["spanId"], Span(line, s["traceId"], _plain(s.get("attributes")), seconds, error)
    if "context" in record and "attributes" in record:  # the console exporter's
        status, context, attributes = inner(record, "status"), inner(record, "context"), inner(record, "attributes")
        error = str(status.get("description") or "no reason given") if status.get("status_code") == "ERROR" else ""
        start, end = (datetime.fromisoformat(record[k]) for k in ("start_time", "end_time"))
        seconds = (end - start).total_seconds()
        yield _hex(context["span_id"]), Span(line, _hex(context["trace_id"]), attributes, seconds, error)


def _events(line: int, record: Row) -> Iterator[tuple[int, str, str, str, Row, Row]]:
    """(line, trace, span, event's name, attributes, body) of every log event."""
    for resource in record.get("resourceLogs") or ():
        for scope in resource.get("scopeLogs") or ():
            for e in scope.get("logRecords") or ():
                attributes, body = _plain(e.get("attributes")), _value(e.get("body") or {})
                event = str(e.get("eventName") or attributes.get("event.name") or "")
                body = cast("Row", body) if isinstance(body, dict) else {}
                yield line, e.get("traceId", ""), e.get("spanId", ""), event, attributes, body
    if "body" in record and "span_id" in record:  # the console exporter's
        attributes, body = inner(record, "attributes"), record["body"]
        event = str(record.get("event_name") or attributes.get("event.name") or "")
        body = cast("Row", body) if isinstance(body, dict) else {}
        yield line, _hex(record["trace_id"]), _hex(record["span_id"]), event, attributes, body


def _hex(name: Any) -> str:
    return str(name).removeprefix("0x")


def _plain(attributes: Any) -> Row:
    return {a["key"]: _value(a.get("value") or {}) for a in attributes or ()}


def _value(value: Mapping[str, Any]) -> Any:
    """An OTLP AnyValue as a plain value (64-bit numbers come as texts)."""
    for kind, held in value.items():
        if kind == "arrayValue":
            return [_value(v) for v in held.get("values") or ()]
        if kind == "kvlistValue":
            return _plain(held.get("values"))
        if kind == "intValue":
            return int(held)
        return held
    return None


def looks_like(record: Row) -> bool:
    """Whether a record is OTLP JSON or a console exporter's span or event."""
    if "resourceSpans" in record or "resourceLogs" in record:
        return True
    context = record.get("context")
    if isinstance(context, dict) and "span_id" in context and "attributes" in record:
        return True
    return {"body", "trace_id", "span_id"} <= record.keys() and "gen_ai" in json.dumps(record.get("attributes"))
