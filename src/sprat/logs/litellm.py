"""LiteLLM's logs: the table LiteLLM_SpendLogs (CSV or JSON), and the logging payloads its callbacks write (JSON).

Checked against files made by LiteLLM 1.106.2's proxy (tests/fixtures/logs/make/litellm_proxy.py). The model is the name
that the client asked for (`model_group`). A cost of 0 is read as unknown: LiteLLM writes 0 where it knows no price.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from .chat import asked, choices, options
from .records import Row, Skip, inner

CUT = "litellm_truncated skipped"


def payload(record: Row) -> Iterator[Row]:
    """Native rows of one StandardLoggingPayload. Raises Skip for a failed or redacted call."""
    _check(record, record.get("error_str"))
    parameters = inner(record, "model_parameters")
    seconds = record.get("response_time")
    yield from _rows(record, record.get("messages"), record["response"], parameters, seconds, record.get("trace_id"))


def spend_log(record: Row) -> Iterator[Row]:
    """Native rows of one row of LiteLLM_SpendLogs. Raises Skip for a failed call, or one stored without its text."""
    body, response = _json(record.get("proxy_server_request")), _json(record.get("response"))
    failed = cast("Mapping[str, Any]", _json(record.get("metadata")) or {}).get("error_information")
    _check(record, failed and failed.get("error_message"))
    messages: Any = body.get("messages") or _json(record.get("messages")) or body.get("prompt")
    if not messages:
        raise Skip("stored without its prompt (general_settings: store_prompts_in_spend_logs: true keeps it)")
    seconds = record.get("request_duration_ms")
    seconds = float(seconds) / 1000 if seconds not in (None, "") else _between(record)
    yield from _rows(record, messages, response, body, seconds, record.get("session_id"))


def _check(record: Row, error: Any) -> None:
    if record.get("status") == "failure":
        raise Skip(f"the call failed: {error or 'no reason given'}")
    kind = str(record.get("call_type") or "completion")
    if "completion" not in kind:
        raise Skip(f"a call of type {kind}, not a completion")


def _rows(
    record: Row, messages: Any, response: Any, body: Mapping[str, Any], seconds: Any, thread: Any
) -> Iterator[Row]:
    if CUT in json.dumps(messages) or CUT in json.dumps(response):
        raise Skip("LiteLLM cut the text when it stored it (MAX_STRING_LENGTH_PROMPT_IN_DB)")
    if not isinstance(response, Mapping) or not response:
        raise Skip("stored without its reply")
    if "redacted-by-litellm" in json.dumps(messages):
        raise Skip("LiteLLM redacted the text (turn_off_message_logging)")
    row: Row = {"id": record.get("id") or record.get("request_id"), **asked(messages)}
    row["model"] = record.get("model_group") or record["model"]
    row |= options(body)
    cost = float(record.get("response_cost") or record.get("spend") or 0)
    if seconds is not None:
        row["seconds"] = float(seconds)
    if thread:
        row["thread"] = thread
    if record.get("end_user"):
        row["unit"] = record["end_user"]
    for answer in choices(cast("Mapping[str, Any]", response)):
        if "sample" not in answer and cost > 0:
            answer["cost"] = cost
        yield {**row, **answer}


def _between(record: Row) -> float | None:
    try:
        start, end = (datetime.fromisoformat(str(record[k])) for k in ("startTime", "endTime"))
    except (KeyError, ValueError):
        return None
    return (end - start).total_seconds()


def _json(value: Any) -> Any:
    """A JSON column: an object as it is, or the text of one (CSV; an older proxy wrote texts into JSON too)."""
    if isinstance(value, str):
        return json.loads(value) if value else {}
    return value or {}
