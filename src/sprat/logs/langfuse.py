"""Langfuse's observations of type GENERATION, as its API answers them (GET /api/public/v2/observations).

Schema-verified: checked against what langfuse 5.0.4's SDK records of real calls, in its own class for that answer,
never against a server's export. Scores are separate objects there and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from .chat import asked, options, replied, tokens
from .records import Row, Skip, inner

# The SDK writes these where the request had nothing, so they say nothing about the request.
_DEFAULTS = {"temperature": 1, "max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}


def observation(record: Row) -> Iterator[Row]:
    """The native row of one observation; none for a span or an event. Raises Skip for a failed call."""
    if str(record["type"]).upper() != "GENERATION":
        return
    if record.get("level") == "ERROR":
        raise Skip(f"the call failed: {record.get('statusMessage') or 'no reason given'}")
    given: Any = record.get("input")
    more: Row = {}
    if isinstance(given, Mapping):
        more = cast("Row", given)
        given = more.get("messages") or more.get("prompt")
    row: Row = {"id": record["id"], **asked(given), "model": record["model"]}
    row |= _answer(record.get("output"))
    parameters = inner(record, "modelParameters")
    row |= options({**more, **{k: v for k, v in parameters.items() if _DEFAULTS.get(k) != v}})
    row |= tokens(record.get("usageDetails") or record.get("usage"))
    cost = record.get("totalCost") or record.get("calculatedTotalCost") or inner(record, "costDetails").get("total")
    if cost:
        row["cost"] = float(cost)
    if record.get("latency") is not None:
        row["seconds"] = float(record["latency"])
    row["thread"] = record.get("sessionId") or record.get("traceId")
    if record.get("userId"):
        row["unit"] = record["userId"]
    yield row


def _answer(output: Any) -> Row:
    if isinstance(output, str):
        return replied({"content": output})
    if isinstance(output, list) and len(cast("list[Any]", output)) == 1:
        output = cast("list[Any]", output)[0]
    if not isinstance(output, Mapping):
        raise Skip("the call has no reply")
    message = cast("Mapping[str, Any]", output)
    if not message.keys() & {"content", "tool_calls"}:
        raise Skip("the output is not a chat message")
    return replied(message)
