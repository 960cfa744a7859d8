"""Evaluates candidates on arrays: trust is computed once per row, then every threshold is a comparison.

Fitted signals are scored on rows they were not fitted on: out of fold on the fit rows, plainly on all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Reply
from ..data import Dataset, Floats, Lessons
from ..drivers import batch, drive_costed
from ..energy.calls import joules_of
from ..prices import Price
from ..replay import Recorded, Recording
from ..splits import folds
from .candidates import Candidate
from .watching import Held, held

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Trusted:
    """A candidate's signals on some rows: `values`, `cost` (dollars) and `seconds`, each (n, levels).

    `held` says of drafts that are watched what they cost until they are stopped. For `assign`, `values` are the
    predicted scores (n, models). A fixed candidate has the scores, dollars and seconds of its replies in the first
    column instead.
    """

    values: Floats
    cost: Floats
    seconds: Floats
    held: Held | None = None

    def take(self, rows: Ints | slice) -> Trusted:
        """The trust of these rows."""
        held = None if self.held is None else self.held.take(rows)
        return Trusted(self.values[rows], self.cost[rows], self.seconds[rows], held)


@dataclass(frozen=True)
class Outcome:
    """Settings on some rows: score, dollars, seconds, joules, and whether the large model answered, (n, settings)."""

    score: Floats
    cost: Floats
    seconds: Floats
    joules: Floats
    large: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Outcome]) -> Outcome:
        """The settings of several outcomes on the same rows, side by side; what is unknown throughout takes no room."""
        score, cost, seconds, joules = (
            _beside([getattr(p, name) for p in parts]) for name in ("score", "cost", "seconds", "joules")
        )
        return cls(score, cost, seconds, joules, np.concatenate([p.large for p in parts], axis=1))


def _beside(parts: Sequence[Floats]) -> Floats:
    if not any(np.isfinite(p).any() for p in parts):
        return np.broadcast_to(np.nan, (len(parts[0]), sum(p.shape[1] for p in parts)))
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Facts:
    """What is recorded of each model, cheap to dear and the reference last: scores, dollars, seconds (n, models).

    `prices` (models,) are the mean dollars per call on the fit rows, `joules` (n, models) what each call drew, NaN
    where unknown; `units` (n,) tie rows that are not independent.
    """

    models: tuple[str, ...]
    scores: Floats
    costs: Floats
    seconds: Floats
    prices: Floats
    units: Ints
    joules: Floats

    @classmethod
    def of(cls, data: Dataset, models: tuple[str, ...], fit: Ints, prices: Mapping[str, Price] | None = None) -> Facts:
        """The facts of a dataset; `prices` by model say what a call draws, where known."""
        costs, drawn = data.costs(models), joules_of(data, models, prices or {})
        means = costs[fit].mean(axis=0)
        return cls(models, data.scores(models), costs, data.seconds(models), means, data.units, drawn)

    def take(self, rows: Ints) -> Facts:
        """The facts of these rows; the prices stay."""
        return replace(self, scores=self.scores[rows], costs=self.costs[rows], seconds=self.seconds[rows],
                       units=self.units[rows], joules=self.joules[rows])  # fmt: skip

    def columns(self, models: Sequence[str]) -> tuple[Floats, Floats, Floats, Floats]:
        """Scores, dollars, seconds and prices of these models."""
        at = [self.models.index(m) for m in models]
        return self.scores[:, at], self.costs[:, at], self.seconds[:, at], self.prices[at]

    @property
    def reference(self) -> Floats:
        """The reference's scores (n,)."""
        return self.scores[:, -1]

    def __len__(self) -> int:
        return len(self.scores)


def _seen(candidate: Candidate, whole: Recording) -> Dataset:
    """The data as the candidate may see them: without the rows' groups, which live requests don't carry."""
    return whole.data if candidate.labelled else whole.data.unlabelled


def fitted(candidate: Candidate, whole: Recording, rows: Ints) -> tuple[Any, ...]:
    """The candidate's signals fitted on these rows; one that learns nothing is returned as it is."""
    taken = _seen(candidate, whole).take(rows)
    signals: list[Any] = []
    for level, signal in enumerate(candidate.signals):
        if not hasattr(signal, "fit"):
            signals.append(signal)
            continue
        asked = candidate.models if candidate.kind == "assign" else (candidate.models[level], candidate.models[-1])
        signals.append(signal.fit(Lessons.of(taken, asked, whole, whole.data.seed)))
    return tuple(signals)


def trusted(candidate: Candidate, signals: Sequence[Any], whole: Recording, rows: Ints) -> Trusted:
    """The signals' values on these rows, what they asked answered from the recorded calls."""
    n, data, swap = len(rows), _seen(candidate, whole).take(rows), whole.swap
    requests = [e.request for e in data]
    if candidate.kind == "alone":
        return Trusted(np.zeros((n, 0)), np.zeros((n, 0)), np.zeros((n, 0)))
    if candidate.kind == "fixed":
        replies = batch(candidate.model({m: Recorded(m) for m in candidate.models}, (), (), ()), requests, swap)
        cells = [[(r.score, r.cost, r.seconds)] for r in replies]
        table = np.array([[[np.nan if v is None else v for v in c] for c in row] for row in cells], dtype=np.float64)
        low, high = data.bounds
        return Trusted((table[:, :, 0] - low) / (high - low), table[:, :, 1], table[:, :, 2])
    if candidate.kind == "assign":
        found = drive_costed([signals[0].predict(r) for r in requests], swap)
        return _columns([_stacked(found)])
    levels: list[Trusted] = []
    for level, signal in enumerate(signals):
        replies = data.replies(candidate.models[level]) if signal.reads_reply else [None] * n
        if hasattr(signal, "trusts"):
            ((values, node),) = drive_costed([signal.trusts(requests, replies)], swap)
            levels.append(_shared(values, node))
        else:
            asked = zip(requests, replies, strict=True)
            levels.append(_stacked(drive_costed([signal.trust(q, r) for q, r in asked], swap)))
    found = _columns(levels)
    if candidate.kind != "watchful":
        return found
    return replace(
        found, held=held(signals[0], candidate.models[0], requests, whole, data.replies(candidate.models[0]))
    )


def _stacked(found: Sequence[tuple[Any, Reply]]) -> Trusted:
    """One signal, row by row: each row has its own value (or values), dollars and seconds."""
    values = np.array([v for v, _ in found], dtype=np.float64).reshape(len(found), -1)
    spent = [[np.nan if s is None else s for s in (node.cost, node.seconds)] for _, node in found]
    table = np.array(spent, dtype=np.float64).reshape(-1, 2)
    return Trusted(values, table[:, :1], table[:, 1:])


def _shared(values: Floats, node: Reply) -> Trusted:
    """One signal, all rows in one go: each row is charged its part of the dollars and seconds."""
    n = len(values)
    cost, seconds = (np.full((n, 1), np.nan if s is None else s / max(1, n)) for s in (node.cost, node.seconds))
    return Trusted(np.asarray(values, dtype=np.float64)[:, None], cost, seconds)


def _columns(levels: Sequence[Trusted]) -> Trusted:
    values, cost, seconds = (
        np.concatenate([getattr(t, f) for t in levels], axis=1) for f in ("values", "cost", "seconds")
    )
    return Trusted(values, cost, seconds)


def out_of_fold(candidate: Candidate, whole: Recording, rows: Ints, parts: Sequence[Ints]) -> Trusted:
    """The signals' values on the fit rows, each part judged by signals fitted on the other parts.

    `parts` index into `rows`. A candidate that learns nothing is judged at once.
    """
    if not any(hasattr(s, "fit") for s in candidate.signals):
        return trusted(candidate, candidate.signals, whole, rows)
    pieces: list[tuple[Ints, Trusted]] = []
    for part in parts:
        others = np.setdiff1d(np.arange(len(rows)), part)
        pieces.append((part, trusted(candidate, fitted(candidate, whole, rows[others]), whole, rows[part])))
    return _joined(pieces, len(rows))


def _joined(pieces: Sequence[tuple[Ints, Trusted]], n: int) -> Trusted:
    first = pieces[0][1]
    values, cost, seconds = (np.empty((n, a.shape[1])) for a in (first.values, first.cost, first.seconds))
    joined = Trusted(values, cost, seconds)
    for at, piece in pieces:
        joined.values[at], joined.cost[at], joined.seconds[at] = piece.values, piece.cost, piece.seconds
    return joined


def by_folds(data: Dataset, rows: Ints, k: int) -> list[Ints]:
    """Folds of the fit rows (indices into `rows`), by unit, from the data's seed."""
    return folds(data.units[rows], k, data.seed)


def thresholds(candidate: Candidate, trust: Trusted, prices: Floats, grid: int = 30) -> list[tuple[float, ...]]:
    """The settings to try: each level's threshold at quantiles of its trust, weights for `assign`."""
    if candidate.kind in ("alone", "fixed"):
        return [()]
    if candidate.kind == "assign":
        spread = float(np.nanmax(prices) - np.nanmin(prices)) if np.isfinite(prices).all() else 0.0
        if not spread:  # prices unknown, or all the same: the best predicted answers
            return [(0.0,)]
        return [(w / spread,) for w in (0.0, *np.geomspace(0.01, 3, grid - 1).tolist())]
    levels = trust.values.shape[1]
    per_level = grid if levels == 1 else max(4, round((4 * grid) ** (1 / levels)))
    cuts: list[list[float]] = []
    for level in range(levels):
        quantiles = np.quantile(trust.values[:, level], np.linspace(0, 1, per_level + 1), method="higher")
        cuts.append([float(q) for q in np.unique(quantiles)])
    if levels == 1:
        return [(c,) for c in cuts[0]]
    return [tuple(float(c[i]) for c, i in zip(cuts, at, strict=True)) for at in np.ndindex(*map(len, cuts))]


def outcome(candidate: Candidate, trust: Trusted, settings: Sequence[tuple[float, ...]], facts: Facts) -> Outcome:
    """What each setting of the candidate would have scored, cost and taken on these rows.

    The joules of what signals ask are not known, so a setting whose signal asks models has none.
    """
    scores, costs, seconds, prices = facts.columns(candidate.models)
    n, m = scores.shape
    if candidate.kind == "fixed":
        unknown = np.full((n, 1), np.nan)
        return Outcome(trust.values[:, :1], trust.cost, trust.seconds, unknown, np.zeros((n, 1), dtype=bool))
    joules = facts.joules[:, [facts.models.index(name) for name in candidate.models]]
    if candidate.kind == "alone":
        last = candidate.models[0] == facts.models[-1]
        return Outcome(scores, costs, seconds, joules, np.full((n, 1), last))
    if (trust.cost != 0).any():
        joules = np.full_like(joules, np.nan)
    picks: list[Ints] = []
    sums: list[list[Floats]] = []
    for setting in settings:
        if candidate.kind == "assign":
            picked = np.argmax(trust.values - setting[0] * np.nan_to_num(prices), axis=1).astype(np.int64)
        else:
            picked = _first_passing(trust.values, setting)
        picks.append(picked)
        asked = np.arange(m)[None, :] == picked[:, None]
        judged = np.ones_like(trust.cost, dtype=bool)
        if candidate.kind in ("cascade", "watchful"):
            asked = np.arange(m)[None, :] <= picked[:, None]
            judged = asked[:, :-1]
        if candidate.kind != "assign":
            # A threshold of 0 is passed without asking the signal.
            judged = judged & (np.asarray(setting) > 0)
        billed = costs if trust.held is None else trust.held.billed(costs, picked, setting)
        paid = np.where(asked, billed, 0).sum(axis=1) + np.where(judged, trust.cost, 0).sum(axis=1)
        took = np.where(asked, seconds, 0).sum(axis=1) + np.where(judged, trust.seconds, 0).sum(axis=1)
        sums.append([paid, took, np.where(asked, joules, 0).sum(axis=1)])
    picked = np.stack(picks, axis=1)
    paid, took, used = (np.stack([one[i] for one in sums], axis=1) for i in range(3))
    return Outcome(scores[np.arange(n)[:, None], picked], paid, took, used, picked == m - 1)


def _first_passing(values: Floats, setting: tuple[float, ...]) -> Ints:
    """The first level whose trust reaches its threshold (n,), else the last model."""
    cut = np.asarray(setting)
    passing = np.concatenate([values >= cut, np.ones((len(values), 1), dtype=bool)], axis=1)
    return np.argmax(passing, axis=1).astype(np.int64)


def complete(data: Dataset, models: Sequence[str]) -> tuple[Dataset, int]:
    """The rows with a score for every model, and how many were left out."""
    kept = np.flatnonzero(np.isfinite(data.scores(models)).all(axis=1))
    return (data, 0) if len(kept) == len(data) else (data.take(kept), len(data) - len(kept))
