"""Proxy-tuning on the aquarium: how much of what fine-tuning gives mackerel a tuned sprat gives it while decoding.

    python benchmarks/proxy_tuning.py [MACKEREL_TUNED.safetensors] [--problems 1500]

The task is the tuned pair's: numeric problems whose answers are marked odd or even (sprat.aquarium.marked). Compared
on the same fresh problems: mackerel untuned, mackerel fine-tuned directly (the file that recipes/aquarium/tune.py
writes; without it the recipe is run first, some CPU minutes), sprat tuned, and mackerel + alpha (sprat-tuned - sprat)
(arXiv 2401.08565). Share of the gap: (proxy - untuned) / (direct - untuned), bootstrapped over problems; the bar is
70 % at alpha 1. Also: what is left of the tasks outside the domain, and emulated fine-tuning (arXiv 2310.12962).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import measured
import numpy as np
from rates import difference, rate, right, share_closed

import sprat
from sprat.aquarium import Problem, marked_problems, problems
from sprat.decoding import emulate, proxy_tune

SEED = 31
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
OUTSIDE = ("sort", "reverse", "roman", "read")
RECIPE = Path(__file__).parent.parent / "recipes" / "aquarium" / "tune.py"


def direct_model(path: Path | None) -> Any:
    """Mackerel tuned directly: from the file, or made by the recipe."""
    if path is None:
        path = Path(tempfile.mkdtemp()) / "mackerel-tuned.safetensors"
        subprocess.run([sys.executable, RECIPE, "mackerel", path], check=True)
    return sprat.tiny(str(path))


def inside(models: dict[str, Any], drawn: Sequence[Problem]) -> dict[str, np.ndarray]:
    """Who is right on which of the domain's problems."""
    found: dict[str, np.ndarray] = {}
    for name, model in models.items():
        found[name] = right(model, drawn)
        print(f"{name}: {rate(found[name])}", flush=True)
    return found


def table_of(found: dict[str, np.ndarray], low: str, high: str) -> list[dict[str, str]]:
    """A row for each model: its rate, and its share of the gap where that is asked."""
    rows: list[dict[str, str]] = []
    for name, values in found.items():
        closed = share_closed(values, found[low], found[high]) if name not in (low, high) else None
        said = "{:.1%} [{:.1%}, {:.1%}]".format(*closed) if closed else ""
        rows.append({"model": name, "right": rate(values), "share of the gap": said})
    return rows


def main() -> None:
    """Read the command line, measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("direct", type=Path, nargs="?", help="mackerel-tuned.safetensors, vocab.json beside it")
    parser.add_argument("--problems", type=int, default=1500)
    given = parser.parse_args()
    began = time.perf_counter()
    big, small, tuned = sprat.tiny("mackerel"), sprat.tiny("sprat"), sprat.tiny("sprat-tuned")
    drawn = marked_problems(given.problems, SEED)

    def proxied(alpha: float) -> Any:
        return proxy_tune(big, tuned=tuned, untuned=small, alpha=alpha)

    up: dict[str, Any] = {"mackerel, untuned": big, "sprat, tuned": tuned}
    up |= {f"proxy, alpha {alpha:g}": proxied(alpha) for alpha in ALPHAS}
    up |= {"emulate up, top-p .95": emulate(big, tuned=tuned, untuned=small, top_p=0.95)}
    found = inside(up, drawn)
    direct = direct_model(given.direct)
    found |= inside({"mackerel, tuned directly": direct}, drawn)
    assert (found["proxy, alpha 0"] == found["mackerel, untuned"]).all()
    down = {
        "sprat, untuned": small,
        "sprat, tuned": tuned,
        "emulate down: sprat + (mackerel-tuned - mackerel)": emulate(small, tuned=direct, untuned=big),
        "the same, top-p .95": emulate(small, tuned=direct, untuned=big, top_p=0.95),
    }
    found_down = inside(down, drawn)
    usual = [one for one in problems(2 * given.problems, SEED) if one.task in OUTSIDE][: given.problems // 2]
    alone = right(big, usual)
    outside = [{"model": "mackerel, untuned", "right": rate(alone), "less untuned": ""}]
    others = {"mackerel, tuned directly": direct, "sprat, untuned": small, "sprat, tuned": tuned}
    for name, model in (others | {f"proxy, alpha {a:g}": proxied(a) for a in (1.0, 2.0)}).items():
        values = right(model, usual)
        outside.append({"model": name, "right": rate(values), "less untuned": difference(values, alone)})
        print(outside[-1], flush=True)
    share = share_closed(found["proxy, alpha 1"], found["mackerel, untuned"], found["mackerel, tuned directly"])
    strict = share_closed(found["proxy, alpha 1"], found["sprat, tuned"], found["mackerel, tuned directly"])
    text = [
        "# Proxy-tuning on the aquarium",
        f"{len(drawn)} fresh problems whose answers are marked odd or even, greedy, 95 % intervals. Share of the gap "
        "from mackerel untuned to mackerel tuned directly, bootstrapped over problems. "
        f"**Bar: 70 % at alpha 1; measured {share[0]:.1%} [{share[1]:.1%}, {share[2]:.1%}].** The published share is "
        "88 to 91 % (Llama-2). Mackerel untuned never writes the mark, so that gap starts at nothing; of the stricter "
        f"one, from sprat tuned to mackerel tuned directly, {strict[0]:.1%} [{strict[1]:.1%}, {strict[2]:.1%}] is "
        "closed. Other values of alpha are the curve, not a choice made on other problems. Emulation's conservative "
        "variant fails here: the base never finds the mark likely, and what is outside its nucleus gets nothing.",
        "",
        *measured.table(table_of(found, "mackerel, untuned", "mackerel, tuned directly")),
        "Down-scaling: the large pair's difference on the small model; the gap is sprat's to sprat-tuned.",
        "",
        *measured.table(table_of(found_down, "sprat, untuned", "sprat, tuned")),
        f"Outside the domain: {len(usual)} usual problems of the tasks {', '.join(OUTSIDE)}. Proxy-tuning takes "
        "over what the small pair forgot.",
        "",
        *measured.table(outside),
    ]
    record = {
        "about": measured.header("python benchmarks/proxy_tuning.py MACKEREL_TUNED", SEED, time.perf_counter() - began),
        "problems": len(drawn),
        "right": {name: float(values.mean()) for name, values in (found | found_down).items()},
        "share of the gap at alpha 1": share,
        "share of the gap from the tuned sprat": strict,
        "outside": outside,
    }
    measured.write("proxy_tuning", record, text)


if __name__ == "__main__":
    main()
