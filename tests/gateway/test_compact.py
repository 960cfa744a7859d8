"""What the gateway writes is the JSON that json would write, whoever writes it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

pytest.importorskip("orjson")

from hypothesis import given
from hypothesis import strategies as st

from sprat.gateway.compact import compact

_text = st.text(st.characters(exclude_categories=()))  # halves of characters too
_leaf = st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | _text
_keys = _text | st.integers() | st.booleans() | st.none()


def _no_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _no_infinity(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_no_infinity(v) for v in value]
    return None if isinstance(value, float) and math.isinf(value) else value


@given(st.recursive(_leaf, lambda inner: st.lists(inner) | st.dictionaries(_keys, inner)))
def test_it_reads_as_what_json_writes_and_is_ascii(value: Any) -> None:
    found = compact(value)
    assert json.loads(found) == _no_infinity(json.loads(json.dumps(value)))
    assert found.isascii()


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": float("nan"), "b": (1, 2.5)}, b'{"a":null,"b":[1,2.5]}'),
        ({1: float("inf")}, b'{"1":null}'),
        ({"a": Point(1)}, b'{"a":"Point(x=1)"}'),
        ({"a": date(2026, 1, 2)}, b'{"a":"2026-01-02"}'),
        ({"a": {2}}, b'{"a":"{2}"}'),
        ({"a": "caf\u00e9 \u2028"}, b'{"a":"caf\\u00e9 \\u2028"}'),
    ],
)
def test_what_json_has_no_form_for_is_written_by_the_rule(value: Any, written: bytes) -> None:
    assert compact(value) == written


def test_what_is_nested_deep_is_written() -> None:
    value: list[Any] = []
    for _ in range(400):
        value = [value]
    assert compact(value) == b"[" * 401 + b"]" * 401
