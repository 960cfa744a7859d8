"""Win rates with ties, held to equal length, and strengths of several models from their comparisons, with intervals.

Length-controlled win rate: arXiv 2404.04475, without its regularisation towards gamed baselines; the instructions'
difficulty enters where it is given. Bradley-Terry (1952) with ties as half wins, as Chatbot Arena's (arXiv 2403.04132).
Checked by closed forms and by laws: equal lengths change nothing, changing sides gives one less the rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from ..measure.resampling import Estimate, bootstrap, bootstraps, widened
from ..signals.fitting import sigmoid

Floats = NDArray[np.float64]


def win_rate(preference: ArrayLike, units: Sequence[object] | None = None, times: int = 1000) -> Estimate:
    """The mean of preferences (n,) for the first of two, 1, one half for ties, or 0, with a bootstrap interval."""
    return widened(bootstrap(_mean, _preferences(preference), units=units, times=times))


class LengthControlled(NamedTuple):
    """The win rate at equal length, in [0, 1], and the log-odds that a much longer reply wins by its length alone."""

    rate: float
    length: float


def length_controlled(
    preference: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    difficulty: ArrayLike | None = None,
    penalty: float = 0.1,
) -> LengthControlled:
    """The win rate that a judge would give if all lengths were equal; `first`, `second` (n,) are lengths in characters.

    A logistic regression of the preference (n,), in [0, 1], on a constant, on tanh of the difference over its standard
    deviation, and on `difficulty` (n,) where given; then its mean with the length's term left out. The constant is
    free; `penalty` / 2 times the other squared weights is added to the summed loss. Raises BadInput for unequal shapes.
    """
    y, far = _preferences(preference), np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if far.shape != y.shape or (difficulty is not None and np.shape(difficulty) != y.shape):
        raise BadInput(f"{len(y)} preferences need as many lengths; got {far.shape}.")
    spread = float(far.std(ddof=1)) if len(far) > 1 else 0.0
    length = np.tanh(far / spread) if spread > 0 else np.zeros(len(y))
    columns = [np.ones(len(y)), length, *([] if difficulty is None else [np.asarray(difficulty, np.float64)])]
    rows = np.column_stack(columns)
    weights = _logistic(rows, y, np.array([0.0, *[penalty] * (rows.shape[1] - 1)]))
    return LengthControlled(float(sigmoid(np.delete(rows, 1, 1) @ np.delete(weights, 1)).mean()), float(weights[1]))


def controlled_rate(
    preference: ArrayLike, first: ArrayLike, second: ArrayLike, units: Sequence[object] | None = None, times: int = 300
) -> Estimate:
    """The length-controlled win rate with a bootstrap interval, fitted anew on every resample."""

    def rate(preference: Floats, first: Floats, second: Floats) -> float:
        return length_controlled(preference, first, second).rate

    arrays = [np.asarray(x, np.float64) for x in (first, second)]
    return widened(bootstrap(rate, _preferences(preference), *arrays, units=units, times=times))


def _logistic(rows: Floats, y: Floats, penalty: Floats) -> Floats:
    """Weights (d,) at the least summed log loss plus half the penalty on their squares, by Newton's method."""
    w = np.zeros(rows.shape[1])
    # Where all agree the constant has no end: within these bounds its rate is 0 or 1 to a thousandth of a per cent.
    for _ in range(50):
        p = sigmoid(rows @ w)
        curve = (rows * np.maximum(p * (1 - p), 1e-9)[:, None]).T @ rows + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, rows.T @ (p - y) + penalty * w)
        longest = float(np.abs(step).max())
        w = np.clip(w - step / max(1.0, longest), -12.0, 12.0)
        if longest < 1e-10:
            break
    return w


def bradley_terry(wins: ArrayLike, prior: float = 1.0) -> Floats:
    """Strengths (m,) in log-odds, of mean 0, from `wins` (m, m): how often the row beat the column, ties half to each.

    i beats j with the chance sigmoid(s_i - s_j). `prior` is how many drawn games are added to each pair that met, so
    that who won all has a finite strength; with 0 it is the likelihood's maximum. Raises BadInput where the models were
    not all compared, directly or through others, or where there is no maximum.
    """
    w = np.array(wins, np.float64)
    if w.ndim != 2 or w.shape[0] != w.shape[1] or len(w) < 2 or not np.isfinite(w).all() or (w < 0).any():
        raise BadInput("Wins must be a square table of numbers of at least 0, for two models or more.")
    np.fill_diagonal(w, 0.0)
    met = w + w.T > 0
    w = w + prior / 2 * met
    if not _reaches(met).all():
        raise BadInput("Some models were never compared with the others.", hint="Compare all with one of them.")
    if not _reaches(w > 0).all():
        raise BadInput("Some models won or lost every comparison, so that their strength has no end.",
                       hint="Leave prior at 1.")  # fmt: skip
    games, s = w + w.T, np.zeros(len(w))
    for _ in range(100):
        p = sigmoid(s[:, None] - s[None])
        curve = games * p * (1 - p)
        slope = w.sum(axis=1) - (games * p).sum(axis=1)
        # Only differences count: a constant added along (1, ..., 1) makes the curvature invertible.
        step = np.linalg.solve(np.diag(curve.sum(axis=1)) - curve + 1 / len(s), slope)
        longest = float(np.abs(step).max())
        s = s + step / max(1.0, longest)
        if longest < 1e-10:
            break
    return s - s.mean()


def _reaches(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each can be reached from each along these edges."""
    found: NDArray[np.bool_] = edges | np.eye(len(edges), dtype=bool)
    for _ in range(len(edges)):
        found = found @ found
    return found


def strengths(
    games: Sequence[tuple[int, int, float]], models: int, units: Sequence[object], times: int = 300
) -> list[Estimate]:
    """Every model's Bradley-Terry strength with its interval, from games (i, j, preference for i), resampling units.

    Intervals are centred, since the drawn game of the prior weighs as much on a resample as on the games. Where some
    models won all games against the others, resamples would all say the same: there one won and one lost game per pair
    that met take part in the resampling alone, and the intervals are a rough guide (`one_sided`).
    """

    def of(k: int) -> Callable[[Floats], float]:
        return lambda rows: float(bradley_terry(_tally(rows, models))[k])

    table = np.array(games, np.float64).reshape(-1, 3)
    values = bradley_terry(_tally(table, models)).tolist()
    owners: list[object] = list(units)
    rows, uneven = table, one_sided(games, models)
    if uneven:
        met = sorted({(int(i), int(j)) for i, j, _ in games})
        rows = np.vstack([table, [(i, j, won) for i, j in met for won in (0.0, 1.0)]])
        owners += [("added", k) for k in range(2 * len(met))]
    found = bootstraps({str(k): of(k) for k in range(models)}, rows, units=owners, times=times, centred=not uneven)
    return [
        Estimate(v, min(v, e.low), max(v, e.high), len(set(units))) for v, e in zip(values, found.values(), strict=True)
    ]


def one_sided(games: Sequence[tuple[int, int, float]], models: int) -> bool:
    """Whether some models won every game against the others, so that their strength alone has no end."""
    return not _reaches(_tally(np.array(games, np.float64).reshape(-1, 3), models) > 0).all()


def _tally(rows: Floats, models: int) -> Floats:
    wins = np.zeros((models, models))
    i, j = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    np.add.at(wins, (i, j), rows[:, 2])
    np.add.at(wins, (j, i), 1 - rows[:, 2])
    return wins


def _preferences(values: ArrayLike) -> Floats:
    y = np.asarray(values, np.float64)
    if y.ndim != 1 or not len(y) or not np.isfinite(y).all() or (y < 0).any() or (y > 1).any():
        raise BadInput("Preferences must be numbers from 0 to 1, with none missing.")
    return y


def _mean(values: Any) -> float:
    return float(np.mean(values))
