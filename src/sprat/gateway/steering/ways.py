"""The settings that a promise covers, as serve.toml's [[promise.settings]] say them: each may answer in its own way.

`sprat study` writes them (study/serving.py); the policy draws among them, and budgets move along them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ...combine import Route
from ...config import Saved
from ...errors import BadInput
from ..witness import Witness, witnessed

AUTO, REFERENCE = "auto", "reference alone"


@dataclass(frozen=True)
class Way:
    """A setting that may answer: its model, mean dollars and harm per request, and its share of dear answers.

    The last three are those of the calibration rows; None is unknown. `harm` is the reference's mean score less its
    own, on the scale from 0 to 1.
    """

    name: str
    model: Any
    cost: float | None = None
    harm: float | None = None
    large: float | None = None
    certified: bool = True


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
        cost, harm, large = (number(table, column, at) for column in ("cost", "harm", "large"))
        found.append(Way(called, witnessed(model, made), cost, harm, large, bool(table.get("certified", True))))
    if not found or found[0].model is not reference:
        found.insert(0, Way(REFERENCE, reference, None, 0.0, 1.0))
    certified = [w.certified for w in found]
    if not certified[0] or certified != sorted(certified, reverse=True):
        raise BadInput(f"{at}: the reference alone comes first and is certified, those that are not come last.")
    return tuple(found)


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
