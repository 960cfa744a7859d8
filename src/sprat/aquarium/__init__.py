"""Three tiny real models that run in numpy, nine tasks with exact answers, and their recorded calls."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sprat.aquarium.problems import TASKS, Problem, problems
from sprat.aquarium.tiny import Generated, TinyLlama, Token
from sprat.errors import BadInput, nearest

__all__ = [
    "NAMES",
    "TASKS",
    "Generated",
    "Problem",
    "TinyLlama",
    "Token",
    "load",
    "prices",
    "problems",
    "recorded",
    "recordings",
]

NAMES = ("fry", "sprat", "mackerel")
_HERE = Path(__file__).parent


@cache
def load(name: str) -> TinyLlama:
    """The model called `name`, read once; BadInput where there is none of that name."""
    if name not in NAMES:
        raise BadInput(f"The aquarium has no '{name}'.", hint=nearest(name, NAMES))
    return TinyLlama.load(_HERE / "weights" / f"{name}.safetensors")


def recordings() -> Path:
    """The file of recorded calls: gzipped JSON lines, one call per line."""
    return _HERE / "calls.jsonl.gz"


def recorded() -> Iterator[dict[str, Any]]:
    """The recorded calls, one dictionary each, in the file's order."""
    with gzip.open(recordings(), "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def prices() -> Path:
    """The price table of the three models: notional, proportional to their parameters."""
    return _HERE / "prices.toml"
