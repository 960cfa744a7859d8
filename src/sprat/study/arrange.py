"""Puts settings into the one ordered list that is walked, and says how many rows that will take.

Paper: fixed-sequence testing (arXiv 2110.01052) is valid for any list fixed without the calibration rows, so the list
may be made as powerful as the fit rows allow. Checked against: `benchmarks/validity.py`.

Why not simply every setting from the safest on? A setting that hardly differs from the reference wins at most the
margin itself per row ((1-k) r, or m), so n rows cannot certify it unless n log(1/(1-m)) passes log(1/delta): 114 rows
at m = .02, delta = .1, with no regression at all, and a few more for each one. And each further setting is one more
chance to fail. So the list starts where the fit rows say that a test at the planned n is likely to pass, and goes on,
always to a larger saving, in steps that are worth the chance of failing. Concretely: samples of n rows are drawn from
the fit rows (from a resample of them, since the fit rows are a sample too), all settings of the front are tested on
each, and settings are put into the list one by one, as long as the mean saving of the walk over the samples rises.
Then up to three safer ones are put before it, where that changed no sample: they cost nothing if the fit rows are
right, and save the walk from ending at once where those flatter the first setting.
All of it reads fit rows only, so nothing here can break the promise; optimism here costs saving, not validity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sprat.errors import BadInput
from sprat.study.certify import Floats, log_wealth

Ints = NDArray[np.int64]


def front(quality: ArrayLike, cost: ArrayLike) -> list[int]:
    """Places of the settings that no other beats in both mean quality and cost, safest (dearest) to cheapest.

    Of settings equal in both, the first is kept; from each to the next, cost and quality both fall.
    """
    q, c = np.asarray(quality, float), np.asarray(cost, float)
    if q.ndim != 1 or q.shape != c.shape or not (np.isfinite(q).all() and np.isfinite(c).all()):
        raise BadInput("A front needs one quality and one cost per setting, with none missing.")
    kept: list[int] = []
    best = -np.inf
    for i in np.lexsort((np.arange(len(q)), -q, c)):
        if q[i] > best:
            best = float(q[i])
            kept.append(int(i))
    return kept[::-1]


class Arranged(NamedTuple):
    """A list and what the fit rows expect of it at n units: `places` in the order to walk, `spread` the second moment
    of each one's loss (the bets' scale), the mean `saving` with refusals as 0, and the chance `refused`."""

    places: tuple[int, ...]
    spread: Floats
    saving: float
    refused: float


def arrange(
    losses: ArrayLike,
    savings: ArrayLike,
    n: int,
    delta: float,
    top: float,
    *,
    settings: int = 40,
    longest: int = 20,
    samples: int = 200,
    seed: int = 0,
) -> Arranged:
    """The list with the largest expected saving when walked on n units, from fit units' losses (units, settings).

    `savings` (settings,) is what each saves against the reference (share kept small, or the fraction of its cost).
    At most `settings` of the front are tried, evenly by saving, and at most `longest` are listed.
    """
    loss, gain = np.asarray(losses, float), np.asarray(savings, float)
    if loss.ndim != 2 or gain.shape != loss.shape[1:] or not len(loss) or n < 1:
        raise BadInput("A list is arranged from losses (units, settings), one saving per setting, and n >= 1.")
    hopeful = loss.mean(axis=0) < loss.std(axis=0) / np.sqrt(len(loss))  # a standard error past the limit may be luck
    tried = [i for i in front(-loss.mean(axis=0), -gain) if hopeful[i] and gain[i] > 0]
    tried = _thinned(tried, gain, settings)
    if not tried:
        return Arranged((), np.zeros(0), 0.0, 1.0)
    moment = np.square(loss[:, tried]).mean(axis=0)
    passed = _passes(loss[:, tried], n, delta, top, moment, samples, seed)
    chosen, saving, refused = _insert(passed, gain[tried], longest)
    return Arranged(tuple(tried[i] for i in chosen), moment[chosen], saving, refused)


def _thinned(places: list[int], gain: Floats, most: int) -> list[int]:
    if len(places) <= most:
        return places
    wanted: Floats = np.linspace(float(gain[places[0]]), float(gain[places[-1]]), most)
    nearest = np.abs(gain[places] - wanted[:, None]).argmin(axis=1)
    return [places[i] for i in np.unique(nearest)]


def _passes(
    loss: Floats, n: int, delta: float, top: float, spread: Floats, samples: int, seed: int
) -> NDArray[np.bool_]:
    """(samples, settings): would each setting's test pass, on n units drawn from a resample of the given ones?"""
    rng = np.random.default_rng(seed)
    resample = rng.integers(0, len(loss), (samples, len(loss)))
    drawn = np.take_along_axis(resample, rng.integers(0, len(loss), (samples, n)), axis=1)
    # Rows are drawn independently, so any order does; in parts, so that memory stays small.
    parts = [log_wealth(loss[part.T], top, delta, spread) for part in np.array_split(drawn, max(1, samples // 50))]
    return np.concatenate(parts) >= np.log(1 / delta) - 1e-12


def _insert(passed: NDArray[np.bool_], gain: Floats, longest: int) -> tuple[list[int], float, float]:
    """Greedy insertion: the list, in rising saving, whose walk saves most on average over the samples."""

    def value(places: list[int]) -> float:
        reached = np.logical_and.accumulate(passed[:, places], axis=1)
        steps = np.diff(gain[places], prepend=0.0)
        return float((reached @ steps).mean())

    chosen: list[int] = []
    best = 0.0
    while len(chosen) < longest:
        options = [(value(sorted([*chosen, i])), -i) for i in range(len(gain)) if i not in chosen]
        score, place = max(options, default=(0.0, 0))
        if score <= best + 1e-9:
            break
        chosen, best = sorted([*chosen, -place]), score
    safer = range(chosen[0]) if chosen else range(0)
    free = [i for i in safer if value([i, *chosen]) >= best - 1e-9]
    for i in sorted({free[len(free) * part // 3] for part in range(3)} if free else set[int](), reverse=True):
        if value([i, *chosen]) >= best - 1e-9:
            chosen = [i, *chosen]
    refused = 1 - float(passed[:, chosen[0]].mean()) if chosen else 1.0
    return chosen, best, refused


def rows_needed(
    losses: ArrayLike, delta: float, top: float, power: float = 0.8, *, most: int = 1_000_000, seed: int = 0
) -> int | None:
    """How many calibration units one setting needs to pass with chance `power`, from its losses on other units (n,).

    Starts from n = ((z_delta + z_power) s / margin)^2 and corrects it by simulating the test; None when the setting
    does not keep the promise on these units, or needs more than `most`.
    """
    from statistics import NormalDist

    loss = np.asarray(losses, float)
    if loss.ndim != 1 or not len(loss):
        raise BadInput("The rows needed are computed from one setting's losses, (n,).")
    if not 0 < power < 1:
        raise BadInput(f"The power must lie between 0 and 1, not {power}.")
    margin, z = -float(loss.mean()), NormalDist().inv_cdf
    if margin <= 0:
        return None
    guess = ((z(1 - delta) + max(z(power), 0.0)) * float(loss.std()) / margin) ** 2
    low, high = 1, max(8, round(guess))
    spread = np.square(loss).mean(keepdims=True)

    def passes(n: int) -> bool:
        rng = np.random.default_rng(seed)
        drawn = loss[rng.integers(0, len(loss), (n, 400))]
        return float((log_wealth(drawn, top, delta, spread) >= np.log(1 / delta) - 1e-12).mean()) >= power

    while high <= most and not passes(high):
        low, high = high, high * 3 // 2
    if high > most:
        return None
    while high - low > max(1, high // 50):  # two per cent is finer than 400 samples can tell
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


class Feasible(NamedTuple):
    """What n calibration units are expected to bring: the mean `saving` (refusals count as 0), the chance `refused`,
    and `ceiling`, the largest saving of a setting that keeps the promise on the fit rows (what infinite n gives)."""

    n: int
    saving: float
    refused: float
    ceiling: float


def feasible(
    losses: ArrayLike, savings: ArrayLike, sizes: list[int], delta: float, top: float, *, seed: int = 0
) -> list[Feasible]:
    """The expected saving at each of several numbers of calibration units, from fit units' losses (units, settings)."""
    loss, gain = np.asarray(losses, float), np.asarray(savings, float)
    ceiling = float(gain[loss.mean(axis=0) < 0].max(initial=0.0))
    found: list[Feasible] = []
    for n in sizes:
        list_ = arrange(loss, gain, n, delta, top, samples=100, settings=24, seed=seed)
        found.append(Feasible(n, list_.saving, list_.refused, max(ceiling, 0.0)))
    return found


def rows_for(
    losses: ArrayLike, savings: ArrayLike, wanted: float, delta: float, top: float, *, most: int = 20_000, seed: int = 0
) -> int | None:
    """The fewest calibration units whose expected saving reaches `wanted`, within a tenth; None beyond `most`."""
    low, high = 0, 100
    while high <= most and feasible(losses, savings, [high], delta, top, seed=seed)[0].saving < wanted:
        low, high = high, high * 2
    if high > most:
        return None
    while high - low > max(10, high // 10):
        middle = (low + high) // 2
        reached = feasible(losses, savings, [middle], delta, top, seed=seed)[0].saving >= wanted
        low, high = (low, middle) if reached else (middle, high)
    return high
