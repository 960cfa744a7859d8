"""JSON that is the same whatever the order of a table's fields: what requests are known by."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode


def canonical(value: Any) -> bytes:
    """Canonical JSON; that of a list is its items' between brackets, so parts that are at hand may be put together."""
    return _encode(value).encode()
