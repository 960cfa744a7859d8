"""Record what the aquarium's models say: fresh problems, every model greedily, some sampled as well.

Usage: OMP_NUM_THREADS=1 python recipes/aquarium/record.py src/sprat/aquarium/calls.jsonl.gz

A greedy call has no options and sample 0; its seconds are the median of three, asked alone. A sampled call carries
its temperature, and its seed is its sample's number. Log-probabilities are the model's own, at temperature 1, one per
character; the end token is counted in the usage and has none here. A prompt is asked once, so easy ones are rarer
than in training.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluate import recorded, table

from sprat.aquarium import NAMES, Problem
from sprat.aquarium.problems import draw_problem
from sprat.core import Reply
from sprat.endpoints import tiny
from sprat.endpoints.tiny import Tiny

SAMPLED_MODELS, TEMPERATURE, SAMPLES, TIMED = ("fry", "sprat"), 0.7, 6, 3


def distinct(n: int, seed: int) -> dict[str, Problem]:
    """`n` problems with different prompts, by id: task, difficulty, number."""
    rng, found = random.Random(seed), dict[str, Problem]()
    while len(found) < n:
        one = draw_problem(rng)
        found.setdefault(one.prompt, one)
    return {f"{one.task}-{one.difficulty}-{i:04}": one for i, one in enumerate(found.values())}


def call(model: Tiny, key: str, one: Problem, temperature: float, sample: int, times: int) -> dict[str, Any]:
    """Ask `times` times for the same draw; the row holds the reply and the median seconds."""
    seconds: list[float] = []
    reply: Reply | None = None
    for _ in range(times):
        began = time.perf_counter()
        reply = model(one.prompt, temperature=temperature, seed=sample)
        seconds.append(time.perf_counter() - began)
    assert reply is not None
    row: dict[str, Any] = {
        "id": key,
        "prompt": one.prompt,
        "model": model.name,
        "reply": reply.text,
        "target": one.answer,
        "score": int(reply.text == one.answer),
        "usage": asdict(reply.usage),
        "seconds": round(statistics.median(seconds), 5),
        "logprobs": [round(logprob, 4) + 0.0 for logprob in reply.logprobs],
        "sample": sample,
        "group": one.task,
    }
    return row | ({"options": {"temperature": temperature}} if temperature else {})


def calls(n: int, sampled: int, seed: int) -> Iterator[dict[str, Any]]:
    """Every problem's greedy calls, then its sampled ones for `sampled` of the problems, chosen by the seed."""
    drawn, models = distinct(n, seed), [tiny(name) for name in NAMES]
    chosen = set(random.Random(seed).sample(sorted(drawn), sampled))
    for model in models:
        model.batch([one.prompt for one in list(drawn.values())[:20]])  # so that the first row is timed warm
    for key, one in drawn.items():
        yield from (call(model, key, one, 0.0, 0, TIMED) for model in models)
        if key in chosen:
            yield from (
                call(tiny(name), key, one, TEMPERATURE, sample, 1)
                for name in SAMPLED_MODELS
                for sample in range(SAMPLES)
            )


def main() -> None:
    """Read the command line, record and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--problems", type=int, default=2400)
    parser.add_argument("--sampled", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20)
    given = parser.parse_args()
    rows = calls(given.problems, given.sampled, given.seed)
    lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    given.out.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    print(table(recorded(given.out)))


if __name__ == "__main__":
    main()
