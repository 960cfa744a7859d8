"""Speculation is exact: greedy texts identical, sampled ones by chi-square, and wrong rules are caught.

    python benchmarks/losslessness.py [--samples 5000] [--pool 6000] [--prompts 200]

Aquarium models (NumPy). Three targets, two of them composed; replies of three tokens at temperature 2 against their
exact probabilities, cells below five expected pooled. Each wrong rule writes POOL replies of its own; its power is the
share of 1,000 resamples of SAMPLES of them (with replacement) that the test rejects at .01. The right rule goes through
the same resampling around its own fresh replies as a check that the test does not reject what is right. Greedy: PROMPTS
fresh problems times four lengths for each target, 24 tokens, past the reply's end.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import measured
import numpy as np

import sprat
from sprat.aquarium import problems
from sprat.core import Request
from sprat.decoding import speculate
from sprat.decoding.acceptance import accept
from sprat.decoding.verify import CONTROLS, LENGTHS, Sampled, chi_square, first_difference

SEED, LEVEL, TIMES = 23, 0.01, 1000
PROMPT = "sort 31 4 15 77:"


def targets() -> dict[str, tuple[Any, Any]]:
    """Target and draft by name."""
    mackerel, fry, mid, tuned = (sprat.tiny(n) for n in ("mackerel", "fry", "sprat", "sprat-tuned"))
    return {
        "mackerel, drafted by fry": (mackerel, fry),
        "mackerel + (sprat-tuned - sprat), drafted by sprat-tuned": (mackerel + (tuned - mid), tuned),
        "0.5 mackerel + 0.5 sprat, drafted by fry": (0.5 * mackerel + 0.5 * mid, fry),
    }


def tested(target: Any, draft: Any, samples: int, pool: int) -> dict[str, Any]:
    """The right rule's p-value, and each wrong rule's power."""
    test = Sampled(target, draft)
    request = Request.of(PROMPT, temperature=2.0)
    expected = test.expected(request, samples)
    right = test.run(request, samples, accept, SEED)
    row: dict[str, Any] = {"p": right.p, "statistic": right.statistic, "freedom": right.freedom, "power": {}}
    rng = np.random.default_rng(SEED)
    chances = [*expected.values(), max(0.0, 1 - sum(expected.values()))]
    cells = {cell: i for i, cell in enumerate(expected)}
    for name, rule in CONTROLS.items():
        seen = Counter(cells.get(ids, len(cells)) for ids in test.draws(request, pool, rule, SEED + 1))
        shares = np.array([seen[i] for i in range(len(cells) + 1)]) / pool
        found = [chi_square(c.tolist(), chances, samples).p for c in rng.multinomial(samples, shares, TIMES)]
        row["power"][name] = float(np.mean(np.array(found) < LEVEL))
    again = rng.multinomial(samples, np.array(chances) / sum(chances), TIMES)
    row["false alarms"] = float(np.mean([chi_square(c.tolist(), chances, samples).p < LEVEL for c in again]))
    return row


def greedy(target: Any, draft: Any, prompts: list[str]) -> dict[str, Any]:
    """How many texts are the plain ones, at each length."""
    options = {"max_tokens": 24, "ignore_eos": True}
    plain = [target(p, **options).decoded.ids for p in prompts]
    row: dict[str, Any] = {}
    for k in LENGTHS:
        fast = speculate(target, draft, k)
        same = [
            first_difference(a, fast(p, **options).decoded.ids) is None for a, p in zip(plain, prompts, strict=True)
        ]
        row[str(k)] = int(sum(same))
    return row


def main() -> None:
    """Run everything and write the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--pool", type=int, default=6000)
    parser.add_argument("--prompts", type=int, default=200)
    asked = parser.parse_args()
    began = time.time()
    prompts = [p.prompt for p in problems(asked.prompts, seed=SEED)]
    record: dict[str, Any] = {}
    for name, (target, draft) in targets().items():
        record[name] = {"greedy": greedy(target, draft, prompts)}
        record[name] |= tested(target, draft, asked.samples, asked.pool)
        print(name, record[name], flush=True)
    rows = [
        {
            "target": name,
            **{f"greedy, {k}": f"{n} of {asked.prompts}" for k, n in row["greedy"].items()},
            "chi-square": f"{row['statistic']:.1f} on {row['freedom']}",
            "p": f"{row['p']:.3f}",
            **{f"{c}: power": f"{p:.3f}" for c, p in row["power"].items()},
            "false alarms": f"{row['false alarms']:.3f}",
        }
        for name, row in record.items()
    ]
    lines = ["# Speculation is exact", "",
             f"Greedy texts equal to the plain loop's at draft lengths {LENGTHS}; sampled replies of three tokens, "
             f"{asked.samples} of them, against their exact probabilities. Bars: p > .01; power at least .99; all "
             "greedy texts equal.", "", *measured.table(rows)]  # fmt: skip
    about = measured.header("python benchmarks/losslessness.py", SEED, time.time() - began)
    measured.write("losslessness", {"about": about, "targets": record}, lines)


if __name__ == "__main__":
    main()
