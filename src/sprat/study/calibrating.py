"""From recorded calls to a calibrated confidence: how far it could be trusted before, and after, on other rows.

One half of the units teaches the maps, the other half measures them, and certifies from where on to answer. Which map
is taken is decided on the first half alone, by the least Brier score over five folds of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .. import signals
from ..core import Reply, Request
from ..data import Dataset, Lessons
from ..drivers import drive_many
from ..errors import BadInput, MissingExtra, nearest
from ..measure.calibration import brier, measured, place, risk_coverage
from ..measure.grouping import Group, GroupingLoss, grouping_loss, worst_groups
from ..measure.resampling import Estimate, clustered_rate
from ..replay import Recording
from ..signals.calibrated import Calibrated, fit_map
from ..signals.calibrators import CALIBRATORS, Floats
from ..signals.reconfidence import Reconfidence
from ..signals.reply_features import NAMES, features, in_words
from ..splits import folds, split
from .abstain import Abstention, abstain
from .job import graded, load

FEWEST, RARER = 100, 20  # rows, and of right and of wrong answers each, in all
RECORDED = "confidence"
WAS = "as it was"


@dataclass(frozen=True)
class Point:
    """A bin of like confidence: its mean, the rate of right answers with a 95 % interval, and how many rows."""

    confidence: float
    rate: Estimate
    rows: int


@dataclass(frozen=True)
class Calibration:
    """What was found: `measures[way]` on rows that taught nothing, for the confidence as it was and for each map.

    `groups` are found on the first half, with the confidence as it was; `mended` has the same ones with the chosen map.
    """

    name: str
    model: str
    confidence: str
    quality: str
    date: str
    data_hash: str
    taught: int
    rows: int
    units: int
    chosen: str
    measures: Mapping[str, Mapping[str, Estimate]]
    bins: Mapping[str, tuple[Point, ...]]
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    grouping: Mapping[str, GroupingLoss]
    groups: tuple[Group, ...]
    mended: tuple[Group, ...]
    abstention: Abstention
    made: Any
    notes: tuple[str, ...]


def calibrate(
    source: str | Path,
    *,
    model: str | None = None,
    confidence: str | None = None,
    by: str | None = None,
    risk: float = 0.1,
    delta: float = 0.05,
    grade: str | None = None,
    columns: Mapping[str, str] | None = None,
    bounds: tuple[float, float] | None = None,
    skip_bad: bool = False,
) -> Calibration:
    """Calibrate a model's confidence on a file of recorded calls, or a set by name.

    `confidence` is a signal's name (with its models after a colon: agreement:peer), or a column that holds numbers in
    [0, 1]; unless given it is the column `confidence`, else logprob where it was recorded, else answer_features.
    Raises BadInput, with the rows that are needed, for too few; MissingExtra without scikit-learn.
    """
    field = confidence if confidence is not None and confidence.partition(":")[0] not in signals.__all__ else None
    named = {**(columns or {}), **({RECORDED: field} if field else {})}
    data = load(source, columns=named or None, bounds=bounds, skip_bad=skip_bad or None)
    model = _model(data, model)
    data = graded(data, grade, model)
    data = _usable(data.of_models([model, *_asked(confidence)]), model)
    judge = _judge(data, model, confidence)
    if judge is None:
        data = data.take([i for i, e in enumerate(data) if model in e.meta.get(RECORDED, {})])
    _enough(data, model)
    first, second = split(data, (0.5, 0.5))
    return _found(data, model, judge, by, (risk, delta), first, second)


def _found(
    data: Dataset,
    model: str,
    judge: Any,
    by: str | None,
    promise: tuple[float, float],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> Calibration:
    y = data.scores([model])[:, 0]
    units, seed = data.units, data.seed
    teach = first
    if judge is not None and hasattr(judge, "fit"):
        own, other = split(data.take(first), (0.5, 0.5))
        judge, teach = judge.fit(Lessons.of(data.take(first[own]), data.models, Recording(data))), first[other]
    trust = _trust(data, model, judge)
    requests = [e.request for e in data]
    replies = [e.reply(model) for e in data]

    def learn(kind: str, rows: NDArray[np.int64]) -> Any:
        return fit_map(kind, trust[rows], y[rows], [requests[i] for i in rows], [replies[i] for i in rows])

    def mapped(map: Any, rows: NDArray[np.int64]) -> Floats:
        if isinstance(map, Reconfidence):
            return map.predict(trust[rows], _features(requests, replies, rows))
        return map.predict(trust[rows])

    kinds = [by] if by else [*CALIBRATORS, "reconfidence"]
    lost: dict[str, float] = {}
    parts = folds(units[teach], 5, seed)
    for kind in kinds if len(kinds) > 1 else ():
        out = np.empty(len(teach))
        for part in parts:
            out[part] = mapped(learn(kind, np.delete(teach, part)), teach[part])
        lost[kind] = brier(out, y[teach])
    chosen = min(lost, key=lambda k: lost[k]) if lost else kinds[0]
    maps = {kind: learn(kind, teach) for kind in kinds}
    after = {WAS: trust[second]} | {kind: mapped(map, second) for kind, map in maps.items()}
    told = mapped(maps[chosen], teach)
    x = _features(requests, replies, np.arange(len(data)))
    tree = Reconfidence().fit(trust[teach], y[teach], x[teach], NAMES).tree
    ways = (WAS, chosen)
    grouping: dict[str, GroupingLoss] = {}
    if len(second) >= 400:
        of = units[second]
        grouping = {way: grouping_loss(after[way], y[second], x[second], units=of, seed=seed) for way in ways}
    groups = [
        tuple(
            worst_groups(
                tree, NAMES, after[way], y[second], x[second], units[second], lambda g: tree.rule(g, NAMES, in_words)
            )
        )
        for way in ways
    ]
    kept = abstain(
        (told, y[teach]), (after[chosen], y[second]), units[second], risk=promise[0], delta=promise[1], seed=seed
    )
    return Calibration(
        name=data.name,
        model=model,
        confidence=repr(judge) if judge is not None else "the recorded confidence",
        quality=data.quality,
        date=date.today().isoformat(),
        data_hash=data.hash,
        taught=len(first),
        rows=len(second),
        units=len(np.unique(units[second])),
        chosen=chosen,
        measures={way: measured(p, y[second], units[second], seed=seed) for way, p in after.items()},
        bins={way: _bins(after[way], y[second], units[second]) for way in ways},
        curves={way: _curve(after[way], y[second]) for way in ways},
        grouping=grouping,
        groups=groups[0],
        mended=tuple(next(m for m in groups[1] if m.rule == g.rule) for g in groups[0]),
        abstention=kept,
        made=maps[chosen] if judge is None else Calibrated(judge, cast("Any", chosen), "score", maps[chosen]),
        notes=data.notes,
    )


def _features(requests: Sequence[Request], replies: Sequence[Reply | None], rows: NDArray[np.int64]) -> Floats:
    return np.array([features(requests[i], replies[i] or Reply("")) for i in rows.tolist()])


def _model(data: Dataset, model: str | None) -> str:
    if model is not None:
        data.require([model])
        return model
    if len(data.models) != 1:
        known = ", ".join(data.models[:12])
        raise BadInput("Whose confidence is to be calibrated was not said.", hint=f"Give --model, of: {known}.")
    return data.models[0]


def _asked(confidence: str | None) -> list[str]:
    """The models that a signal asks: after the colon."""
    return [m for m in (confidence or "").partition(":")[2].split(",") if m]


def _usable(data: Dataset, model: str) -> Dataset:
    """The rows on which the model answered and has a score."""
    scores = data.scores([model])[:, 0]
    answered = [r is not None and r.ok for r in data.replies(model)]
    rows = [i for i, ok in enumerate(answered) if ok and np.isfinite(scores[i])]
    left = len(data) - len(rows)
    note = (f"{left:,} rows without a scored reply of '{model}' were left out.",) if left else ()
    return replace(data.take(rows), notes=(*data.notes, *note))


def _judge(data: Dataset, model: str, confidence: str | None) -> Any:
    """The signal, or None for the recorded confidence; raises BadInput for a name that is neither."""
    word = (confidence or "").partition(":")[0]
    if confidence is not None and word not in signals.__all__:
        return None
    if confidence is None:
        if any(model in e.meta.get(RECORDED, {}) for e in data):
            return None
        word = "logprob" if all(r is not None and r.logprobs for r in data.replies(model)) else "answer_features"
    make = getattr(signals, word)
    peers = _asked(confidence)
    data.require(peers)
    from ..endpoints import recorded

    try:
        made = make(*(recorded(p) for p in peers))
    except TypeError as error:
        kinds = [n for n in signals.__all__ if inspect.isfunction(getattr(signals, n))]
        hint = f"Give its models after a colon, or another: {nearest(word, set(kinds) - {word})}"
        raise BadInput(f"The signal '{word}' can't be made from its name alone.", hint=hint) from error
    return made


def _trust(data: Dataset, model: str, judge: Any) -> Floats:
    """The confidence (n,) in each reply; raises BadInput where a recorded one is outside [0, 1]."""
    if judge is None:
        found = np.array([float(e.meta[RECORDED][model]) for e in data])
        if not np.all((found >= 0) & (found <= 1)):
            worst = found[np.argmax(np.abs(found - 0.5))]
            raise BadInput(f"A recorded confidence is {worst:g}.", hint="Scale them to [0, 1], 0.9 for 90 %.")
        return found
    asked = [judge.trust(e.request, e.reply(model)) for e in data]
    return np.array(drive_many(asked, Recording(data).swap), np.float64)


def _enough(data: Dataset, model: str) -> None:
    """Raises BadInput that says how many rows are needed."""
    if find_spec("sklearn") is None:
        raise MissingExtra("study", "sprat calibrate")
    n = len(data)
    right = float(data.scores([model])[:, 0].sum()) if n else 0.0
    rarer, kind = min((right, "right"), (n - right, "wrong"))
    if n >= FEWEST and rarer >= RARER:
        return
    rate = max(rarer, 0.5) / max(n, 1)
    needed = max(FEWEST, ceil(RARER / rate)) if n else FEWEST
    many = (
        f"{rarer:g} of them {kind}" if rarer.is_integer() else f"of which {rarer:.1f} {kind} by the sum of their scores"
    )
    counted = f"{n:,} usable rows, {many}"
    raise BadInput(
        f"A calibration of '{model}' needs {FEWEST} rows, with {RARER} right and {RARER} wrong; there are {counted}.",
        hint=f"At this rate about {needed:,} rows would do; record a confidence and a score for each.",
    )


def _bins(s: Floats, y: Floats, units: NDArray[Any]) -> tuple[Point, ...]:
    places = place(s, 10, "mass")
    here = [places == b for b in np.unique(places)]
    return tuple(Point(float(s[k].mean()), clustered_rate(y[k], units[k]), int(k.sum())) for k in here)


def _curve(s: Floats, y: Floats) -> tuple[tuple[float, float], ...]:
    """Up to 101 points of the risk-coverage curve."""
    coverage, risk = risk_coverage(s, y)
    at = np.unique(np.linspace(0, len(s) - 1, 101).astype(int))
    return tuple(zip(coverage[at].tolist(), risk[at].tolist(), strict=True))
