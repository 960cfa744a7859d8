"""What was measured of the embedded scorers: `weights/worth.json`, written by benchmarks/safety.py --write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


@lru_cache(maxsize=4)
def _all(folder: Path) -> Mapping[str, Any]:
    path = folder / "worth.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def worth_of(weights: Path) -> Mapping[str, Any]:
    """What is known of the scorer with these weights: rows, numbers as [value, low, high]; empty where nothing is."""
    return _all(weights.parent).get(weights.stem, {})
