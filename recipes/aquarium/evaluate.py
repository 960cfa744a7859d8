"""Print how often tiny models are right, by task and difficulty, on fresh problems or in a file of recorded calls.

Usage: python recipes/aquarium/evaluate.py fry.safetensors other.safetensors --problems 3000 --seed 7
       python recipes/aquarium/evaluate.py --recorded src/sprat/aquarium/calls.jsonl.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from sprat.aquarium import TASKS, problems
from sprat.endpoints import tiny

Outcome = tuple[str, str, int, float]  # model, task, difficulty, score


def wilson(right: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % score interval of a rate."""
    middle = (right + z * z / 2) / (n + z * z)
    reach = z / (n + z * z) * math.sqrt(right * (n - right) / n + z * z / 4)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def table(outcomes: Iterable[Outcome]) -> str:
    """Rates with 95 % intervals: a column per model, a line per task and difficulty."""
    scores: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    models: dict[str, None] = {}
    for model, task, difficulty, score in outcomes:
        models.setdefault(model)
        for cell in ((task, difficulty), ("all", 0)):
            scores[cell][model].append(score)
    lines = [f"{'task':8} {'n':>5}  " + "  ".join(f"{model:>14}" for model in models)]
    for task, difficulty in [("all", 0), *((name, d) for name in TASKS for d in TASKS[name].difficulties)]:
        cell = scores[task, difficulty]
        shown = [_rate(cell[model]) for model in models]
        count = max((len(cell[model]) for model in models), default=0)
        lines.append(f"{task} {difficulty or '':<{7 - len(task)}} {count:>5}  " + "  ".join(shown))
    return "\n".join(lines)


def _rate(scores: list[float]) -> str:
    if not scores:
        return " " * 14
    low, high = wilson(sum(scores), len(scores))
    return f"{sum(scores) / len(scores):.2f} [{low:.2f} {high:.2f}]".replace("0.", " .").rjust(14)


def asked(paths: list[Path], n: int, seed: int) -> Iterable[Outcome]:
    """The outcomes of asking the models in these files the same `n` fresh problems, greedily."""
    drawn = problems(n, seed)
    for path in paths:
        replies = tiny(str(path)).batch([one.prompt for one in drawn])
        for one, reply in zip(drawn, replies, strict=True):
            yield f"{path.parent.name}/{path.stem}"[-14:], one.task, one.difficulty, float(reply.text == one.answer)


def recorded(path: Path) -> Iterable[Outcome]:
    """The outcomes of a file's greedy calls; a call's id starts with its task and difficulty."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if "options" not in row:
                yield row["model"], row["group"], int(row["id"].split("-")[1]), float(row["score"])


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="*", help=".safetensors files, vocab.json beside them")
    parser.add_argument("--problems", type=int, default=3000, metavar="N")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--recorded", type=Path, help="a file of recorded calls instead")
    given = parser.parse_args()
    print(table(recorded(given.recorded) if given.recorded else asked(given.weights, given.problems, given.seed)))


if __name__ == "__main__":
    main()
