"""Will speculation pay? From about fifty of the target's passes: costs, acceptance, and the speed-up of each length.

A round of length k takes k draft tokens and a block of k + 1, both measured in real rounds, so that the round's own
overhead is in the block; it brings 1 + a + ... + a^k tokens (arXiv 2211.17192) at acceptance a. The interval is
Wilson's for a, 95 %. Checked with a made-up clock, and against measured speed-ups (benchmarks/speculation.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

import numpy as np

from ..core import Request
from ..errors import BadInput
from ..whitebox.pool import Pool
from ..whitebox.writing import job_of
from .acceptance import accept
from .pace import Pace, Usual, clock_of
from .rounds import LONGEST, written
from .speculate import Speculate

MEASURED = (0, 0, 0, 4, 4, 2, 2, 1, 1, 8, 8, 4, 2)  # the lengths that are tried, in turn; 0 is a plain step
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16)
Z = 1.96


@dataclass(frozen=True)
class Prediction:
    """What speculation would bring. Times in milliseconds; intervals are (low, middle, high).

    `speedups` has one interval per length, `best` is the length with the best middle one, and `verdict` is "yes" where
    even its low end gains, "no" where it does not gain, else "perhaps".
    """

    target: str
    draft: str
    step_ms: float
    draft_token_ms: float
    block_ms: dict[int, float]
    overhead_ms: float
    acceptance: tuple[float, float, float]
    tested: int
    speedups: dict[int, tuple[float, float, float]]
    best: int
    verdict: str

    @property
    def cost(self) -> float:
        """A draft token's cost as a share of a plain step's: c in the literature."""
        return self.draft_token_ms / self.step_ms

    def row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"cost": self.cost}

    def __str__(self) -> str:
        low, middle, high = self.speedups[self.best]
        gain = f"{middle:.2f}x the plain speed ({low:.2f} to {high:.2f}) with drafts of {self.best}"
        said = {
            "yes": f"Speculate: {gain} is predicted.",
            "perhaps": f"Perhaps: {gain} is predicted; more prompts would tell.",
            "no": f"Don't: at best {gain}.",
        }[self.verdict]
        a = self.acceptance
        lines = [
            said,
            f"target {self.target}, draft {self.draft}",
            f"acceptance {a[1]:.2f} ({a[0]:.2f} to {a[2]:.2f}; {self.tested} drafted tokens tested)",
            f"a plain step {self.step_ms:.3g} ms, a draft token {self.draft_token_ms:.3g} ms ({self.cost:.2f} of it), "
            f"overhead per round {self.overhead_ms:.2g} ms",
        ]
        if self.cost >= 1:
            lines.append("The draft costs more per token than its target: a smaller one is needed.")
        lines += ["", "length  block ms  speed-up"]
        for k, (low, middle, high) in self.speedups.items():
            lines.append(f"{k:6}  {self.block_ms[k]:8.3g}  {middle:.2f} ({low:.2f} to {high:.2f})")
        return "\n".join(lines)


class _Schedule(Pace):
    """Lengths in a fixed order, never off; counts what is tested."""

    def __init__(self) -> None:
        super().__init__()
        self.order = cycle(MEASURED)
        self.tested = self.stood = 0

    def length(self, first: int, longest: int) -> int:
        return next(self.order)

    def drafted(self, proposed: int, stood: int, drafting: float, block: float, opening: bool, caught_up: bool) -> None:
        self.tested += min(proposed, stood + 1)
        self.stood += stood
        super().drafted(proposed, stood, drafting, block, opening, caught_up)


def predict(
    target: Any,
    draft: Any,
    prompts: Sequence[str | Request],
    *,
    passes: int = 50,
    options: Mapping[str, Any] | None = None,
) -> Prediction:
    """Measure on a few prompts what `speculate(target, draft)` would bring; `options` are those of the requests.

    Each prompt is answered in part, about `passes` of the target's passes in all. The prompts should be like those to
    come: acceptance is theirs. BadInput without prompts, or where replies are too short to measure anything.
    """
    if not prompts:
        raise BadInput("A prediction needs prompts.", hint="Give three or more that are like those to come.")
    pace = _Schedule()
    fast = Speculate(target, draft, pace=pace)
    requests = [Request.of(prompt, **(options or {})) for prompt in prompts]
    left = passes
    for i, request in enumerate(requests):
        rounds = max(4, -(-left // (len(requests) - i)))
        for seen, _ in enumerate(written(fast, [job_of(fast, request)], accept), 1):
            left -= 1
            if seen >= rounds:
                break
    if 0 not in pace.blocks or not pace.tested or len(pace.blocks) < 2:
        raise BadInput(
            f"{len(prompts)} replies were too short, or nothing was drafted: there is nothing to measure.",
            hint="Give more prompts, or such with longer replies.",
        )
    low, high = wilson(pace.stood, pace.tested)
    ends = (low, pace.stood / pace.tested, high)
    longest = LONGEST if fast.drafts_model else fast.draft.longest
    lengths = [k for k in SHOWN if k <= longest]
    speedups: dict[int, tuple[float, float, float]] = {}
    for k in lengths:
        speedups[k] = (pace.gain(k, low), pace.gain(k, ends[1]), pace.gain(k, high))
    best = max(lengths, key=lambda k: speedups[k][1])
    verdict = "yes" if speedups[best][0] > 1 else "no" if speedups[best][1] <= 1 else "perhaps"
    return Prediction(
        fast.target.formula,
        draft.formula,
        1e3 * pace.block(0),
        1e3 * pace.token.value,
        {k: 1e3 * pace.block(k) for k in lengths},
        1e3 * _overhead(fast, requests[0], pace),
        ends,
        pace.tested,
        speedups,
        best,
        verdict,
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    rate = hits / n
    middle, half = rate + Z * Z / (2 * n), Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + Z * Z / n)), min(1.0, (middle + half) / (1 + Z * Z / n))


def _overhead(fast: Speculate, request: Request, pace: Pace) -> float:
    """Seconds of a block of a round beyond the pass itself."""
    pool = Pool([fast.target], [request])
    try:
        k = max(pace.blocks)
        passes = Usual()
        clock = clock_of(fast.paid, pool.scores(fast.target))
        for _ in range(5):
            pool.write(np.full((1, k), pool.prompt_of(fast.base)[0][-1]))
            began = clock()
            pool.scores(fast.target, k + 1)
            passes.add(clock() - began)
            pool.rollback(k)
        return max(0.0, pace.block(k) - passes.value)
    finally:
        pool.close()
