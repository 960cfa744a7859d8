"""Labels disagreements in the order in which they can move the bound: what is fixed, what is known, what to ask next.

Papers: betting tests (arXiv 2010.09686), one ordered list (arXiv 2110.01052). Checked against simulated labelling of
small pools, the aquarium's recordings, and `certify` (tests/study/test_labels.py).

A row needs a label only where the setting keeps the small model *and* the two replies differ: elsewhere the loss is
known to be 0 - m. So the promise is `within`; `keep` would need the reference's own score on every row.

Why the bound is valid. (1) A quarter of the units is set aside. Signals, thresholds, the list's order and the bets'
scale are made from those alone, and from no label; taken from the rows that are tested, a quantile would depend on
all of them, and they would no longer be independent draws given the setting. (2) The other units are read in an
order that the data's hash fixes, and each setting's wealth bets on unit t from the losses of units 1 to t-1 alone
(sequential.py). What is known of later rows for free (that they agree, or go to the large model) is never used to bet:
it only says which label to ask for. (3) Reading stops at the first unit that lacks a label. Wealth there is a
prefix of a sequence which, under E[L] >= 0, ever passes 1/delta with chance at most delta (Ville); so whoever labels
may stop whenever they like, having seen everything. (4) The settings are walked in order, each at delta, up to the
first that has not passed: something false is certified only if the first false one passes. (5) A skipped row counts
as the worst case, so that what is hard to judge can't be made to vanish.
What no bound can see: wrong labels, and equal final answers of unequal worth.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..answers import final_answer
from ..core import Reply
from ..data import Dataset, Example, Floats
from .candidates import Candidate
from .certificate import Certificate, Tried
from .certify import Promise, order, seed_from
from .score import Ints
from .sequential import wealth_path

Verdict = Literal["small", "large", "both", "neither", "skip"]
HARM: dict[Verdict, float] = {"small": -1.0, "large": 1.0, "both": 0.0, "neither": 0.0, "skip": 1.0}
Bools = NDArray[np.bool_]

_SAYS_ANSWER = re.compile(r"answer|####|\\boxed", re.IGNORECASE)


def same(a: Reply, b: Reply, target: str | None = None) -> bool:
    """Whether two replies come to the same answer, so that no label is needed.

    Equal final answers; in longer texts of rows without a target only marked ones, for two essays that happen to end
    on the same number have not said the same.
    """
    if not final_answer(a) or final_answer(a) != final_answer(b):
        return False
    if target is not None or a.tool_calls or (a.text or "").split() == (b.text or "").split():
        return True
    return all(len((r.text or "").split()) <= 6 or _SAYS_ANSWER.search(r.text or "") for r in (a, b))


def swapped(data_hash: str, row: str) -> bool:
    """Whether the large model's reply is shown as A: even odds, fixed by the data's hash and the row's id."""
    return bool(hashlib.sha256(f"{data_hash} {row}".encode()).digest()[0] & 1)


@dataclass(frozen=True)
class Way:
    """One setting of the list: a candidate with fitted signals and thresholds, and the `share` of traffic it keeps."""

    name: str
    candidate: Candidate
    signals: tuple[object, ...]
    thresholds: tuple[float, ...]
    share: float


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is fixed before the first label.

    `ways` go from safest to cheapest; `units` are row indices in the order read; `kept` is (rows, ways), `differs`
    (rows,), both over all rows of `data`; `spread` (ways,) is the bets' scale; `aside` counts the rows set aside.
    """

    data: Dataset
    small: str
    large: str
    promise: Promise
    delta: float
    ways: tuple[Way, ...]
    units: tuple[tuple[int, ...], ...]
    kept: Bools
    differs: Bools
    spread: Floats
    aside: int

    @property
    def goal(self) -> float:
        """The log wealth that certifies."""
        return log(1 / self.delta)

    @cached_property
    def rows(self) -> Ints:
        """The rows that may be read, in the order read (n,)."""
        return np.array([r for unit in self.units for r in unit], dtype=np.int64)

    @cached_property
    def starts(self) -> Ints:
        """Where each unit begins in `rows`."""
        return np.concatenate([[0], np.cumsum([len(u) for u in self.units])[:-1]]).astype(np.int64)

    @cached_property
    def needs(self) -> Bools:
        """Whether a setting needs the row's label (n, ways), in the order read."""
        return self.kept[self.rows] & self.differs[self.rows][:, None]

    def example(self, row: int) -> Example:
        """The example of a row, as an index into the data."""
        return self.data.examples[row]

    def shown(self, row: int) -> tuple[Reply, Reply]:
        """The replies as A and B, models unnamed."""
        example = self.example(row)
        small, large = example.reply(self.small), example.reply(self.large)
        assert small is not None
        assert large is not None
        return (large, small) if swapped(self.data.hash, example.id) else (small, large)

    def meant(self, row: int, key: str) -> Verdict:
        """The verdict that a key stands for: a, b, = (both fine), n (neither) or s (skip)."""
        if key in ("a", "b"):
            return "large" if (key == "a") == swapped(self.data.hash, self.example(row).id) else "small"
        return {"=": "both", "n": "neither", "s": "skip"}[key]  # pyright: ignore[reportReturnType]


class Read(NamedTuple):
    """How far one setting's test has come: losses of the units read, log wealth after each, and whether it passed."""

    losses: Floats
    path: Floats
    passed: bool


@dataclass(frozen=True)
class Standing:
    """What the labels so far show: the settings walked up to the first that has not passed.

    `certified` is the place of the last that passed; `current` that of the one being read (None: all passed); `row`
    the one to label next (None: nothing more to learn); `labels` how many were used.
    """

    reads: tuple[Read, ...]
    certified: int | None
    current: int | None
    row: int | None
    labels: int


def losses(plan: Plan, verdicts: Mapping[str, Verdict]) -> tuple[Floats, Floats]:
    """Losses by unit (units, ways), NaN from the first that lacks a label on, and the harm by row (n,), NaN unknown."""
    harm = np.array([_harm(plan, int(r), verdicts) for r in plan.rows])
    by_row = np.where(plan.needs, harm[:, None], 0.0)
    sizes = np.array([len(u) for u in plan.units], dtype=np.float64)[:, None]
    loss = np.round(np.add.reduceat(by_row, plan.starts, axis=0) / sizes - plan.promise.level, 12)
    loss[np.logical_or.accumulate(np.isnan(loss), axis=0)] = np.nan
    return loss, harm


def _harm(plan: Plan, row: int, verdicts: Mapping[str, Verdict]) -> float:
    if not plan.differs[row]:
        return 0.0
    verdict = verdicts.get(plan.example(row).id)
    return float("nan") if verdict is None else HARM[verdict]


def standing(plan: Plan, verdicts: Mapping[str, Verdict]) -> Standing:
    """Walk the list with the labels so far (by row id), and find the row to label next."""
    loss, harm = losses(plan, verdicts)
    path = wealth_path(loss, plan.promise.top, plan.delta, plan.spread, len(plan.units))
    reads: list[Read] = []
    for k in range(len(plan.ways)):
        there = np.flatnonzero(path[:, k] >= plan.goal - 1e-12)
        end = int(there[0]) + 1 if len(there) else int((~np.isnan(loss[:, k])).sum())
        reads.append(Read(loss[:end, k], path[:end, k], bool(len(there))))
        if not len(there):
            break
    passed = sum(r.passed for r in reads)
    current = None if passed == len(plan.ways) else passed
    used = int((np.isfinite(harm) & plan.differs[plan.rows]).sum())
    row = None
    if current is not None:
        lacking = np.flatnonzero(plan.needs[:, current] & np.isnan(harm))
        row = int(plan.rows[lacking[0]]) if len(lacking) else None
    return Standing(tuple(reads), passed - 1 if passed else None, current, row, used)


class Outlook(NamedTuple):
    """The chance that the setting being read will pass, and how many more labels that takes (the median)."""

    chance: float
    labels: int


def outlook(plan: Plan, at: Standing, verdicts: Mapping[str, Verdict], samples: int = 80) -> Outlook | None:
    """What more labels would bring, by simulation from those so far; None where nothing is being read.

    Missing labels are drawn from the past ones of the same setting (a half of each kind added). Only shown, never bet.
    """
    if at.current is None or at.row is None:
        return None
    _, harm = losses(plan, verdicts)
    need = plan.needs[:, at.current]
    lacking = need & np.isnan(harm)
    known = harm[need & ~lacking]
    kinds = np.array([1.0, 0.0, -1.0])
    rng = np.random.default_rng([plan.data.seed, int(lacking.sum())])
    chances = rng.dirichlet([0.5 + float((known == kind).sum()) for kind in kinds], samples)
    drawn = kinds[(rng.random((len(need), samples, 1)) > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=2)]
    filled = np.where(lacking[:, None], drawn, np.where(need, harm, 0.0)[:, None])
    sizes = np.array([len(u) for u in plan.units], dtype=np.float64)[:, None]
    loss = np.add.reduceat(filled, plan.starts, axis=0) / sizes - plan.promise.level
    path = wealth_path(loss, plan.promise.top, plan.delta, plan.spread[at.current], len(plan.units))
    reached = path >= plan.goal - 1e-12
    passing = reached.any(axis=0)
    if not passing.any():
        return Outlook(0.0, int(lacking.sum()))
    more = np.cumsum(np.add.reduceat(lacking.astype(np.int64), plan.starts))[reached.argmax(axis=0)[passing]]
    return Outlook(float(passing.mean()), max(1, int(np.median(more))))


def certificate(plan: Plan, at: Standing, *, date: str, earlier_studies: int = 0) -> Certificate:
    """The certificate of the settings read so far; each one's losses are written in the order in which they came."""
    tried = tuple(_tried(plan, k, read) for k, read in enumerate(at.reads))
    return Certificate(
        kind="within",
        level=plan.promise.level,
        delta=plan.delta,
        lists=1,
        units=len(plan.units),
        rows=len(plan.rows),
        label="held out",
        certified=None if at.certified is None else plan.ways[at.certified].name,
        listed=tuple(w.name for w in plan.ways),
        tried=tried,
        seed=seed_from(plan.data.hash),
        data_hash=plan.data.hash,
        date=date,
        earlier_studies=earlier_studies,
    )


def _tried(plan: Plan, place: int, read: Read) -> Tried:
    values, which, counts = np.unique(read.losses, return_inverse=True, return_counts=True)
    best = float(np.max(read.path, initial=0.0))
    return Tried(
        plan.ways[place].name,
        tuple(float(v) for v in values),
        tuple(int(c) for c in counts),
        float(plan.spread[place]),
        best,
        float(np.exp(-best)),
        runs([int(i) for i in which]),
    )


def runs(places: list[int]) -> str:
    """Places as runs, "0*45 2 0*12": what a certificate keeps of the order in which losses came."""
    words: list[str] = []
    start = 0
    for i in range(1, len(places) + 1):
        if i == len(places) or places[i] != places[start]:
            words.append(f"{places[start]}*{i - start}" if i - start > 1 else str(places[start]))
            start = i
    return " ".join(words)


def reading_order(data: Dataset, rows: Ints) -> tuple[tuple[int, ...], ...]:
    """These rows by unit, in the order that the data's hash fixes."""
    place: dict[int, list[int]] = {}
    for row in rows:
        place.setdefault(int(data.units[row]), []).append(int(row))
    units = [tuple(u) for u in place.values()]
    return tuple(units[i] for i in order(len(units), seed_from(data.hash)))
