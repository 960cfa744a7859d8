"""What was measured of the embedded scorers: `weights/worth.json`, written by benchmarks/safety.py --write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

# The sets that the embedded scorers learnt from (weights/README.md).
TAUGHT: Mapping[str, str] = {
    "toxicity": "Davidson et al.'s tweets (arXiv 1703.04009), Dolly's and self-instruct's texts",
    "pii": "presidio-research's made-up sentences, Dolly's and self-instruct's texts",
    "injection": "synthetic attacks in Dolly's and self-instruct's texts, and BIPIA's emails (arXiv 2312.14197)",
}


@lru_cache(maxsize=4)
def _all(folder: Path) -> Mapping[str, Any]:
    path = folder / "worth.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def worth_of(weights: Path) -> Mapping[str, Any]:
    """What is known of the scorer with these weights: rows, numbers as [value, low, high]; empty where nothing is."""
    return _all(weights.parent).get(weights.stem, {})
