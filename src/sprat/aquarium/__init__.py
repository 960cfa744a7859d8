"""Tiny real models that run in numpy, nine tasks with exact answers, and three of the models' recorded calls."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sprat.aquarium.marked import marked_problems
from sprat.aquarium.problems import TASKS, Problem, problems
from sprat.aquarium.tiny import TinyLlama
from sprat.errors import BadInput, nearest

__all__ = [
    "GROWN",
    "NAMES",
    "TASKS",
    "Problem",
    "TinyLlama",
    "load",
    "marked_problems",
    "prices",
    "problems",
    "recorded",
    "recordings",
]

NAMES = ("fry", "sprat", "mackerel")  # those whose calls are recorded
GROWN = ("sprat-tuned", "minnow")  # for decoding with several: sprat in a manner of its own, and a bad amateur
_HERE = Path(__file__).parent


@cache
def load(name: str) -> TinyLlama:
    """The model called `name`, read once; BadInput where there is none of that name."""
    if name not in NAMES + GROWN:
        raise BadInput(f"The aquarium has no '{name}'.", hint=nearest(name, NAMES + GROWN))
    return TinyLlama.load(_HERE / "weights" / f"{name}.safetensors")


def recordings() -> Path:
    """The file of recorded calls: gzipped JSON lines, one call per line."""
    return _HERE / "calls.jsonl.gz"


def recorded() -> Iterator[dict[str, Any]]:
    """The recorded calls, one dictionary each, in the file's order."""
    with gzip.open(recordings(), "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def prices() -> Path:
    """The price table of all the models: notional, proportional to their parameters."""
    return _HERE / "prices.toml"
