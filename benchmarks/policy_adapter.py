"""How far does an adapter trained through a product bring a base, against tuning the base itself by the same recipe?

Usage: SPRAT_DATA=... OMP_NUM_THREADS=1 python benchmarks/policy_adapter.py --work FOLDER

Two rewards of a user's making. "even": the share of even digits in sprat's answers to three-digit sums (a lexical wish
that has nothing to do with being right). "count": the right answer to counting letters, at which sprat is bad. The
adapter is fry (61 k parameters), trained by Quark through the product; the base tuned directly is trained by the same
Quark on its own weights, same steps, prompts, seeds and rate. Measured on prompts that were not trained on. Runs that
are in FOLDER already are not trained again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

import sprat
from sprat.core import Request
from sprat.train import policy_adapter

CHECKPOINTS = Path(os.environ["SPRAT_DATA"]) / "models" / "aquarium"
TRAINED, TESTED = 384, 400


def _sum(rng: random.Random) -> str:
    return f"{rng.randrange(100, 1000)}+{rng.randrange(100, 1000)}="


def _count(rng: random.Random) -> str:
    return f"count {rng.choice('abcd')} in {''.join(rng.choices('abcd', k=rng.randint(4, 7)))}:"


def even(_: Request, text: str) -> float:
    """The share of even digits."""
    return sum(c in "02468" for c in text) / max(1, len(text))


def counted(request: Request, text: str) -> float:
    """1 for the right count."""
    _, letter, _, word = request.text.rstrip(":").split()
    return float(text == str(word.count(letter)))


@dataclass(frozen=True)
class Case:
    """A base, its prompts, the reward and the recipe's numbers."""

    base: str
    draw: Callable[[random.Random], str]
    reward: Callable[[Request, str], float]
    numbers: dict[str, Any]


SHARED: dict[str, Any] = {"batch": 64, "rate": 1e-3, "warm_up": 20, "sample_every": 50, "top_p": 0.95, "samples": 1}
CASES = {
    "even": Case("sprat", _sum, even, SHARED | {"steps": 150, "max_tokens": 8}),
    "count": Case("sprat", _count, counted, SHARED | {"steps": 600, "max_tokens": 4}),
}


def prompts(case: Case) -> tuple[list[str], list[str]]:
    """Training and test prompts, all different."""
    rng, found = random.Random(5), dict[str, None]()
    while len(found) < TRAINED + TESTED:
        found.setdefault(case.draw(rng))
    listed = list(found)
    return listed[:TRAINED], listed[TRAINED:]


def bits(name: str) -> str:
    """A hash over every array of an embedded model as it is in memory."""
    held, digest = sprat.tiny(name).loaded.weights, hashlib.sha256()
    for array in (held.embed, held.unembed, *(a for layer in held.layers for a in vars(layer).values())):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def earned(model: Any, case: Case, asked: list[str], greedy: bool = False) -> np.ndarray:
    """The reward of one reply to each prompt: drawn as in training, or greedy."""
    draw: dict[str, Any] = {} if greedy else {"temperature": 1.0, "top_p": case.numbers["top_p"], "seed": 11}
    replies = model.batch(asked, max_tokens=case.numbers["max_tokens"], **draw)
    return np.array([case.reward(Request.of(p), r.text or "") for p, r in zip(asked, replies, strict=True)])


def made_by(case: Case, which: str, seed: int, trained: list[str], out: Path) -> tuple[Any, float, bool]:
    """The product, or the base tuned directly; its training's CPU-seconds, and whether the base kept its bits."""
    began, new, before = time.process_time(), not out.exists(), bits(case.base)
    start = CHECKPOINTS / ("fry" if which == "product" else case.base)
    numbers = case.numbers | {"seed": seed, "alone": which == "direct"}
    model = policy_adapter(sprat.tiny(case.base), start, trained, case.reward, out, **numbers)
    told = out.with_suffix(".seconds")
    if new:
        told.write_text(json.dumps([time.process_time() - began, bits(case.base) == before]))
    seconds, same = json.loads(told.read_text())
    return model, seconds, same


def bootstrap(base: np.ndarray, made: np.ndarray, tuned: np.ndarray) -> list[float]:
    """95 % interval of the share of the way; prompts (axis 1) and seeds (axis 0) are drawn again."""
    rng, found = np.random.default_rng(2), list[float]()
    for _ in range(2000):
        rows, runs = rng.integers(0, len(base), len(base)), rng.integers(0, len(made), len(made))
        low = base[rows].mean()
        found.append((made[runs][:, rows].mean() - low) / (tuned[runs][:, rows].mean() - low))
    return [float(q) for q in np.quantile(found, (0.025, 0.975))]


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="train this case alone, and write nothing")
    given = parser.parse_args()
    began, rows, record = time.monotonic(), list[dict[str, str]](), dict[str, Any]()
    for name, case in CASES.items():
        if given.only not in ("", name):
            continue
        trained, tested = prompts(case)
        base = sprat.tiny(case.base)
        start = earned(base, case, tested)
        found: dict[str, list[Any]] = defaultdict(list)
        for seed in range(given.seeds):
            for which in ("product", "direct"):
                model, seconds, same = made_by(case, which, seed, trained, given.work / f"{name}-{which}-{seed}")
                found[f"{which} seconds"].append(seconds)
                found[f"{which}, greedy"].append(earned(model, case, tested, True).mean())
                found["same"].append(same)
                found[which].append(earned(model, case, tested))
                print(name, seed, which, found[which][-1].mean(), flush=True)
        if given.only:
            continue
        found["untrained"].append(earned(sprat.decoding.product(base, sprat.tiny("fry")), case, tested))
        made, tuned = np.array(found["product"]), np.array(found["direct"])
        share = (made.mean() - start.mean()) / (tuned.mean() - start.mean())
        low, high = bootstrap(start, made, tuned)
        same = all(found["same"])
        greedy = [float(earned(base, case, tested, True).mean())]
        greedy += [float(np.mean(found[f"{which}, greedy"])) for which in ("product", "direct")]
        record[name] = {
            "base": float(start.mean()),
            "product with an untrained adapter": float(found["untrained"][0].mean()),
            "product, by seed": made.mean(axis=1).tolist(),
            "direct, by seed": tuned.mean(axis=1).tolist(),
            "share of the way": [float(share), low, high],
            "greedy: base, product, direct": greedy,
            "base's bits unchanged": same,
            "CPU-seconds, adapter": found["product seconds"],
            "CPU-seconds, direct": found["direct seconds"],
        }
        rows.append(
            {
                "reward": f"{name} ({case.base})",
                "base": f"{start.mean():.3f}",
                "base x fry, untrained": f"{found['untrained'][0].mean():.3f}",
                "base x adapter": f"{made.mean():.3f} ({', '.join(f'{x:.3f}' for x in made.mean(axis=1))})",
                "base tuned directly": f"{tuned.mean():.3f} ({', '.join(f'{x:.3f}' for x in tuned.mean(axis=1))})",
                "share of the way": f"{share:.2f} [{low:.2f}, {high:.2f}]",
                "greedy: base, product, direct": ", ".join(f"{x:.3f}" for x in greedy),
                "base's bits": "unchanged" if same else "CHANGED",
                "CPU-s a run": ", direct ".join(f"{np.mean(found[f'{w} seconds']):.0f}" for w in ("product", "direct")),
            }
        )
    if given.only:
        return
    about = header("python benchmarks/policy_adapter.py --work FOLDER", 0, time.monotonic() - began)
    text = ["# IPA: an adapter trained through the product, against tuning the base itself", "", *table(rows)]
    text += [
        f"Mean reward of a reply drawn as in training (temperature 1, top-p .95) to {TESTED} prompts that were not "
        "trained on, by seed in brackets; beside it that of greedy replies. Intervals: 95 %, bootstrap over prompts "
        "and seeds. Bar: at least .50 of the way, the base unchanged bit for bit. The adapter has 61 k parameters, "
        "the base 342 k; the rate (1e-3) was set once for all runs."
    ]
    write("policy_adapter", {"about": about, **record}, text)


if __name__ == "__main__":
    main()
