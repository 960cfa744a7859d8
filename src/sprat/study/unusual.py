"""From when on a request looks crafted to force the dear model: conformal levels, from the calibration rows.

A request looks crafted at a setting where it is sent on to the reference, would not be without some part of it, and
that part stands out from the rest further than the level: the conformal quantile (arXiv 2107.07511) of the same number
over the calibration rows that the setting sends on. Of such rows, and of requests like them, `FALSE` at most are named.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from ..data import Floats
from ..drivers import drive
from ..signals.ordinary import Ordinary
from .evidence import Evidence
from .tried import Setting

FALSE, LEAST = 0.005, 99  # rows: fewer than 199 can't tell .5 %, so then it is one in as many; below 99 nothing is


def ordinary(found: Evidence) -> Ordinary:
    """What the fit rows read like; rows of a unit count as one."""
    prompts: defaultdict[int, list[str]] = defaultdict(list)
    for row in found.cut.fit:
        prompts[int(found.facts.units[row])].append(found.data.examples[int(row)].request.text)
    return Ordinary.of(prompts.values())


def levels(found: Evidence, texts: Ordinary) -> dict[str, float]:
    """The level of each certified setting that is a route by an embedded signal, by its name; rows are one per unit."""
    rows = found.cut.calibration
    _, first = np.unique(found.facts.units[rows], return_index=True)
    requests = [found.data.examples[int(i)].request for i in rows[first]]
    cut = [texts.parts(r.text) for r in requests]
    whose = np.repeat(np.arange(len(cut)), [len(parts) for parts in cut])
    without = [r.asking(part.rest) for r, parts in zip(requests, cut, strict=True) for part in parts]
    contrasts = np.array([part.contrast for parts in cut for part in parts])
    settings: defaultdict[int, list[Setting]] = defaultdict(list)
    for setting in found.passed:
        if found.tried.candidates[setting.candidate].kind == "route":
            settings[setting.candidate].append(setting)
    made: dict[str, float] = {}
    for place, group in settings.items():
        signal: Any = found.held.signals[place][0]
        if not hasattr(signal, "trusts"):
            continue
        trusts = np.asarray(drive(signal.trusts(without, [None] * len(without)))) if without else np.zeros(0)
        own = found.held.calibration[place].values[first, 0]
        for setting in group:
            needed = min(setting.thresholds)
            unusual = np.full(len(cut), -np.inf)
            turned = trusts >= needed
            np.maximum.at(unusual, whose[turned], contrasts[turned])
            if (level := quantile(unusual[own < needed])) is not None:
                made[setting.name] = level
    return made


def quantile(unusual: Floats) -> float | None:
    """The number that one more like these is above with chance `FALSE` at most; None where they are too few to tell."""
    n = len(unusual)
    if n < LEAST:
        return None
    rank = min(int(np.ceil((1 - FALSE) * (n + 1))), n)
    return max(float(np.sort(unusual)[rank - 1]), 0.0)  # a part that does not stand out at all is none
