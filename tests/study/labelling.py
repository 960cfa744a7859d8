"""A pool of paired replies whose truth is known, and somebody who labels it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.study.certify import Promise
from sprat.study.label_plan import plan
from sprat.study.labels import Plan, Standing, Verdict, standing

WITHIN_5 = Promise("within", 0.05)


class Pool:
    """Rows with a trust, whether the replies differ, and who is right where they do."""

    def __init__(self, n: int, differ: float, worse: float, better: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.trust = rng.random(n) * 0.98 + 0.01
        self.differs = rng.random(n) < differ
        kind = rng.choice(3, n, p=[worse, better, 1 - worse - better])
        self.harm = np.where(self.differs, np.array([1.0, -1.0, 0.0])[kind], 0.0)
        self.verdict = np.array(["large", "small", "neither"])[kind]

    def data(self, rows: np.ndarray) -> Dataset:
        """These rows as recorded calls without scores; ids are places, units are rows."""
        return Dataset(tuple(self.example(i, int(r)) for i, r in enumerate(rows)))

    def example(self, place: int, row: int) -> Example:
        logprobs = (float(np.log(self.trust[row])),)
        small = Reply(f"x{row}", "small", logprobs=logprobs)
        large = Reply(f"y{row}" if self.differs[row] else f"x{row}", "large")
        return Example(f"{place}", Request.of(f"question {row}"), None, (Call("small", small), Call("large", large)))

    def truth(self, rows: np.ndarray) -> dict[str, Verdict]:
        """The right verdict by id."""
        return {str(i): str(self.verdict[r]) for i, r in enumerate(rows)}  # type: ignore[misc]

    def loss(self, made: Plan, place: int) -> float:
        """The true mean loss in score of a setting, over the whole pool."""
        way = made.ways[place]
        kept = self.trust >= way.thresholds[0] - 1e-12 if way.thresholds else np.ones(len(self.trust), dtype=bool)
        return float((kept * self.harm).mean())


def planned(pool: Pool, rows: np.ndarray, delta: float = 0.1) -> Plan:
    return plan(pool.data(rows), "small", "large", (), WITHIN_5, delta)


def labelled(made: Plan, truth: Mapping[str, Verdict], most: int = 10**9) -> tuple[Standing, dict[str, Verdict]]:
    """Label what is asked for, at most so many."""
    known: dict[str, Verdict] = {}
    at = standing(made, known)
    while at.row is not None and len(known) < most:
        name = made.example(at.row).id
        known[name] = truth[name]
        at = standing(made, known)
    return at, known
