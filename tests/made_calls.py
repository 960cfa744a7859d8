"""Small files of calls made up for tests: easy and hard prompts, and models that differ on the hard ones."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]

PRICES = {"small": 0.0001, "peer": 0.0003, "third": 0.0002, "large": 0.004}
SECONDS = {"small": 0.2, "peer": 0.3, "third": 0.25, "large": 1.5}
# How often an easy and a hard prompt are answered rightly.
RIGHT = {"small": (0.97, 0.35), "peer": (0.97, 0.55), "third": (0.96, 0.45), "large": (0.98, 0.93)}
WORDS = ["river", "stone", "lamp", "orchid", "violet", "copper", "meadow", "falcon", "ember", "cedar", "harbor"]


def rows(n: int, models: Iterable[str] = ("small", "large"), seed: int = 0, **fixed: Any) -> list[Row]:
    """A row per call: `n` requests, `models` of PRICES; `fixed` fields replace what every row says, None leaves out."""
    chance = random.Random(seed)
    made: list[Row] = []
    for i in range(n):
        hard = chance.random() < 0.4
        words = " ".join(chance.choice(WORDS) for _ in range(chance.randint(4, 9)))
        prompt = f"Prove with integrals why {words} #{i}" if hard else f"Name the colour of {words} #{i}"
        target = chance.choice("ABCD")
        for model in models:
            right = chance.random() < RIGHT[model][hard]
            said = target if right else chance.choice([c for c in "ABCD" if c != target])
            row: Row = {
                "id": str(i),
                "prompt": prompt,
                "model": model,
                "reply": f"The answer is ({said})." if right or chance.random() < 0.5 else f"Perhaps it is ({said})?",
                "target": target,
                "score": float(right),
                "cost": PRICES[model] * chance.uniform(0.8, 1.2),
                "seconds": SECONDS[model] * chance.uniform(0.8, 1.2),
            }
            made.append({k: v for k, v in {**row, **fixed}.items() if v is not None})
    return made


def write(path: Path, made: Iterable[Row]) -> Path:
    """The rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path
