"""The mock's answers, in the two protocols' shapes; tests/endpoints/test_mock.py holds them to the official types."""

from __future__ import annotations

import json
from typing import Any

Body = dict[str, Any]


def words(text: str) -> list[str]:
    return [w if i == 0 else " " + w for i, w in enumerate(text.split(" "))]


def _wants_tool(body: Body) -> str | None:
    if not body.get("tools") or body["messages"][-1]["role"] != "user":
        return None
    tool = body["tools"][0]
    return tool.get("function", tool)["name"]


def _logprobs(tokens: list[str], body: Body) -> Body | None:
    if not body.get("logprobs"):
        return None
    sure = body.get("sure", -0.25)
    top = [{"token": "x", "logprob": -3.0, "bytes": [120]}][: body.get("top_logprobs") or 0]
    return {
        "content": [
            {
                "token": t,
                "logprob": float(t) if sure == "said" else sure,
                "bytes": list(t.encode()),
                "top_logprobs": top,
            }
            for t in tokens
        ],
        "refusal": None,
    }


def _tokens(text: str, body: Body) -> tuple[list[str], str]:
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or 10**6
    tokens = words(text)
    return tokens[:limit], "length" if len(tokens) > limit else "stop"


def _read(body: Body) -> int:
    return sum(len(str(m.get("content") or "").split()) for m in body["messages"])


def openai_completion(text: str, body: Body, number: int) -> Body:
    tokens, finish = _tokens(text, body)
    message: Body = {"role": "assistant", "content": "".join(tokens), "refusal": None}
    if tool := _wants_tool(body):
        call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": '{"city": "Oslo"}'}}
        message, finish = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}, "tool_calls"
    choices = [
        {"index": i, "message": message, "finish_reason": finish, "logprobs": _logprobs(tokens, body)}
        for i in range(body.get("n") or 1)
    ]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1700000000,
        "model": body["model"],
        "choices": choices,
        "usage": _usage(body, len(tokens)),
    }


def _usage(body: Body, written: int) -> Body:
    read = _read(body)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def openai_chunk_bodies(text: str, body: Body, number: int) -> list[Body]:
    tokens, finish = _tokens(text, body)
    deltas: list[tuple[Body, Body | None]] = [({"role": "assistant", "content": ""}, None)]
    if tool := _wants_tool(body):
        first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": ""}}
        parts = [{"index": 0, "function": {"arguments": a}} for a in ('{"city', '": "Os', 'lo"}')]
        deltas += [({"tool_calls": [p]}, None) for p in (first, *parts)]
        finish = "tool_calls"
    else:
        deltas += [({"content": t}, _logprobs([t], body)) for t in tokens]
    frame = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": body["model"],
    }
    chunks = [
        {**frame, "choices": [{"index": 0, "delta": d, "finish_reason": None, "logprobs": lp}]} for d, lp in deltas
    ]
    chunks.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": finish, "logprobs": None}]})
    if (body.get("stream_options") or {}).get("continuous_usage_stats"):
        chunks = [{**c, "usage": _usage(body, max(0, i - 1))} for i, c in enumerate(chunks, 1)]
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**frame, "choices": [], "usage": _usage(body, len(tokens))})
    return chunks


def openai_chunks(text: str, body: Body, number: int) -> list[str]:
    chunks = openai_chunk_bodies(text, body, number)
    return [f"data: {json.dumps(c, ensure_ascii=False)}\n\n" for c in chunks] + ["data: [DONE]\n\n"]


def anthropic_message(text: str, body: Body, number: int) -> Body:
    tokens, finish = _tokens(text, body)
    blocks: list[Body] = [{"type": "text", "text": "".join(tokens)}]
    reason = {"stop": "end_turn", "length": "max_tokens"}[finish]
    if tool := _wants_tool(body):
        blocks, reason = [{"type": "tool_use", "id": "toolu_1", "name": tool, "input": {"city": "Oslo"}}], "tool_use"
    usage = {
        "input_tokens": _read(body),
        "output_tokens": len(tokens),
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 2,
    }
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def anthropic_event_bodies(text: str, body: Body, number: int) -> list[Body]:
    whole = anthropic_message(text, body, number)
    started = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    events: list[Body] = [{"type": "message_start", "message": started}]
    block = whole["content"][0]
    if block["type"] == "text":
        events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        deltas: list[Body] = [{"type": "text_delta", "text": t} for t in words(block["text"])]
    else:
        events.append({"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}})
        deltas = [{"type": "input_json_delta", "partial_json": a} for a in ("", '{"city', '": "Os', 'lo"}')]
    events += [{"type": "content_block_delta", "index": 0, "delta": d} for d in deltas]
    events.append({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events.append(
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": whole["usage"]["output_tokens"]}}
    )
    return [*events, {"type": "message_stop"}]


def anthropic_events(text: str, body: Body, number: int) -> list[str]:
    events = [{"type": "ping"}, *anthropic_event_bodies(text, body, number)]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events]
