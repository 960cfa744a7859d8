"""Constrained choice with the prompt read once, against every option scored with a prompt of its own.

    OMP_NUM_THREADS=1 python benchmarks/choice.py

mackerel on reading tasks with four names; the options are the foods. CPU time of one thread, runs interleaved. Also how
often the most probable food is right, by each way to compare options, against greedy decoding.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measured import header, table, write

import sprat
from sprat.aquarium.problems import FOODS, TASKS
from sprat.core import Request
from sprat.decoding.choice import BY, choose
from sprat.whitebox.scoring import logprobs

TIMED, ROUNDS, GRADED = 12, 5, 400


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of the work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def share(right: list[bool]) -> str:
    """A rate with its 95 % Wilson interval."""
    n, p = len(right), sum(right) / len(right)
    middle, half = (p + 1.92 / n) / (1 + 3.84 / n), 1.96 * np.sqrt(p * (1 - p) / n + 0.96 / n**2) / (1 + 3.84 / n)
    return f"{p:.3f} [{middle - half:.3f}, {middle + half:.3f}]"


def main() -> None:
    """Measure and write the record."""
    began = time.monotonic()
    model, rng = sprat.tiny("mackerel"), random.Random(5)
    drawn = [TASKS["read"].draw(rng, 4) for _ in range(GRADED)]
    prompts = [prompt for prompt, _ in drawn]
    rows: list[dict[str, str]] = []
    for count in (2, 4, 10):
        options = FOODS[:count]
        shared = choose(model, options)
        ways: dict[str, Callable[[str], Any]] = {
            "shared": shared,
            "together": lambda p, o=options: logprobs(model, [Request.of(p)] * len(o), o, ended=True),
            "alone": lambda p, o=options: [logprobs(model, [p], [one], ended=True) for one in o],
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, work in ways.items():
                times[way].append(cpu(lambda work=work: [work(p) for p in prompts[:TIMED]]) / TIMED * 1000)
        best = {way: float(np.median(found)) for way, found in times.items()}
        low = {w: np.array(times[w]) / np.array(times["shared"]) for w in ways}
        rows.append({
            "options": str(count),
            "prompt read once, ms": f"{best['shared']:.2f}",
            "a prompt per option, one batch, ms": f"{best['together']:.2f}",
            "one after another, ms": f"{best['alone']:.2f}",
            "gain over one batch": f"{np.median(low['together']):.2f}x [{low['together'].min():.2f}, "
                                   f"{low['together'].max():.2f}]",
        })  # fmt: skip
    graded = [{"way": "greedy decoding", "right": share([r.text == a for r, (_, a) in
                                                         zip(model.batch(prompts), drawn, strict=True)])}]  # fmt: skip
    for by in BY:
        replies = choose(model, FOODS, by=by).batch(prompts)
        right = [r.text == a for r, (_, a) in zip(replies, drawn, strict=True)]
        graded.append({"way": f"choose(by={by!r})", "right": share(right)})
    about = header("python benchmarks/choice.py", 5, time.monotonic() - began)
    text = [
        "# Constrained choice",
        f"mackerel, reading, four names, {TIMED} prompts of {int(np.mean([len(p) for p in prompts]))} tokens or so, "
        f"median of {ROUNDS} interleaved runs [least, most of the paired ratios], CPU time of one thread.",
        "",
        *table(rows),
        f"Right answers of {GRADED} (95 % Wilson):",
        "",
        *table(graded),
    ]
    write("choice", {"about": about, "speed": rows, "right": graded}, text)
    print("\n".join(text))


if __name__ == "__main__":
    main()
