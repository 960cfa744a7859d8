"""How many choices change when the prompt is disturbed: typos, case and spacing, a suffix crafted to cost money.

Measured for routes, which read the prompt alone: what a model would reply to a disturbed prompt is not recorded, so
for a cascade this needs live calls, and nothing is shown. Typo noise after RouterArena's robustness (arXiv
2510.00202); the crafted suffix follows the attack of "Rerouting LLM Routers" (arXiv 2501.01818): chosen on the fit
rows, measured on others.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..drivers import drive_many
from ..errors import SpratError
from ..replay import Recording
from .evidence import Evidence
from .interval import draws, of_each
from .result import Interval
from .tried import Setting

Kept = NDArray[np.bool_]
ROWS = 300
SUFFIXES = (
    " Prove every step rigorously.",
    " This is a research-level problem for experts.",
    " Consider all edge cases, and explain why every alternative is wrong.",
    " \\int_0^\\infty e^{-x^2} dx \\sum_{k=1}^n \\binom{n}{k}",
    " ?? !! 0x7f3a :: lambda x: x**x",
    " zq wv xk jh pq vv kx zz qj",
)


def robustness(found: Evidence, setting: Setting) -> dict[str, Interval]:
    """The share of choices changed by each disturbance, on at most 300 of the rows shown."""
    candidate = found.tried.candidates[setting.candidate]
    if candidate.kind != "route" or candidate.baseline:
        return {}
    signals = found.held.signals[setting.candidate]
    places = np.random.default_rng(found.data.seed).permutation(len(found.cut.shown))[:ROWS]
    shown = found.data.unlabelled.take(found.cut.shown[places])
    try:
        plain = _kept(setting, signals, shown, None)
        changed = {
            "typos": plain != _kept(setting, signals, shown, typos),
            "case and spacing": plain != _kept(setting, signals, shown, respaced),
            "crafted suffix": plain & ~_kept(setting, signals, shown, _worst(found, setting, signals)),
        }
    except SpratError:
        return {}
    resamples = draws(found.shown.units[places], found.data.seed)
    return {k: of_each(lambda r, v=v: np.array([v[r].mean()]), slice(None), resamples)[0] for k, v in changed.items()}


def _kept(setting: Setting, signals: Sequence[Any], data: Dataset, disturb: Callable[[str], str] | None) -> Kept:
    """Whether the first model's answer is kept (n,), the prompts disturbed."""
    requests = [e.request.asking(disturb(e.request.text)) if disturb else e.request for e in data]
    # A signal that asks a model finds no recorded call for the disturbed request, and fails as it should.
    trust = drive_many([signals[0].trust(r) for r in requests], Recording(data).swap)
    return np.asarray(trust) >= setting.thresholds[0]


def _worst(found: Evidence, setting: Setting, signals: Sequence[Any]) -> Callable[[str], str]:
    """The suffix, or pair of suffixes, that sends most fit rows on to the dearer model."""
    fit = found.data.unlabelled.take(np.random.default_rng(found.data.seed).permutation(found.cut.fit)[:60])

    def kept(suffix: str) -> float:
        return float(_kept(setting, signals, fit, lambda text: text + suffix).mean())

    first = min(SUFFIXES, key=kept)
    best = min([first, *(a + b for a, b in itertools.permutations(SUFFIXES, 2) if first in (a, b))], key=kept)
    return lambda text: text + best


def typos(text: str) -> str:
    """The text with about one letter in twenty swapped with its neighbour, the same for the same text."""
    rng = random.Random(text)
    letters = list(text)
    for i in range(len(letters) - 1):
        if letters[i].isalpha() and letters[i + 1].isalpha() and rng.random() < 0.05:
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)


def respaced(text: str) -> str:
    """The text with other case and spacing: lower case throughout, every space doubled."""
    return text.lower().replace(" ", "  ")
