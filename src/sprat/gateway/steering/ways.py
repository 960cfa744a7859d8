"""The settings that a promise covers, as serve.toml's [[promise.settings]] say them: each may answer in its own way.

`sprat study` writes them (study/serving.py); the policy draws among them, and budgets move along them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ...combine import Route
from ...config import Saved
from ...errors import BadInput
from ...signals.ordinary import Ordinary
from ..witness import Witness, witnessed

AUTO, REFERENCE = "auto", "reference alone"


@dataclass(frozen=True)
class Way:
    """A setting that may answer: its model, mean dollars and harm per request, and its share of dear answers.

    The last three are those of the calibration rows; None is unknown. `harm` is the reference's mean score less its
    own, on the scale from 0 to 1. `crafted` is how far a part has to stand out for a request to look crafted.
    """

    name: str
    model: Any
    cost: float | None = None
    harm: float | None = None
    large: float | None = None
    certified: bool = True
    crafted: float | None = None


def ways_of(promise: Mapping[str, Any], saved: Saved, made: dict[int, Witness], where: str) -> tuple[Way, ...]:
    """The settings of a [promise] table, safest first; the reference alone is the safest of all. Raises BadInput."""
    if not promise.get("reference"):
        return ()
    reference, at = saved.models[promise["reference"]], f"{where}, [[promise.settings]]"
    found: list[Way] = []
    for table in cast("Sequence[Mapping[str, Any]]", promise.get("settings", ())):
        called, way = table.get("name"), table.get("way")
        own = called == promise.get("setting")
        if not isinstance(called, str) or not (way or own) or called in (w.name for w in found):
            raise BadInput(f"{at}: each needs a name of its own, and a way unless it is the [way] itself.")
        model = saved.model if own else saved.made(way, f"promise.settings, {called}")
        cost, harm, large, crafted = (number(table, column, at) for column in ("cost", "harm", "large", "crafted"))
        certified = bool(table.get("certified", True))
        found.append(Way(called, witnessed(model, made), cost, harm, large, certified, crafted))
    if not found or found[0].model is not reference:
        found.insert(0, Way(REFERENCE, reference, None, 0.0, 1.0))
    covered = [w.certified for w in found]
    if not covered[0] or covered != sorted(covered, reverse=True):
        raise BadInput(f"{at}: the reference alone comes first and is certified, those that are not come last.")
    return tuple(found)


def ordinary_of(promise: Mapping[str, Any], where: str) -> Ordinary | None:
    """What ordinary prompts read like, of a [promise] table; None where it does not say. Raises BadInput."""
    table = promise.get("ordinary")
    if table is None:
        return None
    try:
        known, (follows, alone, unknown) = np.asarray(table["known"]), map(float, table["bits"])
        if known.dtype.kind not in "iu" or known.ndim != 1 or not len(known) or known.min() < 0 or known.max() > 255:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        hint = "sprat study writes it; run it again, or take the table out: then no request is named by its text."
        raise BadInput(f"{where}, [promise]: ordinary can't be read.", hint=hint) from None
    return Ordinary(known.astype(np.uint8), (follows, alone, unknown))


def number(table: Mapping[str, Any], name: str, where: str) -> float | None:
    """A number in a table, None where it is not there; raises BadInput where it is something else."""
    value = table.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"{where}: {name} is {value!r}.", hint="It needs a number.")
    return float(value)


def asked(model: Any, trust: float) -> Any:
    """The endpoint that a route by one signal (or a model alone) asks at this trust."""
    if not isinstance(model, Route):
        return model
    for part, at_least in zip(model.models, model.at_least, strict=False):
        if at_least <= 0 or (at_least <= 1 and trust >= at_least):
            return part
    return model.models[-1]
