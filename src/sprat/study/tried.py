"""The fit rows' part of a study: every setting scored out of fold, unfit ones screened out, one list fixed.

Nothing here reads a calibration row, so whatever is chosen here cannot break the promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Floats
from ..errors import BadInput
from ..replay import Recording
from ..splits import leave_groups_out
from .arrange import Arranged, arrange
from .candidates import Candidate
from .certify import Promise, by_unit
from .metrics import apgr, bootstrap
from .score import Facts, Ints, Outcome, Trusted, by_folds, out_of_fold, outcome, thresholds
from .workers import each

Tell = Callable[[str, int, int], None]
LEAST = 1e-9  # a saving below this is rounding


@dataclass(frozen=True)
class Asked:
    """What the user asked of the study."""

    small: str
    large: str
    peers: tuple[str, ...]
    promise: Promise
    delta: float
    max_p95: float | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """All models, the small one first, the reference last."""
        return (self.small, *self.peers, self.large)


@dataclass(frozen=True)
class Setting:
    """A candidate (by its place) with its thresholds."""

    candidate: int
    thresholds: tuple[float, ...]
    name: str


@dataclass(frozen=True)
class Tried:
    """Every setting on the fit rows: `loss` (units, settings), `saving` (settings,), and the list to walk.

    `refused[i]` says why candidate i may not be shipped ("" where it may); `careful[i]` that it sends unseen groups to
    the reference. `dollars` says whether savings are of dollars, or of calls to the reference. `unfit` are candidates
    that could not learn from so few rows, with the reason.
    """

    candidates: tuple[Candidate, ...]
    trusts: tuple[Trusted, ...]
    settings: tuple[Setting, ...]
    outcome: Outcome
    loss: Floats
    saving: Floats
    refused: tuple[str, ...]
    careful: tuple[bool, ...]
    dollars: bool
    allowed: Ints
    list: Arranged
    unfit: tuple[str, ...] = ()

    @property
    def listed(self) -> list[Setting]:
        """The settings in the order in which they are walked."""
        return [self.settings[i] for i in self.list.places]


def try_all(
    candidates: Sequence[Candidate], whole: Recording, facts: Facts, rows: Ints, n: int, asked: Asked, tell: Tell
) -> Tried:
    """Score every candidate out of fold on the fit rows, and arrange the list for n calibration units."""
    data = whole.data
    parts = by_folds(data, rows, 5)
    told = progress(tell, candidates)

    def learned(i: int) -> Trusted | str:
        try:
            return out_of_fold(candidates[i], whole, rows, parts)
        except BadInput as error:
            return f"{candidates[i].name} ({str(error.args[0]).rstrip('.')})"

    found_ = each(len(candidates), learned, told)
    unfit = tuple(f for f in found_ if isinstance(f, str))
    candidates = [c for c, f in zip(candidates, found_, strict=True) if not isinstance(f, str)]
    trusts = [f for f in found_ if not isinstance(f, str)]
    own = facts.take(rows)
    settings: list[Setting] = []
    outcomes: list[Outcome] = []
    for i, (candidate, trust) in enumerate(zip(candidates, trusts, strict=True)):
        grid = thresholds(candidate, trust, own.columns(candidate.models)[3])
        short = [named(candidate, t) for t in grid]
        settings += [
            Setting(i, t, name if short.count(name) == 1 else named(candidate, t, ".17g"))
            for t, name in zip(grid, short, strict=True)
        ]
        outcomes.append(outcome(candidate, trust, grid, own))
    joined = Outcome.joined(outcomes)
    outcomes.clear()
    refused, careful = _screened(candidates, trusts, whole, own, rows)
    dollars = bool(np.isfinite(own.prices[[0, -1]]).all() and own.prices[-1] > 0)
    saving = savings(joined, own, dollars)
    loss = by_unit(asked.promise.losses(own.reference, joined.score), own.units.tolist())
    allowed = _allowed(candidates, settings, joined, refused, careful, saving, asked)
    found = arrange(loss[:, allowed], saving[allowed], n, asked.delta, asked.promise.top, seed=data.seed)
    found = replace_places(found, allowed)
    return Tried(tuple(candidates), tuple(trusts), tuple(settings), joined, loss, saving, tuple(refused),
                 tuple(careful), dollars, allowed, found, unfit)  # fmt: skip


def replace_places(found: Arranged, allowed: Ints) -> Arranged:
    """The list's places among all settings, from its places among the allowed ones."""
    return found._replace(places=tuple(int(allowed[i]) for i in found.places))


def named(candidate: Candidate, thresholds_: Sequence[float], digits: str = ".6g") -> str:
    """A setting's name: the candidate's, with its thresholds."""
    return f"{candidate.name} at {', '.join(f'{t:{digits}}' for t in thresholds_)}" if thresholds_ else candidate.name


def savings(found: Outcome, facts: Facts, dollars: bool) -> Floats:
    """What each setting saves: a fraction of the reference's dollars, or of its calls; NaN where a price is unknown."""
    if not dollars:
        return 1 - found.large.mean(axis=0)
    return 1 - found.cost.mean(axis=0) / facts.costs[:, -1].mean()


def _allowed(
    candidates: Sequence[Candidate],
    settings: Sequence[Setting],
    found: Outcome,
    refused: Sequence[str],
    careful: Sequence[bool],
    saving: Floats,
    asked: Asked,
) -> Ints:
    """Places of the settings that may be shipped: no baseline, not refused, price known, fast enough."""
    fast = np.ones(len(settings), dtype=bool)
    if asked.max_p95 is not None:
        # An unknown time is not known to be fast.
        fast = np.quantile(np.nan_to_num(found.seconds, nan=np.inf), 0.95, axis=0, method="higher") <= asked.max_p95
    keep = [
        i
        for i, s in enumerate(settings)
        if fast[i]
        and saving[i] > LEAST
        and not refused[s.candidate]
        and not candidates[s.candidate].baseline
        and candidates[s.candidate].models != (asked.large,)
        # At a threshold of 0 every request stays small, the unseen groups' too.
        and not (careful[s.candidate] and s.thresholds[0] <= 0)
    ]
    return np.array(keep, dtype=np.int64)


def _screened(
    candidates: Sequence[Candidate],
    trusts: Sequence[Trusted],
    whole: Recording,
    facts: Facts,
    rows: Ints,
) -> tuple[list[str], list[bool]]:
    """Refuse routers that are not shown to beat prompt length; mark those that beat it only on groups they know."""
    refused, careful, data = [""] * len(candidates), [False] * len(candidates), whole.data
    small, large = facts.scores[:, 0], facts.reference
    if large.mean() - small.mean() <= 1e-12:
        return refused, careful
    length = next(i for i, c in enumerate(candidates) if c.name == "route by prompt length")
    groups = [data.examples[i].request.group for i in rows]
    apart = leave_groups_out(groups, 3, data.seed) if len({g for g in groups if g is not None}) >= 5 else []
    away = out_of_fold(candidates[length], whole, rows, apart).values[:, 0] if apart else None

    def judged(i: int) -> tuple[str, bool]:
        candidate = candidates[i]
        if candidate.kind != "route" or candidate.baseline:
            return "", False
        if _over(trusts[i].values[:, 0], trusts[length].values[:, 0], small, large, facts.units, data.seed) <= 0:
            return "refused: not shown to beat prompt length", False
        if away is None:
            return "", False
        try:
            mine = out_of_fold(candidate, whole, rows, apart).values[:, 0]
        except BadInput:  # too little is left to learn from without the largest groups
            return "", True
        return "", _over(mine, away, small, large, facts.units, data.seed) <= 0

    found = each(len(candidates), judged, lambda _: None)
    return [why for why, _ in found], [yes for _, yes in found]


def progress(tell: Tell, candidates: Sequence[Candidate]) -> Callable[[int], None]:
    """Tells how many candidates are done, naming the one that has just come in."""
    done = [0]

    def finished(i: int) -> None:
        done[0] += 1
        tell(candidates[i].name, done[0], len(candidates))

    return finished


def _over(mine: Floats, length: Floats, small: Floats, large: Floats, units: Ints, seed: int) -> float:
    """The lower end of the paired interval of APGR(mine) - APGR(length); -inf where the rows are too few for one."""

    def difference(a: Any, b: Any, s: Any, r: Any) -> float:
        return apgr(a, s, r) - apgr(b, s, r)

    try:
        return bootstrap(difference, mine, length, small, large, units=units.tolist(), times=200, seed=seed).low
    except BadInput:  # so few rows that on many resamples the models don't differ: nothing is shown
        return -np.inf
