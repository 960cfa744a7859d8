"""Does reconfidencing mend a confidence that a calibration curve cannot? 1,360 birth dates that a model gave.

The recorded confidences of Mistral-7B's answers (arXiv 2402.04957; SelfCheckGPT by NLI), 45 of them right. Features are
read off the question and the answer: how many pages link to the person, the answered year, the name's form. Five times
five folds, stratified; every row is judged by maps that never saw it. The line that the bar is held against chooses how
many groups of how many rows within the taught folds alone; the library's defaults stand beside it. Intervals are
bootstraps of the rows over the mean of the five repeats. All of it is drawn five times, with other seeds each.

Run: SPRAT_DATA=... python benchmarks/reconfidencing.py [--repeats 5] [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.measure.calibration import auroc, brier, ece
from sprat.measure.grouping import grouping_loss, worst_groups
from sprat.measure.resampling import Estimate, bootstraps
from sprat.signals.calibrators import CALIBRATORS
from sprat.signals.reconfidence import Reconfidence

NAMES = ("links to the person", "answered year", "characters of the answer", "characters of the name",
         "words of the name", "brackets in the name", "letters beyond ASCII")  # fmt: skip
BAR = 0.80
BLOCKS = 5  # draws of all folds: one alone may meet the bar by luck
CHOSEN = "reconfidencing, settings chosen within the taught folds"
GRID = [(leaves, fewest) for leaves in (4, 8, 16) for fewest in (30, 50, 80)]


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidences (n,), outcomes (n,) and features (n, len(NAMES))."""
    folder = os.environ.get("SPRAT_DATA")
    if not folder:
        sys.exit("Set SPRAT_DATA to the folder that holds reconfidencing.")
    with gzip.open(Path(folder) / "reconfidencing" / "mistral7b_birth_date.json.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    return (
        np.array([float(r["confidence"]) for r in rows]),
        np.array([float(r["tag"]) for r in rows]),
        np.array([features(r) for r in rows]),
    )


def features(row: dict[str, Any]) -> list[float]:
    """What can be read before anybody knows whether the answer is right."""
    name, answer = row["name"], row["answer"]
    year = re.search(r"\b(1\d{3}|20\d{2})\b", answer)
    form = [len(answer), len(name), len(name.split()), "(" in name, sum(not c.isascii() for c in name)]
    return [float(row["backlink"]), float(year[0]) if year else 0.0, *map(float, form)]


def folds(y: np.ndarray, seed: int) -> np.ndarray:
    """The fold (n,) of each row; right and wrong answers are dealt evenly."""
    rng, fold = np.random.default_rng(seed), np.empty(len(y), int)
    for kind in np.unique(y):
        rows = np.flatnonzero(y == kind)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % 5
    return fold


Way = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def ways() -> dict[str, Way]:
    """Each way from the taught rows' confidences, outcomes, features and the others' confidences, features."""
    found: dict[str, Way] = {"as recorded": lambda s, y, x, t, z: t}
    for kind, made in CALIBRATORS.items():
        found[kind] = lambda s, y, x, t, z, made=made: made().fit(s, y).predict(t)
    found[CHOSEN] = chosen
    found["reconfidencing, the defaults"] = reconfident(Reconfidence())
    found["reconfidencing, isotonic per group (the paper's)"] = reconfident(Reconfidence(within="isotonic"))
    return found


def chosen(s: np.ndarray, y: np.ndarray, x: np.ndarray, t: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Reconfidencing with the pair of GRID that has the least Brier score over three folds of the taught rows."""
    fold, lost = folds(y, 97) % 3, dict[tuple[int, int], float]()
    for leaves, fewest in GRID:
        way, p = reconfident(Reconfidence(leaves=leaves, fewest=fewest)), np.empty(len(y))
        for f in range(3):
            out = fold == f
            p[out] = way(s[~out], y[~out], x[~out], s[out], x[out])
        lost[leaves, fewest] = brier(p, y)
    leaves, fewest = min(lost, key=lambda pair: lost[pair])
    return reconfident(Reconfidence(leaves=leaves, fewest=fewest))(s, y, x, t, z)


def reconfident(model: Reconfidence) -> Way:
    """The way of this model."""
    return lambda s, y, x, t, z: model.fit(s, y, x, NAMES).predict(t, z)


def out_of_fold(way: Way, s: np.ndarray, y: np.ndarray, x: np.ndarray, seeds: range) -> np.ndarray:
    """Predictions (repeats, n), each row's by what was learnt on the other folds."""
    found = np.empty((len(seeds), len(s)))
    for i, seed in enumerate(seeds):
        fold = folds(y, seed)
        for f in range(5):
            out = fold == f
            found[i, out] = way(s[~out], y[~out], x[~out], s[out], x[out])
    return found


def over(measure: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., float]:
    """The mean of a measure over the repeats."""
    return lambda p, y: float(np.mean([measure(column, y) for column in p.T]))


def judged(p: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Estimate]:
    """AUROC, Brier and ECE with intervals; of predictions (repeats, n)."""
    measures = {
        "AUROC": over(auroc),
        "Brier": over(brier),
        "ECE, equal mass": over(lambda s, o: ece(s, o, equal="mass")),
    }
    found = bootstraps(measures, p.T, y, times=500, seed=seed, centred=True)
    return {k: e._replace(low=max(0.0, e.low), high=min(1.0, e.high)) for k, e in found.items()}


def repeated(s: np.ndarray, y: np.ndarray, x: np.ndarray, seeds: range) -> tuple[float, float]:
    """AUROC with the settings chosen within, and how much its Brier is below isotonic's, over folds by these seeds."""
    plain, mended = (out_of_fold(ways()[name], s, y, x, seeds).T for name in ("isotonic", CHOSEN))
    return over(auroc)(mended, y), over(brier)(plain, y) - over(brier)(mended, y)


def by_fold(p: np.ndarray, y: np.ndarray, seeds: range) -> float:
    """The mean AUROC within a fold: the other common way to count it."""
    return float(np.mean([auroc(q[f == k], y[f == k]) for q, seed in zip(p, seeds, strict=True)
                          for f in [folds(y, seed)] for k in range(5)]))  # fmt: skip


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began = time.time()
    s, y, x = load()
    seeds = range(told.seed, told.seed + told.repeats)
    rows: list[dict[str, str]] = []
    record: dict[str, Any] = {"ways": {}, "grid": {}}
    held: dict[str, np.ndarray] = {}
    for name, way in ways().items():
        held[name] = p = out_of_fold(way, s, y, x, seeds)
        found = judged(p, y, told.seed)
        record["ways"][name] = {k: list(v) for k, v in found.items()} | {"AUROC within folds": by_fold(p, y, seeds)}
        shown = {k: f"{v.value:.4f} [{v.low:.4f}, {v.high:.4f}]" for k, v in found.items()}
        rows.append({"way": name, **shown, "AUROC within folds": f"{by_fold(p, y, seeds):.3f}"})
        print(rows[-1], flush=True)
    first, mended = held["isotonic"], held[CHOSEN]
    gain = bootstraps({"": lambda a, b, o: over(brier)(a, o) - over(brier)(b, o)}, first.T, mended.T, y, times=500)[""]
    record["Brier of isotonic less reconfidencing"] = list(gain)
    for leaves, fewest in GRID:
        p = out_of_fold(reconfident(Reconfidence(leaves=leaves, fewest=fewest)), s, y, x, seeds)
        record["grid"][f"{leaves} groups of {fewest}"] = [over(auroc)(p.T, y), over(brier)(p.T, y)]
    aucs, briers = np.array(list(record["grid"].values())).T
    losses = {n: float(np.mean([grouping_loss(p.mean(axis=0), y, x, fewest=20, seed=i).bound for i in range(20)]))
              for n, p in held.items()}  # fmt: skip
    record["grouping loss, lower bound"] = losses
    for row in rows:
        row["grouping loss, at least"] = f"{losses[row['way']]:.5f}"
    fold = folds(y, told.seed) < 2
    model = Reconfidence().fit(s[fold], y[fold], x[fold], NAMES)
    named = worst_groups(model.tree, NAMES, model.base.predict(s[~fold]), y[~fold], x[~fold])
    groups = [{"group": g.rule, "rows": str(g.rows), "isotonic says": f"{g.confidence:.3f}",
               "right": f"{g.rate.value:.3f} [{g.rate.low:.3f}, {g.rate.high:.3f}]"} for g in named]  # fmt: skip
    starts = range(told.seed, told.seed + BLOCKS * told.repeats, told.repeats)
    again = [repeated(s, y, x, range(start, start + told.repeats)) for start in starts]
    record["other seeds"] = again
    met = sum(auc >= BAR and less > 0 for auc, less in again)
    record |= {"about": header(command(told), told.seed, time.time() - began), "met": met == len(again)}
    text = [
        "# Reconfidencing: a confidence that no calibration curve can mend",
        f"{len(s):,} answers, {int(y.sum())} right; {told.repeats} times 5 folds. AUROC is of all rows' out-of-fold "
        "predictions (chance is .5); brackets are 95 % bootstrap intervals over rows, which say nothing of "
        "other models or other questions.",
        "",
        *table(rows),
        f"Brier of isotonic less reconfidencing's, same rows: {gain.value:.4f} [{gain.low:.4f}, {gain.high:.4f}].",
        f"Bar (settings chosen within the taught folds: AUROC at least {BAR:.2f}, Brier below isotonic): "
        f"{'met' if met else 'NOT met'} by {met} of {len(again)} draws of the folds; "
        f"AUROC {', '.join(f'{auc:.4f}' for auc, _ in again)}; Brier of isotonic less reconfidencing's "
        f"{', '.join(f'{less:.4f}' for _, less in again)}.",
        f"What the settings do: {len(GRID)} pairs of 4 to 16 groups of at least 30 to 80 rows have AUROC "
        f"{aucs.min():.3f} to {aucs.max():.3f} and Brier {briers.min():.4f} to {briers.max():.4f}.",
        "",
        "The groups, found on two folds and measured on the other three (intervals hold together):",
        "",
        *table(groups),
    ]
    print("\n".join(text))
    if told.write:
        write("reconfidencing", record, text)


def command(told: argparse.Namespace) -> str:
    """How it was run."""
    return f"python benchmarks/reconfidencing.py --repeats {told.repeats} --seed {told.seed} --write"


if __name__ == "__main__":
    main()
