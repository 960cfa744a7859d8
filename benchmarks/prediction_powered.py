"""Is a mean from few human marks and many cheap scores as sure as the theory says, and does its interval hold?

Human marks of generated texts (SFHOT, SFRES, BAGEL: informativeness and quality), the cheap score being word overlap
(F1) with the references, which needs no model; made scores of known correlation with the marks beside it. The whole set
is the population: 1,000 times n rows are drawn as marked and N as unmarked, both with replacement, and the interval is
held against the population's mean. The theory is sqrt(1 - rho^2 N / (n + N)) of the length of the marks' own interval.

Run: SPRAT_DATA=... python benchmarks/prediction_powered.py [--times 1000] [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from measured import header, table, write

from sprat.measure.exact import token_f1
from sprat.measure.prediction_powered import active_mean, classical_mean, next_rows, powered_mean, shortening

MARKED, UNMARKED = 100, 900


def load() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per set and mark: human marks (n,) and cheap scores (n,)."""
    folder = os.environ.get("SPRAT_DATA")
    if not folder:
        sys.exit("Set SPRAT_DATA to the folder that holds nlg_judged.")
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in ("bagel", "sfhot", "sfres"):
        with gzip.open(Path(folder) / "nlg_judged" / f"{name}.jsonl.gz", "rt") as file:
            rows = [json.loads(line) for line in file]
        cheap = np.array([max(token_f1(r["output"], ref) for ref in r["refs"]) for r in rows])
        for mark in ("informativeness", "quality"):
            found[f"{name}, {mark}"] = np.array([float(r["scores"][mark]) for r in rows]), cheap
    rng = np.random.default_rng(11)
    marks = found["sfres, quality"][0]
    for rho in (0.0, 0.5, 0.8, 0.95):
        noise, z = rng.normal(size=len(marks)), (marks - marks.mean()) / marks.std()
        noise -= z * float(noise @ z) / len(z)
        made = rho * z + np.sqrt(1 - rho**2) * (noise - noise.mean()) / noise.std()
        found[f"sfres, quality, made score of correlation {rho}"] = marks, made
    return found


def resampled(y: np.ndarray, f: np.ndarray, times: int, seed: int) -> dict[str, float]:
    """Coverage, lengths against the marks alone, and what the theory says, over resamples of one population."""
    rng, truth, rho = np.random.default_rng(seed), float(y.mean()), float(np.corrcoef(y, f)[0, 1])
    held, folded, alone, ratio, never = 0, 0, 0, list[tuple[float, float]](), 0
    for i in range(times):
        at, far = rng.integers(0, len(y), MARKED), rng.integers(0, len(y), UNMARKED)
        human, tuned = classical_mean(y[at]), powered_mean(y[at], f[at], f[far])
        crossed = powered_mean(y[at], f[at], f[far], folds=5, seed=i)
        alone += human.low <= truth <= human.high
        held += tuned.low <= truth <= tuned.high
        folded += crossed.low <= truth <= crossed.high
        never += tuned.width <= human.width * (1 + 1e-9)
        ratio.append((tuned.width, human.width))
    told, human_width = np.mean(ratio, axis=0)
    return {
        "correlation": rho,
        "length": float(told / human_width),
        "theory": shortening(rho, MARKED, UNMARKED),
        "never longer": never / times,
        "coverage, marks alone": alone / times,
        "coverage": held / times,
        "coverage, cross-fitted": folded / times,
    }


def chosen(y: np.ndarray, f: np.ndarray, times: int, seed: int) -> dict[str, float]:
    """The length with 60 marks at random and 60 more chosen by doubt, against 120 at random; and its coverage."""
    rng, truth = np.random.default_rng(seed), float(y.mean())
    lengths, held = list[tuple[float, float]](), 0
    for i in range(times):
        rows = rng.integers(0, len(y), 600)
        known = np.where(np.arange(600) < 60, y[rows], np.nan)
        weights, drawn = next_rows(known, f[rows], 60, seed=seed + i)
        known[drawn] = y[rows][drawn]
        active = active_mean(known, f[rows], weights)
        even = powered_mean(y[rows][:120], f[rows][:120], f[rows][120:])
        lengths.append((active.width, even.width))
        held += active.low <= truth <= active.high
    width, at_random = np.mean(lengths, axis=0)
    return {"length against as many at random": float(width / at_random), "coverage, chosen": held / times}


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began = time.time()
    record: dict[str, dict[str, float]] = {}
    for name, (y, f) in load().items():
        record[name] = resampled(y, f, told.times, told.seed) | chosen(y, f, told.times // 2, told.seed)
        print(name, record[name], flush=True)
    apart = max(abs(r["length"] / r["theory"] - 1) for r in record.values())
    least = min(r[k] for r in record.values() for k in ("coverage", "coverage, cross-fitted"))
    few, least_chosen = told.times // 2, min(r["coverage, chosen"] for r in record.values())
    longer = min(r["never longer"] for r in record.values())
    slack, slack_chosen = (2 * np.sqrt(0.05 * 0.95 / n) for n in (told.times, few))
    met = apart <= 0.03 and longer == 1 and least >= 0.95 - slack and least_chosen >= 0.95 - slack_chosen
    rows = [{"marks and score": name} | {k: f"{v:.3f}" for k, v in r.items()} for name, r in record.items()]
    command = f"python benchmarks/prediction_powered.py --times {told.times} --seed {told.seed} --write"
    text = [
        "# A mean from few marks and many cheap scores",
        f"{MARKED} marked and {UNMARKED} unmarked rows, {told.times:,} resamples of each population; lengths are of "
        "that of the marks' own interval.",
        "The last two columns: 60 marks at random and about 60 more chosen by doubt, against 120 at random.",
        "",
        *table(rows),
        f"Furthest from the theory: {100 * apart:.1f} % (bar: 3 %). Never longer than the marks alone: "
        f"{'yes, on all resamples' if longer == 1 else 'no'}. Least coverage of a nominal 95 %: {100 * least:.1f} % "
        f"(two standard errors of a resampled rate: {100 * slack:.1f} points); of rows chosen by doubt "
        f"{100 * least_chosen:.1f} % ({100 * slack_chosen:.1f} points of {few:,} resamples).",
        f"Bar: {'met' if met else 'NOT met'}.",
    ]
    print("\n".join(text))
    if told.write:
        write("prediction_powered", {"about": header(command, told.seed, time.time() - began), "sets": record}, text)


if __name__ == "__main__":
    main()
