"""Numbers asked for as usual, with an answer that also says odd or even: what sprat-tuned was tuned on.

The prompts are those of four of the nine tasks (sums, differences, maxima, word problems); the answer is the number
with an "o" or an "e" written after it: `52-17=` -> `35o`. None of the three recorded models ever saw such an answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from sprat.aquarium.problems import TASKS, Problem, draw_problem

MARKED_TASKS = ("add", "sub", "max", "word")


def draw_marked(rng: random.Random, mix: Mapping[str, float] | None = None) -> Problem:
    """One problem whose answer is a number marked odd or even; `mix` weighs the four tasks (default 1 each)."""
    one = draw_problem(rng, dict.fromkeys(TASKS, 0.0) | {task: (mix or {}).get(task, 1.0) for task in MARKED_TASKS})
    return replace(one, answer=one.answer + "eo"[int(one.answer) % 2])


def marked_problems(n: int, seed: int) -> list[Problem]:
    """`n` independent problems with marked answers, the same for the same seed; easy ones come up more than once."""
    rng = random.Random(f"marked {seed}")
    return [draw_marked(rng) for _ in range(n)]
