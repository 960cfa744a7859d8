"""What serve.toml says of the promise: the settings that keep it, and what the gateway needs to watch it.

Every setting that the walk passed is certified, all at once, and each has its own way of working over the same models;
the reference alone comes first, since nothing is lost by it. The small model alone comes last where it is not
certified: a gateway runs it only if it is told to go past the promise. Costs, harms and shares are means over the
calibration rows: they order the settings, and no promise rests on them. By the table `ordinary` and each route's level
`crafted` the gateway names requests that look made to force the dear model (unusual.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core import Model
from ..data import Floats
from ..shape import exchanged, name_of
from . import ways
from .candidates import JUDGED
from .evidence import Evidence
from .score import Outcome
from .tried import Setting
from .unusual import levels, ordinary

_SHORT = 50  # values that are written as a list, which people can read


def serving(
    found: Evidence, endpoints: Mapping[str, Any], change: Callable[[Any], Any], measure: str
) -> tuple[Model, dict[str, Any]]:
    """The way of working to serve, and the [promise] table; signals are put through `change`, shared ones once.

    `measure` says what gave the scores. The table is empty where nothing was certified: then there is no promise.
    """
    asked, certificate = found.asked, found.certificate
    signals: dict[int, Any] = {}

    def built(setting: Setting) -> Model:
        place = setting.candidate
        if place not in signals:
            signals[place] = exchanged(ways.live(found.held.signals[place], endpoints), change)
        return exchanged(ways.built(found, setting, endpoints, signals[place]), change)

    passed, reference = found.passed, endpoints[asked.large]
    if not passed:
        return reference, {}
    models = [built(setting) for setting in passed]
    outcome, facts = (
        found.on_calibration([_alone(found, asked.large), *passed]),
        found.facts.take(found.cut.calibration),
    )
    name = f"{asked.large} alone"
    others = [reference, *models[:-1], None]  # the last is the [way] itself
    settings = _rows([name, *(s.name for s in passed)], others, outcome, facts.reference)
    texts = ordinary(found)
    crafted = levels(found, texts)
    settings = [{**row, "crafted": crafted.get(row["name"])} for row in settings]
    outcome = found.on_calibration([_alone(found, asked.small)])
    (small,) = _rows([f"{asked.small} alone"], [endpoints[asked.small]], outcome, facts.reference)
    cheaper = small["cost"] is not None and small["cost"] < (settings[-1]["cost"] or 0.0)
    if cheaper and not any(model is endpoints[asked.small] for model in models):
        settings.append({**small, "certified": False})
    table: dict[str, Any] = {
        "kind": certificate.kind,
        "level": certificate.level,
        "delta": certificate.delta * certificate.lists,
        "measure": measure,
        "reference": asked.large,
        "setting": certificate.certified,
        "losses": _law(found),
        "ordinary": {"known": texts.known, "bits": list(texts.bits)},
        "features": _features(found),
        "settings": settings,
    }
    return models[-1], table


def _alone(found: Evidence, model: str) -> Setting:
    return next(s for s in found.tried.settings if found.tried.candidates[s.candidate].models == (model,))


def _rows(
    names: Sequence[str], models: Sequence[Model | None], outcome: Outcome, reference: Floats
) -> list[dict[str, Any]]:
    costs, large = outcome.cost.mean(axis=0), outcome.large.mean(axis=0)
    harms = (reference[:, None] - outcome.score).mean(axis=0)
    return [
        {
            "name": name,
            "cost": float(costs[j]) if np.isfinite(costs[j]) else None,
            "harm": round(float(harms[j]), 12) + 0.0,
            "large": float(large[j]),
            "way": model,
        }
        for j, (name, model) in enumerate(zip(names, models, strict=True))
    ]


def _law(found: Evidence) -> dict[str, Any]:
    """The certified setting's losses by value."""
    evidence = found.certificate.evidence
    assert evidence is not None, "a certified setting has its evidence"
    parts = {"values": np.asarray(evidence.values), "counts": np.asarray(evidence.counts, np.int64)}
    return {k: v.tolist() if len(v) <= _SHORT else v for k, v in parts.items()}


def _features(found: Evidence) -> dict[str, Floats]:
    """What the gateway compares its requests with, of one calibration row per unit: rows of a unit are not independent.

    The prompt's length is in characters; the trust, by its signal's word, is that of the certified setting's first one.
    """
    rows = found.cut.calibration
    _, first = np.unique(found.facts.units[rows], return_index=True)
    texts = [found.data.examples[int(i)].request.text for i in rows[first]]
    features = {"characters": np.array([len(text) for text in texts], dtype=np.float64)}
    if found.chosen is not None and found.tried.candidates[found.chosen.candidate].kind in JUDGED:
        place = found.chosen.candidate
        features[name_of(found.held.signals[place][0])] = found.held.calibration[place].values[first, 0]
    return features
