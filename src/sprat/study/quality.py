"""How good replies were on rows that nothing was fitted on, by trust: what the gateway's decision card predicts from.

The trust is cut into bins of about equal mass without a look at the outcomes; a bin's rate has an exact binomial
interval (Clopper and Pearson, 1934) where replies are right or wrong and every row is its own unit, else a betting
interval of the units' means (arXiv 2010.09686). The judged model's rates are made isotonic by pooling adjacent
violators (probability calibration as in Zadrozny and Elkan, 2002). Its bounds become monotone by giving way: a lower
bound is the least of those from its bin upwards, an upper one the greatest of those up to its bin. So each still holds
for its own bin, whether or not the rates truly rise, and the isotonic rate lies between them. Checked against a case
by hand, and by benchmarks/gateway_card.py on rows held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..data import Dataset, Floats
from ..encoders.static import StaticEncoder
from ..measure.grade import NOT_CORRECTNESS
from ..shape import name_of
from .candidates import JUDGED
from .certify import clopper_pearson, mean_interval
from .evidence import Evidence
from .interval import per_unit
from .score import Ints
from .tried import Setting

CONFIDENCE = 0.95
FEWEST = 30  # units of a bin
MOST_NEIGHBOURS, LONGEST = 3000, 500  # rows, and characters of a text


class Curve(NamedTuple):
    """Bins of the trust: `starts` (b,) their least trusts, `top` the greatest seen, `units` (b,) how many are in each.

    `value`, `low` and `high` are (b, models): the mean score in [0, 1] and its interval, each for its bin alone.
    """

    starts: Floats
    top: float
    units: Ints
    value: Floats
    low: Floats
    high: Floats


def interval(scores: ArrayLike, units: Ints) -> tuple[float, float, float, int]:
    """Mean score, its bounds at 95 %, and the number of units; exact where scores are 0 or 1 and units single rows."""
    each = per_unit(scores, units)
    if len(each) == len(units) and np.isin(each, (0.0, 1.0)).all():
        low, high = clopper_pearson(int(each.sum()), len(each), CONFIDENCE)
    else:
        low, high = mean_interval(each, CONFIDENCE)
    return float(each.mean()), low, high, len(each)


def starts(trust: Floats, units: int) -> Floats:
    """The least trust of each bin: about the cube root of n bins (n units), none below 30 rows; ties stay together."""
    values, counts = np.unique(trust, return_counts=True)
    least = max(FEWEST, len(trust) / max(1.0, np.floor(units ** (1 / 3) + 1e-9)))
    found, held, left = [float(values[0])], 0, len(trust)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        # A bin ends once it has its mass, if the rest is enough for another.
        if held >= least - 0.5 and left >= min(least, max(FEWEST, least / 2)):
            found.append(value)
            held = 0
        held, left = held + count, left - count
    return np.array(found)


def curve(trust: Floats, scores: Floats, units: Ints, judged: int) -> Curve:
    """The scores (n, models) by trust (n,); only those of the `judged` column are taken to rise with the trust."""
    begin = starts(trust, len(np.unique(units)))
    place = np.searchsorted(begin, trust, side="right") - 1
    found = np.array(
        [
            [interval(scores[place == b, m], units[place == b]) for m in range(scores.shape[1])]
            for b in range(len(begin))
        ]
    )
    count = found[:, 0, 3].astype(np.int64)
    value, low, high = found[:, :, 0].copy(), found[:, :, 1].copy(), found[:, :, 2].copy()
    value[:, judged] = isotonic(value[:, judged], count)
    low[:, judged] = np.minimum.accumulate(low[::-1, judged])[::-1]
    high[:, judged] = np.maximum.accumulate(high[:, judged])
    return Curve(begin, float(trust.max()), count, value, low, high)


def isotonic(values: ArrayLike, weights: ArrayLike) -> Floats:
    """The rising sequence that is nearest by weighted squares: adjacent violators pooled."""
    blocks: list[list[float]] = []
    for value, weight in zip(np.asarray(values, float).tolist(), np.asarray(weights, float).tolist(), strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, v, i), (b, w, j) = blocks[-2:]
            blocks[-2:] = [[(a * v + b * w) / (v + w), v + w, i + j]]
    return np.concatenate([np.full(int(k), v) for v, _, k in blocks])


def _measure(quality: str, binary: bool) -> str:
    """What a rate is of, in words: agreement is not called correctness."""
    if quality.endswith(NOT_CORRECTNESS):
        return f"{'probability' if binary else 'expected degree'} of {quality}"
    return "probability of a right reply" if binary else "expected score, from 0 to 1"


def table(found: Evidence, texts: bool = False) -> dict[str, Any]:
    """The [card] table: base rates, curves of every certified candidate, and logged neighbours with their outcomes.

    Rates are of the test rows where the study has such, else of the calibration rows; neighbours may be fit rows too.
    `texts` says whether the neighbours' prompts go with them.
    """
    facts = found.shown
    binary = bool(np.isin(facts.scores, (0.0, 1.0)).all())
    exact = binary and len(np.unique(facts.units)) == len(facts)
    base = np.array([interval(column, facts.units)[:3] for column in facts.scores.T])
    return {
        "measure": _measure(found.data.quality, binary),
        "rows": "test" if len(found.cut.test) else "calibration",
        "n": len(facts),
        "units": len(np.unique(facts.units)),
        "confidence": CONFIDENCE,
        "interval": "Clopper-Pearson" if exact else "betting",
        "models": list(facts.models),
        "base": base,
        "way": found.chosen.name if found.chosen else f"{found.asked.large} alone",
        "ways": _ways(found),
        "neighbours": neighbours(found.data, facts.models, found.cut.fit, found.cut.shown, texts),
    }


def _ways(found: Evidence) -> list[dict[str, Any]]:
    passed, facts = found.passed, found.shown
    made: list[dict[str, Any]] = []
    for place in dict.fromkeys(s.candidate for s in passed):
        candidate, settings = found.tried.candidates[place], [s for s in passed if s.candidate == place]
        scores = found.on_shown(settings).score
        rates = [interval(column, facts.units) for column in scores.T]
        levels = _levels(found, place, settings) if candidate.kind in JUDGED else []
        made.append(
            {
                "name": candidate.name,
                "kind": candidate.kind,
                "models": list(candidate.models),
                "settings": [
                    {"name": s.name, "at_least": list(s.thresholds), "value": v, "low": low, "high": high}
                    for s, (v, low, high, _) in zip(settings, rates, strict=True)
                ],
                "levels": levels,
            }
        )
    return made


def _levels(found: Evidence, place: int, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """A curve per signal, on the rows that come to it: of a cascade those that the levels before did not keep."""
    candidate, facts = found.tried.candidates[place], found.shown
    values, scores = found.held.shown[place].values, facts.columns(candidate.models)[0]
    made: list[dict[str, Any]] = []
    for level in range(values.shape[1]):
        come = (values[:, :level] < np.asarray(settings[-1].thresholds[:level])).all(axis=1)
        if come.sum() < FEWEST:
            break
        least = told_from([s.thresholds[level] for s in settings]) if candidate.kind == "watchful" else None
        told: dict[str, Any] = {} if least is None else {"least": least}
        trust = values[come, level] if least is None else np.maximum(values[come, level], least)
        drawn = curve(trust, scores[come], facts.units[come], level)
        signal = name_of(found.held.signals[place][level])  # as it is served: it may be trusted on known groups alone
        made.append({"signal": signal, "model": candidate.models[level], **told, **drawn._asdict()})
    return made


def told_from(thresholds: Sequence[float]) -> float | None:
    """From which trust on a draft's is known whichever threshold watches it: one that is stopped has some lower one."""
    return max((t for t in thresholds if 0 < t <= 1), default=None)


def neighbours(data: Dataset, models: tuple[str, ...], fit: Ints, shown: Ints, texts: bool) -> dict[str, Any]:
    """Rows to compare requests with, evenly taken: their embedding by the embedded encoder, id, scores and part."""
    every = np.sort(np.concatenate([fit, shown]))
    kept = every[np.linspace(0, len(every) - 1, min(len(every), MOST_NEIGHBOURS)).astype(np.int64)]
    part, encoder = data.take(kept), StaticEncoder()
    prompts = [e.request.text for e in part]
    made: dict[str, Any] = {
        "encoder": encoder.name,
        "rows": encoder.encode(prompts).astype(np.float16),
        "scores": part.scores(models).astype(np.float32),
        "ids": np.array([e.id[:80] for e in part]),
        "fitted": np.isin(kept, fit),
    }
    return made | ({"texts": np.array([p[:LONGEST] for p in prompts])} if texts else {})
