"""How well does the small model's answer say when to ask the large one? GSM8K, Mixtral-8x7B before gpt-4-1106.

RouteLLM's recorded answers. Half of the rows teach, the other half measures, over ten random halves; nothing is chosen
on the measuring half. A prompt-only baseline and the prompt's length stand beside.

Run: SPRAT_DATA=... python benchmarks/gsm8k_cascade.py [--splits 10] [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import dollars, header, interval, judge, over_splits, shown, table, trusts, write

from sprat.core import Reply, Request, Usage
from sprat.data import Call, Dataset, Example, Lessons
from sprat.signals.answer_features import answer_features
from sprat.signals.frugal import frugal
from sprat.splits import split

SMALL, LARGE = "mixtral-8x7b", "gpt-4-1106"
# Dollars per million tokens (read, written), list prices of December 2023 as remembered, not checked.
PRICES = {SMALL: (0.50, 0.50), LARGE: (10.0, 30.0)}
BARS = {"APGR": 0.73, "CPT50": 0.21, "APGR, marked rows": 0.71}


def load() -> Dataset:
    """The rows as recorded calls; tokens are a quarter of the characters, and costs follow from them."""
    folder = os.environ.get("SPRAT_DATA")
    if not folder:
        sys.exit("Set SPRAT_DATA to the folder that holds routing_gsm8k.")
    examples: list[Example] = []
    with gzip.open(Path(folder) / "routing_gsm8k" / "gsm8k.jsonl.gz", "rt") as lines:
        for i, row in enumerate(map(json.loads, lines)):
            calls: list[Call] = []
            for name, key in ((SMALL, "mixtral"), (LARGE, "gpt4")):
                said = row[f"{key}_response"]
                used = Usage(len(row["prompt"]) // 4, len(said) // 4)
                cost = (used.input_tokens * PRICES[name][0] + used.output_tokens * PRICES[name][1]) / 1e6  # type: ignore[operator]
                reply = Reply(said, name, usage=used, cost=cost, score=float(row[f"{key}_correct"]))
                calls.append(Call(name, reply))
            examples.append(Example(str(i), Request.of(row["prompt"]), calls=tuple(calls)))
    return Dataset(tuple(examples), "gsm8k")


def measure(data: Dataset, splits: int, seed: int) -> list[dict[str, Any]]:
    """Per way of judging, the measures over the splits."""
    ways: dict[str, Any] = {
        "answer features, logistic": answer_features(),
        "answer features, ridge": answer_features(kind="ridge"),
        "answer features, trees": answer_features(kind="trees"),
        "answer features, logistic on gain": answer_features(label="gain"),
        "frugal": frugal(),
    }
    found: dict[str, list[dict[str, float]]] = {}
    last: dict[str, list[float]] = {}
    for i in range(splits):
        fit, held = (data.take(rows) for rows in split(data, (0.5, 0.5), seed + i))
        lessons = Lessons.of(fit, (SMALL, LARGE))
        scores, costs = held.scores((SMALL, LARGE)), held.costs((SMALL, LARGE))
        marked = np.array(["####" in (e.reply(SMALL) or Reply("")).text for e in held])  # type: ignore[operator]
        keeps = {name: trusts(way.fit(lessons), held, SMALL) for name, way in ways.items()}
        keeps["prompt length alone"] = -np.array([len(e.request.text) for e in held], float)
        for name, keep in keeps.items():
            paid = {"small_cost": costs[:, 0], "large_cost": costs[:, 1], "cascade": name != "prompt length alone"}
            only = judge(keep[marked], scores[marked, 0], scores[marked, 1])
            found.setdefault(name, []).append(
                judge(keep, *scores.T) | dollars(keep, *scores.T, **paid) | {"APGR, marked rows": only["APGR"]}
            )
            if i == 0:
                last[name] = interval(keep, *scores.T, None, seed)
    return [{"way": k, **over_splits(v), "bootstrap on the first split": last[k]} for k, v in found.items()]


def main() -> None:
    """Measure, print, and with --write record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began = time.perf_counter()
    data = load()
    rows = measure(data, told.splits, told.seed)
    command = f"python benchmarks/gsm8k_cascade.py --splits {told.splits} --seed {told.seed} --write"
    best = rows[0]
    missed = [b for b, bar in BARS.items() if (best[b][0] > bar if b.startswith("CPT") else best[b][0] < bar)]
    record = {
        "about": header(command, told.seed, time.perf_counter() - began),
        "data": data.hash,
        "rows": len(data),
        "ways": rows,
        "bars": BARS,
        "missed": missed,
    }
    keys = ["APGR", "APGR, marked rows", "CPT50", "CPT80", "CPT95", "$CPT50", "$CPT80", "$CPT95"]
    lines = [
        {"way": r["way"]}
        | {k: shown(k, r[k]) for k in keys}
        | {"95 % on one split": "[{:.3f}, {:.3f}]".format(*r["bootstrap on the first split"])}
        for r in rows
    ]
    text = [
        "# GSM8K: reading the small model's answer",
        f"{len(data)} rows, {SMALL} before {LARGE}; half teach, half measure, {told.splits} random halves. Mean",
        "[least, most] over the halves, which share rows; the last column is a bootstrap of the first one's rows. CPT:",
        "per cent of calls sent on. $CPT: per cent of what the large model alone would cost, the small model's calls",
        f"included. Prices per million tokens (read, written), as remembered from December 2023: {PRICES};",
        "tokens counted as a quarter of the characters.",
        "",
        *table(lines),
        f"Bars, for the first line: {BARS}. Missed: {', '.join(missed) or 'none'}.",
    ]
    print("\n".join(text))
    if told.write:
        write("gsm8k_cascade", record, text)


if __name__ == "__main__":
    main()
