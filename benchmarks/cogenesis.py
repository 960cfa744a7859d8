"""How CoGenesis answers against the local model alone, and how compositions over top-k differ from those over logits.

    python benchmarks/cogenesis.py [--rows 200]

The remote model is the aquarium's mackerel behind a server on loopback. Names and foods are private: the remote model
reads stand-ins for them. Writes results/cogenesis.json and .md.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "decoding"))

from measured import header, table, write
from tiny_server import TinyServer

import sprat
from sprat import decoding
from sprat.aquarium.problems import FOODS, PEOPLE, TASKS, problems

SEED = 20
BIG, SMALL, FRY = (sprat.tiny(name) for name in ("mackerel", "sprat", "fry"))
STAND_INS = ("Zoe", "tea", "Tom", "rice", "Ana", "figs", "Sam", "soup")
NAMES = re.compile(rf"\b({'|'.join((*PEOPLE, *FOODS))})\b")


def drawn(task: str, rows: int, seed: int) -> list[tuple[str, str]]:
    """Different prompts with names and foods marked, and right answers; a prompt's foods differ: one stand-in each."""
    rng, found = random.Random(seed), dict[str, str]()
    while len(found) < rows:
        prompt, answer = TASKS[task].draw(rng, rng.choice(TASKS[task].difficulties))
        foods = [w for w in NAMES.findall(prompt) if w in FOODS]
        if len(set(foods)) == len(foods):
            found.setdefault(NAMES.sub(r"<private>\1</private>", prompt), answer)
    return list(found.items())


def right(model: Any, rows: list[tuple[str, str]], plain: bool = False) -> np.ndarray:
    """Which answers are right, (rows,)."""
    asked = [re.sub(r"</?private>", "", p) if plain else p for p, _ in rows]
    replies = model.batch(asked, max_tokens=12)
    for reply in replies:
        assert reply.ok, reply.error
    return np.array([r.text == a for r, (_, a) in zip(replies, rows, strict=True)], float)


def wilson(x: np.ndarray) -> str:
    """Mean and 95 % interval of a share, in per cent."""
    n, p, z = len(x), float(x.mean()), 1.96
    middle, half = (p + z * z / 2 / n), z * (p * (1 - p) / n + z * z / 4 / n / n) ** 0.5
    low, high = (100 * (middle + s * half) / (1 + z * z / n) for s in (-1, 1))
    return f"{100 * p:.1f} [{low:.1f}, {high:.1f}]"


def paired(x: np.ndarray, y: np.ndarray) -> str:
    """Mean of x - y in points with its 95 % bootstrap interval over rows."""
    rng, gap = np.random.default_rng(0), x - y
    means = gap[rng.integers(0, len(gap), (4000, len(gap)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
    return f"{100 * gap.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] {verdict}"


def line(task: str, local: str, way: str, found: np.ndarray, alone: np.ndarray | None = None) -> dict[str, str]:
    """A row of the table."""
    against = "" if alone is None else paired(found, alone)
    return {"task": task, "local": local, "way": way, "right %": wilson(found), "against the local model": against}


def quality(server: TinyServer, rows: int) -> list[dict[str, str]]:
    """Per task and local model: alone, with the remote model, and what is out of reach."""
    lines: list[dict[str, str]] = []
    for task in ("word", "read"):
        both = drawn(task, 2 * rows, SEED)
        test, lessons = both[:rows], both[rows:]
        ceiling = right(BIG, test, plain=True)
        veiled = decoding.cogenesis(server.endpoint(), FRY, "logits", weight=0.0, hidden=STAND_INS, schedule=(0, 0, 1))
        lines.append(line(task, "-", "mackerel reading everything (not private)", ceiling))
        lines.append(line(task, "-", "mackerel reading the public part alone", right(veiled, test)))
        for local in (FRY, SMALL):
            alone = right(local, test, plain=True)
            half = decoding.cogenesis(server.endpoint(), local, "logits", hidden=STAND_INS)
            gated = half.fit(lessons, epochs=15, seed=SEED)
            ways = {
                "local alone": alone,
                "logits, w = 0.5": right(half, test),
                "logits, fitted gate": right(gated, test),
            }
            for way, found in ways.items():
                lines.append(line(task, local.name, way, found, None if way == "local alone" else alone))
                print(lines[-1], flush=True)
    return lines


def agreement(server: TinyServer, rows: int) -> list[dict[str, str]]:
    """Per k: the share of replies over top-k that equal those over the same model's own logits."""
    ways = {
        "proxy_tune": lambda m: decoding.proxy_tune(m, tuned=SMALL, untuned=FRY),
        "contrast": lambda m: decoding.contrast(m, FRY),
        "mix": lambda m: decoding.mix(m, SMALL, 0.5),
    }
    prompts = [p.prompt for p in problems(rows, SEED)]
    lines: list[dict[str, str]] = []
    for k in (1, 2, 5, 10, 20, -1):
        same = {"k": "all" if k < 0 else str(k)}
        for name, made in ways.items():
            near, far = (
                made(BIG).batch(prompts, max_tokens=12),
                made(server.remote(top=k)).batch(prompts, max_tokens=12),
            )
            same[name] = wilson(np.array([a.text == b.text for a, b in zip(near, far, strict=True)], float))
        lines.append(same)
        print(same, flush=True)
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200)
    rows = parser.parse_args().rows
    began = time.perf_counter()
    with TinyServer() as server:
        same = agreement(server, rows)
        found = quality(server, rows)
        calls = len(server.calls)
    about = header(f"python benchmarks/cogenesis.py --rows {rows}", SEED, time.perf_counter() - began)
    text = [
        "# CoGenesis, and compositions over a server's top-k log-probabilities",
        "## Replies over top-k that equal those over logits, %",
        "",
        f"{rows} problems of all nine tasks, greedy; the same mackerel here and behind HTTP; 95 % intervals (Wilson).",
        "",
        *table(same),
        "## CoGenesis on the aquarium",
        "",
        f"Per task {rows} problems to test and {rows} others to fit the gate; names and foods are private, and the",
        "remote mackerel reads stand-ins. Word problems turn on the numbers, which are public; in reading the answer",
        "itself is private, so the remote model can only mislead. 95 % intervals: Wilson; for differences a paired",
        "bootstrap.",
        "",
        *table(found),
        "Sketch mode is not measured here: the tiny models can't read an outline. What the remote part receives is in",
        f"tests/decoding/test_cogenesis_wire.py. {calls} calls were made.",
    ]
    write("cogenesis", {"about": about, "agreement": same, "quality": found, "calls": calls}, text)


if __name__ == "__main__":
    main()
