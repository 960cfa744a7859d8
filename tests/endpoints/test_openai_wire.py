"""Chunks of chat completions, put together: what no server means is refused before it costs anything."""

from __future__ import annotations

from typing import Any

import pytest

from sprat.core import Usage
from sprat.endpoints.openai_wire import Building, usage_of


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


@pytest.mark.parametrize("index", [10**6, 1000, -1, "0", 0.0, True, [0]])
def test_a_tool_call_at_a_place_that_no_server_means_is_refused(index: Any) -> None:
    building = Building()
    with pytest.raises(TypeError):
        building.add(chunk(tool_calls=[{"index": index, "function": {"name": "f", "arguments": ""}}]))
    assert "tool_calls" not in building.message


def test_a_content_in_parts_says_their_texts() -> None:
    building = Building()
    pieces = [building.add(chunk(content=[{"type": "thinking", "thinking": []}]))]
    pieces += [building.add(chunk(content=[{"type": "text", "text": t}])) for t in ("one", " two")]
    assert ([p.text for p in pieces], building.whole()["choices"][0]["message"]["content"]) == (
        ["", "one", " two"],
        "one two",
    )


def test_more_tokens_from_a_cache_than_were_read_is_no_count() -> None:
    assert usage_of({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}) == (None, 0)


def test_a_count_that_is_not_told_is_unknown() -> None:
    assert usage_of({"prompt_tokens": 3}) == (Usage(3, None), 0)
